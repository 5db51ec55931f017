"""The demonstration "faces": the page shows what its buttons ask for, as the package would draw it."""

import io
from base64 import b64decode

import numpy as np
import pytest
import test_browser
import torch
from course_demos.faces import TRUNCATION
from demo_pages import DemoPage, write_site
from PIL import Image

from gan_course import export, metrics, weights
from gan_course.data.faces import TAG_GROUPS, TAG_NAMES

pytestmark = [pytest.mark.browser, pytest.mark.book, pytest.mark.timeout(300)]

browser = test_browser.browser  # the fixture
each_width = pytest.mark.parametrize("width", ["wide", "phone"])
LEVEL = 2 / 255 + 1e-6  # one step of a pixel: rounding may fall to either side
FIRST = [3, 2, 0, 0]  # the tags that it begins with, by their numbers
ORDERS = [[0, 1, 2, 1], [1, 3, 1, 0], [2, 0, 0, 1], [4, 2, 2, 0], [5, 3, 1, 1]]
DRAWN = "return [...GanDemos.gaussian(100, arguments[0])]"
SHOWN = """
return [...document.querySelectorAll(".demo-stage canvas")].filter((canvas) => canvas.offsetParent)
  .map((canvas) => canvas.toDataURL().split(",")[1]);
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("faces"), "faces")


def faces(page):
    """The face and its neighbours, as many as are shown: [1 + N, 3, 64, 64] in [-1, 1]."""
    pictures = [Image.open(io.BytesIO(b64decode(part))) for part in page.browser.execute_script(SHOWN)]
    pixels = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1


def tag_button(page, kind, number):
    return page.find(f".demo-controls [aria-label='{kind}'] button:nth-child({number + 1})")


def ask(page, tags):
    """Presses the buttons of these tags that are not pressed yet, and waits for the face."""
    with page.repainted():
        for kind, number in zip(TAG_GROUPS, tags, strict=True):
            button = tag_button(page, kind, number)
            if button.get_attribute("aria-pressed") != "true":
                page.press(button)


def asked(page):
    """The tags whose buttons are pressed, by their names."""
    pressed = page.browser.find_elements("css selector", ".demo-controls button[aria-pressed=true]")
    return [button.get_attribute("aria-label") for button in pressed]


def names_of(tags):
    return [TAG_NAMES[group][number] for group, number in zip(TAG_GROUPS.values(), tags, strict=True)]


def show_neighbours_by(page, kind):
    with page.repainted():
        page.press(page.button(kind, "neighbours to take over"))


def neighbour(page, number):
    return page.find(f".demo-neighbours button:nth-child({number + 1})")


def noise_of(page, seed):
    return torch.tensor(page.browser.execute_script(DRAWN, seed))


@each_width
def test_the_asked_tags_are_what_the_judge_reads(browser, site, width):
    judge, _ = weights.load("avataaars-classifier")
    page = DemoPage(browser, site, width).begin()
    assert asked(page) == names_of(FIRST)
    shown = [faces(page)]
    for tags in ORDERS:
        ask(page, tags)
        assert asked(page) == names_of(tags)
        assert page.find(".demo-large").get_attribute("aria-label") == f"a face with {', '.join(asked(page))}"
        shown.append(faces(page))
    read = metrics.predict(judge, torch.cat(shown)).view(len(shown), 7, 4)
    right = read == torch.tensor([FIRST, *ORDERS])[:, None]
    assert right[:, 0].float().mean() > 0.9, read[:, 0]
    assert right.float().mean() > 0.9
    assert not page.complaints()


def test_the_network_in_the_page_is_that_of_the_package(browser, site):
    method, _ = weights.load("acgan-faces")
    page = DemoPage(browser, site).begin()
    noise, tags = method.draw_noise(5, torch.Generator().manual_seed(5)), torch.tensor(ORDERS)
    expected = method.sample(5, noise=noise, labels=tags).numpy()
    made = page.run("generator", noise=noise, tags=method.one_hot(tags).float())
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, atol=export.TOLERANCE)

    # and so is what the canvases show: the noise of seed 1, and six that share 0.8 of it
    noise = noise_of(page, 1)
    near = [0.8 * noise + 0.6 * noise_of(page, seed) for seed in range(2, 8)]
    for truncation in (TRUNCATION, 1.5):
        with page.repainted():
            page.slide(page.find("input[type=range]"), truncation)
        scaled = truncation * torch.stack([noise, *near])
        expected = method.sample(7, noise=scaled, labels=torch.tensor([FIRST] * 7))
        assert (faces(page) - expected).abs().max() < LEVEL
    assert not page.complaints()


@each_width
def test_a_neighbour_is_taken_over(browser, site, width):
    judge, _ = weights.load("avataaars-classifier")
    page = DemoPage(browser, site, width).begin()
    before = faces(page)
    with page.repainted():
        page.press(neighbour(page, 2))
    after = faces(page)
    assert (after[0] - before[3]).abs().max() < LEVEL
    assert (after[1:] - before[1:]).abs().mean() > 0.02  # it has neighbours of its own
    assert asked(page) == names_of(FIRST)

    for kind, group in TAG_GROUPS.items():
        show_neighbours_by(page, kind)
        shown, number = faces(page), list(TAG_GROUPS).index(kind)
        assert len(shown) == 1 + group.stop - group.start
        assert (shown[0] - after[0]).abs().max() < LEVEL  # the face stays
        assert (shown[1 + FIRST[number]] - shown[0]).abs().max() < LEVEL
        assert neighbour(page, FIRST[number]).get_attribute("aria-pressed") == "true"
    show_neighbours_by(page, "hair")
    row = faces(page)
    assert (metrics.predict(judge, row[1:])[:, 0] == torch.arange(6)).sum() >= 5
    with page.repainted():
        page.press(neighbour(page, 5))
    blue = faces(page)
    assert (blue[0] - row[6]).abs().max() < LEVEL
    assert (blue[1:] - row[1:]).abs().max() < LEVEL  # the noise has stayed
    assert asked(page) == ["blue hair", *names_of(FIRST)[1:]]
    assert not page.complaints()


def test_truncation_and_new_noise(browser, site):
    page = DemoPage(browser, site).begin()
    first, slider = faces(page), page.find("input[type=range]")
    spreads = []
    for truncation in (0, 0.4, 1):
        with page.repainted():
            page.slide(slider, truncation)
        spreads.append(faces(page)[1:].std(dim=0).mean())
    assert 0 == spreads[0] < 0.9 * spreads[1] < spreads[2], spreads
    with page.repainted():
        page.slide(slider, 0)
    typical = faces(page)
    with page.repainted():
        page.press(page.button("new noise"))
    assert torch.equal(faces(page), typical)  # there is no noise to be new
    with page.repainted():
        page.slide(slider, TRUNCATION)
    assert ((faces(page) - first).abs().mean(dim=(1, 2, 3)) > 0.02).all()
    assert asked(page) == names_of(FIRST)


def test_by_keyboard(browser, site):
    page = DemoPage(browser, site).begin()
    before = faces(page)
    with page.repainted():
        page.keys(neighbour(page, 0), " ")
    assert (faces(page)[0] - before[1]).abs().max() < LEVEL
    with page.repainted():
        page.keys(tag_button(page, "glasses", 1), "\ue007")  # enter
    assert asked(page)[3] == "glasses"
    before = faces(page)
    with page.repainted():
        page.keys("input[type=range]", "\ue012")  # arrow to the left
    assert page.find("output").text == f"× {TRUNCATION - 0.01:.2f}"
    assert not torch.equal(faces(page), before)
