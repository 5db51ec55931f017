"""What a browser sees: every page, wide and phone-sized, light and dark, from a server and from a file.

Needs Chromium or Chrome with its driver; without them the tests are skipped and say so.
"""

import functools
import json
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

import pytest
import yaml

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "book/_build/html"
WIDTHS = {"wide": 1280, "phone": 360}
# Loading is the slow part of a test: a page is loaded at one width and then brought to the other.
LOADED_AT = {"server": "wide", "file": "phone"}
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-pipe",
]


def table_of_contents():
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


PAGES = [*table_of_contents(), "genindex", "search"]
each_page = pytest.mark.parametrize("page", PAGES)
each_origin = pytest.mark.parametrize("origin", ["server", "file"])


def first_program(*names):
    return next(filter(None, map(shutil.which, names)), None)


def new_browser():
    """A Chromium or Chrome without a screen, that logs what it is told and asks for; None without one."""
    program = first_program("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    driver_program = first_program("chromedriver", "chromium.chromedriver")
    if program is None or driver_program is None:
        return None
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(driver_program))
    driver.set_page_load_timeout(60)
    driver.set_script_timeout(60)
    driver.execute_cdp_cmd("Network.enable", {})
    return driver


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests of a worker."""
    driver = new_browser()
    if driver is None:
        pytest.skip(
            "no Chromium or Chrome with chromedriver on this machine (apt-get install chromium-driver)"
        )
    yield driver
    driver.quit()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def server():
    handler = functools.partial(QuietHandler, directory=str(HTML))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def set_width(browser, width):
    """Make the window wide, or that of a phone."""
    size = {"width": WIDTHS[width], "height": 900, "deviceScaleFactor": 1, "mobile": width == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.fixture
def visit(browser, server):
    """Open a page of the book; from a file, the network is switched off before."""

    def visit(page, origin="server", width="wide"):
        set_width(browser, width)
        conditions = {
            "offline": origin == "file",
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": -1,
        }
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        base = HTML.as_uri() if origin == "file" else server
        browser.get(f"{base}/{page}.html")
        browser.execute_async_script(SETTLED)
        return browser

    return visit


# the page has loaded, its formulas are set and its fonts are there
SETTLED = """
const done = arguments[arguments.length - 1];
const ready = () => {
  const maths = window.MathJax && MathJax.startup ? MathJax.startup.promise : Promise.resolve();
  const fonts = document.fonts ? document.fonts.ready : Promise.resolve();
  Promise.all([maths, fonts]).then(() => requestAnimationFrame(() => done(true)), (e) => done(String(e)));
};
if (document.readyState === "complete") ready(); else window.addEventListener("load", ready);
"""

# the page is laid out for a window of that width
LAID_OUT = """
const [width, done] = arguments;
const look = () => matchMedia(`(width: ${width}px)`).matches
  ? requestAnimationFrame(() => requestAnimationFrame(() => done(true)))
  : setTimeout(look, 20);
look();
"""

# the elements that reach beyond the right edge and do not scroll inside themselves
SIDEWAYS = """
const limit = document.documentElement.clientWidth + 1;
const scrolls = (element) => {
  for (let e = element.parentElement; e && e !== document.body; e = e.parentElement) {
    const contains = /auto|scroll|hidden|clip/.test(getComputedStyle(e).overflowX);
    if (contains && e.scrollWidth > e.clientWidth) return true;
  }
  return false;
};
if (document.documentElement.scrollWidth <= limit && document.body.scrollWidth <= limit) return [];
return [...document.querySelectorAll("article *")]
  .filter((e) => e.getBoundingClientRect().right > limit && !scrolls(e))
  .slice(0, 3)
  .map((e) => e.outerHTML.slice(0, 160))
  .concat([`width ${document.documentElement.scrollWidth} instead of ${limit - 1}`]);
