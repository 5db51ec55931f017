"""Self-attention between the places of an image.

Zhang, Goodfellow, Metaxas, Odena: Self-Attention Generative Adversarial Networks, ICML 2019
(arXiv:1805.08318), section 3; with the pooled keys and values of the authors' code.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """x -> x + gamma * o(x): each place looks at every place (equations 1 to 3).

    Args:
        features: channels C of x, a multiple of 8. Queries and keys have C/8, values C/2.
        normalise: what is done to each 1 x 1 convolution, e.g. spectral normalisation.

    Called with [N, C, H, W], H and W even. Keys and values are halved by max-pooling, so that a place
    chooses among H*W/4 others. Logits are not scaled, and gamma starts at 0: at first the block is the
    identity.

    Raises ValueError unless `features` is a multiple of 8.
    """

    def __init__(
        self, features: int, normalise: Callable[[nn.Module], nn.Module] = lambda module: module
    ) -> None:
        super().__init__()
        if features < 8 or features % 8:
            raise ValueError(f"attention over {features} features: they must be a multiple of 8")
        self.theta = normalise(nn.Conv2d(features, features // 8, 1, bias=False))
        self.phi = normalise(nn.Conv2d(features, features // 8, 1, bias=False))
        self.g = normalise(nn.Conv2d(features, features // 2, 1, bias=False))
        self.o = normalise(nn.Conv2d(features // 2, features, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(()))

    def weights(self, x: Tensor) -> Tensor:
        """beta [N, H*W, H*W/4]: how much each place (row) takes from each pooled place; rows sum to 1."""
        queries = self.theta(x).flatten(2)
        keys = F.max_pool2d(self.phi(x), 2).flatten(2)
        return torch.softmax(queries.transpose(1, 2) @ keys, dim=2)

    def forward(self, x: Tensor) -> Tensor:
        values = F.max_pool2d(self.g(x), 2).flatten(2)
        taken = values @ self.weights(x).transpose(1, 2)
        return x + self.gamma * self.o(taken.unflatten(2, x.shape[2:]))
