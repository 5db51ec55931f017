"""Are the samples plausible, and do they cover the data? Answers from nearest neighbours among features."""

import torch
from torch import Tensor

ROWS = 1000  # of a table of distances that are in memory at once


def distances(points: Tensor, references: Tensor):
    """Tables [rows, M] of Euclidean distances from points to references, some rows at a time.

    Both are moved first, so that the references have mean zero: distances are computed from inner
    products, and a large common mean would eat the digits.
    """
    centre = references.mean(dim=0)
    for part in points.split(ROWS):
        yield torch.cdist(part - centre, references - centre)


def radii(features: Tensor, k: int) -> Tensor:
    """Distance of each feature vector to its k-th nearest neighbour, itself not counted: [N]."""
    tables = distances(features, features)
    return torch.cat([table.kthvalue(k + 1, dim=1).values for table in tables])


def balls_around(points: Tensor, centres: Tensor, radius: Tensor) -> Tensor:
    """How many of the balls around the centres hold each point: [N]."""
    return torch.cat([(table <= radius).sum(dim=1) for table in distances(points, centres)])


def checked(real: Tensor, fake: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Both sets in float64. Raises ValueError unless they fit each other and have more than k vectors."""
    if real.dim() != 2 or fake.dim() != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"features must be [N, d] and [M, d], not {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    if k < 1:
        raise ValueError(f"k is {k}; it must be 1 or more")
    if min(len(real), len(fake)) <= k:
        raise ValueError(
            f"k is {k}; there must be more than {k} vectors, not {len(real)} real and {len(fake)} fake"
        )
    for name, features in (("real", real), ("fake", fake)):
        if not features.isfinite().all():
            raise ValueError(f"the {name} features have numbers that are not finite")
    return real.double(), fake.double()


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, equations 1 and 2).

    Around every real feature vector stands a ball that reaches its k-th nearest real neighbour; the
    balls together estimate where real images live. Precision is the share of generated images inside
    them; recall is the same with the roles exchanged.

    Args:
        real, fake: features [N, d] and [M, d], with more than k vectors each.
        k: which neighbour sets the radius.

    Raises:
        ValueError: shapes do not fit, there are too few vectors, or numbers are not finite.
    """
    real, fake = checked(real, fake, k)
    inside_real = balls_around(fake, real, radii(real, k)) > 0
    inside_fake = balls_around(real, fake, radii(fake, k)) > 0
    return inside_real.double().mean().item(), inside_fake.double().mean().item()


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020, equations 4 and 5).

    The balls are those of `precision_recall` around real vectors. Density is the mean number of balls
    that hold a generated image, over k: one outlier's huge ball counts once and no more. It may exceed 1.
    Coverage is the share of the balls that hold a generated image at all, at most 1.

    Args, Raises: as `precision_recall`.
    """
    real, fake = checked(real, fake, k)
    radius = radii(real, k)
    density = balls_around(fake, real, radius).double().mean() / k
    closest = torch.cat([table.min(dim=1).values for table in distances(real, fake)])
    return density.item(), (closest <= radius).double().mean().item()


def nearest(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """For each query, the nearest reference and its distance.

    Args:
        queries, references: [N, ...] and [M, ...]; compared by Euclidean distance over all entries.

    Returns:
        indices [N] into the references, distances [N].
    """
    tables = distances(queries.flatten(1).double(), references.flatten(1).double())
    found = [table.min(dim=1) for table in tables]
    return torch.cat([part.indices for part in found]), torch.cat([part.values for part in found])
