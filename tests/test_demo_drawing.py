"""The demonstration "drawing": the face follows the pen and is pix2pix's, and what was done can be undone."""

import numpy as np
import pytest
import test_browser
import torch
from course_demos.drawing import CHOSEN
from demo_pages import DemoPage, write_site
from selenium.webdriver.common.keys import Keys

from gan_course import data, weights
from gan_course.data import pairs

pytestmark = [pytest.mark.browser, pytest.mark.book, pytest.mark.timeout(300)]

browser = test_browser.browser  # the fixture
PAPER, FACE = ".demo-paper", ".demo-drawing-face canvas"
SIDE = 64
GREY_LEVEL = 1  # of 255: a value half-way between two may be rounded either way
CHEEK = [(32, 46), (37, 45), (42, 44)]  # of the first example, where there is only skin
SKIN = [246, 215, 181]  # its colour
BLANK = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("drawing"), "drawing")


@pytest.fixture(scope="module", params=["wide", "phone"])
def opened(browser, site, request):
    page = DemoPage(browser, site, request.param).begin()
    page.press(page.button("only the lines"))  # the paper then shows what the network gets, without the tint
    page.settle()
    return page


@pytest.fixture
def page(opened):
    """The page with the first example and the pen."""
    start_from(opened, 0)
    take(opened, "pen")
    yield opened
    assert opened.complaints() == []


@pytest.fixture(scope="module")
def held_out():
    return pairs.with_input(
        data.load("faces", image_size=SIDE, count=max(CHOSEN) + 1, seed=1).select(list(CHOSEN)), "outline"
    )


@pytest.fixture(scope="module")
def method():
    return weights.load("pix2pix-faces")[0]


def start_from(page, number):
    with page.repainted():
        page.press(f".demo-drawing-starts button:nth-child({number + 1})")


def empty(page):
    with page.repainted():
        page.press(page.button("empty paper"))


def take(page, tool, colour=None):
    page.press(page.button(tool, "tool"))
    if colour:
        page.press(f"[aria-label='{colour}']")


def stroke(page, points):
    """Points in pixels of the paper."""
    with page.repainted():
        page.drag(PAPER, [((x + 0.5) / SIDE, (y + 0.5) / SIDE) for x, y in points])


def touch(page, x, y):
    stroke(page, [(x, y)])


def circle(x, y, radius, gap=0):
    angles = np.radians(np.linspace(gap / 2, 360 - gap / 2, 25))
    return [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]


def both(page):
    """Paper and face, int [H, W, 3] each."""
    return [page.canvas(canvas).astype(int) for canvas in (PAPER, FACE)]


def same(found, expected):
    return all((np.asarray(a) == b).all() for a, b in zip(found, expected, strict=True))


