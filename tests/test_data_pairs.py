"""Inputs for paired translation: what they show, what they leave open, and that they are repeatable."""

import pytest
import torch
from PIL import ImageColor

from gan_course import data
from gan_course.data import faces, pairs


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield data.load("faces", count=60, progress=False)


def colours_of(images, index):
    """The exact colours of a face by class: int [classes, 3]."""
    return torch.from_numpy(faces.face_palette("adventurer", 0, index)).int()


@pytest.mark.parametrize("kind", pairs.KINDS)
def test_every_kind_is_an_input_of_three_channels(drawn, kind):
    ready = pairs.with_input(drawn, kind)
    assert ready.tensors["input"].shape == (60, 3, 64, 64)
    assert ready.batch([0, 1])["input"].abs().max() <= 1
    assert {key: ready.tensors[key] for key in drawn.tensors} == drawn.tensors  # the rest is untouched


def test_a_drawing_is_the_black_outline(drawn):
    (one,) = pairs.with_input(drawn.select([7]), "drawing").tensors["input"]
    assert torch.equal(one, drawn.tensors["drawing"][7].expand(3, -1, -1))


def test_region_colours_are_the_colours_that_the_face_was_drawn_in(drawn):
    found = pairs.region_colours(drawn.tensors["image"], drawn.tensors["label_map"], 13).int()
    for index in range(60):
        difference = (found[index] - colours_of(drawn, index)).abs().amax(1)
        for kind in ("hair", "skin", "eyes", "sclera"):
            assert difference[drawn.map_names.index(kind)] <= 12, f"face {index}: {kind}"


def test_an_absent_class_has_no_colour():
    image = torch.full((1, 3, 8, 8), 200, dtype=torch.uint8)
    colours = pairs.region_colours(image, torch.ones(1, 8, 8, dtype=torch.uint8), 3)
    assert colours.tolist() == [[[0, 0, 0], [200, 200, 200], [0, 0, 0]]]


@pytest.mark.parametrize("kind", ["outline", "dabs"])
def test_hair_eyes_and_skin_can_be_read_from_the_input_and_most_of_it_is_paper(drawn, kind):
    """The tags, by the nearest of their colours among the pixels of the region that have one of them."""
    shown = pairs.with_input(drawn, kind).tensors["input"]
    tables = {"hair": faces.HAIR_COLOURS, "eyes": faces.EYE_COLOURS, "skin": faces.SKIN_COLOURS}
    for name, colours in tables.items():
        rgb = torch.tensor([ImageColor.getrgb(code) for code in colours.values()]).float()
        tagged = drawn.tensors["tags"][:, faces.TAG_GROUPS[name]].argmax(1)
        right = 0
        for index in range(60):
            there = drawn.tensors["label_map"][index] == drawn.map_names.index(name)
            pixels = shown[index][:, there].T.float()  # [pixels, 3]
            near = torch.cdist(pixels, rgb)
            exact = near[near.min(1).values < 12].argmin(1)
            right += int(len(exact) > 0 and exact.mode().values == tagged[index])
        assert right >= 57, name
    face = ~torch.isin(drawn.tensors["label_map"], torch.tensor([0, 10]))
    assert (shown.amin(1)[face] > 250).float().mean() > 0.4


def test_an_outline_is_coloured_along_its_lines_alone(drawn):
    outline = pairs.with_input(drawn, "outline").tensors["input"]
    ids = drawn.tensors["label_map"].float()
    around = torch.nn.functional.max_pool2d(torch.stack([ids, -ids], 1), 5, 1, 2)
    far = (around[:, 0] == ids) & (around[:, 1] == -ids)
    assert (outline.amin(1)[far] > 200).float().mean() > 0.99  # hairlines too fine for the map are left
    hair = drawn.map_names.index("hair")
    assert ((outline.amin(1) < 200) & (drawn.tensors["label_map"] == hair)).any(-1).any(-1).all()


def test_dabs_are_placed_by_the_seed_and_by_the_number_of_the_image(drawn):
    first = pairs.with_input(drawn, "dabs", seed=3).tensors["input"]
    assert torch.equal(first, pairs.with_input(drawn, "dabs", seed=3).tensors["input"])
    assert torch.equal(
        first[:5], pairs.with_input(drawn.select(slice(0, 5)), "dabs", seed=3).tensors["input"]
    )
    assert not torch.equal(first, pairs.with_input(drawn, "dabs", seed=4).tensors["input"])


