"""Checks of the exercises of lesson 12."""

import random

import torch

from course_utils.lessons.checks import written

SIDE = 384


def from_square(box, height, width):
    return box * torch.tensor([width, height, width, height]) / SIDE


def a_box_in_the_square():
    low = torch.rand(2) * 200
    box = torch.cat([low, low + 5 + torch.rand(2) * 170])
    height, width = random.sample(range(150, 700), 2)
    return box, height, width


def scaled(factors):
    """A wrong answer: the box times other factors, from (height, width)."""
    return lambda box, height, width: box * torch.tensor(factors(height, width))


written(
    "12.1 from the square",
    from_square,
    a_box_in_the_square,
    edges={
        "96, 192, 288, 384 in a photograph of 300 x 500": (
            torch.tensor([96.0, 192, 288, 384]),
            300,
            500,
        ),
        "the whole square": (torch.tensor([0.0, 0, 384, 384]), 375, 500),
        "a photograph of 384 x 384": (torch.tensor([10.0, 20, 30, 50]), 384, 384),
        "a photograph smaller than the square": (torch.tensor([8.0, 4, 9, 7]), 90, 120),
    },
    mistakes=[
        (scaled(lambda h, w: [h / SIDE, w / SIDE] * 2), "height and width are swapped:"
         " x goes with the width"),
        (scaled(lambda h, w: [SIDE / w, SIDE / h] * 2), "that goes into the square, not"
         " back"),
        (scaled(lambda h, w: [w / SIDE, h / SIDE, 1, 1]), "scale the lower right corner"
         " too"),
        (scaled(lambda h, w: [max(h, w) / SIDE] * 4), "the square was not padded: x and"
         " y have a scale each"),
        (scaled(lambda h, w: [w / SIDE] * 4), "y goes with the height"),
        (scaled(lambda h, w: [h / SIDE] * 4), "x goes with the width"),
        (scaled(lambda h, w: [1 / SIDE] * 4), "those are parts of the picture; multiply"
         " by its width and height"),
        (scaled(lambda h, w: [w, h, w, h]), "divide by the square's side, 384"),
        (scaled(lambda h, w: [w / 224, h / 224] * 2), "the square's side is 384"),
        (lambda box, h, w: from_square(box, h, w).round(), "do not round: boxes are not"
         " whole pixels"),
        (lambda box, h, w: from_square(torch.stack([box[0], box[1], box[2] - box[0],
         box[3] - box[1]]), h, w), "return x1, y1, x2, y2, not width and height"),
    ],
)  # fmt: skip


written(
    "12.2 cache or not",
    lambda photographs, passes, backbone, disk: (
        photographs * passes * backbone,
        photographs * (backbone + disk + passes * disk),
    ),
    lambda: (
        random.randint(2, 5000),
        random.randint(2, 20),
        random.uniform(0.01, 0.2),
        random.uniform(0.001, 0.02),
    ),
    edges={
        "1,000 photographs, 5 passes, 0.03 s and 0.002 s": (1000, 5, 0.03, 0.002),
        "one pass": (100, 1, 0.03, 0.002),
        "one photograph": (1, 7, 0.03, 0.002),
        "no photographs": (0, 5, 0.03, 0.002),
    },
    mistakes=[
        (lambda n, p, t, d: (n * (t + d * (p + 1)), n * p * t), "the two are swapped:"
         " without a cache first"),
        (lambda n, p, t, d: (n * p * t, n * (t + p * d)), "writing takes time as well"
         " as reading"),
        (lambda n, p, t, d: (n * p * t, n * t), "add the disk: one writing and a"
         " reading in each pass"),
        (lambda n, p, t, d: (n * p * t, n * (t + d)), "the maps are read in each pass,"
         " and written once"),
        (lambda n, p, t, d: (n * p * t, n * (t + 2 * d)), "the maps are read in each"
         " pass, not once"),
        (lambda n, p, t, d: (n * p * t, n * (t + 2 * p * d)), "the maps are written"
         " once, not in each pass"),
        (lambda n, p, t, d: (n * t, n * (t + (p + 1) * d)), "without a cache the"
         " backbone runs in each pass"),
        (lambda n, p, t, d: (n * p * (t + d), n * (t + (p + 1) * d)), "without a cache"
         " nothing is written or read"),
        (lambda n, p, t, d: (n * p * t, n * p * (t + d)), "with a cache each photograph"
         " goes through the backbone once"),
        (lambda n, p, t, d: (p * t, t + (p + 1) * d), "that is one photograph; multiply"
         " by their number"),
        (lambda n, p, t, d: (n * p * t, t + n * (p + 1) * d), "each photograph goes"
         " through the backbone once: multiply its seconds too"),
    ],
    tolerance=1e-6,
)  # fmt: skip


KINDS = ("right", "twice", "class", "place", "background", "missed")


def shares(total):
    detections = sum(total[kind] for kind in KINDS[:-1])
    return total["right"] / (total["right"] + total["missed"]), (
        total["right"] / detections
    )


def some_totals():
    return ({kind: random.randint(1, 90) for kind in KINDS},)


def shares_of(objects, detections):
    """A wrong answer: the kinds that are counted below the two fractions."""
    return lambda total: (
        total["right"] / max(1, sum(total[kind] for kind in objects)),
        total["right"] / max(1, sum(total[kind] for kind in detections)),
    )


OBJECTS, DETECTIONS = ("right", "missed"), KINDS[:-1]
TOTAL = dict(zip(KINDS, (60, 5, 10, 15, 10, 90)))

written(
    "12.3 what to work on",
    shares,
    some_totals,
    edges={
        f"{TOTAL}": (TOTAL,),
        "a detector that is always right": (dict(zip(KINDS, (7, 0, 0, 0, 0, 0))),),
        "a detector that is never right": (dict(zip(KINDS, (0, 0, 1, 2, 3, 4))),),
        "no object missed": (dict(zip(KINDS, (5, 2, 0, 1, 0, 0))),),
    },
    mistakes=[
        (lambda total: shares(total)[::-1], "the two are swapped: objects found first"),
        (shares_of(OBJECTS, KINDS), "missed objects are no detections: leave them out"
         " of the second"),
        (shares_of(KINDS, DETECTIONS), "of the objects: right and missed only"),
        (shares_of(OBJECTS, ("right", "class", "place", "background")), "an object"
         " found twice is a wrong detection too"),
        (lambda total: (shares(total)[0], shares(total)[1] + total["twice"]
         / sum(total[k] for k in DETECTIONS)), "the second finding of an object is not"
         " right"),
        (shares_of(OBJECTS, ("twice", "class", "place", "background")), "the right ones"
         " are detections, too: divide by all of them"),
        (shares_of(("missed",), DETECTIONS), "divide by all objects, found or missed"),
        (shares_of(OBJECTS, ("right", "background")), "all that the detector said"
         " counts: right, twice, class, place and background"),
        (shares_of((*OBJECTS, "place"), DETECTIONS), "a badly placed box is a"
         " detection, no object: its object counts as missed already"),
        (lambda total: tuple(100 * share for share in shares(total)), "give shares from"
         " 0 to 1, not per cent"),
        (lambda total: tuple(1 - share for share in shares(total)), "the shares that"
         " are found and right, not the others"),
    ],
)  # fmt: skip
