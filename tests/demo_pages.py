"""Pages with demonstrations, and what a reader does with one: opens it, presses, drags, looks at pictures."""

import base64
import functools
import io
import shutil
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import course_book
import course_demos
import numpy as np
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.support.ui import WebDriverWait
from test_browser import QuietHandler, console_errors, foreign_requests

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"wide": (1280, 900), "phone": (360, 740)}
TAPS = 3
LISTEN = """
window.tapped = false;
arguments[0].addEventListener("click", () => { window.tapped = true; }, { once: true, capture: true });
"""
TAPPED = """
const done = arguments[arguments.length - 1], until = performance.now() + 1000;
const look = () => (window.tapped || performance.now() > until ? done(window.tapped) : setTimeout(look, 10));
look();
"""
RUN = """
const done = arguments[arguments.length - 1], [name, inputs] = arguments;
const { tensor, stages } = GanDemos;
const made = Object.entries(inputs).map(([input, { values, shape, whole }]) =>
  [input, tensor(whole ? BigInt64Array.from(values, BigInt) : Float32Array.from(values), shape)]);
stages[0].networks[name].run(Object.fromEntries(made))
  .then(({ images }) => done({ values: [...images.data], shape: images.dims }));
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page</title><link rel="icon" href="data:,">
<style>body {{ margin: 0 }} html[data-theme=dark] body {{ background: #14171a; color: #ddd }}
main {{ max-width: 52rem; margin: auto; padding: 1rem }}</style></head>
<body><main><article><p>Before.</p>{figure}<p>After.</p></article></main></body></html>
"""


def parts_folder() -> Path:
    """Where the parts are that `make book` has made; a test that asks for others makes them."""
    return course_book.demos_folder(ROOT) / course_demos.INSIDE


def write_site(folder: Path, name: str) -> Path:
    """A folder with one page that holds the demonstration, as the book would have it, and its files."""
    parts = parts_folder()
    if name in course_demos.missing(parts):
        course_demos.make(name, parts)
    static = ROOT / "book/_static"
    shutil.copytree(static / "demos", folder / "_static/demos")
    shutil.copytree(static / "vendor/onnxruntime-web", folder / "_static/vendor/onnxruntime-web")
    shutil.copytree(parts / name, folder / "_static" / course_demos.INSIDE / name)
    (folder / "book").mkdir()
    figure = course_book.demo_html("../_static", name, parts)
    (folder / "book/page.html").write_text(PAGE.format(figure=figure), encoding="utf-8")
    return folder


