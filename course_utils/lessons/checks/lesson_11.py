"""Checks of the exercises of lesson 11."""

import math
import random

import torch

from course_utils.lessons.checks import written
from course_utils.lessons.checks.written import indices


def count_anchors(height, width, strides, shapes):
    return anchors(height, width, strides, shapes, lambda a, b: math.ceil(a / b))


def anchors(height, width, strides, shapes, cells):
    """The number of anchors, with another way to count `cells`."""
    return sum(cells(height, s) * cells(width, s) * n for s, n in zip(strides, shapes))


def maps_of_an_image():
    maps = random.randint(1, 4)
    strides = tuple(sorted(random.sample(range(3, 40), maps)))
    shapes = tuple(random.randint(2, 9) for _ in range(maps))
    return random.randint(40, 600), random.randint(40, 600), strides, shapes


written(
    "11.1 counting anchors",
    count_anchors,
    maps_of_an_image,
    edges={
        "180 x 240, strides 8, 16 and 9, 6 shapes": (180, 240, (8, 16), (9, 6)),
        "one map": (100, 70, (8,), (3,)),
        "whole cells only": (160, 320, (8, 16, 32), (4, 5, 6)),
        "an image smaller than a cell": (5, 7, (16,), (2,)),
        "no maps": (180, 240, (), ()),
    },
    mistakes=[
        (lambda h, w, s, n: anchors(h, w, s, n, lambda a, b: a // b), "the last row of"
         " cells hangs over: round up"),
        (lambda h, w, s, n: anchors(h, w, s, n, lambda a, b: a // b + 1), "where the"
         " cells end with the image there is none behind it: round up, do not add 1"),
        (lambda h, w, s, n: anchors(h, w, s, n, lambda a, b: round(a / b)), "a cell"
         " that hangs over counts, however far: round up"),
        (lambda h, w, s, n: anchors(h, w, s, n, lambda a, b: a / b), "cells are whole:"
         " round up"),
        (lambda h, w, s, n: count_anchors(h, w, s, [1] * len(s)), "those are the cells;"
         " each has several anchors"),
        (lambda h, w, s, n: count_anchors(h, w, s[:1], n), "that is the first map"
         " alone; add the others"),
        (lambda h, w, s, n: math.prod(count_anchors(h, w, [a], [b]) for a, b in
         zip(s, n)), "the maps add up, they do not multiply"),
        (lambda h, w, s, n: h * w * sum(n), "anchors stand at cells, not at pixels:"
         " divide by the stride"),
        (lambda h, w, s, n: count_anchors(h, w, s, [sum(n)] * len(s)), "each map has"
         " its own number of shapes"),
        (lambda h, w, s, n: count_anchors(h, w, s[::-1], n), "the first number of"
         " shapes goes with the first stride"),
        (lambda h, w, s, n: [count_anchors(h, w, [a], [b]) for a, b in zip(s, n)] or
         [0], "one number is asked for: add the maps up"),
    ],
    tolerance=1e-7,
)  # fmt: skip


written(
    "11.2 focal weight",
    lambda p, gamma: (1 - p) ** gamma,
    lambda: (random.uniform(0.02, 0.98), random.uniform(0.4, 4)),
    edges={
        "p = 0.9 and gamma = 2": (0.9, 2.0),
        "gamma = 0, plain cross-entropy": (0.3, 0.0),
        "a prediction that is sure and right, p = 1": (1.0, 2.0),
        "p = 0.5 and gamma = 0.5": (0.5, 0.5),
    },
    mistakes=[
        (lambda p, g: p**g, "that is p to the gamma: it keeps the easy ones and drops"
         " the hard ones"),
        (lambda p, g: 0.25 * (1 - p) ** g, "leave alpha out: only the factor that"
         " depends on how sure it is"),
        (lambda p, g: -((1 - p) ** g) * math.log(p), "leave the logarithm out: only the"
         " factor in front of it"),
        (lambda p, g: g * (1 - p), "gamma is an exponent, not a factor"),
        (lambda p, g: 1 - p**g, "take the power of 1 - p: the brackets are missing"),
        (lambda p, g: 1 - p, "that is gamma = 1; use gamma as the exponent"),
        (lambda p, g: (1 - p) ** 2, "use the given gamma, not always 2"),
        (lambda p, g: g ** (1 - p), "base and exponent are swapped"),
        (lambda p, g: -((1 - p) ** g), "the factor itself is positive; the minus"
         " belongs to the logarithm"),
        (lambda p, g: (1 - p) ** -g, "the factor must shrink as p grows: the exponent"
         " is +gamma"),
    ],
    tolerance=1e-5,
)  # fmt: skip


def hard_negatives(losses, positive, ratio):
    negatives = [i for i, p in enumerate(positive.tolist()) if not p]
    count = ratio * int(positive.sum())
    hardest = sorted(negatives, key=lambda i: -losses[i])[:count]
    return torch.tensor(hardest, dtype=torch.int64)


def losses_of_samples():
    count = random.randint(3, 14)
    losses = torch.randint(0, 20, (count,)) / 4  # ties
    return losses, torch.rand(count) < random.choice((0.2, 0.4)), random.randint(1, 3)


def as_hard(got, want, losses, positive, ratio):
    """Whether the right number of negatives is chosen, and none left out is harder."""
    got = indices(got)
    if len(got.unique()) != len(want) or len(got) != len(want) or positive[got].any():
        return False
    return torch.equal(losses[got].sort().values, losses[want].sort().values)


def hardest(key, count=lambda positive, ratio: ratio * int(positive.sum())):
    """A wrong answer: the first `count` by another `key` of (loss, positive)."""

    def answer(losses, positive, ratio):
        order = sorted(
            range(len(losses)), key=lambda i: -key(losses[i], bool(positive[i]))
        )
        return order[: count(positive, ratio)]

    return answer


def negatives_first(loss, positive):
    return -1 if positive else loss


def without_a_limit(losses, positive, ratio):
    return losses.masked_fill(positive, -1).topk(ratio * int(positive.sum())).indices


def among_the_negatives(losses, positive, ratio):
    negatives = losses[~positive]
    return negatives.topk(min(ratio * int(positive.sum()), len(negatives))).indices


LOSSES = torch.tensor([0.1, 5.0, 0.4, 2.0, 0.3, 0.9])

written(
    "11.3 hard negatives",
    hard_negatives,
    losses_of_samples,
    edges={
        "losses 0.1, 5, 0.4, 2, 0.3, 0.9, the second positive, ratio 2": (
            LOSSES, LOSSES == 5, 2),
        "two positives and ratio 1": (LOSSES, (LOSSES == 5) | (LOSSES == 2), 1),
        "no positives": (LOSSES, LOSSES == 7, 3),
        "fewer negatives than wanted": (LOSSES[:3].clone(), LOSSES[:3] > 0.3, 3),
        "positives only": (LOSSES[:2].clone(), LOSSES[:2] > 0, 2),
        "equal losses": (torch.tensor([1.0, 1, 1, 1]), LOSSES[:4] == 0.4, 2),
        "no samples": (torch.zeros(0), torch.zeros(0).bool(), 3),
    },
    mistakes=[
        (hardest(lambda loss, positive: loss), "a positive is among them: only"
         " negatives are to be chosen"),
        (hardest(lambda loss, positive: -99 if positive else -loss), "those have the"
         " smallest loss: the network knows them already"),
        (lambda losses, positive, ratio: [*hard_negatives(losses, positive, ratio),
         *positive.nonzero()[:, 0]], "return the negatives alone; the positives train"
         " anyway"),
        (hardest(negatives_first, lambda positive, ratio: int(positive.sum())),
         "`ratio` negatives for each positive: count them"),
        (hardest(negatives_first, lambda positive, ratio: min(ratio, int((~positive)
         .sum()))), "`ratio` negatives for *each* positive: multiply by their number"),
        (lambda losses, positive, ratio: (~positive).nonzero()[:, 0], "not all"
         " negatives: `ratio` for each positive"),
        (hardest(negatives_first), "there may be too few negatives: then take them all,"
         " but no positive"),
        (without_a_limit, "there may be too few negatives: topk cannot give more than"
         " there are"),
        (among_the_negatives, "those are places among the negatives; give their indices"
         " in `losses`"),
        (hardest(lambda loss, positive: loss if positive else -99), "those are the"
         " positives; choose negatives"),
        (lambda losses, positive, ratio: (~positive).nonzero()[:, 0][: ratio
         * int(positive.sum())], "those are the first negatives; take those with the"
         " largest loss"),
        (lambda losses, *others: losses[hard_negatives(losses, *others)],
         "these are the losses; give their indices"),
    ],
    accept=as_hard,
)  # fmt: skip
