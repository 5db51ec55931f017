"""Does an image show what its label map asked for? Scores of a map that a segmenter read from the image."""

from typing import NamedTuple

import torch
from torch import Tensor


class SegmentationScore(NamedTuple):
    """How well predicted label maps agree with the true ones; shares from 0 to 1."""

    pixel_accuracy: float
    """The share of all pixels that have the right class."""
    class_accuracy: Tensor
    """The share of each class's pixels that have the right class: [num_classes], NaN for an absent class."""
    class_iou: Tensor
    """Intersection over union of each class: [num_classes], NaN where neither map has the class."""
    mean_accuracy: float
    """The mean of `class_accuracy` over the classes that are there."""
    mean_iou: float
    """The mean of `class_iou` over the classes that are there."""


def confusion(predicted: Tensor, true: Tensor, num_classes: int) -> Tensor:
    """Counts [num_classes, num_classes]: row the true class, column the predicted one."""
    pairs = true.long() * num_classes + predicted.long()
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def segmentation_score(
    predicted_maps: Tensor, label_maps: Tensor, num_classes: int, ignore: int | None = None
) -> SegmentationScore:
    """The scores of Long et al. 2015 (section 5), called FCN score where a fully convolutional network reads
    generated images (Isola et al. 2017, section 4).

    Pixels of all images are counted together, as the papers do.

    Args:
        predicted_maps, label_maps: class ids [N, H, W], what was read and what was asked for.
        num_classes: ids run from 0 to num_classes - 1.
        ignore: an id in `label_maps` whose pixels do not count, such as 255 for what nobody labelled.

    Raises:
        ValueError: shapes differ, an id is out of range, or no pixel counts.
    """
    if predicted_maps.shape != label_maps.shape:
        raise ValueError(
            f"predicted maps and label maps must have one shape, "
            f"not {tuple(predicted_maps.shape)} and {tuple(label_maps.shape)}"
        )
    counted = torch.ones_like(label_maps, dtype=torch.bool) if ignore is None else label_maps != ignore
    predicted, true = predicted_maps[counted], label_maps[counted]
    if not len(true):
        raise ValueError("there is no pixel to count: the maps are empty, or every label is ignored")
    for name, ids in (("predicted maps", predicted), ("label maps", true)):
        if ids.is_floating_point() or not 0 <= int(ids.min()) <= int(ids.max()) < num_classes:
            raise ValueError(
                f"{name} must hold integers from 0 to {num_classes - 1}, "
                f"not {ids.dtype} from {ids.min().item():g} to {ids.max().item():g}"
            )
    counts = confusion(predicted, true, num_classes).double()
    right, of_class, read_as = counts.diag(), counts.sum(dim=1), counts.sum(dim=0)
    accuracy, iou = right / of_class, right / (of_class + read_as - right)  # 0 / 0 is NaN
    return SegmentationScore(
        pixel_accuracy=(right.sum() / counts.sum()).item(),
        class_accuracy=accuracy,
        class_iou=iou,
        mean_accuracy=accuracy.nanmean().item(),
        mean_iou=iou.nanmean().item(),
    )
