"""The demonstration "redrawn": another face, the attention over it, pictures that a reader uploads."""

import numpy as np
import pytest
import test_browser
import torch
from course_demos import redrawn
from demo_pages import DemoPage, write_site
from PIL import Image

from gan_course import data, translation, weights

pytestmark = [pytest.mark.browser, pytest.mark.book, pytest.mark.timeout(300)]

browser = test_browser.browser  # the fixture
each_width = pytest.mark.parametrize("width", ["wide", "phone"])
LEVEL = 1.01 / 127.5  # one of 255 grey levels
COLOUR = 5 / 127.5  # between two neighbours among the map's 256 colours, and rounding
SIZE = 64


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("redrawn"), "redrawn")


@pytest.fixture(scope="module")
def ugatit():
    return weights.load("ugatit-faces")[0]


@pytest.fixture(scope="module")
def cyclegan():
    return weights.load("cyclegan-faces")[0]


def shown(page, title):
    """What the canvas of that name shows: [1, 3, 64, 64] in [-1, 1]."""
    pixels = page.canvas(f"canvas[aria-label='{title}']")
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 127.5 - 1


def thumbnails(page):
    return page.browser.find_elements("css selector", "[aria-label='which face'] button")


def pressed(page):
    chosen = page.browser.find_elements("css selector", "[aria-label='which face'] [aria-pressed=true]")
    return [button.get_attribute("aria-label") for button in chosen]


def said(page):
    return page.find("[role=status]").text


def assert_near(page, title, expected, tolerance=LEVEL):
    __tracebackhide__ = True
    away = (shown(page, title) - expected).abs().max()
    assert away <= tolerance, f"{title}: {127.5 * away:.1f} grey levels from the package's"


def assert_redrawn(page, ugatit, cyclegan):
    """All that is shown belongs to the face that is shown, and is what the package makes of it."""
    __tracebackhide__ = True
    face = shown(page, "the face")
    assert_near(page, "U-GAT-IT", ugatit.translate(face))
    assert_near(page, "CycleGAN", cyclegan.translate(face))
    assert_near(page, "attention", translation.covered(face, ugatit.attend(face)), COLOUR)


@each_width
def test_another_face_is_redrawn(browser, site, ugatit, cyclegan, width):
    unseen = data.load(
        "faces", domains=("adventurer", "lorelei"), image_size=SIZE, count=redrawn.COUNT, seed=1
    )
    page = DemoPage(browser, site, width).begin()
    assert len(thumbnails(page)) == len(redrawn.SHOWN)
    before = {title: shown(page, title) for title in ("the face", "U-GAT-IT", "CycleGAN", "attention")}
    for place in (3, 8):
        with page.repainted():
            page.press(thumbnails(page)[place])
        assert pressed(page) == [f"face {place + 1}"]
        face = unseen.a.batch([redrawn.SHOWN[place]])["image"]
        assert torch.equal(shown(page, "the face"), face)
        assert_redrawn(page, ugatit, cyclegan)
        for title, picture in before.items():
            assert (shown(page, title) - picture).abs().mean() > 0.02, f"{title}: the same for another face"
    with page.repainted():
        page.press(page.button("mirrored", "the face"))
    assert torch.equal(shown(page, "the face"), face.flip(-1))
    assert_redrawn(page, ugatit, cyclegan)
    with page.repainted():
        page.keys(thumbnails(page)[3], "\ue006")  # Enter
    assert pressed(page) == ["face 4"]
    assert_redrawn(page, ugatit, cyclegan)
    assert not page.complaints()


@each_width
def test_the_attention_lies_over_the_picture(browser, site, ugatit, width):
    page = DemoPage(browser, site, width).begin()
    face, answer, strength = shown(page, "the face"), shown(page, "U-GAT-IT"), page.find("input[type=range]")
    heat = ugatit.attend(face)
    with page.repainted():
        page.slide(strength, 0)
    assert torch.equal(shown(page, "attention"), face)
    with page.repainted():
        page.press(page.button("the redrawing", "laid over"))
    assert torch.equal(shown(page, "attention"), answer)
    with page.repainted():
        page.slide(strength, translation.HEAT)
    assert_near(page, "attention", translation.covered(answer, heat), COLOUR)
    with page.repainted():
        page.slide(strength, 1)
    alone = shown(page, "attention")
    assert_near(page, "attention", 2 * translation.covered(face, heat) - face, 2 * COLOUR)
    with page.repainted():
        page.press(page.button("the face", "laid over"))
    assert torch.equal(shown(page, "attention"), alone)  # nothing of what lies beneath
    with page.repainted():
        page.keys(strength, "\ue012")  # arrow to the left
    assert not torch.equal(shown(page, "attention"), alone)
    assert torch.equal(shown(page, "the face"), face) and torch.equal(shown(page, "U-GAT-IT"), answer)
    assert not page.complaints()


