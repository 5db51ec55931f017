"""Rendered faces: label maps that are exact, tags that are balanced and visible, files that are whole."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from gan_course import data
from gan_course.data import cache, faces

COUNT = 150


@pytest.fixture(scope="module", autouse=True)
def cache_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("GAN_COURSE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def adventurer(cache_folder):
    return data.load("faces", count=COUNT, progress=False)


def test_what_the_default_set_holds(adventurer):
    shapes = {key: tuple(tensor.shape[1:]) for key, tensor in adventurer.tensors.items()}
    assert shapes == {"image": (3, 64, 64), "tags": (15,), "label_map": (64, 64), "drawing": (1, 64, 64)}
    assert len(adventurer.map_names) == 13 and len(adventurer.tag_names) == 15
    assert "Lisa Wischofsky" in adventurer.credit and "CC BY 4.0" in adventurer.credit


def test_label_maps_have_exactly_13_classes_and_all_occur(adventurer):
    assert adventurer.tensors["label_map"].unique().tolist() == list(range(13))


@pytest.mark.parametrize(("style", "classes"), [("adventurer", 13), ("lorelei", 11)])
@pytest.mark.parametrize("image_size", [32, 64, 128])
def test_a_map_painted_in_the_colours_of_its_face_is_the_face(style, classes, image_size):
    """Every pixel: the map recoloured equals the face rendered without antialiasing."""
    assert len(faces.map_names(style)) == classes
    for index in range(12):
        options = faces.face_options(style, 5, index)
        label_map = torch.from_numpy(faces.label_map(style, options, image_size))
        palette = torch.from_numpy(faces.face_palette(style, 5, index))
        painted = data.paint(label_map[None], palette)[0].permute(1, 2, 0).numpy()
        assert np.array_equal(painted, faces.rasterise(style, options, image_size, crisp=True))


def test_inside_a_region_the_antialiased_face_has_the_colour_of_its_class(adventurer):
    """Where all eight neighbours have the same class, the face as shown has that class's colour."""
    shares = []
    for index in range(30):
        label_map = adventurer.tensors["label_map"][index].numpy()
        windows = np.lib.stride_tricks.sliding_window_view(label_map, (3, 3)).reshape(62, 62, 9)
        uniform = (windows == windows[..., 4:5]).all(-1)
        colours = faces.face_palette("adventurer", 0, index)[label_map[1:-1, 1:-1]]
        shown = adventurer.tensors["image"][index, :, 1:-1, 1:-1].permute(1, 2, 0).numpy()
        difference = np.abs(shown.astype(int) - colours).max(-1)
        same = (difference[uniform] <= 1).mean()
        assert same > 0.98, f"face {index}"  # not all: a hairline can pass between the centres of pixels
        shares.append(same)
        assert uniform.sum() > 1500
    assert np.mean(shares) > 0.995


def test_a_map_that_is_mixed_is_refused(monkeypatch):
    smooth = faces.rasterise
    monkeypatch.setattr(faces, "rasterise", lambda *args, crisp=False: smooth(*args))
    with pytest.raises(RuntimeError, match="belongs to no class"):
        faces.label_map("adventurer", faces.face_options("adventurer", 0, 0), 64)