@contextmanager
def serving(folder: Path):
    """The address of a server of that folder."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


class DemoPage:
    """The page of one demonstration in a browser. On a phone everything is done by finger, else by mouse."""

    def __init__(self, browser, site: Path, width: str = "wide", server: str | None = None) -> None:
        """Opens the page, from `server` or else from its file with the network switched off."""
        self.browser, self.phone = browser, width == "phone"
        wide, high = SIZES[width]
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=wide,
            height=high,
            deviceScaleFactor=1,
            mobile=self.phone,
        )
        self.command("Emulation.setTouchEmulationEnabled", enabled=self.phone)
        self.command(
            "Network.emulateNetworkConditions",
            offline=server is None,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )
        browser.get("about:blank")
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        browser.get(f"{server or site.as_uri()}/book/page.html")

    def command(self, name: str, **arguments) -> None:
        self.browser.execute_cdp_cmd(name, arguments)

    def find(self, selector: str):
        return self.browser.find_element("css selector", selector)

    def button(self, text: str, row: str = ""):
        """The button that says `text`, in the row of that name if one is given."""
        buttons = f"[aria-label='{row}'] button" if row else ".demo-stage button"
        for found in self.browser.find_elements("css selector", buttons):
            if found.text.strip() == text:
                return found
        raise AssertionError(f"no button {text!r} in {row or 'the demonstration'}")

    @property
    def figure(self):
        return self.find(".gan-demo")

    @property
    def state(self) -> str:
        """waiting, loading, ready or failed."""
        return self.figure.get_attribute("data-state")

    @property
    def pictures(self) -> int:
        """How many were painted since the page was opened."""
        return int(self.figure.get_attribute("data-pictures") or 0)

    def begin(self) -> "DemoPage":
        """Touches the picture and waits for the first one that the network makes."""
        self.press(".demo-open")
        self.wait(lambda page: page.state in ("ready", "failed"), "the demonstration does not start")
        assert self.state == "ready", self.find(".demo-why").text
        return self

    def wait(self, condition, message: str, seconds: float = 60) -> None:
        WebDriverWait(self, seconds, poll_frequency=0.05).until(condition, message)

    @contextmanager
    def repainted(self):
        """Waits until what is done within has been painted."""
        before = self.pictures
        yield
        self.wait(lambda page: page.pictures > before, "nothing was painted")
        self.settle()

    def settle(self) -> None:
        """Waits until no further picture is on its way."""
        seen = -1
        while seen != self.pictures:
            seen = self.pictures
            self.browser.execute_async_script("setTimeout(arguments[0], 250)")

    def box(self, element) -> tuple[float, float, float, float]:
        """Left, top, width and height in the window, after the element was scrolled into it."""
        code = (
            "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' });"
            "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width, b.height];"
        )
        return tuple(self.browser.execute_script(code, element))

    def press(self, target) -> None:
        """A click or a tap on the middle of an element (or the first that fits a selector)."""
        if not self.phone:
            self.drag(target, [(0.5, 0.5)])
            return
        # between down and up a busy machine may take so long that the browser sees a finger that rests, and
        # no tap: then the finger tries again, as a reader's would
        element = self.find(target) if isinstance(target, str) else target
        arm = (
            "window.tapped = false; arguments[0].addEventListener('click', () => { window.tapped = true; }, "
        )
        for _ in range(TAPS):
            self.browser.execute_script(arm + "{ once: true, capture: true });", element)
            self.drag(element, [(0.5, 0.5)])
            if self.browser.execute_async_script(TAPPED):
                return

    def drag(self, target, places) -> None:
        """Down at the first place, along the others, and up; places are shares of the element's sides."""
        element = self.find(target) if isinstance(target, str) else target
        left, top, width, height = self.box(element)
        points = [(left + x * width, top + y * height) for x, y in places]
        if self.phone:
            for k, (x, y) in enumerate(points):
                kind = "touchMove" if k else "touchStart"
                self.command("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
            self.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*points, points[-1]], strict=True):
            button = {"button": "left", "buttons": 1, "clickCount": 1}
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def keys(self, target, *keys) -> None:
        """Keys for an element, which gets the focus."""
        element = self.find(target) if isinstance(target, str) else target
        self.browser.execute_script("arguments[0].focus()", element)
        ActionChains(self.browser).send_keys(*keys).perform()

    def slide(self, element, value) -> None:
        """A slider (input of type range) to a value."""
        code = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'));"
        self.browser.execute_script(code, element, value)

    def canvas(self, target) -> np.ndarray:
        """What a canvas shows: uint8 [H, W, 3]."""
        element = self.find(target) if isinstance(target, str) else target
        address = self.browser.execute_script("return arguments[0].toDataURL()", element)
        with Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))) as picture:
            return np.asarray(picture.convert("RGB"))

    def run(self, network: str, **inputs) -> np.ndarray:
        """What a network of the page makes of tensors, by the names of its inputs: images [N, C, H, W]."""
        given = {
            name: {
                "values": value.flatten().tolist(),
                "shape": list(value.shape),
                "whole": not value.is_floating_point(),
            }
            for name, value in inputs.items()
        }
        made = self.browser.execute_async_script(RUN, network, given)
        return np.array(made["values"], dtype=np.float32).reshape(made["shape"])

    def complaints(self) -> list[str]:
        """What the console says, and addresses outside this machine that were asked for."""
        return console_errors(self.browser) + foreign_requests(self.browser)
