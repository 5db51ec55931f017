"""ImageSet, and the order of batches: a pure function of the seed and the step."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_course import data


def make_set(count=10, size=8, **more):
    # Image i is filled with the value i, so that a batch tells which images it holds.
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, size, size).clone()
    return data.ImageSet("numbers", {"image": images, **more})


def which(batch):
    return ((batch["image"][:, 0, 0, 0] + 1) * 127.5).round().long().tolist()


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 60),
    seed=st.integers(0, 2**32),
    start=st.integers(0, 50),
    fraction=st.floats(0.01, 1),
)
def test_a_resumed_stream_goes_on_as_if_never_stopped(count, seed, start, fraction):
    batch_size = max(1, int(count * fraction))
    images = make_set(count)
    whole = [which(b) for b in islice(data.batches(images, batch_size, seed), start + 5)]
    resumed = [which(b) for b in islice(data.batches(images, batch_size, seed, start_step=start), 5)]
    assert resumed == whole[start:]


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 60), seed=st.integers(0, 100), fraction=st.floats(0.01, 1))
def test_within_an_epoch_no_image_comes_twice_and_the_rest_is_dropped(count, seed, fraction):
    batch_size = max(1, int(count * fraction))
    steps = count // batch_size
    seen = [i for b in islice(data.batches(make_set(count), batch_size, seed), steps) for i in which(b)]
    assert len(seen) == len(set(seen)) == steps * batch_size


def test_epochs_and_seeds_have_their_own_order():
    orders = {tuple(data.epoch_order(50, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_order_does_not_touch_or_read_the_global_random_state():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = [which(b) for b in islice(data.batches(make_set(), 3, flip=True), 4)]
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert first == [which(b) for b in islice(data.batches(make_set(), 3, flip=True), 4)]


def test_values_of_a_batch():
    images = data.ImageSet(
        "all",
        {
            "image": torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 8, 8),
            "label": torch.tensor([1, 0]),
            "tags": torch.tensor([[1, 0], [0, 1]], dtype=torch.uint8),
            "label_map": torch.full((2, 8, 8), 7, dtype=torch.uint8),
            "drawing": torch.full((2, 1, 8, 8), 255, dtype=torch.uint8),
        },
        class_names=("no", "yes"),
    )
    batch = images.batch([0, 1])
    assert batch["image"].dtype == torch.float32
    assert batch["image"].amin() == -1 and batch["image"].amax() == 1
    assert (batch["image"][0] == -1).all()
    assert batch["label"].tolist() == [1, 0] and batch["label"].dtype == torch.int64
    assert batch["tags"].dtype == torch.float32 and batch["tags"].tolist() == [[1, 0], [0, 1]]
    assert batch["label_map"].dtype == torch.int64 and (batch["label_map"] == 7).all()
    assert (batch["drawing"] == 1).all()
    assert (images.num_classes, images.channels, images.image_size, len(images)) == (2, 3, 8, 2)


def test_flip_mirrors_image_map_and_drawing_together():
    ramp = torch.arange(8, dtype=torch.uint8).expand(40, 1, 8, 8).clone()
    images = data.ImageSet("ramps", {"image": ramp, "label_map": ramp[:, 0].clone(), "drawing": ramp.clone()})
    batch = next(data.batches(images, 40, flip=True))
    mirrored = batch["label_map"][:, 0, 0] == 7
    assert 8 < mirrored.sum() < 32
    expected = torch.where(mirrored[:, None], torch.arange(7, -1, -1), torch.arange(8))
    assert torch.equal(batch["label_map"][:, 3], expected)
    for key in ("image", "drawing"):
        assert torch.equal(((batch[key][:, 0, 3] + 1) * 127.5).round().long(), expected)


def test_digest_follows_the_content_and_nothing_else():
    images = make_set()
    assert images.digest == make_set().digest == images.to("cpu").digest
    assert len(images.digest) == 64
    changed = make_set()
    changed.tensors["image"][3, 0, 2, 2] += 1
    assert changed.digest != images.digest
    assert images.select(slice(0, 9)).digest != images.digest


def test_paint_gives_each_class_its_colour():
    palette = torch.tensor([[255, 255, 255], [10, 20, 30]], dtype=torch.uint8)
    picture = data.paint(torch.tensor([[[0, 1]]], dtype=torch.uint8), palette)
    assert picture.shape == (1, 3, 1, 2)
    assert picture[0, :, 0, 1].tolist() == [10, 20, 30]


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_that_does_not_fit_is_one_clear_error(batch_size):
    with pytest.raises(ValueError, match=rf'batch_size is {batch_size}.*"numbers" has 10 images.*1 to 10'):
        data.batches(make_set(), batch_size)


def test_negative_seed_and_step():
    with pytest.raises(ValueError, match="start_step=-1"):
        data.batches(make_set(), 2, start_step=-1)
    with pytest.raises(ValueError, match="seed=-1"):
        data.batches(make_set(), 2, seed=-1)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"label": torch.zeros(3).long()}, 'no tensor "image"'),
        ({"image": torch.zeros(2, 1, 8, 8)}, r'"image" is torch.float32 .* expected torch.uint8'),
        ({"image": torch.zeros(2, 1, 8, 9).byte()}, "expected 8x8"),
        ({"image": torch.zeros(2, 1, 8, 8).byte(), "label": torch.zeros(3).long()}, '"label".* 2 entries'),
        (
            {"image": torch.zeros(2, 1, 8, 8).byte(), "label_map": torch.zeros(2, 4, 4).byte()},
            '"label_map" is 4x4',
        ),
        ({"image": torch.zeros(2, 1, 8, 8).byte(), "mask": torch.zeros(2).byte()}, 'unknown tensor "mask"'),
    ],
)
def test_tensors_that_do_not_fit_together(tensors, message):
    with pytest.raises(ValueError, match=message):
        data.ImageSet("bad", tensors)


def test_load_names_the_sets_and_options_it_knows():
    with pytest.raises(
        FileNotFoundError, match=r'"minst" is neither a data set .mnist, mnist-test, mnist-full, faces'
    ):
        data.load("minst")
    with pytest.raises(ValueError, match='data set "mnist" has no option "size"; known are image_size'):
        data.load("mnist", size=32)


def test_the_table_of_data_sets_lists_every_set():
    listed = [row.name for row in data.describe()]
    assert set(listed) >= set(data.names()) - {"faces"}
    assert all(row.licence and row.holds for row in data.describe())
