"""Folders of images: every pixel format read rightly or refused by name."""

import re
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from gan_course import data
from gan_course.data import folders

RED = (200, 30, 40)


def save(path, size=(20, 20), colour=RED, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


@pytest.fixture
def good(tmp_path):
    for index in range(6):
        save(tmp_path / "set" / f"{index}.png", colour=(index * 40, 0, 0))
    return tmp_path / "set"


def test_plain_folder_in_the_order_of_names(good):
    save(good / "deeper" / "z.jpg", size=(40, 20))
    save(good / ".hidden" / "x.png")
    (good / "notes.txt").write_text("no image")
    images = data.load(good, image_size=16)
    assert images.tensors["image"].shape == (7, 3, 16, 16)
    assert images.tensors["image"][:6, 0, 0, 0].tolist() == [0, 40, 80, 120, 160, 200]
    assert images.num_classes == 0 and "label" not in images.tensors


def test_subfolders_are_classes_when_every_image_is_in_one(tmp_path):
    for name, colour in (("dog", (10, 0, 0)), ("cat", (20, 0, 0))):
        save(tmp_path / name / "a.png", colour=colour)
        save(tmp_path / name / "deep" / "b.png", colour=colour)
    images = data.load(tmp_path, image_size=16)
    assert images.class_names == ("cat", "dog")
    assert images.tensors["label"].tolist() == [0, 0, 1, 1]
    assert images.tensors["image"][:, 0, 0, 0].tolist() == [20, 20, 10, 10]
    save(tmp_path / "loose.png")
    assert data.load(tmp_path, image_size=16).num_classes == 0


def test_shorter_side_is_resized_and_the_centre_is_cropped(tmp_path):
    wide = Image.new("RGB", (90, 30), "black")
    wide.paste("white", (30, 0, 60, 30))
    wide.save(tmp_path / "wide.png")
    (square,) = data.load(tmp_path, image_size=15).tensors["image"]
    assert (square[:, :, 1:-1] == 255).all() and (square > 200).all()  # antialiasing looks over the edge


def make_palette(path):
    Image.new("RGB", (20, 20), RED).quantize(4).save(path.with_suffix(".png"))


def make_cmyk(path):
    Image.new("RGB", (20, 20), RED).convert("CMYK").save(path.with_suffix(".tif"))


def make_alpha(path):
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(path)


def make_transparent_palette(path):
    Image.new("P", (20, 20), 0).save(path, transparency=0)


def make_16_bit(path):
    Image.fromarray(np.full((20, 20), 65535, dtype=np.uint16)).save(path)


def make_rotated(path):
    sideways = Image.new(
        "RGB", (20, 40), "black"
    )  # stored lying down: the top half white once turned upright
    sideways.paste(RED, (0, 0, 10, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    sideways.save(path.with_suffix(".png"), exif=exif)


@pytest.mark.parametrize(
    ("make", "colour"),
    [
        (make_palette, RED),
        (make_cmyk, RED),
        (make_alpha, (255, 255, 255)),
        (make_transparent_palette, (255, 255, 255)),
        (make_16_bit, (255, 255, 255)),
        (lambda path: save(path, mode="L", colour=90), (90, 90, 90)),
        (lambda path: save(path, mode="1", colour=1), (255, 255, 255)),
        (lambda path: save(path, mode="LA", colour=(90, 255)), (90, 90, 90)),
    ],
    ids=["palette", "cmyk", "alpha", "transparent palette", "16 bit", "grey", "bilevel", "grey with alpha"],
)
def test_pixel_formats_whose_meaning_is_clear(tmp_path, make, colour):
    make(tmp_path / "case.png")
    pixels = data.load(tmp_path, image_size=16).tensors["image"][0, :, 8, 8].tolist()
    assert pixels == pytest.approx(list(colour), abs=1)
    assert data.load(tmp_path, image_size=16, channels=1).channels == 1


def test_the_rotation_that_a_camera_noted_is_undone(tmp_path):
    make_rotated(tmp_path / "case.png")
    upright = folders.read_image(tmp_path / "case.png")
    assert upright.shape == (20, 40, 3)
    assert upright[0, 20].tolist() == list(RED) and upright[-1, 20].tolist() == [0, 0, 0]


def make_truncated(path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])


BAD = {
    "truncated": (make_truncated, "cannot be read as an image"),
    "text": (lambda path: path.write_text("hello"), "the content is not that of an image file"),
    "empty": (lambda path: path.write_bytes(b""), "the content is not that of an image file"),
    "thin": (lambda path: save(path, size=(1, 50)), "is 1x50 pixels; each side must have at least 8"),
    "float": (
        lambda path: Image.new("F", (20, 20), 0.5).save(path.with_suffix(".tif")),
        "holds floating-point pixels",
    ),
    "32 bit": (
        lambda path: Image.fromarray(np.full((20, 20), 70000, dtype=np.int32)).save(path.with_suffix(".tif")),
        "holds 32-bit pixels",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_cannot_be_used_is_named_with_its_reason(good, case):
    make, message = BAD[case]
    make(good / "case.png")
    with pytest.raises(ValueError, match=rf"case\.(png|tif).*{message}"):
        data.load(good)


def test_check_names_every_bad_file_and_counts_the_rest(good):
    make_truncated(good / "a.png")
    save(good / "b.png", size=(3, 3))
    report = data.check_folder(good, progress=False)
    assert [file.name for file, _ in report.bad] == ["a.png", "b.png"]
    assert not report.ok and report.images == 8 and report.modes == {"RGB": 6}
    assert "a.png" in str(report) and "b.png" in str(report)
    (good / "a.png").unlink()
    (good / "b.png").unlink()
    assert data.check_folder(good, progress=False).ok


def test_folders_without_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no images .looked for .jpg"):
        data.load(tmp_path)
    with pytest.raises(NotADirectoryError, match=r"one.png is a file"):
        data.load(save(tmp_path / "one.png"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.check_folder(tmp_path / "nowhere")


def test_fewer_images_than_a_batch(good):
    with pytest.raises(ValueError, match='batch_size is 64, but data set "set" has 6 images'):
        data.batches(data.load(good), batch_size=64)


@pytest.mark.parametrize(
    ("options", "message"), [({"channels": 4}, "channels is 4"), ({"image_size": 2}, "is 2")]
)
def test_bad_options(good, options, message):
    with pytest.raises(ValueError, match=message):
        data.load(good, **options)


@pytest.fixture
def annotated(tmp_path):
    for index in range(3):
        save(tmp_path / "images" / f"{index}.jpg")
        save(tmp_path / "labels" / f"{index}.png", mode="L", colour=index)
    (tmp_path / "tags.csv").write_text("index,hair,size\n0,red,big\n1,blue,big\n2,red,small\n")
    return tmp_path


def test_images_with_label_maps_and_tags(annotated):
    images = data.load(annotated, image_size=16)
    assert images.tensors["label_map"][:, 0, 0].tolist() == [0, 1, 2]
    assert images.map_names == ("class 0", "class 1", "class 2")
    assert images.tag_names == ("big size", "blue hair", "red hair", "small size")
    assert images.tensors["tags"].tolist() == [[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1]]


def test_label_maps_keep_their_ids_when_resized(annotated):
    ids = np.zeros((20, 20), dtype=np.uint8)
    ids[:, 10:] = 9
    Image.fromarray(ids).save(annotated / "labels" / "0.png")
    assert data.load(annotated, image_size=13).tensors["label_map"][0].unique().tolist() == [0, 9]


def test_faults_of_annotated_folders_are_named(annotated):
    meta = '{"complete": true, "map_names": ["sky", "sea"]}'
    (annotated / "meta.json").write_text(meta)
    message = r"2\.png: label 2 at row 0, column 0; class ids must be from 0 to 1"
    with pytest.raises(ValueError, match=message):
        data.load(annotated)
    assert re.search(message, str(data.check_folder(annotated, progress=False)))
    (annotated / "meta.json").unlink()

    save(annotated / "labels" / "1.png", size=(20, 24), mode="L", colour=1)
    message = r"labels.1\.png is 20x24 pixels, but its image .*1\.jpg is 20x20"
    with pytest.raises(ValueError, match=message):
        data.load(annotated)
    assert re.search(message, str(data.check_folder(annotated, progress=False)))

    save(annotated / "labels" / "1.png")
    with pytest.raises(ValueError, match=r"1\.png is no label map: its pixels are RGB"):
        data.load(annotated)
    (annotated / "labels" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"1\.jpg has no partner of the same name"):
        data.load(annotated)


def test_faults_of_tags_are_named(annotated):
    (annotated / "tags.csv").write_text("index,hair\n0,red\n1,blue\n")
    with pytest.raises(ValueError, match=r"tags.csv has 2 rows for 3 images"):
        data.load(annotated)
    (annotated / "tags.csv").write_text("index,hair\n0,red\n1,\n2,blue\n")
    with pytest.raises(ValueError, match=r"tags.csv, line 3: expected a value for each of hair"):
        data.load(annotated)


def test_a_folder_too_large_for_memory_is_read_batch_by_batch(good):
    small = data.load(good, image_size=16)
    streamed = data.load(good, image_size=16, memory_limit=1e-6)
    assert isinstance(streamed, data.StreamedSet) and len(streamed) == 6 and streamed.image_size == 16
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for start in (0, 4):
        pairs = zip(
            data.batches(small, 4, seed=3, start_step=start, flip=True),
            data.batches(streamed, 4, seed=3, start_step=start, flip=True),
            strict=False,
        )
        for expected, batch in islice(pairs, 3):
            assert torch.equal(expected["image"], batch["image"])
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(ValueError, match="batch_size is 7"):
        data.batches(streamed, 7)


# ----- pairs ----------------------------------------------------------------------------------------------

BLUE = (20, 30, 220)


def save_pair(path, size=(40, 20)):
    """Red on the left, blue on the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    picture.save(path)


def means(tensor):
    return tensor.float().mean((-2, -1)).round().int().tolist()


@pytest.fixture
def side_by_side(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for index in range(count):
            save_pair(tmp_path / split / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize(("direction", "expected"), [("AtoB", (RED, BLUE)), ("BtoA", (BLUE, RED))])
def test_two_pictures_in_one_file(side_by_side, direction, expected):
    images = data.load(side_by_side, image_size=16, pairs="side-by-side", direction=direction)
    assert means(images.tensors["input"]) == [list(expected[0])] * 3
    assert means(images.tensors["image"]) == [list(expected[1])] * 3
    batch = images.batch([0])
    assert batch["input"].shape == batch["image"].shape == (1, 3, 16, 16)


def test_the_part_of_a_set_that_is_asked_for(side_by_side):
    options = {"image_size": 16, "pairs": "side-by-side"}
    assert len(data.load(side_by_side, split="val", **options)) == 2
    assert len(data.load(side_by_side / "val", **options)) == 2
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*test, which split names"):
        data.load(side_by_side, split="test", **options)


def test_halves_that_are_no_squares_keep_their_centre(tmp_path):
    for half in (0, 1):  # each half 60x20, red between two bars of 20
        picture = Image.new("RGB", (120, 20), "white")
        for start in (0, 60):
            picture.paste(RED, (start + 20, 0, start + 40, 20))
        picture.save(tmp_path / f"{half}.png")
    images = data.load(tmp_path, image_size=20, pairs="side-by-side", input_channels=1)
    assert means(images.tensors["image"]) == [list(RED)] * 2
    assert images.tensors["input"].shape == (2, 1, 20, 20) and images.channels == 3


@pytest.mark.parametrize("arrangement", [("trainA", "trainB"), ("A/train", "B/train"), ("A", "B")])
def test_two_folders_of_pairs(tmp_path, arrangement):
    for name, colour, ending in zip(arrangement, (RED, BLUE), ("png", "jpg"), strict=True):
        for index in range(3):
            save(tmp_path / name / f"{index}.{ending}", colour=colour)
    images = data.load(tmp_path, image_size=16, pairs="folders", direction="BtoA")
    assert np.allclose(means(images.tensors["input"]), [BLUE] * 3, atol=2)
    assert means(images.tensors["image"]) == [list(RED)] * 3
    report = data.check_folder(tmp_path, progress=False, pairs="folders")
    assert report.ok and report.parts == ("images", "inputs")


def test_a_set_of_pairs_too_large_for_memory(side_by_side):
    options = {"image_size": 16, "pairs": "side-by-side"}
    streamed = data.load(side_by_side, memory_limit=1e-6, **options)
    assert isinstance(streamed, data.StreamedSet)
    whole = data.load(side_by_side, **options)
    for key in ("image", "input"):
        assert torch.equal(streamed.batch([2, 0])[key], whole.batch([2, 0])[key])


def test_faults_of_pairs_are_named(side_by_side, tmp_path):
    save_pair(side_by_side / "train" / "odd.png", size=(41, 20))
    message = r"odd\.png is 41x20 pixels; two pictures side by side have an even width"
    with pytest.raises(ValueError, match=message):
        data.load(side_by_side, pairs="side-by-side")
    report = data.check_folder(side_by_side, progress=False, pairs="side-by-side")
    assert re.search(message, str(report)) and len(report.bad) == 1

    two = tmp_path / "two"
    save(two / "trainA" / "0.png")
    save(two / "trainB" / "0.png", size=(20, 24))
    message = r"trainA.0\.png is 20x20 pixels, but its image .*trainB.0\.png is 20x24"
    with pytest.raises(ValueError, match=message):
        data.load(two, pairs="folders")
    assert re.search(message, str(data.check_folder(two, progress=False, pairs="folders")))
    for side, other in (("A", "B"), ("B", "A")):
        alone = save(two / f"train{side}" / "alone.png")
        with pytest.raises(
            ValueError, match=rf"alone\.png has no partner of the same name in .*train{other}"
        ):
            data.load(two, pairs="folders")
        alone.unlink()
    with pytest.raises(FileNotFoundError, match="has no two folders of pairs: valA and valB, or A/val"):
        data.load(two, pairs="folders", split="val")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": "above"}, 'pairs is "above"; it must be side-by-side or folders'),
        ({"pairs": "folders", "direction": "left"}, 'direction is "left"; it must be AtoB or BtoA'),
        ({"pairs": "folders", "label_dir": "labels"}, "label_dir, image_dir and instance_dir belong to"),
        ({"input_channels": 2}, "input_channels is 2"),
        ({"instance_dir": "objects"}, "go with label_dir"),
        ({"label_nc": 300}, "label_nc is 300; it must be from 1 to 256"),
        ({"dont_care": True}, "dont_care needs label_nc"),
        ({"label_nc": 3}, "has no label maps to have 3 classes; name their folder: label_dir"),
    ],
)
def test_options_that_contradict_each_other(good, options, message):
    with pytest.raises(ValueError, match=message):
        data.load(good, **options)


# ----- label maps in folders of their own -----------------------------------------------------------------


def save_ids(path, ids, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(ids)
    if palette:
        picture = picture.convert("P")
        picture.putdata(ids.flatten().tolist())
    picture.save(path)


@pytest.fixture
def labelled(tmp_path):
    """Three images of 40x20 whose left half has class 0 and whose middle has class 1 + number."""
    for index in range(3):
        save(tmp_path / "photos" / f"{index}.jpg", size=(40, 20))
        ids = np.zeros((20, 40), dtype=np.uint8)
        ids[:, 20:30], ids[:, 30:] = 1 + index, 9
        save_ids(tmp_path / "classes" / f"{index}.png", ids, palette=index == 1)
        dtype, ending = ((np.uint8, "png"), (np.uint16, "png"), (np.int32, "tif"))[index]
        objects = np.full((20, 40), 100_000 if index == 2 else 1000 * index, dtype=dtype)
        save_ids(tmp_path / "objects" / f"{index}.{ending}", objects)
    return tmp_path


FOLDERS = {"image_dir": "photos", "label_dir": "classes"}


def test_images_label_maps_and_instance_maps_in_three_folders(labelled):
    images = data.load(labelled, image_size=20, label_nc=10, instance_dir="objects", **FOLDERS)
    assert images.map_names == tuple(f"class {k}" for k in range(10))
    for index in range(3):  # the centre square: half of it class 0, whether grey or with a palette
        assert images.tensors["label_map"][index, 0].tolist() == [0] * 10 + [1 + index] * 10
    assert images.tensors["instance_map"][:, 0, 0].tolist() == [0, 1000, 100_000]
    batch = next(data.batches(images, 3))
    assert batch["label_map"].dtype == batch["instance_map"].dtype == torch.int64
    report = data.check_folder(labelled, progress=False, label_nc=10, instance_dir="objects", **FOLDERS)
    assert report.ok and report.parts == ("images", "label maps", "instance maps")


def test_folders_may_be_named_by_whole_paths_and_images_found_beside_the_labels(labelled, tmp_path):
    absolute = {name: labelled / folder for name, folder in FOLDERS.items()}
    assert len(data.load(tmp_path, label_nc=10, **absolute)) == 3
    (labelled / "photos").rename(labelled / "images")
    assert len(data.load(labelled, label_dir="classes")) == 3
    assert len(data.load(labelled / "images", label_dir=labelled / "classes")) == 3


def test_what_nobody_labelled_becomes_a_class_of_its_own(labelled):
    ids = np.full((20, 40), 255, dtype=np.uint8)
    save_ids(labelled / "classes" / "0.png", ids)
    message = r"0\.png: label 255 at row 0, column 0; class ids must be from 0 to 9 .dont_care=True"
    with pytest.raises(ValueError, match=message):
        data.load(labelled, label_nc=10, **FOLDERS)
    images = data.load(labelled, image_size=20, label_nc=10, dont_care=True, **FOLDERS)
    assert images.tensors["label_map"][0].unique().tolist() == [10]
    assert len(images.map_names) == 11 and images.map_names[10] == "don't care"
    assert data.check_folder(labelled, progress=False, label_nc=10, dont_care=True, **FOLDERS).ok


def broken_label(folder):
    ids = np.zeros((20, 40), dtype=np.uint8)
    ids[3, 7] = 12
    save_ids(folder / "classes" / "1.png", ids)


FAULTS = {
    "unknown label": (broken_label, r"classes.1\.png: label 12 at row 3, column 7; .*from 0 to 9"),
    "three channels": (
        lambda folder: save(folder / "classes" / "1.png", size=(40, 20)),
        r"classes.1\.png is no label map: its pixels are RGB, expected one channel of ids",
    ),
    "another size": (
        lambda folder: save_ids(folder / "classes" / "1.png", np.zeros((20, 20), dtype=np.uint8)),
        r"classes.1\.png is 20x20 pixels, but its image .*1\.jpg is 40x20",
    ),
    "instances of another size": (
        lambda folder: save_ids(folder / "objects" / "1.png", np.zeros((20, 20), dtype=np.uint8)),
        r"objects.1\.png is 20x20 pixels, but its image .*1\.jpg is 40x20",
    ),
    "instances in colour": (
        lambda folder: save(folder / "objects" / "1.png", size=(40, 20)),
        r"objects.1\.png is no instance map: its pixels are RGB",
    ),
    "a label map cut short": (
        lambda folder: (folder / "classes" / "1.png").write_bytes(b"\x89PNG"),
        r"classes.1\.png cannot be read as a label map",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_label_maps_are_named_by_load_and_by_check(labelled, fault):
    spoil, message = FAULTS[fault]
    spoil(labelled)
    options = {"label_nc": 10, "instance_dir": "objects", **FOLDERS}
    with pytest.raises(ValueError, match=message):
        data.load(labelled, image_size=20, **options)
    report = data.check_folder(labelled, progress=False, **options)
    assert len(report.bad) == 1 and re.search(message, report.bad[0][1])


def test_missing_partners_and_folders_of_label_maps(labelled):
    (labelled / "objects" / "2.tif").unlink()
    with pytest.raises(ValueError, match=r"2\.jpg has no partner of the same name in .*objects"):
        data.load(labelled, instance_dir="objects", **FOLDERS)
    (labelled / "classes" / "2.png").unlink()
    with pytest.raises(ValueError, match=r"2\.jpg has no partner of the same name in .*classes"):
        data.load(labelled, **FOLDERS)
    with pytest.raises(FileNotFoundError, match=r"nowhere, which label_dir names"):
        data.load(labelled, image_dir="photos", label_dir="nowhere")
    with pytest.raises(ValueError, match="has no folder images; name the folder of the images: image_dir"):
        data.load(labelled, label_dir="classes")
