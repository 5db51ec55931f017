"""The demonstration "label_map": what is painted changes, on the map and in both faces; the rest stays."""

import itertools
import re

import numpy as np
import pytest
import test_browser
import torch
from course_demos.label_map import NETWORKS
from demo_pages import DemoPage, write_site
from scipy import ndimage
from selenium.webdriver import ActionChains, Keys

from gan_course import weights

pytestmark = [pytest.mark.browser, pytest.mark.book, pytest.mark.timeout(300)]

browser = test_browser.browser  # the fixture
each_width = pytest.mark.parametrize("width", ["wide", "phone"])
PAPER = "canvas.demo-paper"
BROAD = 5  # radius of the broad brush in pixels of the map
CLASSES = "return GanDemos.stages[0].data.classes"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("label_map"), "label_map")


@pytest.fixture(scope="module")
def painters():
    """Both methods of the chapter, as the package has them."""
    return {name: weights.load(f"{name}-faces")[0] for name in NETWORKS}


def names_of(page):
    return page.browser.execute_script(CLASSES)["names"]


def label_map(page):
    """What the paper shows, as classes: [64, 64]."""
    colours = [
        [int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in page.browser.execute_script(CLASSES)["colours"]
    ]
    match = (page.canvas(PAPER)[:, :, None] == np.array(colours)).all(-1)
    assert (match.sum(-1) == 1).all(), "the paper shows a colour that is not of the palette"
    return match.argmax(-1)


def faces(page):
    return {name: page.canvas(f"canvas[data-network={name}]").astype(int) for name in NETWORKS}


def choose(page, name):
    page.press(page.find(f".demo-tools button[aria-label='{name}']"))


def holding(page, held, keys):
    """Keys for what has the focus, while others are held down."""
    chain = ActionChains(page.browser)
    for key in held:
        chain.key_down(key)
    chain.send_keys(keys)
    for key in held:
        chain.key_up(key)
    chain.perform()


def start_from(page, number):
    with page.repainted():
        page.press(page.find(f".demo-starts button:nth-child({number + 1})"))


def share(pixels):
    """A place on the map as shares of its sides."""
    return tuple((value + 0.5) / 64 for value in pixels)


def distance_to_path(points):
    """Of every pixel of the map to a line through these points (right, down): [64, 64]."""
    down, right = np.mgrid[:64, :64]
    steps = np.concatenate([np.linspace(a, b, 200) for a, b in itertools.pairwise(points)])
    return np.hypot(right[..., None] - steps[:, 0], down[..., None] - steps[:, 1]).min(-1)


def colour_of(page, name):
    found = page.browser.execute_script(CLASSES)
    code = found["colours"][found["names"].index(name)]
    return np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)])


@each_width
def test_examples_are_painted_as_the_package_paints_them(browser, site, painters, width):
    page = DemoPage(browser, site, width).begin()
    maps = []
    for number in (5, 1, 2, 3, 4, 0):
        start_from(page, number)
        maps.append(label_map(page))
        given = torch.from_numpy(maps[-1])[None]
        for name, shown in faces(page).items():
            ours = (painters[name].translate(given)[0].permute(1, 2, 0) + 1) * 127.5
            difference = np.abs(shown - ours.numpy()).max()
            assert difference <= 1, f"example {number}: {name} is {difference:.1f} grey levels off"
    assert len({one.tobytes() for one in maps}) == 6
    assert len(np.unique(maps)) >= 20, "the examples show too few of the classes"
    for time in browser.find_elements("css selector", ".demo-milliseconds"):
        assert re.fullmatch(r"\d+\.\d ms", time.text)
    assert not page.complaints()


def test_the_networks_are_those_of_the_package(browser, site, painters):
    page = DemoPage(browser, site).begin()
    maps = torch.randint(23, (2, 64, 64), generator=torch.Generator().manual_seed(0))
    maps[1, 16:48, 16:48] = 1
    for name, method in painters.items():
        got = page.run(name, label_map=maps)
        ours = method.translate(maps)
        assert ours.std() > 0.1
        difference = (torch.from_numpy(got) - ours).abs().max()
        assert difference < 1e-3, f"{name}: {difference:.1e}"


