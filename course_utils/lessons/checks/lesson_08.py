"""Checks of the exercises of lesson 08."""

import random

import torch

from course_utils.lessons.checks import as_tensor, exercise, written
from course_utils.ops.boxes import box_iou, clip_boxes


def label_anchors(ious, positive, negative):
    rows = ious.tolist()
    labels = [
        1 if max(row, default=0) >= positive else -int(max(row, default=0) >= negative)
        for row in rows
    ]
    for column in range(ious.shape[1]):
        best = max((row[column] for row in rows), default=0)
        for n, row in enumerate(rows):
            if row[column] == best > 0:
                labels[n] = 1
    return torch.tensor(labels, dtype=torch.int64)


def anchors_and_objects():
    shape = random.randint(2, 12), random.randint(1, 4)
    scale = random.choice((17, 13, 7))  # objects that many, few or no anchors reach
    ious = torch.randint(0, scale, shape) * (torch.rand(shape) < 0.7) / 16
    return ious, random.choice((10, 11, 12)) / 16, random.choice((3, 4, 5)) / 16


def limits(ious, positive, negative):
    """The labels without the rule of the best anchor."""
    best = ious.max(1).values
    return torch.where(best >= positive, 1, torch.where(best < negative, 0, -1))


def forced(chosen, labels=limits, least=None):
    """A wrong answer: other best anchors, or other labels for the rest."""

    def answer(ious, positive, negative):
        found = labels(ious, positive, negative)
        best = chosen(ious) & (ious > 0 if least is None else ious >= least(negative))
        found[best.any(1)] = 1
        return found

    return answer


def all_best(ious):
    return ious == ious.max(0).values


def first_best(ious):
    return torch.zeros_like(ious).scatter(0, ious.argmax(0, keepdim=True), 1) > 0


def background_last(ious, positive, negative):
    labels = forced(all_best)(ious, positive, negative)
    labels[ious.max(1).values < negative] = 0
    return labels


def untouched_too(ious, positive, negative):
    labels = limits(ious, positive, negative)
    labels[all_best(ious).any(1)] = 1
    return labels


def of_its_first_object(ious, positive, negative):
    return forced(all_best, lambda i, p, n: limits(i[:, :1], p, n))(
        ious, positive, negative
    )


written(
    "08.1 label anchors",
    label_anchors,
    anchors_and_objects,
    edges={
        "IoUs [0.8, 0], [0.5, 0.1], [0.2, 0.6], [0.1, 0.4], [0, 0], limits 0.7, 0.3": (
            torch.tensor([[0.8, 0], [0.5, 0.1], [0.2, 0.6], [0.1, 0.4], [0, 0]]),
            0.7,
            0.3,
        ),
        "an object whose best anchor has an IoU of 0.2": (
            torch.tensor([[0.8, 0.1], [0.1, 0.2], [0.1, 0.0]]), 0.7, 0.3),
        "an object whose best anchor, IoU 0.2, overlaps another one by 0.5": (
            torch.tensor([[0.8, 0.1], [0.5, 0.2], [0.1, 0.0]]), 0.7, 0.3),
        "an object that no anchor touches": (
            torch.tensor([[0.8, 0.0], [0.1, 0.0]]), 0.7, 0.3),
        "two best anchors with one IoU": (
            torch.tensor([[0.5], [0.5], [0.4]]), 0.7, 0.3),
        "an IoU of just the upper limit": (torch.tensor([[0.75], [0.9]]), 0.75, 0.25),
        "an IoU of just the lower limit": (torch.tensor([[0.25], [0.9]]), 0.75, 0.25),
        "a picture without objects, G = 0": (torch.zeros(3, 0), 0.7, 0.3),
        "no anchors, N = 0": (torch.zeros(0, 2), 0.7, 0.3),
    },
    mistakes=[
        (limits, "an object may have no anchor above the limit: the best one of each"
         " object is positive, too"),
        (forced(all_best, lambda i, p, n: limits(i, p, p)), "between the limits an"
         " anchor is ignored: -1"),
        (lambda i, p, n: limits(i, p, p), "between the limits -1, and the best of each"
         " object is 1"),
        (forced(all_best, lambda i, p, n: limits(i, n, n)), "positive from the upper"
         " limit on, not from the lower one"),
        (background_last, "the best anchor of an object is positive even below the"
         " lower limit: let that rule come last"),
        (untouched_too, "an object that no anchor touches (IoU 0 with all) makes none"
         " positive"),
        (forced(first_best), "several anchors may be the best of an object, with equal"
         " IoUs: all of them are positive"),
        (forced(all_best, least=lambda negative: negative), "the best anchor of an"
         " object is positive if they touch at all, not from the lower limit on"),
        (forced(all_best, lambda i, p, n: limits(i, p + 1e-5, n)), "exactly the upper"
         " limit is positive: use >="),
        (forced(all_best, lambda i, p, n: limits(i, p, n + 1e-5)), "exactly the lower"
         " limit is no background: use <"),
        (forced(lambda i: i == i.max()), "each object has a best anchor, not only all"
         " of them together"),
        (of_its_first_object, "an anchor's label goes by the object that it overlaps"
         " most"),
        (forced(all_best, lambda i, p, n: -limits(i, p, n).abs() + 1
         - (limits(i, p, n) == 0).int()), "-1 and 0 are mixed up"),
        (forced(all_best), "without objects (G = 0) all anchors are background"),
    ],
)  # fmt: skip


