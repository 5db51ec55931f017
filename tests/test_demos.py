"""Every demonstration: quiet until it is touched, then a picture; from a server and from a file; and digits.

Their JavaScript runs in Chromium, in pages made here. Without Chromium and its driver the tests are skipped.
"""

import course_demos
import numpy as np
import pytest
import test_browser
import torch
from demo_pages import ROOT, DemoPage, serving, write_site
from test_browser import CONTRAST, SIDEWAYS, set_theme

from gan_course import export, weights

pytestmark = [pytest.mark.browser, pytest.mark.book, pytest.mark.timeout(300)]

browser = test_browser.browser  # the fixture
NAMES = [name for name in course_demos.DEMOS if (ROOT / f"book/_static/demos/{name}.js").exists()]
each_demo = pytest.mark.parametrize("name", NAMES)
each_width = pytest.mark.parametrize("width", ["wide", "phone"])
LOADED = """
return performance.getEntriesByType("resource").map((e) => e.name).filter((n) => n.endsWith(".js"))
  .concat([...document.scripts].map((s) => s.src)).map((n) => n.split("/").pop());
"""
SMALL_BUTTONS = """
return [...document.querySelectorAll(".demo-stage button")].map((b) => b.getBoundingClientRect())
  .filter((b) => b.width && Math.min(b.width, b.height) < 36).length;
"""
NAMELESS = """
return [...document.querySelectorAll(".demo-stage :is(button, input, canvas)")]
  .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length))
  .map((e) => e.outerHTML.slice(0, 100));
"""
MEGABYTE = 1e6
GREY = 1.01 / 127.5  # one of 255 levels: sums are added up in another order at another place of a batch


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """The folder of the page of a demonstration, written once."""
    written = {}

    def site(name):
        if name not in written:
            written[name] = write_site(tmp_path_factory.mktemp(name), name)
        return written[name]

    return site


def test_every_demonstration_has_its_script():
    assert list(course_demos.DEMOS) == NAMES


@each_demo
@each_width
def test_it_starts_when_touched_and_not_before(browser, sites, name, width):
    """From a server on a phone, from a file on a wide screen: each demonstration both ways and both sizes."""
    with serving(sites(name)) as server:
        page = DemoPage(browser, sites(name), width, server if width == "phone" else None)
        where = f"{name}, {width}"
        assert set(browser.execute_script(LOADED)) == {"loader.js"}, f"{where}: loads before it is touched"
        assert page.find(".demo-picture").is_displayed(), where
        page.begin()
        assert not page.find(".demo-front").is_displayed() and page.find(".demo-stage").is_displayed(), where
        for canvas in browser.find_elements("css selector", ".demo-stage canvas"):
            assert page.canvas(canvas).std() > 5, f"{where}: a canvas is all of one colour"
        for theme in ("light", "dark"):
            set_theme(browser, theme)
            sideways = browser.execute_script(SIDEWAYS)
            assert not sideways, f"{where}, {theme}: scrolls sideways: {sideways}"
            faint = browser.execute_script(CONTRAST)
            assert not faint, f"{where}, {theme}: text too faint to read: {faint}"
        small = browser.execute_script(SMALL_BUTTONS)
        assert not small, f"{where}: {small} buttons too small for a finger"
        nameless = browser.execute_script(NAMELESS)
        assert not nameless, f"{where}: without a name for a screen reader: {nameless}"
        assert not page.complaints(), where


@each_demo
def test_it_weighs_little(sites, name):
    parts = list((sites(name) / "_static" / course_demos.INSIDE / name).glob("*.js"))
    assert parts and sum(part.stat().st_size for part in parts) <= 6 * MEGABYTE


def test_the_runtime_weighs_little():
    runtime = list((ROOT / "book/_static/vendor/onnxruntime-web").glob("*.js"))
    assert 1 * MEGABYTE < sum(path.stat().st_size for path in runtime) <= 5 * MEGABYTE


