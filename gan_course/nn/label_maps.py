"""What networks read in a label map, planes of zeros and ones and borders; and a picture to show it by."""

import torch
from torch import Tensor
from torch.nn import functional as F


def one_hot(label_map: Tensor, classes: int) -> Tensor:
    """Class ids int64 [N, H, W] -> planes of zeros and ones, float32 [N, classes, H, W].

    Made on the device of the map, with the channels last in memory. The ids must be below `classes`: to look
    at them would make the processor wait for the device.
    """
    planes = torch.zeros(*label_map.shape, classes, device=label_map.device)
    return planes.scatter_(3, label_map[..., None], 1.0).permute(0, 3, 1, 2)


def edges_between(objects: Tensor) -> Tensor:
    """1 at each pixel that has one of its four neighbours in another object, else 0 (pix2pixHD, section 3.3).

    Args:
        objects: integers [N, H, W]: of objects, or of classes, which does not part neighbours of one class.

    Returns:
        float32 [N, 1, H, W]. Both sides of a border are marked, so lines are two pixels wide.
    """
    across = objects[:, :, 1:] != objects[:, :, :-1]
    down = objects[:, 1:] != objects[:, :-1]
    edges = F.pad(across, (1, 0)) | F.pad(across, (0, 1))
    edges |= F.pad(down, (0, 0, 1, 0)) | F.pad(down, (0, 0, 0, 1))
    return edges[:, None].float()


def paint(label_map: Tensor, labels: int, channels: int) -> Tensor:
    """Maps [N, H, W] as pictures [N, channels, H, W] in [-1, 1]: neighbouring labels get distant hues."""
    number = torch.arange(labels, device=label_map.device)
    hue = (number * 0.61803) % 1.0  # the golden section: no two labels come near each other soon
    value = 0.9 - 0.25 * (number % 3)
    phases = torch.tensor([0.0, 1 / 3, 2 / 3], device=label_map.device)
    colours = value[:, None] * (0.6 + 0.4 * torch.cos(2 * torch.pi * (hue[:, None] - phases)))
    colours = colours if channels == 3 else colours.mean(1, keepdim=True).expand(-1, channels)
    return (2 * colours - 1)[label_map].permute(0, 3, 1, 2)