def propose(objectness, boxes, size, pre_nms_top_n, post_nms_top_n, nms_iou):
    return pick(objectness, boxes, size, pre_nms_top_n, post_nms_top_n, nms_iou)


def pick(scores, boxes, size, first, last, limit, **fault):
    """The right proposals, or with a `fault` by name those of a wrong answer."""
    order = scores.argsort(descending="worst" not in fault)
    order = order if "all" in fault else order[:first]
    found = boxes[order]
    if "raw" not in fault:
        found = clip_boxes(found, size[::-1] if "swapped" in fault else size)
    if "small" not in fault:
        sides = found[:, 2:] - found[:, :2]
        enough = (sides >= 1).any(1) if "either" in fault else (sides >= 1).all(1)
        found = found[enough]
    if "early" in fault:
        found = found[:last]
    ious, kept = box_iou(found, found), []
    for n in range(len(found)):
        compared = (
            kept[:1] if "best" in fault else kept[-1:] if "one" in fault else kept
        )
        near = ious[n, compared]
        if "suppressed" in fault:
            near = ious[n, :n]
        hit = near >= limit if "equal" in fault else near > limit
        hit = near < limit if "far" in fault else hit
        if "copies" in fault or not hit.any():
            kept.append(n)
    return found[kept] if "endless" in fault else found[kept][:last]


def fault(name):
    return lambda *given: pick(*given, **{name: True})


def crowd():
    """Boxes in heaps, some over the border, some thin; scores without ties."""
    count = random.randint(8, 26)
    height, width = random.randint(30, 60), random.randint(70, 110)
    size = torch.tensor([width, height]).float()
    heaps = torch.rand(3, 2) * size
    center = heaps[torch.randint(3, (count,))] + 3 * torch.randn(count, 2)
    center = torch.where(torch.rand(count, 1) < 0.1, center + size, center)
    sides = torch.tensor([22.3, 14.7]) * (0.3 * torch.randn(count, 2)).exp()
    sides = torch.where(torch.rand(count, 2) < 0.08, sides / 40, sides)
    boxes = torch.cat([center - sides / 2, center + sides / 2], 1)
    limits = random.randint(6, 25), random.randint(3, 12), random.choice((0.3, 0.5))
    return torch.randn(count), boxes, (height, width), *limits


