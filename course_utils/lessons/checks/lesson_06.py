"""Checks of the exercises of lesson 06."""

import functools
import random

import torch

from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.lessons.checks import as_tensor, exercise, written
from course_utils.ops.boxes import box_iou
from course_utils.ops.roi import round_half_away


def bilinear(grid, y, x):
    height, width = grid.shape
    total = 0.0
    for row in range(height):
        for column in range(width):
            share = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            total += share * grid[row, column].item()
    return total


def a_point():
    height, width = random.sample(range(2, 7), 2)
    y, x = random.random() * (height - 1), random.random() * (width - 1)
    return torch.rand(height, width) * 100, y, x


def of_four(grid, y, x, rows=None, columns=None, near=lambda share: share):
    """The usual way; `rows` and `columns` are the sizes that it believes in."""
    rows, columns = rows or grid.shape[0], columns or grid.shape[1]
    top, left = int(y), int(x)
    low, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    dy, dx = near(y - top), near(x - left)
    above = (1 - dx) * grid[top, left] + dx * grid[top, right]
    below = (1 - dx) * grid[low, left] + dx * grid[low, right]
    return (1 - dy) * above + dy * below


GRID = torch.tensor([[0.0, 10, 20, 35], [100, 110, 120, 170], [200, 210, 260, 280]])

written(
    "06.2 bilinear",
    bilinear,
    a_point,
    edges={
        "row 0.25, column 1.5 of a 3 x 4 map": (GRID, 0.25, 1.5),
        "the last cell, row 2, column 3 of a 3 x 4 map": (GRID, 2.0, 3.0),
        "a point on a cell, row 1, column 2": (GRID, 1.0, 2.0),
        "the last row": (GRID.T.clone(), 3.0, 0.5),
        "the last column": (GRID, 0.75, 3.0),
        "a map of one row": (GRID[:1].clone(), 0.0, 1.75),
        "a map of one cell": (GRID[:1, 1:2].clone(), 0.0, 0.0),
    },
    mistakes=[
        (lambda grid, y, x: bilinear(grid.T, y, x), "x and y are swapped: the first"
         " number is the row"),
        (lambda grid, y, x: grid[round(y), round(x)], "that is the nearest cell; take"
         " shares of four"),
        (lambda grid, y, x: grid[int(y), int(x)], "that is one cell; take shares of"
         " four"),
        (lambda grid, y, x: of_four(grid, y, x, near=lambda s: 1 - s), "the shares are"
         " swapped: a point nearer to a cell takes more of it"),
        (lambda grid, y, x: of_four(grid, y, x, 99, 99), "at the last cell there is no"
         " next one; take that cell itself"),
        (lambda grid, y, x: of_four(grid, y, x, *reversed(grid.shape)), "height and"
         " width are swapped: rows end at H, columns at W"),
        (lambda grid, y, x: of_four(grid, y, x, near=lambda s: 0.5), "that is the mean"
         " of the four cells; the nearer ones take more"),
        (lambda grid, y, x: of_four(grid, int(y), x), "it goes between columns only;"
         " rows have shares too"),
        (lambda grid, y, x: of_four(grid, y, int(x)), "it goes between rows only;"
         " columns have shares too"),
        (lambda grid, y, x: bilinear(grid, max(0, y - 0.5), max(0, x - 0.5)), "the"
         " value of cell i stands at i here, not at i + 0.5"),
    ],
    tolerance=1e-3,
)  # fmt: skip


def average_pool(features, top, bottom, left, right):
    out = torch.zeros(len(features), len(top), len(left))
    for p, (y1, y2) in enumerate(zip(top, bottom)):
        for q, (x1, x2) in enumerate(zip(left, right)):
            if y2 > y1 and x2 > x1:
                out[:, p, q] = features[:, y1:y2, x1:x2].mean((1, 2))
    return out


def a_region():
    """Bins of a region, some of them empty, some overlapping by a cell."""
    channels, (height, width) = random.randint(1, 3), random.sample(range(3, 10), 2)

    def bins(cells):
        edges = sorted(random.choices(range(cells + 1), k=random.randint(2, 5)))
        return edges[:-1], edges[1:]

    return torch.rand(channels, height, width) * 9 - 3, *bins(height), *bins(width)


