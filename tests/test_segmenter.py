"""The judge of label maps: what it reads, what it refuses, and how well the shipped one reads real faces."""

import pytest
import torch

from gan_course import data, metrics, weights
from gan_course.data import faces, pairs
from gan_course.metrics.segmenter import class_weights


def test_logits_have_the_size_of_the_image():
    segmenter = metrics.Segmenter(metrics.SegmenterConfig(num_classes=5, features=4))
    assert segmenter(torch.randn(2, 3, 64, 64)).shape == (2, 5, 64, 64)
    assert segmenter(torch.randn(2, 3, 24, 40)).shape == (2, 5, 24, 40)  # fully convolutional


def test_every_pixel_is_read_with_what_lies_around_it_and_with_its_own_sharpness():
    """The way down sees far, and the skips keep the finest level: both reach the answer."""
    segmenter = metrics.Segmenter(metrics.SegmenterConfig(num_classes=5, features=4)).eval()
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    segmenter(image)[0, :, 32, 32].sum().backward()
    reached = image.grad.abs().sum((0, 1)).nonzero()
    assert reached.min() <= 12 and reached.max() >= 52
    assert image.grad[0, :, 32, 32].abs().sum() > 0


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (1, 3, 64, 60), (3, 64, 64)])
def test_images_that_it_cannot_read(shape):
    segmenter = metrics.Segmenter(metrics.SegmenterConfig(features=4))
    with pytest.raises(ValueError, match=r"\[N, 3, H, W\] with sides that are multiples of 8, not"):
        segmenter(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 60}, "image_size is 60; it must be a multiple of 8"),
        ({"num_classes": 1}, "is 1; ther"),
    ],
)
def test_a_segmenter_that_cannot_be_built_says_why(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.SegmenterConfig(**options)


def test_a_rare_class_counts_more_and_an_absent_one_breaks_nothing():
    maps = torch.zeros(1, 10, 10, dtype=torch.uint8)
    maps[0, 0, 0] = 1
    weights_of = class_weights(maps, 3)
    assert weights_of[1] / weights_of[0] == pytest.approx(99**0.5, rel=1e-4)
    assert (weights_of * torch.tensor([99, 1, 0])).sum() == pytest.approx(100, rel=1e-4)
    assert weights_of.isfinite().all()


def squares(count=96):
    """Black, grey and white squares on grey noise: three classes besides the background."""
    rng = torch.Generator().manual_seed(0)
    image = torch.randint(90, 110, (count, 3, 16, 16), generator=rng).to(torch.uint8)
    label_map = torch.zeros(count, 16, 16, dtype=torch.uint8)
    for index in range(count):
        k = index % 3
        y, x = torch.randint(0, 8, (2,), generator=rng).tolist()
        image[index, :, y : y + 8, x : x + 8] = (0, 180, 255)[k]
        label_map[index, y : y + 8, x : x + 8] = k + 1
    tensors = {"image": image, "label_map": label_map}
    return data.ImageSet("squares", tensors, map_names=("ground", "black", "grey", "white"))


def test_a_segmenter_learns_easy_regions():
    images = squares()
    segmenter = metrics.train_segmenter(images, epochs=40, batch_size=16, features=8)
    read = metrics.predict_maps(segmenter, images.batch(slice(None))["image"])
    assert read.dtype == torch.int64
    score = metrics.segmentation_score(read, images.tensors["label_map"], 4)
    assert score.mean_iou > 0.9


def test_the_same_seed_trains_the_same_segmenter():
    images = squares(32)
    first, again = (metrics.train_segmenter(images, epochs=2, batch_size=16, features=4) for _ in range(2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_training_needs_label_maps():
    images = data.ImageSet("blank", {"image": torch.zeros(8, 3, 16, 16, dtype=torch.uint8)})
    with pytest.raises(ValueError, match="a segmenter needs label maps; the data set blank has none"):
        metrics.train_segmenter(images)


@pytest.fixture(scope="module")
def unseen():
    return data.load("faces", image_size=64, count=100, seed=2, split_colours=True, progress=False)


def test_the_shipped_segmenter_reads_faces_of_another_seed(unseen):
    batch = unseen.batch(slice(None))
    card = weights.card("face-segmenter")
    score = metrics.segmentation_of(batch["image"], batch["label_map"], unseen.map_names)
    assert score.mean_iou >= 0.8 and score.pixel_accuracy >= 0.97
    measured = card["metrics"]
    assert measured["held-out faces"] == 2000
    assert measured["seed of the held-out faces"] != card["settings"]["seed"]
    assert measured["pixel accuracy"] == pytest.approx(score.pixel_accuracy, abs=0.01)
    assert list(measured["IoU by class"]) == list(faces.map_names())
    for name in ("background", "skin", "hair", "eyes", "ink"):
        iou = score.class_iou[faces.map_names().index(name)].item()
        assert measured["IoU by class"][name] == pytest.approx(iou, abs=0.04)


def test_a_face_that_does_not_show_its_map_scores_low(unseen):
    batch = unseen.batch(slice(None))
    plain = pairs.merge_classes(batch["label_map"], unseen.map_names)
    shuffled = metrics.segmentation_of(batch["image"].roll(1, 0), plain)
    right = metrics.segmentation_of(batch["image"], plain)
    assert shuffled.mean_iou < 0.5 * right.mean_iou
    assert right.class_iou[plain.unique()].isfinite().all()


def test_larger_faces_are_read_at_the_size_that_it_knows(unseen):
    large = data.load("faces", image_size=128, count=8, seed=2, progress=False).batch(slice(None))
    maps = metrics.segment(large["image"])
    assert maps.shape == (8, 128, 128)
    assert (maps == large["label_map"]).float().mean() > 0.9


def test_merging_split_classes_undoes_the_split(unseen):
    plain = data.load("faces", image_size=64, count=100, seed=2, progress=False)
    merged = pairs.merge_classes(unseen.tensors["label_map"], unseen.map_names)
    assert torch.equal(merged, plain.tensors["label_map"])
    assert torch.equal(pairs.merge_classes(merged, plain.map_names), merged)
