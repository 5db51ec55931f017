"""The judge of digits, and precision and recall."""

import pytest
import torch

from gan_course import data, metrics, weights


def test_accuracy_by_class_counts_each_class_by_itself():
    labels = torch.tensor([0, 0, 1, 1, 1, 1])
    predicted = torch.tensor([0, 1, 1, 1, 1, 0])
    assert metrics.accuracy_by_class(predicted, labels, 2).tolist() == [0.5, 0.75]


def test_precision_and_recall_of_the_same_distribution_are_high():
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(600, 4, generator=rng), torch.randn(600, 4, generator=rng)
    precision, recall = metrics.precision_recall(real, fake)
    assert precision > 0.8
    assert recall > 0.8


def test_a_collapsed_generator_is_precise_and_recalls_little():
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(600, 4, generator=rng)
    fake = 0.05 * torch.randn(600, 4, generator=rng)
    precision, recall = metrics.precision_recall(real, fake)
    assert precision > 0.9
    assert recall < 0.1


def test_a_generator_far_away_has_neither():
    real = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    assert metrics.precision_recall(real, real + 100) == (0.0, 0.0)


def test_precision_and_recall_change_places_with_their_arguments():
    rng = torch.Generator().manual_seed(1)
    real, fake = torch.randn(200, 3, generator=rng), 0.3 * torch.randn(150, 3, generator=rng)
    assert metrics.precision_recall(real, fake) == metrics.precision_recall(fake, real)[::-1]


def test_precision_by_hand_on_a_line():
    # balls of radius 1 (k = 1) around 0, 1 and 2; 2.5 and -0.5 lie inside, 5 does not
    real = torch.tensor([[0.0], [1.0], [2.0]])
    fake = torch.tensor([[2.5], [-0.5], [5.0]])
    precision, _ = metrics.precision_recall(real, fake, k=1)
    assert precision == pytest.approx(2 / 3)


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(5, 3\) and \(5, 4\)"):
        metrics.precision_recall(torch.zeros(5, 3), torch.zeros(5, 4))
    with pytest.raises(ValueError, match="k is 3; there must be more than 3 vectors, not 3 real and 5 fake"):
        metrics.precision_recall(torch.zeros(3, 2), torch.zeros(5, 2))


def test_nearest_finds_a_planted_copy():
    references = torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    indices, distances = metrics.nearest(references[[7, 3]] + 1e-3, references)
    assert indices.tolist() == [7, 3]
    assert distances.max() < 0.01


def test_the_classifier_refuses_another_size():
    classifier = metrics.Classifier(metrics.ClassifierConfig())
    with pytest.raises(ValueError, match=r"\[N, 1, 32, 32\], not \(2, 1, 28, 28\)"):
        classifier(torch.zeros(2, 1, 28, 28))


def test_training_a_classifier_needs_labels():
    images = data.ImageSet(name="blank", tensors={"image": torch.zeros(64, 1, 32, 32, dtype=torch.uint8)})
    with pytest.raises(ValueError, match="needs labels or tags; the data set blank has neither"):
        metrics.train_classifier(images)


def test_a_classifier_answers_each_kind_of_tag_by_itself():
    config = metrics.ClassifierConfig(channels=3, num_classes=5, groups=(3, 2), image_size=64, features=4)
    classifier = metrics.Classifier(config).eval()
    images = torch.randn(7, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = classifier(images)
    read = metrics.predict(classifier, images)
    assert torch.equal(read, torch.stack([logits[:, :3].argmax(1), logits[:, 3:].argmax(1)], dim=1))
    joint = metrics.joint_probabilities(classifier, logits)
    assert joint.shape == (7, 6)
    assert torch.allclose(joint.view(7, 3, 2).sum(2), logits[:, :3].double().softmax(1))
    assert torch.allclose(joint.view(7, 3, 2).sum(1), logits[:, 3:].double().softmax(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 48}, "image_size is 48; it must be 32 or a multiple of it"),
        ({"groups": (3, 4)}, r"groups is \(3, 4\); the places must sum to num_classes, 10"),
    ],
)
def test_a_classifier_that_cannot_be_built_says_why(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.ClassifierConfig(**options)


def test_a_classifier_learns_two_easy_classes():
    labels = torch.arange(128) % 2
    pictures = torch.zeros(128, 1, 32, 32, dtype=torch.uint8)
    pictures[labels == 0, :, 8:24, 14:18] = 255  # an upright bar
    pictures[labels == 1, :, 14:18, 8:24] = 255  # a lying one
    bars = data.ImageSet(
        name="bars", tensors={"image": pictures, "label": labels}, class_names=("upright", "lying")
    )
    classifier = metrics.train_classifier(bars, epochs=8, batch_size=32)
    batch = bars.batch(torch.arange(128))
    assert (metrics.predict(classifier, batch["image"]) == labels).all()


def test_predicting_moves_no_statistics_and_keeps_the_mode():
    classifier = metrics.Classifier(metrics.ClassifierConfig()).train()
    before = {name: buffer.clone() for name, buffer in classifier.named_buffers()}
    metrics.predict(classifier, torch.randn(4, 1, 32, 32))
    assert classifier.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in classifier.named_buffers())


def test_the_shipped_judge_reads_held_out_digits():
    classifier, card = weights.load("digit-classifier")
    held_out = data.load("mnist-test", image_size=32)
    batch = held_out.batch(torch.arange(len(held_out)))
    accuracy = (metrics.predict(classifier, batch["image"]) == batch["label"]).double().mean().item()
    assert accuracy >= 0.985
    assert card["metrics"]["accuracy on mnist-full"] >= 0.985
    assert card["metrics"]["digits in mnist-full"] == 10_000


def test_the_shipped_judge_reads_faces_of_another_seed():
    classifier, card = weights.load("face-classifier")
    unseen = data.load("faces", image_size=64, count=300, seed=2)
    batch = unseen.batch(torch.arange(300))
    right = metrics.predict(classifier, batch["image"]) == metrics.tag_numbers(batch["tags"])
    hair, eyes, skin, glasses = right.double().mean(dim=0).tolist()
    assert min(hair, skin, glasses) >= 0.98
    assert eyes >= 0.95
    assert card["metrics"]["held-out faces"] == 2000
    assert card["metrics"]["seed of the held-out faces"] != card["settings"]["seed"]
    assert card["metrics"]["accuracy, eyes"] == pytest.approx(eyes, abs=0.02)
