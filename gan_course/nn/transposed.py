"""A transposed convolution that is quick where a map has hardly any places left."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEW = 64
"""Places of a batch, N H W, up to which one matrix product on a CPU is quicker than the library's call."""


class ConvTranspose2d(nn.ConvTranspose2d):
    """torch.nn.ConvTranspose2d with the same weights, the same results and the same gradients.

    The innermost layers of a U-Net have a thousand maps of two by two places. What a library does for one
    of them is to bring 33 MB of weights into another order; the arithmetic is next to nothing. There the
    layer is what it is on paper: one matrix W^T that takes the features of each place to the values that
    it adds to a window of the result (Dumoulin and Visin 2016, section 4), and a sum over windows.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """[N, in, H, W] -> [N, out, (H - 1) stride - 2 padding + kernel size + output padding, ...]."""
        if not self.few_places(x) or output_size is not None:
            return super().forward(x, output_size)
        windows = torch.matmul(self.weight.flatten(1).t(), x.flatten(2))
        sides = [
            (side - 1) * s - 2 * p + k + more
            for side, s, p, k, more in zip(
                x.shape[2:], self.stride, self.padding, self.kernel_size, self.output_padding, strict=True
            )
        ]
        y = F.fold(windows, sides, self.kernel_size, padding=self.padding, stride=self.stride)
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]

    def few_places(self, x: Tensor) -> bool:
        """Whether the matrix product is both possible and the quicker way for this input."""
        plain = self.groups == 1 and self.dilation == (1, 1) and x.dim() == 4
        return plain and x.device.type == "cpu" and x.shape[0] * x.shape[2] * x.shape[3] <= FEW
