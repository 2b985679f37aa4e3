"""Anchors: boxes of fixed shapes at every cell of a feature map."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def positive_numbers(name: str, given: Any) -> tuple[float, ...]:
    """One number or several, of any kind, as a tuple of floats. Raises ValueError."""
    try:
        many = list(given)
    except TypeError:  # a number alone
        many = [given]
    try:
        values = tuple(float(value) for value in many)
    except (TypeError, ValueError, RuntimeError):
        values = ()
    if not values or not all(0 < value < math.inf for value in values):
        raise ValueError(f"{name} = {given}: give numbers above 0")
    return values


class AnchorGrid:
    """Boxes of each size and ratio around the center of each cell.

    sizes: square roots of the areas, in pixels; ratios: height / width; stride: pixels
    in a cell; sizes and ratios are numbers, lists, tuples, arrays or tensors of them.
    grid(height, width, device), in cells, gives (height * width * A, 4) boxes, cell by
    cell in rows, the A shapes of a cell together, on that device. Raises ValueError for
    a size, ratio or stride that is not a number above 0.
    Source: Faster R-CNN, Ren et al. 2015, section 3.1.1. Lesson 08.
    """

    def __init__(
        self,
        sizes: Sequence[float] = (16, 32, 64),
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        stride: int = 8,
    ) -> None:
        self.sizes = positive_numbers("sizes", sizes)
        self.ratios = positive_numbers("ratios", ratios)
        positive_numbers("stride", stride)
        self.stride = stride
        size, ratio = torch.cartesian_prod(
            torch.tensor(self.sizes), torch.tensor(self.ratios)
        ).unbind(1)
        width, height = size / ratio.sqrt(), size * ratio.sqrt()
        self.shapes = torch.stack([-width, -height, width, height], 1) / 2  # (A, 4)

    def __len__(self) -> int:
        return len(self.shapes)

    def __call__(
        self, height: int, width: int, device: torch.device | None = None
    ) -> Tensor:
        y = (torch.arange(height, device=device) + 0.5) * self.stride
        x = (torch.arange(width, device=device) + 0.5) * self.stride
        y, x = torch.meshgrid(y, x, indexing="ij")  # (H, W)
        centers = torch.stack([x, y, x, y], 2)  # (H, W, 4)
        return (centers[:, :, None] + self.shapes.to(device)).flatten(0, 2)
