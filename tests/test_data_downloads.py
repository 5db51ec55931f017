"""Files fetched from a server that breaks off, lies or is not there; archives; and the sets of the papers."""

import hashlib
import http.server
import io
import shutil
import tarfile
import threading
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gan_course import data
from gan_course.data import catalogue, downloads

CONTENT = bytes(range(256)) * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    """Serves `files` with ranges; the first `broken` answers break off after 1,000 bytes."""
    state = SimpleNamespace(files={"/file": CONTENT}, asked=[], broken=0, lengths=True)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            ranged = self.headers.get("Range")
            state.asked.append(ranged)
            content = state.files.get(self.path)
            if content is None:
                return self.send_error(404)
            start = int(ranged.removeprefix("bytes=").removesuffix("-")) if ranged else 0
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                return self.end_headers()
            self.send_response(206 if ranged else 200)
            if state.lengths:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = 1000 if len(state.asked) <= state.broken else None
            return self.wfile.write(content[start:end])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        state.home = f"http://127.0.0.1:{running.server_port}"
        state.address = f"{state.home}/file"
        yield state
        running.shutdown()


@pytest.mark.parametrize("lengths", [True, False])
def test_a_download_is_resumed_checked_and_not_repeated(server, tmp_path, lengths):
    server.broken, server.lengths = 1, lengths
    path = tmp_path / "deep" / "file.bin"
    with pytest.raises(ConnectionError, match="broke off after 1000 of 25600 bytes; run again"):
        downloads.fetch([server.address], path, len(CONTENT), DIGEST, progress=False)
    assert not path.exists()
    downloads.fetch([server.address], path, len(CONTENT), DIGEST, progress=False)
    assert path.read_bytes() == CONTENT and server.asked == [None, "bytes=1000-"]
    downloads.fetch([server.address], path, len(CONTENT), DIGEST, progress=False)
    assert len(server.asked) == 2
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]


def test_a_download_with_another_digest_is_thrown_away(server, tmp_path):
    with pytest.raises(ConnectionError, match=f"wrong SHA-256, expected 25600 bytes, {'0' * 64}"):
        downloads.fetch([server.address], tmp_path / "file.bin", len(CONTENT), "0" * 64, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_file_whose_digest_nobody_states_is_noted_and_compared_the_next_time(server, tmp_path, capsys):
    server.broken = 1
    path = tmp_path / "file.bin"
    with pytest.raises(ConnectionError, match="broke off after 1000 of 25600 bytes"):  # the server said so
        downloads.fetch([server.address], path, progress=False)
    downloads.fetch([server.address], path, progress=False)
    assert server.asked == [None, "bytes=1000-"]
    assert f"25,600 bytes, SHA-256 {DIGEST}" in capsys.readouterr().out
    downloads.fetch([server.address], path, progress=False)
    assert len(server.asked) == 2 and not capsys.readouterr().out
    path.unlink()
    server.files["/file"] = CONTENT[::-1]
    with pytest.raises(ConnectionError, match=f"wrong SHA-256, expected {DIGEST}"):
        downloads.fetch([server.address], path, progress=False)


def test_what_was_whole_when_the_process_died_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    downloads.fetch([server.address], tmp_path / "file.bin", progress=False)
    assert server.asked == ["bytes=25600-"]
    (tmp_path / "other.bin.part").write_bytes(CONTENT)
    downloads.fetch([server.address], tmp_path / "other.bin", len(CONTENT), DIGEST, progress=False)
    assert len(server.asked) == 1
    (tmp_path / "longer.bin.part").write_bytes(CONTENT + b"of another file")
    with pytest.raises(ConnectionError, match="416"):
        downloads.fetch([server.address], tmp_path / "longer.bin", progress=False)
    downloads.fetch([server.address], tmp_path / "longer.bin", progress=False)
    assert (tmp_path / "longer.bin").read_bytes() == CONTENT


def test_the_second_address_helps_where_the_first_does_not(server, tmp_path):
    missing = f"{server.home}/nothing"
    downloads.fetch([missing, server.address], tmp_path / "file.bin", len(CONTENT), DIGEST, progress=False)
    with pytest.raises(ConnectionError, match=r"(?s)could not download x.*nothing: HTTP Error 404"):
        downloads.fetch([missing], tmp_path / "x", 5, DIGEST, progress=False)


@pytest.fixture
def little_room(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))


def test_a_full_disk_is_noticed_before_it_is_full(server, tmp_path, little_room):
    with pytest.raises(downloads.DiskFull, match=r"has room for 0.0 GB.*GAN_COURSE_CACHE"):
        downloads.fetch([server.address], tmp_path / "file.bin", progress=False)
    assert not (tmp_path / "file.bin").exists()
    archive = make_zip({"a.txt": CONTENT}, tmp_path / "a.zip")
    with pytest.raises(downloads.DiskFull):
        downloads.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ----- archives -------------------------------------------------------------------------------------------


