"""Two domains without pairs, crops, and what a paired translation starts from."""

from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from gan_course import data


def numbered(name, count, size=8, first=0, channels=1):
    """Image k is filled with the value first + k."""
    images = torch.arange(first, first + count, dtype=torch.uint8).view(-1, 1, 1, 1)
    return data.ImageSet(name, {"image": images.expand(-1, channels, size, size).clone()})


def values(images):
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().long().tolist()


def test_a_batch_of_two_domains():
    both = data.UnpairedSet(numbered("low", 5), numbered("high", 8, first=100))
    assert len(both) == 8
    assert both.name == "low and high"
    batch = both.batch([0, 4, 5, 7])
    assert values(batch["image_a"]) == [0, 4, 0, 2]
    assert values(batch["image_b"]) == [100, 104, 105, 107]


def test_an_epoch_shows_each_image_of_both_domains_once_in_orders_of_their_own():
    both = data.UnpairedSet(numbered("low", 12), numbered("high", 12, first=100))
    batches = list(islice(data.batches(both, 3, seed=4), 4))
    a = [k for batch in batches for k in values(batch["image_a"])]
    b = [k - 100 for batch in batches for k in values(batch["image_b"])]
    assert sorted(a) == sorted(b) == list(range(12))
    assert a != b


def test_the_shorter_domain_starts_again_in_another_order():
    both = data.UnpairedSet(numbered("low", 6), numbered("high", 12, first=100))
    batches = list(islice(data.batches(both, 2, seed=0), 6))
    a = [k for batch in batches for k in values(batch["image_a"])]
    assert sorted(a[:6]) == sorted(a[6:]) == list(range(6))
    assert a[:6] != a[6:]


def test_a_resumed_stream_of_two_domains():
    both = data.UnpairedSet(numbered("low", 7), numbered("high", 9, first=100))
    settings = {"batch_size": 2, "seed": 3, "flip": True, "crop_size": 5}
    whole = list(islice(data.batches(both, **settings), 9))
    resumed = list(islice(data.batches(both, start_step=6, **settings), 3))
    for before, after in zip(whole[6:], resumed, strict=True):
        assert torch.equal(before["image_a"], after["image_a"])
        assert torch.equal(before["image_b"], after["image_b"])


def test_the_digest_speaks_of_both_domains():
    low, high = numbered("low", 4), numbered("high", 4, first=100)
    digests = {data.UnpairedSet(*pair).digest for pair in ((low, high), (high, low), (low, low))}
    assert len(digests) == 3


def test_domains_that_do_not_fit_together():
    with pytest.raises(ValueError, match='one image_size: "low" has 8, "high" has 16'):
        data.UnpairedSet(numbered("low", 4), numbered("high", 4, size=16))
    with pytest.raises(ValueError, match='one channels: "low" has 1, "high" has 3'):
        data.UnpairedSet(numbered("low", 4), numbered("high", 4, channels=3))


def test_a_batch_larger_than_the_shorter_domain():
    both = data.UnpairedSet(numbered("low", 3), numbered("high", 9))
    with pytest.raises(ValueError, match='batch_size is 4, but data set "low" has 3 images'):
        data.batches(both, 4)


def test_faces_of_two_styles():
    both = data.load("faces", domains=("adventurer", "lorelei"), image_size=16, count=4)
    assert both.batch([0])["image_a"].shape == both.batch([0])["image_b"].shape == (1, 3, 16, 16)
    assert both.a.name == "faces-adventurer" and both.b.name == "faces-lorelei"
    for domains in (("lorelei", "lorelei"), ("lorelei",)):
        with pytest.raises(ValueError, match="it must be two different styles of adventurer, lorelei"):
            data.load("faces", domains=domains, image_size=16, count=4)
    with pytest.raises(ValueError, match='has no option "style"'):
        data.load("faces", domains=("adventurer", "lorelei"), style="micah", image_size=16)