def picture(seed):
    """Something to upload, wider than high, and transparent below: uint8 [256, 352, 4]."""
    pixels = np.random.default_rng(seed).integers(0, 256, (256, 352, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[-64:, :, 3] = 0
    pixels[:, ::44, :3] //= 4  # darker columns, so that a shift would show
    return pixels


def brought_down(pixels):
    """The middle of it on white, 64 pixels a side: [1, 3, 64, 64] in [-1, 1]."""
    high, wide = pixels.shape[:2]
    left = (wide - high) // 2
    square = pixels[:, left : left + high].astype(np.float32)
    opaque = square[..., 3:] / 255
    blended = square[..., :3] * opaque + 255 * (1 - opaque)
    side = high // SIZE
    means = blended.reshape(SIZE, side, SIZE, side, 3).mean((1, 3))
    return torch.from_numpy(means).permute(2, 0, 1)[None] / 127.5 - 1


@each_width
def test_an_uploaded_picture_is_redrawn(browser, site, ugatit, cyclegan, tmp_path, width):
    page = DemoPage(browser, site, width).begin()  # from a file, the network switched off
    upload, places = page.find("input[type=file]"), len(redrawn.SHOWN)
    for seed in (1, 2):
        Image.fromarray(picture(seed)).save(tmp_path / f"{seed}.png")
        with page.repainted():
            upload.send_keys(str(tmp_path / f"{seed}.png"))
        assert pressed(page) == ["your picture"] and len(thumbnails(page)) == places + 1
        assert_near(page, "the face", brought_down(picture(seed)))
        assert_redrawn(page, ugatit, cyclegan)
    mine = shown(page, "the face")
    with page.repainted():
        page.press(thumbnails(page)[0])
    assert not torch.equal(shown(page, "the face"), mine)

    (tmp_path / "notes.png").write_text("no picture")
    before = {title: shown(page, title) for title in ("the face", "U-GAT-IT", "CycleGAN", "attention")}
    assert said(page) == ""
    upload.send_keys(str(tmp_path / "notes.png"))
    page.wait(lambda page: said(page), "nothing is said")
    assert said(page) == "notes.png is not a picture that this browser can read. The face stays as it was."
    page.settle()
    for title, pixels in before.items():
        assert torch.equal(shown(page, title), pixels), title
    assert pressed(page) == ["face 1"] and page.state == "ready"

    with page.repainted():
        page.press(thumbnails(page)[places])
    assert said(page) == "" and torch.equal(shown(page, "the face"), mine)
    assert not page.complaints()


DROP = """
const done = arguments[arguments.length - 1], [bytes, name] = arguments, moved = new DataTransfer();
if (name) moved.items.add(new File([Uint8Array.from(bytes)], name));
else moved.setData("text/plain", "words");
const stage = document.querySelector(".demo-stage");
const sent = ["dragover", "drop"].map((kind) => stage.dispatchEvent(
  new DragEvent(kind, { dataTransfer: moved, bubbles: true, cancelable: true })));
done(sent);
"""


def test_a_picture_can_be_dropped(browser, site, tmp_path):
    page = DemoPage(browser, site).begin()
    Image.fromarray(picture(3)).save(tmp_path / "3.png")
    with page.repainted():
        sent = browser.execute_async_script(DROP, list((tmp_path / "3.png").read_bytes()), "3.png")
    assert sent == [False, False]  # the browser does not open it in place of the page
    assert_near(page, "the face", brought_down(picture(3)))
    browser.execute_async_script(DROP, [], "")
    assert said(page).startswith("That is not a file.")
    assert_near(page, "the face", brought_down(picture(3)))
    assert not page.complaints()
