"""Are the samples plausible, and do they cover the data? Precision and recall on features."""

import torch
from torch import Tensor


def _radii(features: Tensor, k: int) -> Tensor:
    """Distance of each feature vector to its k-th nearest neighbour, itself not counted: [N]."""
    return torch.cdist(features, features).kthvalue(k + 1, dim=1).values


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, equations 1 and 2).

    Around every real feature vector stands a ball that reaches its k-th nearest real neighbour; the
    balls together estimate where real images live. Precision is the share of generated images inside
    them; recall is the same with the roles exchanged.

    Args:
        real, fake: features [N, d] and [M, d], with more than k vectors each.
        k: which neighbour sets the radius.

    Raises:
        ValueError: shapes do not fit, or there are too few vectors.
    """
    if real.dim() != 2 or fake.dim() != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"features must be [N, d] and [M, d], not {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    if min(len(real), len(fake)) <= k:
        raise ValueError(
            f"k is {k}; there must be more than {k} vectors, not {len(real)} real and {len(fake)} fake"
        )
    real, fake = real.double(), fake.double()
    distances = torch.cdist(real, fake)  # [N, M]
    precision = (distances <= _radii(real, k)[:, None]).any(dim=0).double().mean()
    recall = (distances <= _radii(fake, k)[None, :]).any(dim=1).double().mean()
    return precision.item(), recall.item()


def nearest(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """For each query, the nearest reference and its distance.

    Args:
        queries, references: [N, ...] and [M, ...]; compared by Euclidean distance over all entries.

    Returns:
        indices [N] into the references, distances [N].
    """
    distances = torch.cdist(queries.flatten(1).double(), references.flatten(1).double())
    found = distances.min(dim=1)
    return found.indices, found.values