def distance_from(points):
    """Of each pixel from the nearest of the points."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.min([np.hypot(columns - x, rows - y) for x, y in points], axis=0)


def painted_by(method, paper):
    """What the package makes of a paper, as the page shows it."""
    inputs = torch.from_numpy(paper).permute(2, 0, 1)[None] / 127.5 - 1
    return method.translate(inputs)[0].add(1).mul(127.5).round().permute(1, 2, 0).int().numpy()


def test_examples_are_the_packages_and_so_are_their_faces(page, held_out, method):
    for number in (0, 3):
        start_from(page, number)
        paper, face = both(page)
        assert (paper == held_out.tensors["input"][number].permute(1, 2, 0).numpy()).all()
        assert np.abs(face - painted_by(method, paper)).max() <= GREY_LEVEL


def test_the_face_follows_the_pen_and_the_rest_stays(page, method):
    paper, face = both(page)
    stroke(page, CHEEK)
    drawn, answer = both(page)
    distance = distance_from([(x, y) for x, y in CHEEK])
    assert (drawn != paper)[distance > 8].sum() == 0
    assert drawn[45, 37].sum() < 300 < paper[45, 37].sum()  # ink
    change = np.abs(answer - face).mean(axis=2)
    assert change[distance < 2].mean() > 30
    assert change[distance < 2].mean() > 10 * change[distance > 12].mean()
    assert np.abs(answer - painted_by(method, drawn)).max() <= GREY_LEVEL


def test_a_line_through_a_part_has_its_colour_on_both_sides(page):
    rows, column = [43, 45], 37
    before = both(page)[0]
    assert (before[rows, column] == 255).all()
    stroke(page, [(32, 44), (42, 44)])
    paper = both(page)[0]
    assert paper[44, column].max() < 60
    assert np.abs(paper[rows, column] - SKIN).max() <= 2


def test_what_was_done_comes_back(page):
    before = both(page)
    stroke(page, CHEEK)
    after = both(page)
    assert not same(after, before)
    with page.repainted():
        page.press(page.button("undo"))
    assert same(both(page), before)
    with page.repainted():
        page.press(page.button("redo"))
    assert same(both(page), after)
    for keys, expected in ((Keys.CONTROL + "z", before), (Keys.CONTROL + Keys.SHIFT + "z", after)):
        with page.repainted():
            page.find(PAPER).send_keys(keys)  # which holds the first while the others are pressed
        assert same(both(page), expected)


def test_the_eraser_takes_lines_away(page):
    before = both(page)
    stroke(page, CHEEK)
    take(page, "eraser")
    stroke(page, CHEEK)
    assert (both(page)[0] == before[0]).all()  # the skin has closed over the line
    empty(page)
    take(page, "pen")
    stroke(page, circle(32, 32, 10))
    assert not same(both(page)[0], BLANK)
    take(page, "eraser")
    stroke(page, circle(32, 32, 10))
    assert same(both(page)[0], BLANK)


def test_a_part_takes_the_colour_that_it_is_given(page, held_out):
    label_map, names = held_out.tensors["label_map"][0].numpy(), held_out.map_names
    hair, eyes = (label_map == names.index(part) for part in ("hair", "eyes"))
    before = both(page)
    take(page, "fill", "red hair")
    touch(page, 30, 12)
    after = both(page)
    assert np.abs(np.median(after[1][hair], axis=0) - [210, 69, 30]).max() < 25
    assert (after[0] == before[0])[~hair].all()
    changed = np.abs(after[1] - before[1]).mean(axis=2)
    assert changed[hair].mean() > 20 * changed[distance_from(np.argwhere(hair)[:, ::-1]) > 3].mean()
    take(page, "fill", "green eyes")
    row, column = np.argwhere(eyes)[0]
    touch(page, column, row)
    assert (both(page)[0][eyes] == [18, 162, 58]).all(axis=1).sum() > 12  # both of them


def test_a_line_parts_what_it_crosses(page, held_out):
    hair = held_out.tensors["label_map"][0].numpy() == held_out.map_names.index("hair")
    stroke(page, [(28, 0), (28, 12), (28, 24)])
    before = both(page)[0]
    take(page, "fill", "red hair")
    touch(page, 15, 12)
    changed = (both(page)[0] != before).any(axis=2)
    assert changed[:, :26].sum() > 40
    assert hair[:, 32:].sum() > 200 and not changed[:, 30:].any()


def test_a_closed_line_holds_a_colour_and_an_open_one_does_not(page):
    empty(page)
    stroke(page, circle(32, 32, 14, gap=12))  # closed but for three pixels
    take(page, "fill", "tan skin")
    touch(page, 32, 32)
    paper = both(page)[0]
    tan = (paper == [214, 154, 102]).all(axis=2)
    assert tan.sum() > 40
    assert (distance_from([(32, 32)])[tan] < 16).all()
    page.drag(PAPER, [(0.05, 0.05)])
    page.wait(lambda page: "run out" in page.find(".demo-drawing-words").text, "no word about it")
    assert same(both(page)[0], paper)


def test_brush_and_keys(page):
    empty(page)
    take(page, "brush", "violet eyes")
    touch(page, 20, 20)
    violet = (both(page)[0] == [162, 43, 224]).all(axis=2)
    assert violet.any() and (distance_from([(20, 20)])[violet] < 3).all()
    take(page, "pen")
    with page.repainted():
        page.keys(PAPER, " ", Keys.ARROW_RIGHT * 12, Keys.ARROW_DOWN * 6, " ")
    ink = both(page)[0].max(axis=2) < 100
    ink[violet] = False
    rows, columns = ink.nonzero()
    assert len(rows) > 12 and np.ptp(columns) > 8 and np.ptp(rows) > 3