def pooled(pool=lambda part: part.mean((1, 2)), empty=lambda rows, columns: True,
           end=0):  # fmt: skip
    """A wrong answer. pool: part (C, h, w) -> (C,); empty: which bins it looks at."""

    def answer(features, top, bottom, left, right):
        out = torch.zeros(len(features), len(top), len(left))
        for p, (y1, y2) in enumerate(zip(top, bottom)):
            for q, (x1, x2) in enumerate(zip(left, right)):
                if empty(y2 > y1, x2 > x1):
                    out[:, p, q] = pool(features[:, y1 : y2 + end, x1 : x2 + end])
        return out

    return answer


def filled(rows, columns):
    return rows and columns


FEATURES = torch.arange(24.0).view(2, 3, 4)

written(
    "06.1 average pooling",
    average_pool,
    a_region,
    edges={
        "rows 0:2, 1:3 and columns 0:2, 1:4 of a 3 x 4 map": (
            FEATURES, [0, 1], [2, 3], [0, 1], [2, 4]),
        "an empty column of bins, 4:4": (FEATURES, [0, 1], [2, 3], [0, 4], [2, 4]),
        "an empty row of bins, 1:1": (FEATURES, [0, 1, 1], [1, 1, 3], [0], [3]),
        "one bin of one cell": (FEATURES, [2], [3], [1], [2]),
        "all bins empty": (FEATURES, [1], [1], [2], [2]),
    },
    mistakes=[
        (pooled(lambda part: part.mean((1, 2))), "the mean of an empty bin is 0/0; give"
         " 0 there"),
        (pooled(lambda part: part.amax((1, 2)), filled), "that is the maximum; take the"
         " mean"),
        (pooled(lambda part: part.sum((1, 2))), "that is the sum; divide by the number"
         " of cells"),
        (pooled(empty=lambda rows, columns: columns), "a bin without rows is empty,"
         " too: give 0 there"),
        (pooled(empty=lambda rows, columns: rows), "a bin without columns is empty,"
         " too: give 0 there"),
        (pooled(lambda part: part.mean(), filled), "take the mean of each channel, not"
         " over channels"),
        (pooled(empty=filled, end=1), "the edges are half-open: bottom and right are"
         " not in the bin"),
        (pooled(lambda part: part.amin((1, 2)), filled), "that is the minimum; take the"
         " mean"),
        (lambda features, top, bottom, left, right: average_pool(
            features, left, right, top, bottom), "rows and columns are swapped: top and"
         " bottom cut the rows"),
        (lambda *args: average_pool(*args).transpose(1, 2), "the result is (C, P, Q):"
         " rows of bins before columns"),
        (lambda *args: average_pool(*args).sum(0), "each channel is pooled by itself:"
         " the result is (C, P, Q)"),
    ],
)  # fmt: skip


STRIDES = (2, 4, 8, 16, 32)
LEAST, SMALL = 0.6, 24  # mean IoU; pixels


@functools.cache
def small_boxes():
    """The ground-truth boxes of val whose area is below 24 x 24 pixels."""
    dataset = VOCDataset(find_data("tabletop"), "val")
    boxes = torch.cat([dataset.target(i)["boxes"] for i in range(len(dataset))])
    return boxes[(boxes[:, 2:] - boxes[:, :2]).prod(1) < SMALL**2]


def kept(stride):
    """Mean IoU of the small boxes with what RoI pooling takes for them."""
    cells = round_half_away(small_boxes() / stride)
    cells[:, 2:] += 1  # the last cell is included
    return float(box_iou(small_boxes(), cells * stride).diagonal().mean())


@exercise("06.4 decide: the stride")
def decide_the_stride(answer):
    stride = float(as_tensor(answer))
    if stride not in STRIDES:
        return f"one of the strides {', '.join(map(str, STRIDES))} is asked for"
    best = max(s for s in STRIDES if kept(s) >= LEAST)
    if stride > best:
        return (
            f"with stride {stride:.0f} the small boxes keep a mean IoU of"
            f" {kept(stride):.2f}, below {LEAST}: take a finer map (is the last cell"
            " included in your measurement?)"
        )
    if stride < best:
        return (
            f"stride {stride:.0f} keeps {kept(stride):.2f}, but a coarser map is enough"
            f" for {LEAST}, and has a quarter of the cells or less"
        )
