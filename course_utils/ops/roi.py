"""RoI layers: from regions of any size to feature maps of one size."""

import numpy as np
import torch
from numba import get_num_threads, prange
from torch import Tensor

from course_utils.core.compiled import njit
from course_utils.ops.roi_sparse import align_by_cells


def split_regions(
    regions: list[Tensor] | Tensor, images: int
) -> tuple[list[Tensor], Tensor | None]:
    """Regions as one (N, 4) tensor for each of `images` images, and their order.

    regions: a list of (N, 4) tensors, one for each image, or one (R, 5) tensor whose
    first column is the image's index. Returns (list, order): concatenated, the list's
    row i is row order[i] of the given regions; order is None where nothing moved.
    Raises ValueError for any other form, a wrong index, or a NaN. Lesson 06.
    """
    forms = "give a list of (N, 4), one for each image, or (R, 5) with the image first"
    if isinstance(regions, (list, tuple)):
        if len(regions) != images:
            count = len(regions)
            raise ValueError(f"{count} region lists for {images} images; {forms}")
        parts, order = [part.reshape(-1, 4) for part in regions], None
    elif regions.ndim != 2 or regions.shape[1] != 5:
        raise ValueError(f"regions of shape {tuple(regions.shape)}: {forms}")
    else:
        index = regions[:, 0]
        bad = (index != index.floor()) | (index < 0) | (index >= images)
        if bad.any():
            row = int(bad.nonzero()[0])
            raise ValueError(
                f"regions[{row}] is of image {float(index[row])}, but there are"
                f" {images} images; {forms}"
            )
        order = index.argsort(stable=True)
        counts = torch.bincount(index.long(), minlength=images).tolist()
        parts = list(regions[order, 1:].split(counts))
    for image, part in enumerate(parts):
        if not part.isfinite().all():
            row = int((~part.isfinite()).nonzero()[0, 0])
            raise ValueError(
                f"region {row} of image {image} = {part[row].tolist()} is not finite"
            )
    return parts, order


