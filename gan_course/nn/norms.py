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

    In float32 at least.
    """
    x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return mean, variance


def rescaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x [N, C, H, W] * scale + shift, both [N, C, 1, 1]; the result has the type of x.

    A norm written like this keeps nothing for its backward pass but x itself and a few numbers a map.
    """
    return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))


class AdaLIN(nn.Module):
    """Adaptive layer-instance norm: gamma * (rho * IN(x) + (1 - rho) * LN(x)) + beta.

    Kim, Kim, Kang, Lee 2020, U-GAT-IT (arXiv:1907.10830), equation 1. IN normalises every map by its own
    mean and variance, LN all maps of an image by those that they have in common. rho, one for each map,
    is learned; whoever trains it keeps it in [0, 1]. gamma and beta come from outside.

    Both norms are straight lines in x with one slope and offset for each sample and map, so their
    mixture is one too, and the moments of LN follow from those of IN: nothing but x is kept for the
    backward pass.

    Args:
        features: maps C of x.
        rho: its first value.
        unbiased: divide the sums of squares by one less than their number, as torch.var and the authors'
            PyTorch code do.
        eps: added to the variances.

    Called with x [N, C, H, W], gamma [N, C] and beta [N, C].
    """

    def __init__(self, features: int, rho: float = 1.0, unbiased: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, features, 1, 1), float(rho)))
        self.unbiased = unbiased
        self.eps = eps

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        scale, shift = layer_instance(x, self.rho, self.unbiased, self.eps)
        gamma, beta = (style[:, :, None, None].to(scale.dtype) for style in (gamma, beta))
        return rescaled(x, gamma * scale, gamma * shift + beta)


class LIN(nn.Module):
    """Layer-instance norm: `AdaLIN` with a gamma and a beta of its own, one for each map.

    rho begins at 0, which is layer norm. Called with x [N, C, H, W].
    """

    def __init__(self, features: int, rho: float = 0.0, unbiased: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, features, 1, 1), float(rho)))
        self.gamma = nn.Parameter(torch.ones(1, features, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, features, 1, 1))
        self.unbiased = unbiased
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = layer_instance(x, self.rho, self.unbiased, self.eps)
        return rescaled(x, self.gamma * scale, self.gamma * shift + self.beta)


def layer_instance(x: Tensor, rho: Tensor, unbiased: bool, eps: float) -> tuple[Tensor, Tensor]:
    """Slope and offset, each [N, C, 1, 1], of rho * IN(x) + (1 - rho) * LN(x) for x [N, C, H, W].

    The variance over all maps is the mean of their variances plus the variance of their means.
    """
    mean, variance = map_moments(x)
    layer_mean = mean.mean(dim=1, keepdim=True)
    layer_variance = (variance + (mean - layer_mean).square()).mean(dim=1, keepdim=True)
    if unbiased:
        places = x.shape[2] * x.shape[3]
        variance = variance * (places / (places - 1))
        layer_variance = layer_variance * (places * x.shape[1] / (places * x.shape[1] - 1))
    instance_slope = rho * torch.rsqrt(variance + eps)
    layer_slope = (1 - rho) * torch.rsqrt(layer_variance + eps)
    return instance_slope + layer_slope, -(mean * instance_slope + layer_mean * layer_slope)


# ---- norms whose gain and offset come from a label map -----------------------------------------------


def without_parameters(statistics: str, features: int) -> nn.Module:
    """A norm without gain and offset of its own: over the "batch", over each "instance", or "none".

    Raises ValueError for other statistics.
    """
    if statistics == "none":
        return nn.Identity()
    kinds = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}
    if statistics not in kinds:
        raise ValueError(f"statistics is {statistics!r}; it must be one of {', '.join(kinds)}, none")
    return kinds[statistics](features, affine=False)