def test_dabs_stay_inside_their_region(drawn):
    """A region whose colour is changed changes only there."""
    repainted = drawn.tensors["image"].clone()
    hair = drawn.tensors["label_map"] == drawn.map_names.index("hair")
    repainted.movedim(1, -1)[hair] = torch.tensor([0, 255, 0], dtype=torch.uint8)
    other = data.ImageSet(
        "green", drawn.tensors | {"image": repainted}, tag_names=drawn.tag_names, map_names=drawn.map_names
    )
    changed = (
        pairs.with_input(drawn, "dabs").tensors["input"] != pairs.with_input(other, "dabs").tensors["input"]
    ).any(1)
    assert changed.flatten(1).any(1).all()
    assert not changed[~hair].any()


def test_a_dab_ends_where_its_region_does():
    """A region of one pixel is one pixel of paint; the large one around it has two discs of 21."""
    label_map = torch.full((1, 64, 64), 1, dtype=torch.uint8)
    label_map[0, 20, 20] = 2
    tensors = {
        "image": torch.full((1, 3, 64, 64), 90, dtype=torch.uint8),
        "label_map": label_map,
        "drawing": torch.full((1, 1, 64, 64), 255, dtype=torch.uint8),
    }
    images = data.ImageSet("dot", tensors, map_names=("background", "skin", "eyes"))
    (dabs,) = pairs.with_input(images, "dabs").tensors["input"] < 255
    assert 22 <= dabs[0].sum() <= 43 and dabs[0, 20, 20]


def test_split_classes_name_the_colour_that_the_tags_say(drawn):
    split = pairs.split_classes(drawn)
    assert len(split.map_names) == 23 and split.map_names[0] == "background"
    plain = torch.tensor([drawn.map_names.index(name.split()[-1]) for name in split.map_names])
    assert torch.equal(plain[split.tensors["label_map"].long()], drawn.tensors["label_map"].long())
    for index in range(60):
        present = {split.map_names[k] for k in split.tensors["label_map"][index].unique()}
        said = {faces.TAG_NAMES[k] for k in drawn.tensors["tags"][index].nonzero()[:, 0]}
        assert {name for name in present if " " in name} == said - set(faces.GLASSES)


def test_a_split_map_painted_in_its_palette_has_the_colours_of_the_face(drawn):
    painted = pairs.with_input(pairs.split_classes(drawn), "map").tensors["input"].int()
    for index in range(10):
        for name in ("hair", "eyes", "skin"):
            k = drawn.map_names.index(name)
            there = drawn.tensors["label_map"][index] == k
            assert (colours_of(drawn, index)[k] == painted[index][:, there].T).all()


def test_palette_of_classes_without_a_known_colour():
    colours = pairs.palette([f"class {k}" for k in range(40)])
    assert colours.shape == (40, 3) and len(colours.unique(dim=0)) == 40
    assert pairs.palette(()).shape == (0, 3)
    assert pairs.palette(["red hair"])[0].tolist() == list(ImageColor.getrgb(faces.HAIR_COLOURS["red"]))


def test_loading_faces_reaches_the_same(drawn):
    options = {"count": 60, "progress": False}
    loaded = data.load("faces", input="dabs", split_colours=True, **options)
    assert loaded.digest == pairs.with_input(pairs.split_classes(drawn), "dabs").digest
    assert loaded.map_names == pairs.split_classes(drawn).map_names
    batch = next(data.batches(loaded, 8, flip=True))
    assert batch["input"].shape == batch["image"].shape and batch["label_map"].max() <= 22


def test_what_cannot_be_made_is_refused(drawn):
    with pytest.raises(
        ValueError, match='unknown kind of input "sketch"; known are drawing, outline, dabs, map'
    ):
        pairs.with_input(drawn, "sketch")
    with pytest.raises(ValueError, match='input "outline" needs the tensor "drawing", which "faces-lorelei"'):
        data.load("faces", style="lorelei", count=2, input="outline", progress=False)
    with pytest.raises(ValueError, match='"faces-avataaars" lacks label maps'):
        data.load("faces", style="avataaars", count=2, split_colours=True, progress=False)
