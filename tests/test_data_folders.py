"""Folders of images: every pixel format read rightly or refused by name."""

import hashlib
import http.server
import re
import threading
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from gan_course import data
from gan_course.data import downloads, folders

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


# ----- downloads ------------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    """Serves CONTENT with ranges; the first answer breaks off after 1,000 bytes."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            ranged = self.headers.get("Range")
            asked.append(ranged)
            start = int(ranged.removeprefix("bytes=").removesuffix("-")) if ranged else 0
            self.send_response(206 if ranged else 200)
            self.end_headers()
            self.wfile.write(CONTENT[start : 1000 if len(asked) == 1 else None])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/file", asked
        running.shutdown()


def test_a_download_is_resumed_checked_and_not_repeated(server, tmp_path):
    address, asked = server
    path = tmp_path / "deep" / "file.bin"
    with pytest.raises(ConnectionError, match="broke off after 1000 of 25600 bytes; run again"):
        downloads.fetch([address], path, len(CONTENT), DIGEST, progress=False)
    assert not path.exists()
    downloads.fetch([address], path, len(CONTENT), DIGEST, progress=False)
    assert path.read_bytes() == CONTENT and asked == [None, "bytes=1000-"]
    downloads.fetch([address], path, len(CONTENT), DIGEST, progress=False)
    assert len(asked) == 2
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]


def test_a_download_with_another_digest_is_thrown_away(server, tmp_path):
    address, asked = server
    asked.append("skip the answer that breaks off")
    with pytest.raises(ConnectionError, match=f"wrong SHA-256, expected 25600 bytes, {'0' * 64}"):
        downloads.fetch([address], tmp_path / "file.bin", len(CONTENT), "0" * 64, progress=False)
    assert not list(tmp_path.iterdir())