class SPADE(nn.Module):
    """Normalised x * (1 + gamma) + beta; both are maps, computed from the label map by convolutions.

    Park, Liu, Wang, Zhu 2019 (arXiv:1903.07291), equation 1 and figure 2. (The 1 is the authors' code's,
    so that the layer starts as a plain norm.)

    Args:
        features: channels of x.
        label_channels: channels of the label map: one-hot planes, and edges where there are some.
        hidden: features of the convolution that gamma and beta share.
        statistics: what x is normalised over: "batch", "instance", or "none" where it already is.

    Called with x [N, features, H, W] and planes [N, label_channels, H, W].
    """

    def __init__(
        self, features: int, label_channels: int, hidden: int = 128, statistics: str = "batch"
    ) -> None:
        super().__init__()
        self.normalise = without_parameters(statistics, features)
        self.shared = nn.Sequential(nn.Conv2d(label_channels, hidden, 3, padding=1), nn.ReLU(inplace=True))
        self.gamma = nn.Conv2d(hidden, features, 3, padding=1)
        self.beta = nn.Conv2d(hidden, features, 3, padding=1)

    def modulate(self, normalised: Tensor, planes: Tensor) -> Tensor:
        """The layer's work on an x that has been normalised."""
        shared = self.shared(planes)
        return torch.addcmul(self.beta(shared), normalised, 1 + self.gamma(shared))

    def forward(self, x: Tensor, planes: Tensor) -> Tensor:
        return self.modulate(self.normalise(x), planes)


class CLADE(nn.Module):
    """Normalised x * gain[class] + offset[class]: SPADE with a table in place of the convolutions.

    Tan et al.: Efficient Semantic Image Synthesis via Class-Adaptive Normalization, TPAMI 2022
    (arXiv:2012.04644). The gains start uniform on [0, 1), the offsets at 0, as in the
    authors' code.

    Args:
        features: channels of x.
        classes: rows of the table.
        edges: whether a map of the edges between objects is put beside the result, as one channel more,
            through a 1 x 1 convolution: the table has no place for it.
        positions: intra-class positional encoding: where in its region a pixel lies scales
            its gain and its offset. At first it has no influence.
        statistics: what x is normalised over: "batch", "instance", or "none" where it already is.

    Called with x [N, features, H, W], the class of each pixel, int64 [N, H, W], and where the layer was
    built for them edges [N, 1, H, W] and positions [N, 2, H, W]. One table look-up for the gains and one
    for the offsets, directly at the class of a pixel.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        edges: bool = False,
        positions: bool = False,
        statistics: str = "batch",
    ) -> None:
        super().__init__()
        self.normalise = without_parameters(statistics, features)
        self.gain = nn.Parameter(torch.rand(classes, features))
        self.offset = nn.Parameter(torch.zeros(classes, features))
        self.position_gain = ZeroConvolution(2) if positions else None
        self.position_offset = ZeroConvolution(2) if positions else None
        self.edges = nn.Conv2d(1, 1, 1) if edges else None

    def modulate(
        self,
        normalised: Tensor,
        classes: Tensor,
        edges: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """The layer's work on an x that has been normalised."""
        gain, offset = (looked_up(table.to(normalised.dtype), classes) for table in (self.gain, self.offset))
        if self.position_gain is not None:
            gain = gain * (1 + self.position_gain(positions))
            offset = offset * (1 + self.position_offset(positions))
        out = torch.addcmul(offset, normalised, gain)
        return out if self.edges is None else torch.cat([out, self.edges(edges).to(out.dtype)], dim=1)

    def forward(
        self, x: Tensor, classes: Tensor, edges: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        return self.modulate(self.normalise(x), classes, edges, positions)


def looked_up(table: Tensor, classes: Tensor) -> Tensor:
    """The row of `table` [classes, features] at the class of each pixel [N, H, W]: [N, features, H, W]."""
    return F.embedding(classes, table).permute(0, 3, 1, 2)


class ZeroConvolution(nn.Conv2d):
    """A 1 x 1 convolution to one channel that starts at zero, bias included, and so at first adds nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 1, 1)

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