def make_zip(files, path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(files, path, links=()):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return path


@pytest.mark.parametrize(("make", "name"), [(make_zip, "a.zip"), (make_tar, "a.tar.gz")])
def test_an_archive_is_unpacked_once(tmp_path, make, name):
    archive = make({"a/b.txt": b"one"}, tmp_path / name)
    out = downloads.unpack(archive, tmp_path / "out")
    assert (out / "a" / "b.txt").read_bytes() == b"one"
    (out / "a" / "b.txt").write_bytes(b"two")
    assert (downloads.unpack(archive, out) / "a" / "b.txt").read_bytes() == b"two"


@pytest.mark.parametrize(
    "name", ["../outside.txt", "deep/../../outside.txt", "/tmp/outside_of_the_folder.txt"]
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_nothing_is_written_outside_of_the_folder(tmp_path, make, name):
    archive = make({"fine.txt": b"fine", name: b"evil"}, tmp_path / "a")
    with_error = pytest.raises(ValueError, match="cannot be unpacked")
    if make is make_tar and name.startswith("/"):
        downloads.unpack(archive, tmp_path / "out")  # tarfile drops the slash, and the file stays inside
    else:
        with with_error:
            downloads.unpack(archive, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    assert not (tmp_path / "outside.txt").exists()
    assert not list(tmp_path.parent.glob("outside*"))


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    archive = make_tar({}, tmp_path / "a", links=[("door", "/etc")])
    with pytest.raises(ValueError, match="cannot be unpacked"):
        downloads.unpack(archive, tmp_path / "out")


def test_a_damaged_archive_is_named_and_leaves_no_folder(tmp_path):
    archive = make_tar({"a.txt": np.random.default_rng(0).bytes(200_000)}, tmp_path / "a.tar.gz")
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(ValueError, match=r"a.tar.gz cannot be unpacked: .*delete it to download it again"):
        downloads.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ----- the sets of the papers -----------------------------------------------------------------------------


def png(colours, size=16):
    """A picture of stripes side by side, as the content of a file."""
    picture = Image.new("RGB", (size * len(colours), size))
    for place, colour in enumerate(colours):
        picture.paste(colour, (place * size, 0, (place + 1) * size, size))
    content = io.BytesIO()
    picture.save(content, format="png")
    return content.getvalue()


RED, BLUE = (200, 0, 0), (0, 0, 200)
FACADES = {f"facades/{split}/{k}.jpg": png([RED, BLUE]) for split in ("train", "val") for k in range(3)}
HORSES = {
    f"horse2zebra/{split}{domain}/{k}.jpg": png([RED if domain == "A" else BLUE])
    for split in ("train", "test")
    for domain, count in (("A", 3), ("B", 2))
    for k in range(count)
}


@pytest.fixture
def at_home(server, tmp_path, monkeypatch):
    """The catalogue with its archives on the test's own server and none of their sizes and digests."""
    monkeypatch.setenv("GAN_COURSE_CACHE", str(tmp_path / "cache"))
    server.files["/facades.tar.gz"] = make_tar(FACADES, tmp_path / "f").read_bytes()
    server.files["/horse2zebra.zip"] = make_zip(HORSES, tmp_path / "h").read_bytes()
    for published in catalogue.SETS:
        content = server.files.get(f"/{published.archive}", b"")
        changed = {
            "addresses": (f"{server.home}/{published.archive}",) if published.addresses else (),
            "size": len(content) if published.size else None,
            "digest": hashlib.sha256(content).hexdigest() if published.digest else None,
        }
        for name, value in changed.items():
            monkeypatch.setitem(vars(published), name, value)
    return server


def test_a_set_of_pairs_in_one_call(at_home, tmp_path, capsys):
    images = data.load("facades", image_size=16, progress=False)
    assert "facades.tar.gz" in capsys.readouterr().out  # its digest, which nobody had stated
    assert len(images) == 3 and images.tensors["input"].shape == (3, 3, 16, 16)
    assert images.tensors["input"][0, :, 8, 8].tolist() == list(BLUE)  # labels are on the right
    assert images.tensors["image"][0, :, 8, 8].tolist() == list(RED)
    assert len(data.load("facades", image_size=16, split="val", direction="AtoB", progress=False)) == 3
    assert len(at_home.asked) == 1
    assert not list((tmp_path / "cache" / "sets").glob("*.tar.gz"))


def test_a_set_of_two_domains_in_one_call(at_home, capsys):
    images = data.load("horse2zebra", image_size=16, progress=False)
    assert isinstance(images, data.UnpairedSet) and (len(images.a), len(images.b)) == (3, 2)
    assert not capsys.readouterr().out  # its digest is known
    assert len(data.load("horse2zebra", image_size=16, split="test", progress=False).b) == 2
    assert len(at_home.asked) == 1


def test_an_archive_that_is_not_the_papers_is_refused(at_home):
    at_home.files["/horse2zebra.zip"] = at_home.files["/horse2zebra.zip"][::-1]
    with pytest.raises(ConnectionError, match=r"(?s)wrong SHA-256.*If you have horse2zebra on disk"):
        data.load("horse2zebra", progress=False)


@pytest.mark.parametrize("inside", ["", "facades"])
def test_a_set_from_a_folder_needs_no_network(at_home, tmp_path, inside):
    downloads.unpack(tmp_path / "f", tmp_path / "mine")
    images = data.load("facades", image_size=16, folder=tmp_path / "mine" / inside, progress=False)
    assert len(images) == 3 and not at_home.asked
    with pytest.raises(FileNotFoundError, match="does not hold facades: no folder train there"):
        data.load("facades", folder=tmp_path / "cache")


@pytest.mark.parametrize("name", ["CelebAMask-HQ", "selfie2anime"])
def test_sets_that_no_program_can_fetch_say_where_they_are(at_home, name):
    with pytest.raises(FileNotFoundError, match=r"cannot be downloaded by a program: .*https://.*folder="):
        data.load(name)
    assert not at_home.asked


def test_every_set_is_described_and_known_by_name():
    rows = {row.name: row for row in data.describe()}
    for published in catalogue.SETS:
        assert published.name in data.names()
        assert rows[published.name].licence and rows[published.name].needs
        assert published.addresses or published.where
        assert published.digest is None or (len(published.digest) == 64 and published.size)


# ----- CelebAMask-HQ --------------------------------------------------------------------------------------


def save_mask(root, number, ending, box, size=32):
    path = root / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}_{ending}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (size, size))  # the set's own files have three channels
    picture.paste("white", box)
    picture.save(path)


@pytest.fixture
def celebrities(tmp_path, monkeypatch):
    """Faces 0, 1 and 2000 of 64 pixels, masks of 32: skin everywhere, hair above, and skin drawn first."""
    monkeypatch.setenv("GAN_COURSE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "CelebAMask-HQ"
    (root / "CelebA-HQ-img").mkdir(parents=True)
    for number in (0, 1, 2000):
        Image.new("RGB", (64, 64), RED).save(root / "CelebA-HQ-img" / f"{number}.jpg")
        save_mask(root, number, "hair", (0, 0, 32, 8))
        save_mask(root, number, "skin", (0, 0, 32, 24))
    save_mask(root, 1, "hat", (0, 0, 16, 4))
    lines = ["idx orig_idx orig_file", "0 119613 119614.jpg", "1 182638 182639.jpg", "2000 162771 162772.jpg"]
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(lines))
    return tmp_path


def test_masks_are_merged_into_19_classes_later_over_earlier(celebrities):
    images = data.load("CelebAMask-HQ", image_size=32, split="all", folder=celebrities, progress=False)
    assert len(images) == 3 and len(images.map_names) == 19
    skin, hair, hat = (images.map_names.index(name) for name in ("skin", "hair", "hat"))
    assert (skin, hair, hat) == (1, 13, 14)
    columns = images.tensors["label_map"][:, :, 0].tolist()
    assert columns[0] == [hair] * 8 + [skin] * 16 + [0] * 8
    assert columns[1] == [hat] * 4 + [hair] * 4 + [skin] * 16 + [0] * 8
    assert images.image_size == 32 and "non-commercial" in images.credit


def test_the_splits_are_those_of_celeba(celebrities):
    for split, number in (("train", 0), ("test", 1), ("val", 2000)):
        images = data.load("CelebAMask-HQ", image_size=32, split=split, folder=celebrities, progress=False)
        assert len(images) == 1
        has_hat = (images.tensors["label_map"] == 14).any()
        assert bool(has_hat) == (number == 1)


def test_merged_maps_are_kept(celebrities):
    options = {"image_size": 32, "split": "all", "folder": celebrities, "progress": False}
    first = data.load("CelebAMask-HQ", **options)
    shutil.rmtree(celebrities / "CelebAMask-HQ" / "CelebAMask-HQ-mask-anno" / "0")
    assert data.load("CelebAMask-HQ", **options).digest == first.digest


def test_faults_of_the_masks_are_named(celebrities):
    root = celebrities / "CelebAMask-HQ"
    save_mask(root, 2000, "nose", (0, 0, 4, 4), size=16)
    options = {"image_size": 32, "folder": celebrities, "progress": False}
    with pytest.raises(ValueError, match=r"02000_nose.png is 16x16 pixels, but .*02000_skin.png is 32x32"):
        data.load("CelebAMask-HQ", split="val", **options)
    shutil.rmtree(root / "CelebAMask-HQ-mask-anno" / "0")
    with pytest.raises(FileNotFoundError, match="has no mask of face 0 "):
        data.load("CelebAMask-HQ", **options)
    (root / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r'mapping.txt is missing, which says what is "train"'):
        data.load("CelebAMask-HQ", **options)
    with pytest.raises(ValueError, match='split is "half"; it must be train, val, test or all'):
        data.load("CelebAMask-HQ", split="half", **options)
