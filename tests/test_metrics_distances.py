"""Distances between sets of features: against theory, against torch-fidelity, and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from gan_course import metrics

SETTINGS = settings(max_examples=25, deadline=None)
SEEDS = st.integers(0, 2**31 - 1)


def two_sets(seed: int, n: int = 60, m: int = 50, d: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clouds of correlated features with unequal means and spreads."""
    rng = torch.Generator().manual_seed(seed)
    mix = [torch.randn(d, d, generator=rng, dtype=torch.float64) for _ in range(2)]
    clouds = [
        torch.randn(k, d, generator=rng, dtype=torch.float64) @ a for k, a in zip((n, m), mix, strict=True)
    ]
    return clouds[0], clouds[1] + torch.randn(d, generator=rng, dtype=torch.float64)


def library_fid(x, y) -> float:
    statistics = [fid_features_to_statistics(features) for features in (x, y)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


# ---- Fréchet -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(300, 200, 8), (40, 30, 64)], ids=["full rank", "few vectors"])
def test_frechet_agrees_with_torch_fidelity(shape):
    x, y = two_sets(0, *shape)
    assert metrics.frechet_distance(x, y) == pytest.approx(library_fid(x, y), rel=1e-5)


def test_frechet_agrees_with_the_matrix_square_root():
    x, y = two_sets(1)
    covariances = [np.cov(features.numpy(), rowvar=False) for features in (x, y)]
    shift = (x.mean(0) - y.mean(0)).square().sum().item()
    expected = shift + np.trace(
        covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_two_gaussians_is_what_theory_says():
    """Means 0 and 3, standard deviations 1 and 2 in each of two dimensions: 2 (3^2 + (1 - 2)^2) = 20."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(200_000, 2, generator=rng, dtype=torch.float64)
    y = 3 + 2 * torch.randn(200_000, 2, generator=rng, dtype=torch.float64)
    assert metrics.frechet_distance(x, y) == pytest.approx(20, abs=0.15)


def test_frechet_by_hand_on_a_line():
    # means 0 and 10, unbiased variances 2 and 8
    x, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([[8.0], [12.0]])
    assert metrics.frechet_distance(x, y) == pytest.approx(100 + (math.sqrt(2) - math.sqrt(8)) ** 2)


@SETTINGS
@given(seed=SEEDS)
def test_frechet_is_symmetric_never_negative_and_zero_on_the_same_set(seed):
    x, y = two_sets(seed)
    there, back = metrics.frechet_distance(x, y), metrics.frechet_distance(y, x)
    assert there >= 0
    assert there == pytest.approx(back, rel=1e-9)
    assert metrics.frechet_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-10 * x.square().sum().item())


@SETTINGS
@given(seed=SEEDS, shift=st.floats(-100, 100))
def test_a_shift_adds_its_square_to_frechet_and_shifting_both_adds_nothing(seed, shift):
    x, y = two_sets(seed)
    assert metrics.frechet_distance(x, x + shift) == pytest.approx(4 * shift**2, rel=1e-9, abs=1e-8)
    assert metrics.frechet_distance(x + shift, y + shift) == pytest.approx(
        metrics.frechet_distance(x, y), rel=1e-8
    )


def test_frechet_keeps_its_digits_far_from_the_origin_and_takes_float32():
    x, y = two_sets(2)
    near = metrics.frechet_distance(x, y)
    assert metrics.frechet_distance(x + 1e6, y + 1e6) == pytest.approx(near, rel=1e-6)
    # in float32 a running sum of squares would have lost the spread (about 1) beside the mean (1000)
    small = [(features + 1000).float() for features in (x, y)]
    assert metrics.frechet_distance(*small) == pytest.approx(near, rel=1e-3)


def test_frechet_has_a_bias_that_shrinks_with_the_sample():
    def between_equals(n: int) -> float:
        rng = torch.Generator().manual_seed(n)
        return metrics.frechet_distance(torch.randn(n, 16, generator=rng), torch.randn(n, 16, generator=rng))

    assert between_equals(50) > 4 * between_equals(500) > 0


# ---- kernel --------------------------------------------------------------------------------------


def test_kernel_agrees_with_torch_fidelity_where_a_subset_is_everything():
    x, y = two_sets(0, 100, 100, 8)
    options = {"kid_subset_size": 100, "kid_subsets": 1, "verbose": False}
    library = kid_features_to_metric(x, y, **options)["kernel_inception_distance_mean"]
    assert metrics.kernel_distance(x, y, subsets=1, subset_size=100).mean == pytest.approx(library, rel=1e-9)


def test_kernel_over_subsets_agrees_with_torch_fidelity_within_its_spread():
    x, y = two_sets(3, 400, 300, 8)
    library = kid_features_to_metric(x, y, kid_subset_size=100, kid_subsets=200, verbose=False)
    ours = metrics.kernel_distance(x, y, subsets=200, subset_size=100)
    error = library["kernel_inception_distance_std"] / math.sqrt(200)
    assert ours.mean == pytest.approx(library["kernel_inception_distance_mean"], abs=5 * error)
    assert ours.std == pytest.approx(library["kernel_inception_distance_std"], rel=0.25)


def test_kernel_by_hand():
    # linear kernel a b + 1: within x 0*2+1 = 1, within y 4*6+1 = 25, across the mean of 1, 1, 9, 13 = 6
    x, y = torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [6.0]])
    found = metrics.kernel_distance(x, y, subsets=3, subset_size=2, degree=1)
    assert found == pytest.approx((1 + 25 - 2 * 6, 0))


def test_kernel_is_unbiased_on_equal_distributions_of_few_samples():
    rng = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(300):
        x, y = torch.randn(20, 4, generator=rng), torch.randn(20, 4, generator=rng)
        draws.append(metrics.kernel_distance(x, y, subsets=1, subset_size=20).mean)
    assert abs(np.mean(draws)) < 4 * np.std(draws) / math.sqrt(300)
    assert min(draws) < 0


@SETTINGS
@given(seed=SEEDS)
def test_kernel_is_symmetric_and_does_not_mind_the_order(seed):
    x, y = two_sets(seed, 50, 50)
    there = metrics.kernel_distance(x, y, subsets=1, subset_size=50).mean
    back = metrics.kernel_distance(y.flip(0), x, subsets=1, subset_size=50).mean
    assert there == pytest.approx(back, rel=1e-9, abs=1e-9)


def test_kernel_subsets_are_drawn_by_the_seed():
    x, y = two_sets(4)
    first, again, other = (metrics.kernel_distance(x, y, subset_size=20, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


# ---- Inception score -----------------------------------------------------------------------------


def test_inception_score_agrees_with_torch_fidelity():
    logits = 3 * torch.randn(1000, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    library = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    assert metrics.inception_score(logits.softmax(1), splits=1).mean == pytest.approx(library, rel=1e-9)
    library = isc_features_to_metric(logits, splits=10)  # it shuffles in another order
    ours = metrics.inception_score(logits.softmax(1), splits=10)
    assert ours.mean == pytest.approx(library["inception_score_mean"], rel=0.02)
    assert 0 < ours.std < 3 * library["inception_score_std"]


def test_inception_score_runs_from_one_to_the_number_of_classes():
    certain = torch.eye(10).repeat(100, 1)
    assert metrics.inception_score(certain, splits=1) == pytest.approx((10, 0))
    assert metrics.inception_score(torch.full((100, 10), 0.1)) == pytest.approx((1, 0))
    assert metrics.inception_score(certain[:1].repeat(100, 1)) == pytest.approx((1, 0))


def test_inception_score_of_images_sorted_by_class_is_that_of_shuffled_ones():
    rows = torch.eye(10).repeat_interleave(200, dim=0)  # as the digits of the package are
    assert metrics.inception_score(rows, splits=10).mean > 9.5


# ---- manifolds -----------------------------------------------------------------------------------


def test_precision_and_recall_agree_with_torch_fidelity():
    fake, real = two_sets(5, 300, 250, 5)
    library = prc_features_to_metric(
        fake, real, prc_neighborhood=3, prc_batch_size=100, save_cpu_ram=True, verbose=False
    )
    precision, recall = metrics.precision_recall(real, fake, k=3)
    assert precision == pytest.approx(library["precision"], abs=1e-6)
    assert recall == pytest.approx(library["recall"], abs=1e-6)
    assert 0 < precision < 1 and 0 < recall < 1


def test_density_and_coverage_by_hand_on_a_line():
    # with k = 1 each of 0, 1, 2 has a ball of radius 1; 1.5 lies in two of them, 2.5 in one, 9 in none
    real, fake = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.5], [2.5], [9.0]])
    assert metrics.density_coverage(real, fake, k=1) == pytest.approx((1.0, 2 / 3))


def test_an_outlier_lifts_precision_more_than_density():
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(300, 2, generator=rng)
    real[0] = 60  # its ball reaches back to the others, and over empty land
    fake = 30 + 4 * torch.randn(300, 2, generator=rng)
    assert metrics.precision_recall(real, fake, k=5)[0] > 0.9
    density, coverage = metrics.density_coverage(real, fake, k=5)
    assert density < 0.3
    assert coverage < 0.02


def test_a_collapsed_generator_is_dense_and_covers_little():
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(500, 4, generator=rng)
    density, coverage = metrics.density_coverage(real, 0.05 * torch.randn(500, 4, generator=rng))
    assert density > 1
    assert coverage < 0.2


def test_neighbours_are_found_far_from_the_origin():
    fake, real = two_sets(6, 100, 100, 3)
    near = metrics.precision_recall(real, fake), metrics.density_coverage(real, fake)
    far = metrics.precision_recall(real + 1e7, fake + 1e7), metrics.density_coverage(real + 1e7, fake + 1e7)
    assert near == far


# ---- bad input -----------------------------------------------------------------------------------

BAD_FEATURES = [
    (torch.zeros(1, 3), torch.zeros(5, 3), "the first set: there must be 2 vectors or more, not 1"),
    (torch.zeros(5, 3), torch.zeros(0, 3), "the second set: there must be 2 vectors or more, not 0"),
    (torch.zeros(5, 3), torch.zeros(5, 4), r"one size, not 3 and 4; their shapes are \(5, 3\) and \(5, 4\)"),
    (torch.zeros(5), torch.zeros(5, 4), r"the first set must be feature vectors \[N, d\].*\(5,\)"),
    (torch.zeros(5, 2), torch.tensor([[0.0, 1.0], [math.nan, 0.0], [math.inf, 0.0]]),
     "the second set: numbers that are not finite in 2 of 3 vectors, the first in vector 1"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "y", "message"), BAD_FEATURES)
@pytest.mark.parametrize("distance", [metrics.frechet_distance, metrics.kernel_distance])
def test_features_that_cannot_be_compared_are_refused(distance, x, y, message):
    with pytest.raises(ValueError, match=message):
        distance(x, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"subset_size": 51},
            "is 51, but the sets have 60 and 50 vectors; it must be 50 or less",
        ),
        ({"subset_size": 1}, "subset_size 1; there must be 1 and 2 or more"),
        ({"subsets": 0}, "subsets is 0"),
    ],
)
def test_subsets_that_cannot_be_drawn_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.kernel_distance(*two_sets(0), **options)


@pytest.mark.parametrize(
    ("probabilities", "splits", "message"),
    [
        (torch.randn(20, 4), 10, "are they logits"),
        (torch.full((20, 4), 0.3), 10, "a row sums to 1.2"),
        (torch.full((5, 4), 0.25), 10, "the probabilities: there must be 10 vectors or more, not 5"),
        (torch.full((5, 4), math.nan), 1, "not finite"),
        (torch.full((5, 4), 0.25), 0, "splits is 0; it must be 1 or more"),
    ],
)
def test_what_is_no_probability_is_refused(probabilities, splits, message):
    with pytest.raises(ValueError, match=message):
        metrics.inception_score(probabilities, splits)


@pytest.mark.parametrize("measure", [metrics.precision_recall, metrics.density_coverage])
def test_neighbours_need_finite_features_and_a_k(measure):
    broken = torch.zeros(9, 2)
    broken[4, 1] = math.nan
    with pytest.raises(ValueError, match="the fake features have numbers that are not finite"):
        measure(torch.zeros(9, 2), broken)
    with pytest.raises(ValueError, match="k is 0; it must be 1 or more"):
        measure(torch.zeros(9, 2), torch.zeros(9, 2), k=0)


# ---- segmentation --------------------------------------------------------------------------------


def test_segmentation_score_by_hand():
    true = torch.tensor([[[0, 0, 0, 0], [1, 1, 1, 1]]])
    predicted = torch.tensor([[[0, 0, 0, 1], [1, 1, 0, 2]]])
    found = metrics.segmentation_score(predicted, true, num_classes=4)
    assert found.pixel_accuracy == pytest.approx(5 / 8)
    assert found.class_accuracy.tolist() == pytest.approx([3 / 4, 2 / 4, math.nan, math.nan], nan_ok=True)
    assert found.class_iou.tolist() == pytest.approx([3 / 5, 2 / 5, 0, math.nan], nan_ok=True)
    assert found.mean_accuracy == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert found.mean_iou == pytest.approx((3 / 5 + 2 / 5 + 0) / 3)


def test_pixels_without_a_label_do_not_count():
    true = torch.tensor([[[0, 1, 255, 255]]])
    predicted = torch.tensor([[[0, 1, 0, 9]]])
    found = metrics.segmentation_score(predicted, true, num_classes=2, ignore=255)
    assert (found.pixel_accuracy, found.mean_iou) == (1, 1)


@SETTINGS
@given(seed=SEEDS, classes=st.integers(1, 6))
def test_a_perfect_map_scores_one_and_renaming_classes_changes_no_mean(seed, classes):
    rng = torch.Generator().manual_seed(seed)
    true, predicted = (torch.randint(classes, (2, 5, 5), generator=rng, dtype=torch.uint8) for _ in range(2))
    perfect = metrics.segmentation_score(true, true, classes)
    assert (perfect.pixel_accuracy, perfect.mean_accuracy, perfect.mean_iou) == (1, 1, 1)
    names = torch.randperm(classes, generator=rng)
    found = metrics.segmentation_score(predicted, true, classes)
    renamed = metrics.segmentation_score(names[predicted.long()], names[true.long()], classes)
    assert renamed.mean_iou == pytest.approx(found.mean_iou)
    assert renamed.pixel_accuracy == pytest.approx(found.pixel_accuracy)


MAPS = torch.zeros(1, 2, 2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (MAPS, torch.zeros(1, 2, 3).long(), r"one shape, not \(1, 2, 2\) and \(1, 2, 3\)"),
        (MAPS + 3, MAPS, "predicted maps must hold integers from 0 to 2"),
        (MAPS, MAPS - 1, "label maps must hold integers from 0 to 2.*-1"),
        (MAPS.float(), MAPS, "not torch.float32"),
        (MAPS[:0], MAPS[:0], "there is no pixel to count"),
    ],
)
def test_maps_that_cannot_be_scored_are_refused(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        metrics.segmentation_score(predicted, true, num_classes=3)