def row(*boxes):
    return torch.tensor(boxes).float()


COPIES = row((0, 0, 10, 10), (1, 0, 11, 10), (30, 0, 40, 10), (2, 0, 12, 10))

written(
    "08.2 filter proposals",
    propose,
    crowd,
    edges={
        "three near copies and one box apart, limit 0.7": (
            torch.tensor([0.5, 2.0, -1.0, 0.1]), COPIES, (20, 50), 10, 10, 0.7),
        "a limit of 2 proposals": (
            torch.tensor([0.5, 2.0, -1.0, 0.1]), COPIES, (20, 50), 10, 2, 0.3),
        "the best 2 before NMS": (
            torch.tensor([0.5, 2.0, -1.0, 0.1]), COPIES, (20, 50), 2, 10, 0.7),
        "a chain of three boxes, limit 0.3": (
            torch.tensor([3.0, 2.0, 1.0]),
            row((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)), (20, 50), 5, 5, 0.3),
        "an IoU of just the limit": (
            torch.tensor([3.0, 1.0]), row((0, 0, 10, 10), (0, 0, 10, 5)), (20, 50),
            5, 5, 0.5),
        "boxes over the border, one of them outside": (
            torch.tensor([1.0, 2.0, 3.0]),
            row((-5, -5, 10, 10), (40, 10, 60, 30), (55, 2, 70, 9)),
            (20, 50), 5, 5, 0.5),
        "a box of half a pixel, and one of just a pixel": (
            torch.tensor([2.0, 1.0, 0.0]),
            row((3, 3, 3.5, 12), (5, 3, 6, 12), (20, 3, 30, 3.5)), (20, 50), 5, 5, 0.5),
        "no boxes": (torch.zeros(0), torch.zeros(0, 4), (20, 50), 5, 5, 0.5),
    },
    mistakes=[
        (fault("worst"), "the box with the highest objectness comes first: sort in"
         " descending order"),
        (fault("all"), "only the best `pre_nms_top_n` boxes go on"),
        (fault("raw"), "clip the boxes to the image"),
        (fault("swapped"), "size is (height, width), as `clip_boxes` takes it"),
        (fault("small"), "drop boxes with less than one pixel of width or height after"
         " clipping"),
        (fault("either"), "both sides of a box must have at least one pixel"),
        (fault("early"), "`post_nms_top_n` counts the boxes that NMS leaves: apply it"
         " last"),
        (fault("copies"), "near copies are left: run NMS"),
        (fault("best"), "compare a box with every kept one, not only with the best"),
        (fault("one"), "compare a box with every kept one, not only with the last"),
        (fault("suppressed"), "a box that was dropped drops no other: compare with the"
         " kept ones only"),
        (fault("equal"), "a box is dropped where the IoU is greater than the limit; at"
         " the limit itself it stays"),
        (fault("far"), "the other way round: drop what overlaps a kept box by more than"
         " the limit"),
        (fault("endless"), "stop at `post_nms_top_n` boxes"),
        (lambda scores, *given: pick(scores, *given)[:, [1, 0, 3, 2]],
         "a box is x1, y1, x2, y2"),
    ],
)  # fmt: skip

LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9)  # that the question asks about


@exercise("08.4 decide the limit of NMS")
def decide_the_limit(answer):
    value = as_tensor(answer)
    if value.numel() != 1:
        return "give one number"
    value = round(float(value), 3)
    if value not in LIMITS:
        return f"give one of {', '.join(map(str, LIMITS))}"
    if value == 0.6:
        return "near, but another limit finds more: measure with all five"
    if value < 0.6:
        return (
            "at this limit one box stays of each heap, and too often not the one that"
            " fits: measure recall at IoU 0.7 of the first 20 proposals"
        )
    if value > 0.7:
        return (
            "the 20 proposals are spent on copies of the same objects: measure recall"
            " at IoU 0.7 of the first 20 proposals"
        )