# ---- digits --------------------------------------------------------------------------------------------


def asked(page):
    """The large digit and the row of ten, as a judge wants them: [11, 1, 32, 32] in [-1, 1]."""
    canvases = page.browser.find_elements("css selector", ".demo-stage canvas")
    pixels = np.stack([page.canvas(canvas)[..., 0] for canvas in canvases])
    return torch.from_numpy(pixels)[:, None] / 127.5 - 1


@each_width
def test_the_asked_digit_is_what_the_classifier_reads(browser, sites, width):
    judge, _ = weights.load("digit-classifier")
    page = DemoPage(browser, sites("digits"), width).begin()
    right = 0
    for digit in range(10):
        with page.repainted():
            page.press(page.button(str(digit), "digit"))
        read = judge(asked(page)).argmax(dim=1)
        right += int(read[0] == digit)
        assert (asked(page)[0] - asked(page)[1 + digit]).abs().max() <= GREY  # the row is of the same noise
    assert right >= 9, f"{right} of 10 digits are read as asked"
    assert (read[1:] == torch.arange(10)).sum() >= 9
    assert not page.complaints()


@each_width
def test_the_noise_moves_and_comes_back(browser, sites, width):
    page = DemoPage(browser, sites("digits"), width).begin()
    first = asked(page)
    with page.repainted():
        page.drag(".demo-pad", [(0.5, 0.5), (0.6, 0.4), (0.75, 0.3)])
    moved = asked(page)
    change = (moved - first).abs().mean(dim=(1, 2, 3))
    assert (change > 0.02).all(), change  # of every digit, for they share the noise
    with page.repainted():
        page.press(".demo-pad")
    assert (asked(page) - first).abs().max() < 0.3  # the middle again, up to a pixel of the screen
    with page.repainted():
        page.keys(".demo-pad", "\ue014")  # arrow to the right
    assert not torch.equal(asked(page), first)
    with page.repainted():
        page.press(page.button("new noise"))
    assert (asked(page) - first).abs().mean() > 0.05


def test_between_two_digits(browser, sites):
    judge, _ = weights.load("digit-classifier")
    page = DemoPage(browser, sites("digits")).begin()
    first, way = asked(page), page.find("input[type=range]")
    with page.repainted():
        page.slide(way, 1)
    assert judge(asked(page)).argmax(dim=1)[0] == 8
    assert (asked(page)[0] - asked(page)[9]).abs().max() <= GREY
    assert (asked(page)[1:] - first[1:]).abs().max() <= GREY  # the row does not go along
    with page.repainted():
        page.slide(way, 0.5)
    half = asked(page)[0]
    assert min((half - first[0]).abs().mean(), (half - first[9]).abs().mean()) > 0.02


def test_the_network_in_the_page_is_that_of_the_package(browser, sites):
    method, _ = weights.load("cgan-mnist")
    page = DemoPage(browser, sites("digits")).begin()
    noise, labels = method.draw_noise(3, torch.Generator().manual_seed(5)), torch.tensor([2, 7, 9])
    classes = torch.eye(10)[labels]
    made = page.run("generator", noise=noise, classes=classes)
    expected = method.sample(3, noise=noise, labels=labels).numpy()
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, atol=export.TOLERANCE)
    assert not page.complaints()


def test_gaussian_numbers_are_gaussian_and_repeat(browser, sites):
    page = DemoPage(browser, sites("digits")).begin()
    draw = "return [...GanDemos.gaussian(arguments[0], arguments[1])]"
    numbers = np.array(page.browser.execute_script(draw, 20000, 3))
    assert abs(numbers.mean()) < 0.03 and abs(numbers.std() - 1) < 0.03
    assert abs((np.abs(numbers) < 1).mean() - 0.6827) < 0.02
    assert np.array_equal(numbers[:50], page.browser.execute_script(draw, 50, 3))
    assert not np.array_equal(numbers[:50], page.browser.execute_script(draw, 50, 4))


# ---- making them ---------------------------------------------------------------------------------------


