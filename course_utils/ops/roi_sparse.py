"""RoIAlign by its cells: each bin reads the few cells of the map that weigh in it."""

from typing import Any

import numpy as np
import torch
from numba import get_num_threads, prange
from torch import Tensor

from course_utils.core.compiled import njit

# Numbers in a map (16 MB of float32) that are moved so that a cell's channels lie
# together. To copy a larger one takes longer than to read it as it is.
COPIED = 1 << 22


def weighing_cells(matrix: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The cells that weigh in each bin, and their weights: two (R, bins, T) arrays.

    matrix: (R, bins, cells), from `roi.sampling_matrix`. T is the most cells of a bin;
    the heaviest come first, and one that has fewer is filled up with weights of 0.
    Lesson 06.
    """
    most = int((matrix > 0).sum(2).max()) if len(matrix) else 0
    weights, cells = matrix.topk(most)
    return cells.numpy(), weights.numpy()


@njit(parallel=True)
def gather_cells(features, image, rows, high, columns, wide):
    """Weighted sum of the cells of each bin.

    features (B, H, W, C); image (R,); rows and their weights high (R, P, T); columns
    and their weights wide (R, Q, S) -> (R, C, P, Q). Lesson 06.
    """
    (regions, p_bins, t), (_, q_bins, s) = rows.shape, columns.shape
    channels = features.shape[3]
    values = np.empty((regions, channels, p_bins, q_bins), features.dtype)
    for r in prange(regions):
        for p in range(p_bins):
            for q in range(q_bins):
                value = np.zeros(channels, features.dtype)
                for i in range(t):
                    for j in range(s):
                        weight = high[r, p, i] * wide[r, q, j]
                        if weight > 0:
                            cell = features[image[r], rows[r, p, i], columns[r, q, j]]
                            for c in range(channels):
                                value[c] += weight * cell[c]
                values[r, :, p, q] = value
    return values


@njit(parallel=True)
def scatter_cells(gradient, out, parts, image, rows, high, columns, wide):
    """The way back: add each bin's gradient to its cells, by their weights.

    gradient (R, C, P, Q); out (B, H, W, C), added to; the others as in `gather_cells`.
    The channels are done in `parts` at a time: no two threads write the same number.
    Lesson 06.
    """
    regions, channels, p_bins, q_bins = gradient.shape
    for part in prange(parts):
        a, b = part * channels // parts, (part + 1) * channels // parts
        for r in range(regions):
            for p in range(p_bins):
                for q in range(q_bins):
                    value = gradient[r, a:b, p, q].copy()  # side by side
                    for i in range(rows.shape[2]):
                        for j in range(columns.shape[2]):
                            weight = high[r, p, i] * wide[r, q, j]
                            if weight > 0:
                                y, x = rows[r, p, i], columns[r, q, j]
                                cell = out[image[r], y, x, a:b]
                                for c in range(b - a):
                                    cell[c] += weight * value[c]


def by_cells(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), a cell's channels side by side in memory.

    A map of more than `COPIED` numbers is only viewed that way. Lesson 06.
    """
    x = x.detach().permute(0, 2, 3, 1)
    return x.contiguous() if x.numel() <= COPIED else x


class GatherCells(torch.autograd.Function):
    """`gather_cells` of a map (B, C, H, W); its gradient is `ScatterCells`. Lesson 06.

    bins: the other arguments of `gather_cells`.
    """

    @staticmethod
    def forward(ctx, features: Tensor, *bins: np.ndarray) -> Tensor:
        last = by_cells(features)
        ctx.bins, ctx.shape, ctx.copied = bins, features.shape, last.is_contiguous()
        return torch.from_numpy(gather_cells(last.numpy(), *bins))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Any:
        back = ScatterCells.apply(gradient, ctx.shape, ctx.copied, *ctx.bins)
        return back, *[None] * len(ctx.bins)


class ScatterCells(torch.autograd.Function):
    """`scatter_cells` onto a map of zeros; its gradient is `GatherCells`. Lesson 06.

    shape: (B, C, H, W) of the map; copied: whether a cell's channels lie together.
    """

    @staticmethod
    def forward(
        ctx, gradient: Tensor, shape: torch.Size, copied: bool, *bins: np.ndarray
    ) -> Tensor:
        ctx.bins = bins
        layout = torch.channels_last if copied else torch.contiguous_format
        out = torch.empty(shape, dtype=gradient.dtype, memory_format=layout).zero_()
        given = gradient.detach().contiguous().numpy()
        cells = out.permute(0, 2, 3, 1).numpy()
        scatter_cells(given, cells, get_num_threads(), *bins)
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Any:
        values = GatherCells.apply(gradient, *ctx.bins)
        return values, None, None, *[None] * len(ctx.bins)


def align_by_cells(
    features: Tensor, rows: Tensor, columns: Tensor, counts: list[int]
) -> Tensor:
    """What `roi.align_by_matrices` gives, from the cells that weigh something.

    features (B, C, H, W) on the CPU; rows (R, P, H) and columns (R, Q, W), from
    `roi.sampling_matrix`; counts: regions of each image. Returns (R, C, P, Q). The
    matrices are mostly zeros: a bin with two points a side reads 16 cells at most,
    however large the map is. Lesson 06.
    """
    image = np.repeat(np.arange(len(counts)), counts)
    bins = image, *weighing_cells(rows), *weighing_cells(columns)
    return GatherCells.apply(features, *bins)