def as_pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """An output size as (height, width); raises ValueError below 1."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"output size {size}: give 1 or more cells")
    return height, width


def round_half_away(x: Tensor) -> Tensor:
    """Round to whole numbers, halves away from zero: 0.5 -> 1, -2.5 -> -3. Lesson 06.

    torch.round takes halves to the even neighbour instead.
    """
    whole = x.trunc()
    return torch.where((x - whole).abs() >= 0.5, whole + x.sign(), whole)


def bin_edges(
    low: Tensor, high: Tensor, bins: int, cells: int
) -> tuple[Tensor, Tensor]:
    """First and last cell (half-open) of every bin along one axis of a region.

    low, high: (R,) the region's first and last cell, whole numbers, the last included.
    The region is cut into `bins` parts, and each is widened to whole cells: neighbours
    may share one. Returns two int64 (R, bins), clamped to 0..cells.
    Source: Fast R-CNN, Girshick 2015, section 2.1. Lesson 06.
    """
    step = (high - low + 1).clamp(min=1) / bins  # (R,) cells in a bin
    number = torch.arange(bins, dtype=low.dtype, device=low.device)
    start = (number * step[:, None]).floor() + low[:, None]
    stop = ((number + 1) * step[:, None]).ceil() + low[:, None]
    return start.clamp(0, cells).long(), stop.clamp(0, cells).long()


@njit(parallel=True)
def pool_bins(features, image, top, bottom, left, right):
    """Largest value of each bin and channel, and the cell where it stands.

    features (B, H, W, C); image (R,); top, bottom (R, P); left, right (R, Q), half-open
    -> values (R, P, Q, C), cells (R, P, Q, C) int32, row * W + column, -1 where a bin
    is empty; its value is 0. Lesson 06.
    """
    width, channels = features.shape[2:]
    shape = len(image), top.shape[1], left.shape[1], channels
    values, cells = np.zeros(shape, features.dtype), np.empty(shape, np.int32)
    for r in prange(len(image)):
        for p in range(top.shape[1]):
            for q in range(left.shape[1]):
                value, cell = values[r, p, q], cells[r, p, q]
                cell[:] = -1
                if top[r, p] < bottom[r, p] and left[r, q] < right[r, q]:
                    value[:] = -np.inf
                for y in range(top[r, p], bottom[r, p]):
                    for x in range(left[r, q], right[r, q]):
                        here = features[image[r], y, x]
                        for c in range(channels):
                            if here[c] > value[c]:
                                value[c], cell[c] = here[c], y * width + x
    return values, cells


@njit(parallel=True)
def scatter_bins(gradient, cells, image, out, parts):
    """Add each bin's gradient to the cell that it was read from.

    gradient, cells (R, P, Q, C); image (R,); out (B, H * W, C), added to. The channels
    are done in `parts` at a time: no two threads write the same number. Lesson 06.
    """
    regions, height, width, channels = cells.shape
    for part in prange(parts):
        low, high = part * channels // parts, (part + 1) * channels // parts
        for r in range(regions):
            for p in range(height):
                for q in range(width):
                    for c in range(low, high):
                        cell = cells[r, p, q, c]
                        if cell >= 0:
                            out[image[r], cell, c] += gradient[r, p, q, c]


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision as float32: places in pixels need its digits, numba knows it."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


class MaxOverBins(torch.autograd.Function):
    """`pool_bins` with its gradient, on any device and in any precision. Lesson 06."""

    @staticmethod
    def forward(ctx, features: Tensor, *bins: Tensor) -> Tensor:
        maps = at_least_float32(features.detach().cpu())
        last = maps.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C)
        arrays = [b.cpu().numpy() for b in bins]
        values, cells = pool_bins(last.numpy(), *arrays)
        ctx.cells, ctx.image, ctx.shape = cells, arrays[0], last.shape
        values = torch.from_numpy(values).to(features)
        return values.permute(0, 3, 1, 2)  # (R, C, P, Q)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        b, h, w, c = ctx.shape
        rows = at_least_float32(gradient.detach().cpu())
        rows = rows.permute(0, 2, 3, 1).contiguous()
        out = torch.zeros(b, h * w, c, dtype=rows.dtype)
        arrays = rows.numpy(), ctx.cells, ctx.image, out.numpy()
        scatter_bins(*arrays, get_num_threads())
        out = out.view(b, h, w, c).permute(0, 3, 1, 2).to(gradient)
        return out, None, None, None, None, None


def image_of_each(parts: list[Tensor]) -> Tensor:
    """The number of its image for each region of a list: (R,) int64. Lesson 06."""
    counts = torch.tensor([len(part) for part in parts], dtype=torch.int64)
    return torch.arange(len(parts)).repeat_interleave(counts)


def roi_pool(
    features: Tensor,
    regions: list[Tensor] | Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
) -> Tensor:
    """RoI max pooling: the largest value in each bin of each region.

    features (B, C, H, W); regions: see `split_regions`, pixels of the image;
    output_size: P or (P, Q); spatial_scale: cells in a pixel, 1 / stride. Returns
    (R, C, P, Q). The corners of a region are rounded to cells, halves away from zero,
    and the last cell is included. A bin off the map gives 0. Computed on the CPU, the
    result is on the device of `features`.
    Source: Fast R-CNN, Girshick 2015, section 2.1. Lesson 06.
    """
    p, q = as_pair(output_size)
    parts, order = split_regions(regions, len(features))
    x1, y1, x2, y2 = round_half_away(torch.cat(parts).float() * spatial_scale).unbind(1)
    rows = bin_edges(y1, y2, p, features.shape[2])
    columns = bin_edges(x1, x2, q, features.shape[3])
    pooled = MaxOverBins.apply(features, image_of_each(parts), *rows, *columns)
    return reorder(pooled, order)


def reorder(values: Tensor, order: Tensor | None) -> Tensor:
    """Undo the order of `split_regions`."""
    return values if order is None else values[order.argsort().to(values.device)]


def sample_points(
    low: Tensor, size: Tensor, bins: int, samples: int
) -> tuple[Tensor, Tensor]:
    """Where each bin of a region takes its samples, along one axis.

    low, size: (R,) where the region begins and how long it is, in cells. Each of `bins`
    parts has `samples` points, evenly spaced (-1: as many as it covers cells, rounded
    up). Returns points (R, bins, S), and (R,) how many of the S count. Lesson 06.
    """
    step = size / bins  # (R,)
    count = torch.full_like(step, samples) if samples > 0 else step.ceil().clamp(min=0)
    most = max(int(count.max()), 1) if len(count) else 1
    number = torch.arange(most, device=low.device)
    place = (number + 0.5) / count.clamp(min=1)[:, None]  # (R, S), parts of a bin
    place = torch.arange(bins, device=low.device)[:, None] + place[:, None]
    return low[:, None, None] + place * step[:, None, None], count


def sampling_matrix(
    low: Tensor, high: Tensor, bins: int, cells: int, samples: int, aligned: bool = True
) -> Tensor:
    """Bilinear interpolation along one axis of each region, as a matrix.

    low, high: (R,) the region's ends in cells; bins, samples: see `sample_points`;
    aligned: the value of cell i stands at i + 0.5. Returns (R, bins, cells): row p
    holds the weights of all cells in bin p, the mean over its points. A point more than
    one cell off the map weighs nothing.
    Source: Mask R-CNN, He et al. 2017, section 3 (RoIAlign). Lesson 06.
    """
    if aligned:
        low, high = low - 0.5, high - 0.5
    size = high - low if aligned else (high - low).clamp(min=1)
    point, count = sample_points(low, size, bins, samples)  # (R, bins, S)
    number = torch.arange(point.shape[2], device=low.device)
    real = (point >= -1) & (point <= cells) & (number < count[:, None, None])
    point = point.clamp(0, cells - 1)  # beyond the last cell stands its value
    cell = torch.arange(cells, device=low.device)
    hat = (1 - (point[..., None] - cell).abs()).clamp(min=0)  # (R, bins, S, cells)
    return (hat * real[..., None]).sum(2) / count.clamp(min=1)[:, None, None]


def align_by_matrices(
    features: Tensor, rows: Tensor, columns: Tensor, counts: list[int]
) -> Tensor:
    """RoIAlign as A F B^T: two products of matrices for each region.

    features (B, C, H, W); rows A (R, P, H) and columns B (R, Q, W), see
    `sampling_matrix`; counts: regions of each image. Returns (R, C, P, Q), on any
    device. Source: Mask R-CNN, He et al. 2017, section 3. Lesson 06.
    """
    channels, height = features.shape[1:3]
    p, q, out = rows.shape[1], columns.shape[1], []
    for each, high, wide in zip(features, rows.split(counts), columns.split(counts)):
        # 64 regions at a time stay in the processor's cache
        for a, b in zip(high.split(64), wide.split(64)):
            x = b.flatten(0, 1) @ each.permute(1, 2, 0)  # (H, R Q, C): F B^T
            x = x.view(height, len(a), q * channels).transpose(0, 1)
            x = (a @ x).view(len(a), p, q, channels)  # (R, P, Q, C): A F B^T
            out.append(x.permute(0, 3, 1, 2))
    return torch.cat(out)


def roi_align(
    features: Tensor,
    regions: list[Tensor] | Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 2,
    aligned: bool = True,
) -> Tensor:
    """RoIAlign: bilinear samples of each region, nothing rounded, on any device.

    Arguments as in `roi_pool`; sampling_ratio: points along a bin's side, -1 as many as
    the bin has cells; aligned: see `sampling_matrix`. Returns (R, C, P, Q).
    Source: Mask R-CNN, He et al. 2017, section 3. Lesson 06.
    """
    p, q = as_pair(output_size)
    parts, order = split_regions(regions, len(features))
    given, features = features, at_least_float32(features)
    x1, y1, x2, y2 = (torch.cat(parts).to(features) * spatial_scale).unbind(1)
    settings = sampling_ratio, aligned
    rows = sampling_matrix(y1, y2, p, features.shape[2], *settings)  # (R, P, H)
    columns = sampling_matrix(x1, x2, q, features.shape[3], *settings)  # (R, Q, W)
    # On the CPU the cells that weigh nothing are left out, see `align_by_cells`.
    sparse = features.device.type == "cpu" and not rows.requires_grad
    form = align_by_cells if sparse else align_by_matrices
    out = form(features, rows, columns, [len(part) for part in parts])
    return reorder(out.to(given.dtype), order)
