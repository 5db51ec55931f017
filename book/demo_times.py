"""Measure the demonstrations in Chromium and write the table that the book shows: book/demo_times.md

python book/demo_times.py       # after make book, on an idle machine with Chromium or Chrome and its driver
"""

from __future__ import annotations

import platform
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "book/_extensions")]
import course_demos  # noqa: E402
from demo_pages import DemoPage, serving, write_site  # noqa: E402
from test_browser import new_browser  # noqa: E402

TABLE = ROOT / "book/demo_times.md"
OPENINGS, PICTURES = 5, 30
SLOWER = {"wide": 1, "phone": 4}  # how many times slower the processor is made to be
AGAIN = """
const done = arguments[arguments.length - 1], stage = GanDemos.stages[0], times = [];
(async () => {
  for (let k = 0; k < arguments[0]; k++) {
    await stage.ask();
    times.push(Number(stage.figure.dataset.each));
  }
  done(times);
})();
"""


def times(browser, site: Path, width: str) -> tuple[float, float]:
    """Median milliseconds from the touch to the first picture, and of each further one."""
    first, each = [], []
    with serving(site) as server:
        browser.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": SLOWER[width]})
        for _ in range(OPENINGS):
            browser.execute_cdp_cmd("Network.clearBrowserCache", {})
            page = DemoPage(browser, site, width, server).begin()
            first.append(float(page.figure.get_attribute("data-first")))
            each += browser.execute_async_script(AGAIN, PICTURES)
    return statistics.median(first), statistics.median(each)


def row(browser, name: str, folder: Path) -> str:
    site = write_site(folder / name, name)
    parts = (site / "_static" / course_demos.INSIDE / name).glob("*.js")
    megabytes = sum(path.stat().st_size for path in parts) / 1e6
    measured = [times(browser, site, width) for width in SLOWER]
    cells = [f"{first / 1000:.1f} s | {each:.0f} ms" for first, each in measured]
    return f"| {course_demos.DEMOS[name].invitation} | {megabytes:.1f} MB | {' | '.join(cells)} |"


def main() -> None:
    browser = new_browser()
    if browser is None:
        sys.exit("This needs Chromium or Chrome with chromedriver (apt-get install chromium-driver).")
    version = f"{browser.capabilities['browserName']} {browser.capabilities['browserVersion']}"
    version = version.split(".")[0].replace("chrome", "Chromium")
    lines = [
        "| | weights | first picture | each further | slowed: first | each further |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    try:
        with TemporaryDirectory() as folder:
            lines += [row(browser, name, Path(folder)) for name in course_demos.DEMOS]
    finally:
        browser.quit()
    lines += [
        "",
        f"{version} without a screen on {platform.system()}, one thread of an {platform.machine()} server "
        f"processor, pages from a server on the same machine with an empty cache; medians of {OPENINGS} "
        f"openings and of {OPENINGS * PICTURES} pictures. *Slowed*: the browser's processor made "
        f"{SLOWER['phone']} times slower, as a stand-in for a phone.",
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