def test_tags_are_one_hot_and_balanced_and_independent():
    """Chi-square, at a level of one in ten thousand: the seed is fixed, so this does not flicker."""
    tags = np.stack([faces.tag_vector(faces.draw_tags(0, index)) for index in range(3000)]).astype(float)
    for group in faces.TAG_GROUPS.values():
        counts = tags[:, group].sum(0)
        assert (tags[:, group].sum(1) == 1).all()
        expected = 3000 / len(counts)
        assert ((counts - expected) ** 2 / expected).sum() < {6: 25.7, 4: 21.1, 3: 18.4, 2: 15.1}[len(counts)]
    groups = list(faces.TAG_GROUPS.values())
    for first, second in pairwise([*groups, groups[0]]):
        table = tags[:, first].T @ tags[:, second]
        expected = table.sum(1, keepdims=True) * table.sum(0) / 3000
        freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
        assert ((table - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5


def test_adventurer_shows_the_colours_that_its_tags_name(adventurer):
    kinds = {"hair": faces.HAIR_COLOURS, "eyes": faces.EYE_COLOURS, "skin": faces.SKIN_COLOURS}
    for kind, colours in kinds.items():
        rgb = np.array([ImageColor.getrgb(colour) for colour in colours.values()])
        tagged = adventurer.tensors["tags"][:, faces.TAG_GROUPS[kind]].argmax(1).numpy()
        for index in range(COUNT):
            there = adventurer.tensors["label_map"][index] == adventurer.map_names.index(kind)
            assert there.sum() >= 8, f"face {index} hardly shows its {kind}"
            mean = np.median(adventurer.tensors["image"][index][:, there].numpy(), axis=1)
            assert np.abs(rgb - mean).sum(1).argmin() == tagged[index], f"face {index}: {kind}"
    glasses = (adventurer.tensors["label_map"] == adventurer.map_names.index("glasses")).flatten(1).any(1)
    assert torch.equal(glasses, adventurer.tensors["tags"][:, faces.TAG_NAMES.index("glasses")].bool())


def test_avataaars_shows_the_colours_that_its_tags_name():
    for index in range(40):
        face = faces.render("avataaars", 0, index, 128)
        tags = faces.draw_tags(0, index)
        for colours, kind, pixels in (
            (faces.HAIR_COLOURS, "hair", 60),
            (faces.EYE_COLOURS, "eyes", 12),
            (faces.SKIN_COLOURS, "skin", 300),
        ):
            exact = (face["image"] == ImageColor.getrgb(colours[tags[kind]])).all(-1).sum()
            assert exact >= pixels, f"face {index} shows {exact} pixels of {tags[kind]} {kind}"


def test_a_face_does_not_depend_on_how_many_are_asked_for(adventurer):
    few = data.load("faces", count=3, progress=False)
    for key, tensor in few.tensors.items():
        assert torch.equal(tensor, adventurer.tensors[key][:3])
    other = data.load("faces", count=3, seed=1, progress=False)
    assert not torch.equal(other.tensors["image"], few.tensors["image"])


def test_worker_processes_render_the_same_faces(adventurer, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(faces, "PARALLEL_FROM", 0)
    again = data.load("faces", count=60, progress=False)
    assert again.digest == adventurer.select(slice(0, 60)).digest


def test_drawings_are_black_lines_on_white_where_the_ink_is(adventurer):
    lines = [adventurer.map_names.index(name) for name in ("ink", "glasses")]
    ink = torch.isin(adventurer.tensors["label_map"], torch.tensor(lines))
    drawing = adventurer.tensors["drawing"][:, 0]
    assert drawing[ink].float().mean() < 110
    away = torch.nn.functional.max_pool2d(ink.float()[:, None], 5, 1, 2)[:, 0] == 0
    assert drawing[away].float().mean() > 254


@pytest.mark.parametrize("style", ["lorelei", "avataaars", "toon-head", "micah"])
def test_the_other_styles_give_what_is_documented(style):
    images = data.load("faces", style=style, count=2, image_size=32, progress=False)
    expected = {"lorelei": {"image", "label_map"}, "avataaars": {"image", "tags"}}.get(style, {"image"})
    assert set(images.tensors) == expected
    assert images.tensors["image"].float().std() > 20
    assert faces.credits(style).artist in images.credit


def test_the_cache_is_used_and_a_damaged_file_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_COURSE_CACHE", str(tmp_path))
    first = data.load("faces", count=2, image_size=32, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(faces, "render", lambda *args: pytest.fail("rendered again"))
        assert data.load("faces", count=2, image_size=32, progress=False).digest == first.digest
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for damaged in (whole[:-100], whole[:-1] + bytes([whole[-1] ^ 1]), b"", b"not safetensors"):
        file.write_bytes(damaged)
        assert cache.read(file) is None
        assert data.load("faces", count=2, image_size=32, progress=False).digest == first.digest
        assert file.read_bytes() == whole


def test_rendered_files_are_the_set(tmp_path, adventurer):
    out = data.render_faces(tmp_path / "out", count=5, progress=False)
    assert (out / "images" / "000004.png").exists() and (out / "labels" / "000004.png").exists()
    ids = Image.open(out / "labels" / "000000.png")
    assert ids.mode == "L" and np.array_equal(np.array(ids), adventurer.tensors["label_map"][0].numpy())
    assert (out / "tags.csv").read_text().startswith("index,hair,eyes,skin,glasses\n0,")
    assert "CC BY 4.0" in (out / "README.txt").read_text()
    loaded = data.load(out)
    assert loaded.tag_names == adventurer.tag_names and loaded.map_names == adventurer.map_names
    for key, tensor in loaded.tensors.items():
        assert torch.equal(tensor, adventurer.tensors[key][:5]), key


def test_an_interrupted_folder_is_refused_and_completed_by_the_same_call(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        written = []

        def stop_after_four(path, pixels):
            if len(written) == 4:
                raise KeyboardInterrupt
            written.append(path)
            Image.fromarray(pixels).save(path.parent.mkdir(exist_ok=True) or path)

        patch.setattr(faces, "_write_png", stop_after_four)
        with pytest.raises(KeyboardInterrupt):
            data.render_faces(out, count=4, image_size=32, progress=False)
    with pytest.raises(ValueError, match=r"unfinished.*run the same command again"):
        data.load(out)
    data.render_faces(out, count=4, image_size=32, progress=False)
    whole = data.render_faces(tmp_path / "whole", count=4, image_size=32, progress=False)
    assert data.load(out).digest == data.load(whole).digest


def test_a_folder_of_others_is_never_written_to(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty and was not made by this command"):
        data.render_faces(tmp_path, count=1)
    out = data.render_faces(tmp_path / "out", count=1, image_size=32, progress=False)
    with pytest.raises(FileExistsError, match="holds other faces"):
        data.render_faces(out, count=2, image_size=32)
    assert json.loads((out / "meta.json").read_text())["complete"]
    with pytest.raises(FileExistsError, match=r"thesis.txt is a file"):
        data.render_faces(tmp_path / "thesis.txt", count=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "manga"}, 'unknown style of faces "manga"; known are adventurer'),
        ({"count": 0}, "count is 0"),
        ({"image_size": 8}, "image_size is 8"),
        ({"seed": -1}, "seed is -1"),
        ({"size": 64}, 'has no option "size"'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        data.load("faces", **options)
