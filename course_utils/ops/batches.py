"""Images and targets of different sizes as one batch."""

import torch
from torch import Tensor

from course_utils.ops.targets import Target


def collate(batch: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    """A batch as (list of images, list of targets), since both differ in size.

    Give it to a DataLoader as ``collate_fn``. Lesson 00.
    """
    images, targets = zip(*batch)
    return list(images), list(targets)


def stack_images(
    images: list[Tensor], stride: int = 8
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Images of different sizes as one batch (B, 3, H, W), and their sizes.

    Smaller ones are filled up with grey at the right and below; H and W are multiples
    of `stride`, so that each cell of the map lies over whole pixels. Half precision
    becomes float32. Raises ValueError for whole numbers. Lesson 07.
    """
    if not all(image.is_floating_point() for image in images):
        kinds = {str(image.dtype) for image in images}
        raise ValueError(
            f"images of {', '.join(sorted(kinds))}: give floats in 0..1, from uint8 by"
            " image / 255"
        )
    sizes = [(image.shape[-2], image.shape[-1]) for image in images]
    height, width = (-(-max(side) // stride) * stride for side in zip(*sizes))
    shape = len(images), 3, height, width
    batch = images[0].new_full(shape, 0.5, dtype=torch.float32)
    for place, image in zip(batch, images):
        place[:, : image.shape[1], : image.shape[2]] = image
    return batch, sizes