def test_a_demonstration_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    def stops_in_the_middle(folder):
        course_demos.write_data(folder / "first", [1, 2, 3])
        raise KeyboardInterrupt

    from course_demos import digits

    monkeypatch.setattr(digits, "make", stops_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        course_demos.make("digits", tmp_path)
    assert "digits" in course_demos.missing(tmp_path)
    monkeypatch.setattr(digits, "make", lambda folder: course_demos.write_data(folder / "first", [1, 2]))
    made = course_demos.make("digits", tmp_path)
    assert [path.name for path in made.iterdir()] == ["first.js"]
    assert (made / "first.js").read_text() == "GanDemos.deliver([1,2]);\n"
    assert "digits" not in course_demos.missing(tmp_path)


def test_parts_are_made_again_when_the_package_changes():
    assert course_demos.key("one") != course_demos.key("another")
    assert course_demos.key("one") == course_demos.key("one")


def test_the_directive_finds_its_files(tmp_path, monkeypatch):
    from sphinx.cmd.build import main

    monkeypatch.setenv("COURSE_EXECUTED", str(tmp_path / "executed"))
    (tmp_path / "part").mkdir()
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser", "course_book"]\n')
    (tmp_path / "index.md").write_text("# A book\n\n```{toctree}\npart/page\n```\n")
    (tmp_path / "part/page.md").write_text("# A page\n\n```{demo} digits\n```\n")
    assert main(["-q", "-W", "-b", "html", str(tmp_path), str(tmp_path / "out")]) == 0
    built = (tmp_path / "out/part/page.html").read_text(encoding="utf-8")
    assert 'data-demo="digits"' in built and 'src="../_static/demos/loader.js"' in built
    assert (tmp_path / "out/_static" / course_demos.INSIDE / "digits/generator.js").exists()
    (tmp_path / "part/page.md").write_text("# A page\n\n```{demo} nothing\n```\n")
    assert main(["-q", "-W", "-b", "html", str(tmp_path), str(tmp_path / "out")]) != 0


# ---- where it cannot run -------------------------------------------------------------------------------


def test_without_javascript_the_picture_stays(browser, sites):
    page = DemoPage(browser, sites("digits"))
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.refresh()
        assert "needs JavaScript" in page.figure.text
        assert not page.find(".demo-open").is_displayed()
        assert page.find(".demo-picture").is_displayed()
    finally:
        page.command("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("missing", ["WebAssembly", "DecompressionStream"])
def test_an_old_browser_is_told_what_it_lacks(browser, sites, missing):
    script = browser.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": f"delete window.{missing};"}
    )
    try:
        page = DemoPage(browser, sites("digits"))
        assert f"needs {missing}, which this browser does not have. The picture stays." in page.figure.text
        assert not page.find(".demo-open").is_displayed()
        assert page.find(".demo-picture").is_displayed()
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


@pytest.mark.parametrize("lost", ["digits.js", "data/digits/generator.js"])
def test_a_file_that_does_not_load_is_told(browser, tmp_path, lost):
    site = write_site(tmp_path / "site", "digits")
    (site / "_static/demos" / lost).unlink()
    page = DemoPage(browser, site)
    page.press(".demo-open")
    page.wait(lambda page: page.state == "failed", "nothing is said")
    assert f"could not start ({lost} did not load). The picture stays." in page.figure.text
    assert page.find(".demo-picture").is_displayed()


def test_a_network_that_stops_leaves_the_picture(browser, sites):
    page = DemoPage(browser, sites("digits")).begin()
    broken = "GanDemos.stages[0].networks.generator.run = () => { throw new Error('no memory') }"
    browser.execute_script(broken)
    page.press("[aria-label=digit] button")
    page.wait(lambda page: page.state == "failed", "nothing is said")
    assert "stopped (no memory). The picture stays." in page.figure.text
    assert page.find(".demo-picture").is_displayed() and not page.find(".demo-stage").is_displayed()
