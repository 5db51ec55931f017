"""Normalisation of weights and of activations.

Spectral normalisation: Miyato, Kataoka, Koyama, Yoshida: Spectral Normalization for Generative
Adversarial Networks, ICLR 2018 (arXiv:1802.05957). Conditional batch norm: Dumoulin, Shlens, Kudlur 2017
(arXiv:1610.07629), de Vries et al. 2017 (arXiv:1707.00683), as Zhang et al. 2019 (arXiv:1805.08318) and
Brock, Donahue, Simonyan 2019 (arXiv:1809.11096) use it.
"""

import contextlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm


class SpectralNorm(_SpectralNorm):
    """W -> W / sigma(W), with sigma, the largest singular value, from a power iteration (algorithm 1).

    torch's own, with two differences. It works in float32 under autocast, where half a precision would
    be half a norm. And in evaluation mode it iterates once from the stored vectors without storing the
    result, so that sigma is right even for vectors that were averaged, with the weights, over training:
    an average of unit vectors is shorter than one.
    """

    def forward(self, weight: Tensor) -> Tensor:
        with full_precision(weight.device):
            matrix = self._reshape_weight_to_matrix(weight)
            if self.training:
                self._power_method(matrix, self.n_power_iterations)
                u, v = self._u.clone(), self._v.clone()  # a second forward pass moves the buffers in place
            else:
                u, v = self._iterate(matrix)
            return weight / torch.vdot(u, torch.mv(matrix, v))

    def _power_method(self, matrix: Tensor, iterations: int) -> None:
        if not matrix.is_meta:  # a network that is only counted has nothing to iterate on
            super()._power_method(matrix, iterations)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        v = F.normalize(torch.mv(matrix.T, self._u), dim=0, eps=self.eps)
        return F.normalize(torch.mv(matrix, v), dim=0, eps=self.eps), v

    def warm_up(self, weight: Tensor, iterations: int = 15) -> None:
        """Brings the stored vectors up to a weight that was set from outside."""
        self._power_method(self._reshape_weight_to_matrix(weight.detach()), iterations)


def spectral_norm(module: nn.Module, eps: float = 1e-12) -> nn.Module:
    """Divides the module's weight by its largest singular value, whenever it is used.

    A convolution's weight [out, in, height, width] counts as the matrix [out, in * height * width]
    (section 2.1). The stored parameter is `module.parametrizations.weight.original`; the vectors u and v
    are buffers, which one forward pass in training mode moves by one iteration.

    Returns the same module.
    """
    transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    normalisation = SpectralNorm(module.weight, n_power_iterations=1, dim=int(transposed), eps=eps)
    parametrize.register_parametrization(module, "weight", normalisation)
    return module


def raw_weight(module: nn.Module) -> nn.Parameter:
    """The parameter behind a module's weight: as stored, before any normalisation."""
    if parametrize.is_parametrized(module, "weight"):
        return module.parametrizations.weight.original
    return module.weight


def normalised_layers(network: nn.Module) -> dict[str, nn.Module]:
    """The spectrally normalised layers of a network by name, in order."""
    return {
        name: module
        for name, module in network.named_modules()
        if parametrize.is_parametrized(module, "weight")
        and isinstance(module.parametrizations.weight[0], SpectralNorm)
    }


@torch.no_grad()
def singular_values(network: nn.Module, count: int = 1) -> dict[str, Tensor]:
    """The largest singular values of every weight matrix as it is stored, before it is normalised.

    What to watch while a large GAN trains: their sudden growth goes along with its collapse (Brock et
    al. 2019, section 4). Exact, by a singular value decomposition of each matrix.

    Args:
        network: its convolutions, linear layers and embeddings are looked at, normalised or not.
        count: how many values of each; fewer where a matrix has fewer.

    Returns:
        layer name -> [count], largest first, on the CPU.
    """
    values = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            weight = raw_weight(module).float()
            rows = weight.transpose(0, 1) if isinstance(module, nn.ConvTranspose2d) else weight
            values[name] = torch.linalg.svdvals(rows.flatten(1))[:count].cpu()
    return values


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose gain and offset depend on a condition: (1 + gain(y)) * normalised x + bias(y).

    Args:
        gain, bias: modules from a condition to [N, features]: linear layers where the condition is a
            vector, embeddings where it is a label. The 1 makes the block start as plain batch norm.
        features: channels of x.

    Called with x [N, features, H, W] and the condition of each of the N images.
    """

    def __init__(self, features: int, gain: nn.Module, bias: nn.Module) -> None:
        super().__init__()
        self.gain = gain
        self.bias = bias
        self.norm = nn.BatchNorm2d(features, affine=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        return self.norm(x) * gain[:, :, None, None] + bias[:, :, None, None]


def full_precision(device: torch.device) -> contextlib.AbstractContextManager:
    """Within: no autocast on that kind of device."""
    if not torch.amp.is_autocast_available(device.type):
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)


# ---- norms whose gain and offset come from outside, and mixtures of two norms ------------------------


class AdaIN(nn.Module):
    """Adaptive instance norm: gamma * (x - mean) / standard deviation + beta, of every map by itself.

    Huang and Belongie 2017, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization
    (arXiv:1703.06868), equation 8. It has no parameters: gamma and beta come from a style. gamma is the
    gain itself, not its difference from 1.

    Called with x [N, C, H, W], gamma [N, C] and beta [N, C].
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        mean, variance = map_moments(x)
        scale = gamma[:, :, None, None].to(mean.dtype) * torch.rsqrt(variance + self.eps)
        return rescaled(x, scale, beta[:, :, None, None].to(mean.dtype) - mean * scale)


def map_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance of every map of x [N, C, H, W]: each [N, C, 1, 1].

    In float32 at least: eight bits would not do for a mean.
    """
    x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return mean, variance


def rescaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x [N, C, H, W] * scale + shift, both [N, C, 1, 1]; the result has the type of x.

    A norm written like this keeps nothing for its backward pass but x itself and a few numbers a map.
    """
    return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))
