"""Checks of the exercises of lesson 03."""

import functools
import math
import random

import torch

from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation.proposal_recall import proposal_recall
from course_utils.lessons.checks import attempted, exercise, written
from course_utils.lessons.checks.written import numbers, same
from course_utils.ops.boxes import box_iou
from course_utils.proposals.selective_search import dataset_proposals

# Of exercise 03.4: scenes of val, the recall that is asked for, and the steps.
VAL_SCENES, WANTED, STEP = 60, 0.95, 10


def pyramid(
    height, width, side, step, factors, grow=True, last=1, scale=1, axes=(0, 1, 2, 3)
):
    """The windows; the further settings are typical mistakes."""
    windows = []
    for f in factors:
        h, w = (int(v / f) if grow else int(v * f) for v in (height, width))
        for y in range(0, h - side + last, step):
            for x in range(0, w - side + last, step):
                box = [x, y, x + side, y + side]
                windows.append([box[i] * (f if scale else 1) for i in axes])
    return torch.tensor(windows, dtype=torch.float32).reshape(-1, 4)


def pyramid_windows(height, width, side, step, factors):
    return pyramid(height, width, side, step, factors)


def corners_alone(height, width, side, step, factors):
    boxes = pyramid(height, width, side, step, factors)
    return torch.cat([boxes[:, :2], boxes[:, :2] + side], 1)


def xywh(height, width, side, step, factors):
    boxes = pyramid(height, width, side, step, factors)
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)


def steps_of_the_image(height, width, side, step, factors):
    parts = [pyramid(height, width, side, int(step * f), [f]) for f in factors]
    return torch.cat([*parts, torch.zeros(0, 4)])


def one_factor(height, width, side, step, factors):
    return pyramid(height, width, side, step, factors[:1])


def in_any_order(got, want, *_):
    """Whether two sets of boxes hold the same."""
    a, b = numbers(got), numbers(want)
    if a is None or a.numel() != b.numel():
        return False
    a, b = (v.reshape(-1, 4).tolist() for v in (a, b))
    return same(sorted(a), sorted(b))


def an_image():
    factors = random.sample([1, 1.25, 1.5, 2, 3], random.randint(1, 3))
    size = random.randint(23, 60), random.randint(23, 60)
    return (*size, random.randint(5, 12), random.randint(2, 6), sorted(factors))


written(
    "03.1 pyramid of windows",
    pyramid_windows,
    an_image,
    edges={
        "a window that ends at the border": (12, 16, 8, 4, [1]),
        "an image halved, in which two windows fit": (16, 24, 8, 4, [2]),
        "an image too small for a window": (7, 30, 8, 2, [1, 2]),
        "a window as large as the image": (9, 9, 9, 4, [1]),
    },
    mistakes=[
        (
            functools.partial(pyramid, scale=0),
            "these are pixels of the shrunk image: multiply all four by the factor",
        ),
        (
            functools.partial(pyramid, grow=False),
            "a factor of 2 makes the image half as large: divide its size",
        ),
        (
            functools.partial(pyramid, last=0),
            "a window that ends exactly at the border fits, too: range leaves out its"
            " end, so add 1",
        ),
        (
            lambda h, w, s, t, f: pyramid(h + s, w + s, s, t, f, last=0),
            "windows must end inside of the image: the last starts at size - side",
        ),
        (
            functools.partial(pyramid, axes=(1, 0, 3, 2)),
            "x and y are swapped: x runs over the width and comes first",
        ),
        (xywh, "that is x, y, width, height; the course wants x1, y1, x2, y2"),
        (corners_alone, "the window grows with the factor: scale its side as well"),
        (steps_of_the_image, "the step is in pixels of the shrunk image already"),
        (one_factor, "go through all factors, not only the first"),
    ],
    accept=in_any_order,
)


def recalls(proposals, objects, most, ious):
    best = box_iou(proposals[:most], objects)
    best = torch.cat([best, torch.zeros(1, len(objects))]).max(0).values
    return (best[:, None] >= torch.tensor(ious, dtype=best.dtype)).float(), best


def average_recall(proposals, objects, most, iou_thresholds):
    if len(objects) == 0:
        return math.nan
    return recalls(proposals, objects, most, iou_thresholds)[0].mean()