@each_width
def test_a_stroke_changes_its_place_and_the_rest_stays(browser, site, width):
    """Three points far from each other: a fast finger leaves no gaps."""
    page = DemoPage(browser, site, width).begin()
    path = [(6, 55), (30, 58), (58, 50)]
    before, old = label_map(page), faces(page)
    choose(page, "red hair")
    choose(page, "broad brush")
    page.box(page.find(PAPER))
    scrolled = browser.execute_script("return scrollY")
    with page.repainted():
        page.drag(PAPER, [share(point) for point in path])
    assert browser.execute_script("return scrollY") == scrolled, "the page moves under the finger"

    after, away = label_map(page), distance_to_path(path)
    red = names_of(page).index("red hair")
    assert (after[away < BROAD - 1] == red).all(), "the stroke has gaps"
    assert (after == before)[away > BROAD + 1].all(), "the map changes where nobody painted"

    painted = after != before
    inner = away < BROAD - 2  # an edge is drawn in ink and mixed with what is beyond it
    for name, new in faces(page).items():
        change = np.abs(new - old[name]).mean(-1)
        assert change[painted].mean() > 50, f"{name}: what was painted changes too little"
        # convolutions see their surroundings, coarse ones widely; but what they change there is little
        assert change[away > BROAD + 8].mean() < change[painted].mean() / 20, f"{name}: the rest changes"
        assert np.abs(new[inner].mean(0) - colour_of(page, "red hair")).max() < 40, f"{name}: it is not red"
    assert not page.complaints()


@each_width
def test_fill_and_replace_and_the_way_back(browser, site, width):
    page = DemoPage(browser, site, width).begin()
    states = [(label_map(page), faces(page))]
    names, first = names_of(page), states[0][0]
    skin = names.index("tan skin")
    regions, _ = ndimage.label(first == skin)
    sizes = np.bincount(regions.flatten())
    assert len(sizes) > 2, "the example needs more than one region of skin"
    largest = regions == sizes[1:].argmax() + 1
    right, down = next((x, y) for y in range(64) for x in range(64) if ndimage.binary_erosion(largest)[y, x])

    choose(page, "dark skin")
    choose(page, "fill a region")
    with page.repainted():
        page.drag(PAPER, [share((right, down))])
    states.append((label_map(page), faces(page)))
    assert ((states[1][0] == names.index("dark skin")) == largest).all(), (
        "fill takes one region, and all of it"
    )
    assert (states[1][0] == first)[~largest].all()
    for name in NETWORKS:
        colour = states[1][1][name][ndimage.binary_erosion(largest)].mean(0)
        assert np.abs(colour - colour_of(page, "dark skin")).max() < 40, f"{name}: the skin is not dark"

    choose(page, "blue hair")
    choose(page, "replace a class everywhere")
    hair = first == names.index("grey hair")
    down, right = np.argwhere(hair)[hair.sum() // 2]
    with page.repainted():
        page.drag(PAPER, [share((right, down))])
    states.append((label_map(page), faces(page)))
    assert ((states[2][0] == names.index("blue hair")) == hair).all(), "replace takes all of the class"
    for name in NETWORKS:
        one, other = (state[1][name][hair].mean(0) for state in states[1:])
        assert other[2] - other[0] > one[2] - one[0] + 60, f"{name}: the hair is not blue"

    def is_at(number):
        (map_then, faces_then), faces_now = states[number], faces(page)
        assert (label_map(page) == map_then).all()
        for name in NETWORKS:
            assert (faces_now[name] == faces_then[name]).all(), f"{name} paints the same map differently"

    by_key = {"back": [Keys.CONTROL], "forth": [Keys.CONTROL, Keys.SHIFT]}
    for step, number in (("undo", 1), ("back", 0), ("redo", 1), ("forth", 2), ("undo", 1)):
        with page.repainted():
            if step in by_key:
                holding(page, by_key[step], "z")
            else:
                page.press(page.button(step))
        is_at(number)
    choose(page, "fill a region")
    with page.repainted():
        page.drag(PAPER, [share((1, 1))])
    assert page.button("redo").get_attribute("aria-disabled") == "true", "a new step ends what was undone"
    for number in (1, 0):
        with page.repainted():
            page.press(page.button("undo"))
        is_at(number)
    assert page.button("undo").get_attribute("aria-disabled") == "true"
    assert not page.complaints()


def test_by_keys_alone(browser, site):
    page = DemoPage(browser, site).begin()
    names = names_of(page)
    with page.repainted():
        page.press(page.button("empty"))
    assert (label_map(page) == names.index("background")).all()
    choose(page, "fine brush")
    choose(page, "light skin")
    # the second class of the first row, and the cursor from the middle (32, 32) ten to the left
    page.keys(PAPER, "11", Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert page.find("[aria-label=hair] button[aria-pressed=true]").text == "brown"
    holding(page, [Keys.SHIFT], Keys.ARROW_LEFT)
    with page.repainted():
        holding(page, [" "], Keys.ARROW_DOWN * 4)
    line = np.zeros((64, 64), bool)
    line[32:37, 22] = True
    assert ((label_map(page) == names.index("brown hair")) == line).all()
    assert page.find(f"{PAPER} ~ .demo-ring").is_displayed()
    page.keys(PAPER, Keys.ARROW_RIGHT)
    assert ((label_map(page) == names.index("brown hair")) == line).all(), "it paints without the space bar"
    with page.repainted():
        holding(page, [Keys.CONTROL], "z")
    assert (label_map(page) == names.index("background")).all(), "a stroke is one step"
    assert not page.complaints()
