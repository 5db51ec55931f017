"""The digits: the right ones, balanced, and unmistakable errors about files."""

import gzip
import hashlib

import numpy as np
import pytest
import torch

from gan_course import data
from gan_course.data import downloads, mnist


def hashes(images):
    return {hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images.tensors["image"]}


def test_the_5000_digits():
    images = data.load("mnist", image_size=28)
    assert images.tensors["image"].shape == (5000, 1, 28, 28)
    assert images.tensors["label"].bincount().tolist() == [500] * 10
    assert images.digest == "52c5df0df3bd817067afb515ded4cce48e0f09474d57d3251512351058631210"
    # mean of MNIST's training set, as everyone's normalisation has it
    assert images.tensors["image"].float().mean() / 255 == pytest.approx(0.1307, abs=0.003)


def test_the_held_out_digits_are_1000_and_none_is_in_training():
    held_out = data.load("mnist-test", image_size=28)
    assert held_out.tensors["label"].bincount().tolist() == [100] * 10
    assert held_out.digest == "74313cfeca2a4f1a67a136b9c0097bca2a3c4c7bc842c5e2d7b7038c3425fabf"
    assert len(hashes(held_out)) == 1000
    assert not hashes(held_out) & hashes(data.load("mnist", image_size=28))


def test_labels_belong_to_the_held_out_digits():
    # The nearest class mean of the training digits reads 8 in 10 of them; shuffled labels would give 1 in 10.
    train, test = (data.load(name).batch(slice(None)) for name in ("mnist", "mnist-test"))
    means = torch.stack([train["image"][train["label"] == digit].mean(0).flatten() for digit in range(10)])
    read = torch.cdist(test["image"].flatten(1), means).argmin(1)
    assert (read == test["label"]).float().mean() > 0.75


def test_32_pixels_is_a_margin_and_other_sizes_are_interpolated():
    small, padded, large = (
        data.load("mnist-test", image_size=size).tensors["image"] for size in (28, 32, 64)
    )
    assert torch.equal(padded[..., 2:-2, 2:-2], small)
    assert padded.sum() == small.sum()
    assert large.shape[-1] == 64
    assert large.float().mean() == pytest.approx(small.float().mean().item(), rel=0.02)


def write_idx(folder, stem, content):
    (folder / f"{stem}.gz").write_bytes(gzip.compress(content))


def test_full_mnist_reads_idx_files_with_the_right_digest_only(tmp_path, monkeypatch):
    pixels = np.arange(2 * 784, dtype=np.uint32).astype(np.uint8)
    images, labels = bytes(16) + pixels.tobytes(), bytes(8) + bytes([7, 3])
    for kind, content in (("images", images), ("labels", labels)):
        stem = mnist._FILES["test", kind][0]
        monkeypatch.setitem(mnist._FILES, ("test", kind), (stem, hashlib.md5(content).hexdigest(), 0, ""))
        write_idx(tmp_path, stem, content)
    loaded = data.load("mnist-full", split="test", folder=tmp_path, image_size=28)
    assert loaded.tensors["label"].tolist() == [7, 3]
    assert np.array_equal(loaded.tensors["image"].numpy().ravel(), pixels)

    (tmp_path / "raw").mkdir()
    for file in tmp_path.glob("*.gz"):  # uncompressed, in the folder that torchvision makes
        (tmp_path / "raw" / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert data.load("mnist-full", split="test", folder=tmp_path, image_size=28).digest == loaded.digest

    (tmp_path / "raw" / "t10k-images-idx3-ubyte").write_bytes(images[:-1] + b"x")
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte is not MNIST's"):
        data.load("mnist-full", split="test", folder=tmp_path)


def test_missing_and_truncated_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds neither train-images-idx3-ubyte.gz nor"):
        data.load("mnist-full", folder=tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(5000))[:20])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz is not a whole gzip file"):
        data.load("mnist-full", folder=tmp_path)


def test_unknown_split_and_size():
    with pytest.raises(ValueError, match='split is "valid"'):
        data.load("mnist-full", split="valid")
    with pytest.raises(ValueError, match=r"image_size is 4"):
        data.load("mnist", image_size=4)


def test_without_a_network_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_COURSE_CACHE", str(tmp_path))

    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(downloads.urllib.request, "urlopen", no_network)
    with pytest.raises(ConnectionError, match=r"(?s)no route to host.*name its folder.*needs no network"):
        data.load("mnist-full")