def strictly(proposals, objects, most, ious):
    best = recalls(proposals, objects, most, ious)[1]
    return (best[:, None] > torch.tensor(ious)).float().mean()


def pairs(proposals, objects, most, ious):
    iou = box_iou(proposals[:most], objects)
    return sum((iou >= t).sum() / len(objects) for t in ious) / len(ious)


def of_proposals(proposals, objects, most, ious):
    best = box_iou(proposals[:most], objects).max(1).values
    return (best[:, None] >= torch.tensor(ious)).float().mean()


def last_proposals(proposals, objects, most, ious):
    return average_recall(proposals[-most:], objects, most, ious)


def some_proposals():
    corner = torch.randint(0, 40, (random.randint(2, 6), 2)).float()
    size = torch.randint(8, 30, (len(corner), 2)).float()
    objects = torch.cat([corner, corner + size], 1)
    near = objects.repeat(3, 1) + torch.randint(-5, 6, (3 * len(objects), 4))
    near[:, 2:] = torch.maximum(near[:, 2:], near[:, :2] + 1)
    near = near[torch.randperm(len(near))]
    limits = sorted(random.sample([0.41, 0.53, 0.61, 0.68, 0.77, 0.86], 3))
    return near, objects, random.randint(2, len(near) - 1), limits


HALF = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 10, 5]])

written(
    "03.2 average recall",
    average_recall,
    some_proposals,
    edges={
        "an IoU equal to the threshold": (HALF[1], HALF[0], 1, [0.5, 0.75]),
        "two proposals on one of two objects": (
            torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]]),
            torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]]),
            2,
            [0.5, 0.7],
        ),
        "no proposal": (torch.zeros(0, 4), HALF[0], 3, [0.5]),
        "no object": (HALF[0], torch.zeros(0, 4), 3, [0.5]),
    },
    mistakes=[
        (strictly, "an IoU equal to the threshold counts as found: use >="),
        (pairs, "count objects, not pairs: several proposals may hit one object"),
        (of_proposals, "ask it of each object, not of each proposal"),
        (
            lambda p, o, most, ious: average_recall(p, o, None, ious),
            "only the first `most` proposals may be looked at",
        ),
        (last_proposals, "the best proposals come first: [:most], not [-most:]"),
        (
            lambda p, o, most, ious: recalls(p, o, most, ious)[1].mean(),
            "that is the mean best overlap; ask which objects reach each threshold",
        ),
        (
            lambda p, o, most, ious: recalls(p, o, most, ious)[0].sum(),
            "that is a count; divide by objects and by thresholds",
        ),
        (
            lambda p, o, most, ious: recalls(p, o, most, ious)[0].sum(0).mean(),
            "divide by the number of objects",
        ),
        (
            lambda p, o, most, ious: recalls(p, o, most, ious)[0].mean(0).sum(),
            "that is the sum over the thresholds; take their mean",
        ),
        (
            lambda p, o, most, ious: recalls(p, o, most, ious[:1])[0].mean(),
            "that is the recall at the first threshold; take the mean over all",
        ),
    ],
)


@functools.cache
def val_recalls():
    """{number of proposals: recall at IoU 0.5} on the scenes of exercise 03.4."""
    data = VOCDataset(find_data("tabletop"), "val", first=VAL_SCENES)
    targets = [data.target(i) for i in range(len(data))]
    proposals = dataset_proposals(data, 200)
    counts = range(STEP, 201, STEP)
    return {n: proposal_recall(proposals, targets, n)[0.5] for n in counts}


@exercise("03.4 how many proposals")
def how_many_proposals(answer):
    given = numbers(attempted(answer))
    if given is None or given.numel() != 1:
        return "the answer is one number"
    table, count = val_recalls(), float(given)
    if count not in table:
        return f"give a multiple of {STEP}, from {STEP} to 200"
    enough = [n for n, recall in table.items() if recall >= WANTED]
    if table[int(count)] < WANTED:
        return f"{count:g} proposals find {table[int(count)]:.3f} of the objects only"
    if count > enough[0]:
        return "the recall is reached, but fewer proposals reach it, too"
