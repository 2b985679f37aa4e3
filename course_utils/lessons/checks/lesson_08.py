"""Checks of the exercises of lesson 08."""

import math
import random

import torch

from course_utils.lessons.checks import written


def number_of_anchors(height, width, stride, sizes, ratios):
    return math.ceil(height / stride) * math.ceil(width / stride) * sizes * ratios


written(
    "08.1 number of anchors",
    number_of_anchors,
    lambda: tuple(
        random.randint(*r) for r in ((30, 700), (30, 700), (2, 32), (2, 6), (2, 6))
    ),
    edges={
        "180 x 240, stride 8, 4 sizes, 3 ratios": (180, 240, 8, 4, 3),
        "whole cells only: 160 x 240, stride 16": (160, 240, 16, 3, 2),
        "an image smaller than a cell": (5, 7, 16, 2, 3),
        "one size and one ratio": (50, 33, 4, 1, 1),
    },
    mistakes=[
        (lambda h, w, t, s, r: (h // t) * (w // t) * s * r, "180 / 8 is 22.5: the last"
         " half cell counts, round up"),
        (lambda h, w, t, s, r: (h // t + 1) * (w // t + 1) * s * r, "where the cells"
         " end with the image there is none behind it: round up, do not add 1"),
        (lambda h, w, t, s, r: round(h / t) * round(w / t) * s * r, "a partly covered"
         " cell counts, however small the part: round up"),
        (lambda h, w, t, s, r: h / t * (w / t) * s * r, "cells are whole: round up"),
        (lambda h, w, t, s, r: math.ceil(h / t * (w / t)) * s * r, "round up height and"
         " width each, then multiply"),
        (lambda h, w, t, s, r: h * w * s * r, "anchors stand at cells, not at pixels"),
        (lambda h, w, t, s, r: number_of_anchors(h, w, t, 1, s + r), "each size comes"
         " in each ratio: multiply"),
        (lambda h, w, t, s, r: number_of_anchors(h, w, t, 1, 1), "each cell has sizes x"
         " ratios anchors"),
        (lambda h, w, t, s, r: number_of_anchors(h, w, t, s, 1), "each size comes in"
         " each ratio: multiply by the ratios too"),
        (lambda h, w, t, s, r: number_of_anchors(h, h, t, s, r), "an image is not"
         " square: use the width as well"),
        (lambda h, w, t, s, r: -(-h // t) * (w // t) * s * r,
         "round up the width, too"),
    ],
    tolerance=1e-7,
)  # fmt: skip


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
    "08.2 label anchors",
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


def kept(least, value):
    """A wrong answer: of the labels from `least` on, `value` of them."""
    return lambda labels: value(labels[labels >= least])


written(
    "08.3 objectness is not a class",
    lambda labels: torch.tensor([float(k > 0) for k in labels.tolist() if k >= 0]),
    lambda: (torch.randint(-1, 5, (random.randint(2, 12),)),),
    edges={
        "the labels 3, 0, -1, 1": (torch.tensor([3, 0, -1, 1]),),
        "ignored anchors only": (torch.tensor([-1, -1]),),
        "background only": (torch.tensor([0, 0, 0]),),
        "one anchor of class 8": (torch.tensor([8]),),
        "no anchors": (torch.zeros(0, dtype=torch.int64),),
    },
    mistakes=[
        (kept(0, lambda k: k), "the RPN only asks: object or not? Every class is 1"),
        (kept(-1, lambda k: k > 0), "-1 is no background: leave it out"),
        (kept(-1, lambda k: k.clamp(max=1)), "-1 is left out of the loss: leave it out"
         " here too"),
        (kept(-1, lambda k: k != 0), "-1 is no object: leave it out"),
        (kept(1, lambda k: k > 0), "background trains too: its target is 0"),
        (kept(0, lambda k: k == 0),
         "the other way round: 1 is an object, 0 background"),
        (kept(0, lambda k: k == 1), "every class is an object, not only the first"),
        (kept(0, lambda k: k > 1), "classes start at 1: label 1 is an object"),
        (kept(0, lambda k: 2 * (k > 0).int() - 1), "background's target is 0, as the"
         " loss wants probabilities"),
        (kept(-1, lambda k: k), "every class is 1, and -1 is left out"),
    ],
)  # fmt: skip
