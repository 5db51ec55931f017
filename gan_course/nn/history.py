"""A history of generated images for the discriminator.

Shrivastava et al.: Learning from Simulated and Unsupervised Images through Adversarial Training, CVPR
2017 (arXiv:1612.07828), section 2.3; with one image in and one out, as Zhu et al. 2017 (arXiv:1703.10593)
have it.
"""

from typing import Any

import torch
from torch import Tensor


class HistoryPool:
    """The last generated images, some of them from long ago: what a discriminator learns to refuse.

    The first `size` images are stored and handed back. From then on a coin is thrown for each image: heads,
    it is handed back and forgotten; tails, an image drawn from the pool is handed back in its stead, and it
    takes the drawn one's place. So each image handed back is new with probability 1/2, and a stored one
    leaves at each new image with probability 1 / (2 size).

    The coins are torch's own (the global generator on the CPU), hence part of a run's checkpoint, and are
    thrown without waiting for the device.

    Args:
        size: images that are kept; 0: every image is handed back as it came.

    Raises ValueError for a size below 0.
    """

    def __init__(self, size: int = 50) -> None:
        if size < 0:
            raise ValueError(f"a history of {size} images: it must be 0 or more")
        self.size = size
        self.images: Tensor | None = None
        """What is stored, [count, C, H, W]."""

    def __len__(self) -> int:
        return 0 if self.images is None else len(self.images)

    def __call__(self, images: Tensor) -> Tensor:
        """As many images [N, C, H, W] as came, some of them from the pool, without a graph."""
        if self.size == 0:
            return images.detach()
        return torch.stack([self._exchange(image) for image in images.detach()])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self) < self.size:
            kept = image.new_empty((0, *image.shape)) if self.images is None else self.images.to(image)
            self.images = torch.cat([kept, image[None]])
            return image
        if torch.rand((), device="cpu") < 0.5:
            return image
        place = int(torch.randint(self.size, (), device="cpu"))
        self.images = self.images.to(image)
        drawn = self.images[place].clone()
        self.images[place] = image
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"images": None if self.images is None else self.images.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.images = state["images"]