def picture(path, value, size=(16, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_folders_of_two_domains(tmp_path):
    for split, offset in (("train", 0), ("test", 50)):
        for k in range(3):
            picture(tmp_path / f"{split}A" / f"{k}.png", 10 + k + offset)
            picture(tmp_path / f"{split}B" / f"{k}.png", 110 + k + offset)
    train, test = data.load(tmp_path, image_size=16), data.load(tmp_path, image_size=16, split="test")
    assert values(train.batch([0, 2])["image_a"]) == [10, 12]
    assert values(train.batch([0, 2])["image_b"]) == [110, 112]
    assert values(test.batch([0])["image_b"]) == [160]


def test_a_split_that_is_not_there(tmp_path):
    picture(tmp_path / "trainA" / "0.png", 1)
    picture(tmp_path / "trainB" / "0.png", 1)
    with pytest.raises(FileNotFoundError, match="has no folder testA; unpaired images lie in testA and"):
        data.load(tmp_path, image_size=16, split="test")


def gradients(size=12):
    """Pixel (y, x) of image k has the value 20 k + y in the image and 20 k + x in the input."""
    rows = torch.arange(size).view(1, 1, size, 1).expand(4, 1, size, size)
    columns = torch.arange(size).view(1, 1, 1, size).expand(4, 1, size, size)
    offset = 20 * torch.arange(4).view(4, 1, 1, 1)
    return data.ImageSet(
        "gradients",
        {
            "image": (rows + offset).to(torch.uint8),
            "input": (columns + offset).to(torch.uint8),
            "label_map": columns[:, 0].to(torch.uint8),
            "instance_map": (1000 * rows[:, 0]).to(torch.int32),
        },
        map_names=tuple(map(str, range(size))),
    )


def test_a_crop_takes_the_same_square_out_of_all_that_belongs_together():
    corners = set()
    for batch in islice(data.batches(gradients(), 4, crop_size=5, seed=1), 30):
        image, source = (((batch[key] + 1) * 127.5).round().long()[:, 0] for key in ("image", "input"))
        assert image.shape == source.shape == batch["label_map"].shape == (4, 5, 5)
        assert torch.equal(source % 20, batch["label_map"])
        assert torch.equal(image % 20, batch["instance_map"] // 1000)
        tops, lefts = (picture[:, 0, 0] % 20 for picture in (image, source))
        corners |= set(zip(tops.tolist(), lefts.tolist(), strict=True))
    assert {top for top, _ in corners} == {left for _, left in corners} == set(range(8))


def test_a_mirrored_image_takes_its_input_and_instances_with_it():
    turned = 0
    for batch in islice(data.batches(gradients(), 4, flip=True, seed=1), 5):
        source = ((batch["input"] + 1) * 127.5).round().long()[:, 0] % 20
        assert torch.equal(source, batch["label_map"])
        turned += int((source[:, 0, 0] == 11).sum())
    assert 0 < turned < 20


def test_a_crop_of_all_is_no_crop_and_a_larger_one_is_refused():
    whole, cropped = (next(data.batches(gradients(), 4, crop_size=size)) for size in (0, 12))
    assert torch.equal(whole["image"], cropped["image"])
    with pytest.raises(ValueError, match='crop_size is 13, but the images of "gradients" have 12 pixels'):
        data.batches(gradients(), 4, crop_size=13)


def test_the_middle_of_images():
    inner = data.centre(gradients(), 4)
    assert inner.image_size == 4 and len(inner) == 4
    batch = inner.batch([0])
    assert batch["label_map"][0, 0].tolist() == [4, 5, 6, 7]
    assert batch["instance_map"][0, :, 0].tolist() == [4000, 5000, 6000, 7000]
    both = data.centre(data.UnpairedSet(numbered("low", 4), numbered("high", 4)), 6)
    assert both.batch([0])["image_b"].shape[-2:] == (6, 6)


def test_the_middle_of_images_on_disk(tmp_path):
    for k in range(3):
        picture(tmp_path / f"{k}.png", 10 * k)
    streamed = data.load(tmp_path, image_size=16, memory_limit=0)
    assert data.centre(streamed, 10).batch([2])["image"].shape == (1, 3, 10, 10)


def test_two_domains_joined_say_which_an_image_is_of_and_share_what_both_have_names_for():
    def mapped(name, map_names, value):
        images = numbered(name, 2)
        maps = torch.full((2, 8, 8), value, dtype=torch.uint8)
        return data.ImageSet(name, images.tensors | {"label_map": maps}, map_names=map_names)

    a = mapped("a", ("background", "skin", "ink", "hair"), 2)
    b = mapped("b", ("background", "hair", "skin"), 1)
    one = data.joined(data.UnpairedSet(a, b))
    assert one.class_names == ("a", "b")
    assert one.tensors["label"].tolist() == [0, 0, 1, 1]
    assert one.map_names == ("background", "skin", "hair", "other")
    assert one.tensors["label_map"][:, 0, 0].tolist() == [3, 3, 2, 2]  # ink is other; hair has a new number


def test_domains_without_label_maps_are_joined_without():
    one = data.joined(data.UnpairedSet(numbered("low", 2), numbered("high", 3, first=100)))
    assert set(one.tensors) == {"image", "label"}
    assert values(one.batch([1, 2])["image"]) == [1, 100]