"""

FORMULAS = """
const wanted = document.querySelectorAll("article .math").length;
const set = document.querySelectorAll("article .math mjx-container").length;
const wrong = [...document.querySelectorAll("article mjx-merror")].map((e) => e.textContent);
const raw = [...document.querySelectorAll("article .math")].filter((e) => /\\\\\\(|\\\\\\[/.test(
  [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent).join("")));
const flat = [...document.querySelectorAll("article .math mjx-container")].filter(
  (e) => e.closest("details:not([open]), .toggle-hidden") === null && e.getBoundingClientRect().height < 2);
return {wanted, set, wrong, raw: raw.map((e) => e.outerHTML.slice(0, 120)), flat: flat.length};
"""

BROKEN_IMAGES = """
const done = arguments[arguments.length - 1];
// an image that waits to be scrolled to is asked for now; one that is for the other theme alone is left out
const images = [...document.images].filter((i) => i.loading !== "lazy" || i.getClientRects().length);
for (const image of images) image.loading = "eager";
Promise.all(images.map((i) => i.decode().then(() => null, () => (i.currentSrc || i.src).slice(0, 120))))
  .then((all) => done(all.filter((x) => x)));
"""

# contrast of a text with the nearest opaque ground behind it, as WCAG 2 defines it
CONTRAST = """
const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0.9) return c.slice(0, 3);
  }
  return [255, 255, 255];
};
const faint = [];
const texts = "p, li, figcaption span, td, th, h1, h2, h3, pre, pre span, summary, a, code";
for (const e of (document.querySelector("article") || document.body).querySelectorAll(texts)) {
  if (!e.textContent.trim() || e.closest("details:not([open]), mjx-container")) continue;
  if (!e.getClientRects().length || getComputedStyle(e).visibility === "hidden") continue;
  if (e.closest("a.headerlink")) continue;
  const a = light(parse(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) faint.push(`${ratio.toFixed(1)}: ${e.tagName} ${e.textContent.trim().slice(0, 50)}`);
}
return faint.slice(0, 5);
"""


def set_theme(browser, theme):
    browser.execute_script(
        "document.documentElement.dataset.mode = document.documentElement.dataset.theme = arguments[0];",
        theme,
    )
    background = (
        "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number);"
    )
    return sum(browser.execute_script(background)) / 3


def console_errors(browser):
    return [entry["message"][:300] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def foreign_requests(browser):
    """Addresses outside this machine that the page asked for."""
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    return [
        url
        for url in asked
        if urlparse(url).scheme in ("http", "https", "ws", "wss") and urlparse(url).hostname != "127.0.0.1"
    ]


def wrong_with_content(browser):
    """What is wrong with formulas and images at this width."""
    formulas = browser.execute_script(FORMULAS)
    if formulas["set"] < formulas["wanted"]:
        yield f"formulas not rendered: {formulas}"
    if formulas["wrong"] or formulas["raw"]:
        yield f"formulas with errors: {formulas}"
    if formulas["flat"]:
        yield f"formulas without height: {formulas}"
    broken = browser.execute_async_script(BROKEN_IMAGES)
    if broken:
        yield f"images that do not load: {broken}"


def wrong_with_theme(browser, theme):
    """What is wrong with ground, layout and contrast in this theme and at this width."""
    grey = set_theme(browser, theme)
    if not (grey > 200 if theme == "light" else grey < 60):
        yield f"the ground has grey level {grey:.0f}"
    sideways = browser.execute_script(SIDEWAYS)
    if sideways:
        yield f"scrolls sideways: {sideways}"
    faint = browser.execute_script(CONTRAST)
    if faint:
        yield f"text too faint to read (contrast under 4.5): {faint}"


def wrong_with_sliders(browser):
    """What is wrong with the sliders, moved by keys."""
    from selenium.webdriver import Keys
    from selenium.webdriver.common.by import By

    for number, slider in enumerate(browser.find_elements(By.CSS_SELECTOR, ".scrubber"), start=1):
        picture = slider.find_element(By.CSS_SELECTOR, "img.scrubber-frame")
        knob = slider.find_element(By.CSS_SELECTOR, "input[type=range]")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", knob)
        knob.send_keys(Keys.HOME)
        first, caption = picture.get_attribute("src"), slider.text
        knob.send_keys(Keys.END)
        if picture.get_attribute("src") == first:
            yield f"slider {number} does not move its picture"
        if slider.text == caption:
            yield f"slider {number} does not change its caption"
        knob.send_keys(Keys.HOME)
        if picture.get_attribute("src") != first:
            yield f"slider {number} does not come back"
        if knob.size["height"] < 24:
            yield f"slider {number} is too thin for a finger"


@each_origin
@each_page
def test_page(visit, page, origin):
    """One load for both widths and both themes; all that is wrong with the page is told together."""
    loaded_at = LOADED_AT[origin]
    browser = visit(page, origin, loaded_at)
    wrong = []
    for width in sorted(WIDTHS, key=lambda width: width != loaded_at):
        set_width(browser, width)
        browser.execute_async_script(LAID_OUT, WIDTHS[width])
        wrong += [f"{width}: {what}" for what in wrong_with_content(browser)]
        for theme in ("light", "dark"):
            wrong += [f"{width}, {theme}: {what}" for what in wrong_with_theme(browser, theme)]
        if width == "phone":
            wrong += [f"{width}: {what}" for what in wrong_with_sliders(browser)]
    wrong += [f"the console says {error}" for error in console_errors(browser)]
    wrong += [f"loads from elsewhere: {url}" for url in foreign_requests(browser)]
    assert not wrong, f"{page}, loaded {loaded_at} from a {origin}:\n" + "\n".join(wrong)


@each_origin
def test_the_front_door_leads_to_the_front_page(browser, visit, origin):
    visit("index", origin)
    assert browser.current_url.endswith(f"/{PAGES[0]}.html")


@each_origin
def test_search_finds_a_word(visit, origin):
    browser = visit("search", origin)
    browser.get(browser.current_url.split("?")[0] + "?q=discriminator")
    from selenium.webdriver.support.ui import WebDriverWait

    def results(driver):
        links = "[...document.querySelectorAll('#search-results li a')]"
        return driver.execute_script(f"return {links}.map((a) => a.getAttribute('href'));")

    def finds_it(driver):  # results appear one after the other
        return any("book/notation" in address for address in results(driver))

    WebDriverWait(browser, 20).until(finds_it, message=f"only {results(browser)} found")


def test_the_search_box_opens_by_keyboard(visit):
    from selenium.webdriver import ActionChains, Keys

    browser = visit("book/notation")
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("k").key_up(Keys.CONTROL).perform()
    tag = browser.execute_script("return document.activeElement.type")
    assert tag == "search"


def test_the_theme_button_changes_the_theme(visit):
    browser = visit("book/notation")
    modes = set()
    for _ in range(3):
        buttons = "[...document.querySelectorAll('.theme-switch-button')]"
        browser.execute_script(f"{buttons}.find((b) => b.offsetParent !== null).click();")
        modes.add(browser.execute_script("return document.documentElement.dataset.theme"))
    browser.execute_script("localStorage.clear()")
    assert modes == {"light", "dark"}


def test_a_cell_can_be_copied(visit):
    browser = visit("book/how_to_use")
    buttons = browser.execute_script(
        "return document.querySelectorAll('div.highlight button.copybtn').length"
    )
    blocks = browser.execute_script("return document.querySelectorAll('article div.highlight pre').length")
    assert buttons == blocks > 0


def pages_with_a_slider():
    built = [page for page in PAGES if (HTML / f"{page}.html").exists()]
    return [
        page for page in built if 'class="scrubber"' in (HTML / f"{page}.html").read_text(encoding="utf-8")
    ]


def test_the_book_has_sliders():
    if any((ROOT / "notebooks").glob("*.ipynb")):
        assert pages_with_a_slider()
