"""Initial weights, and the penalty that keeps them near where they began."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gan_course.nn.norms import SpectralNorm, full_precision, raw_weight

KINDS = {
    "orthogonal": nn.init.orthogonal_,
    "xavier": nn.init.xavier_uniform_,
    "normal": lambda weight: nn.init.normal_(weight, 0.0, 0.02),
}


def check_kind(kind: str) -> None:
    """Raises ValueError unless `initialise` knows the kind."""
    if kind not in KINDS:
        raise ValueError(f"initialisation is {kind!r}; it must be one of {', '.join(KINDS)}")


@torch.no_grad()
def initialise(network: nn.Module, kind: str) -> None:
    """Sets the weights of convolutions, linear layers and embeddings, and their biases to 0.

    Args:
        kind: "orthogonal" (Saxe et al. 2014: every singular value is 1), "xavier" (Glorot and Bengio
            2010, uniform) or "normal" (standard deviation 0.02).

    Raises ValueError for another kind.
    """
    check_kind(kind)
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            continue
        weight = raw_weight(module)
        if not weight.is_meta:
            # not in place: a channels-last weight has no view as a matrix
            weight.copy_(KINDS[kind](torch.empty_like(weight, memory_format=torch.contiguous_format)))
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)
        if weight is not getattr(module, "weight", None):  # parametrised
            for step in module.parametrizations.weight:
                if isinstance(step, SpectralNorm):
                    step.warm_up(weight)


def orthogonality_penalty(weights: Iterable[Tensor]) -> Tensor:
    """Sum over the weights of ||W W^T * (1 - I)||_F^2 (Brock et al. 2019, equation 3).

    The rows of W, one for each output, should be orthogonal; how long they are is left free. A
    convolution's weight [out, in, height, width] counts as the matrix [out, in * height * width].
    """
    terms = []
    for weight in weights:
        with full_precision(weight.device):
            rows = weight.float().flatten(1)
            # W W^T and W^T W have one norm: the smaller is made (24,576 rows of 20 would need 2.4 GB)
            products = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
            terms.append(products.square().sum() - rows.square().sum(1).square().sum())
    return torch.stack(terms).sum()
