"""Checks of the exercises of lesson 05."""

import random

import torch

from course_utils.lessons.checks import written
from course_utils.lessons.checks.written import indices


def label_of_a_region(ious, labels):
    found = []
    for row in ious.tolist():
        best = max(row, default=0)
        found.append(labels[row.index(best)].item() if best >= 0.5 else 0)
    return torch.tensor(found, dtype=torch.int64)


def regions_and_objects():
    regions, objects = random.randint(1, 9), random.randint(1, 5)
    ious = torch.randint(0, 17, (regions, objects)) / 16  # ties, and 0.5 itself
    return ious, torch.randint(1, 9, (objects,))


def with_labels(choose, limit=0.5, background=0):
    """A wrong answer: the object is chosen by `choose`, from (N, G) to (N,)."""

    def answer(ious, labels):
        best = ious.max(1).values
        return torch.where(best >= limit, labels[choose(ious)], background)

    return answer


def first_good(ious):
    return (ious >= 0.5).int().argmax(1)


def last_best(ious):
    return ious.shape[1] - 1 - ious.flip(1).argmax(1)


def labels_above(ious, labels):
    return torch.where(ious.max(1).values > 0.5, labels[ious.argmax(1)], 0)


def numbers_of_objects(ious, labels):
    return torch.where(ious.max(1).values >= 0.5, ious.argmax(1), 0)


def numbers_from_1(ious, labels):
    return torch.where(ious.max(1).values >= 0.5, ious.argmax(1) + 1, 0)


def labels_of_columns(ious, labels):
    return torch.where(ious.max(0).values >= 0.5, labels, 0)


written(
    "05.1 label of a region",
    label_of_a_region,
    regions_and_objects,
    edges={
        "IoUs [0.1, 0.6], [0.5, 0.2], [0.3, 0.2], [0, 0] with labels 3, 7": (
            torch.tensor([[0.1, 0.6], [0.5, 0.2], [0.3, 0.2], [0.0, 0.0]]),
            torch.tensor([3, 7]),
        ),
        "an IoU of exactly 0.5": (torch.tensor([[0.5]]), torch.tensor([4])),
        "two equal IoUs": (torch.tensor([[0.2, 0.8, 0.8]]), torch.tensor([1, 6, 2])),
        "a picture without objects, G = 0": (
            torch.zeros(3, 0),
            torch.zeros(0, dtype=torch.int64),
        ),
        "no regions, N = 0": (torch.zeros(0, 2), torch.tensor([1, 2])),
    },
    mistakes=[
        (labels_above, "an IoU of exactly 0.5 is positive: use >="),
        (numbers_of_objects, "give the label of the object, not its number"),
        (numbers_from_1, "give the label of the object, not its number plus 1"),
        (with_labels(lambda i: i.argmax(1), -1), "below IoU 0.5 a region is"
         " background: 0"),
        (with_labels(lambda i: i.argmax(1), background=-1), "background is 0 in this"
         " course; -1 means ignore"),
        (with_labels(lambda i: i.argmin(1)), "take the object with the largest IoU in"
         " each row"),
        (with_labels(first_good), "several objects may reach 0.5: take the one with the"
         " largest IoU, not the first"),
        (with_labels(last_best), "of objects with equal IoUs the first one counts"),
        (with_labels(lambda i: i.argmax(1), 0.3), "the limit is 0.5; 0.3 is that of"
         " the SVMs"),
        (labels_of_columns, "one label for each region: the largest IoU of each row,"
         " not of each column"),
        (with_labels(lambda i: i.argmax(1)), "without objects (G = 0) there is no"
         " largest IoU: all regions are background"),
    ],
)  # fmt: skip


def hard_negatives(values, in_use):
    hard = [i for i, v in enumerate(values.tolist()) if v > -1 and not in_use[i]]
    return torch.tensor(sorted(hard, key=lambda i: -values[i]), dtype=torch.int64)


def some_values():
    count = random.randint(2, 12)
    values = torch.randint(-12, 5, (count,)) / 4  # ties, and -1 itself
    return values, torch.rand(count) < 0.3


def same_and_worst_first(got, want, values, in_use):
    """Whether the indices are the wanted ones, in an order that their values allow."""
    got = indices(got)
    ordered = torch.equal(values[got], values[want])
    return ordered and sorted(got.tolist()) == sorted(want.tolist())


def chosen(mask_of, order=lambda values: values.argsort(descending=True, stable=True)):
    """A wrong answer: indices where `mask_of` says so, in another `order` perhaps."""

    def answer(values, in_use):
        by_value = order(values)
        return by_value[mask_of(values, in_use)[by_value]]

    return answer


def among_the_unused(values, in_use):
    rest = values[~in_use]
    order = rest.argsort(descending=True)
    return order[rest[order] > -1]


written(
    "05.2 hard negatives",
    hard_negatives,
    some_values,
    edges={
        "values 0.5, -0.2, -1, -3, 2, -0.9, of which the 2 is in use": (
            torch.tensor([0.5, -0.2, -1.0, -3.0, 2.0, -0.9]),
            torch.tensor([False, False, False, False, True, False]),
        ),
        "a value of exactly -1": (torch.tensor([-1.0]), torch.tensor([False])),
        "one hard negative": (torch.tensor([-0.5]), torch.tensor([False])),
        "easy ones only": (torch.tensor([-2.0, -1.5, -3]), torch.zeros(3).bool()),
        "all in use": (torch.tensor([1.0, 0, 2]), torch.ones(3).bool()),
        "no negatives at all": (torch.zeros(0), torch.zeros(0).bool()),
    },
    mistakes=[
        (chosen(lambda v, u: (v > 0) & ~u), "those within the margin, above -1, are"
         " hard too, not only the wrong ones above 0"),
        (chosen(lambda v, u: v > -1), "some are in use already: leave them out"),
        (chosen(lambda v, u: v > 0), "above -1, not above 0; and leave out those in"
         " use"),
        (chosen(lambda v, u: (v >= -1) & ~u), "exactly -1 is no longer hard: use >"),
        (chosen(lambda v, u: (v < -1) & ~u), "those are the easy ones"),
        (chosen(lambda v, u: ~u), "only values above -1 are hard: there is no limit"
         " in yours"),
        (chosen(lambda v, u: (v > -1) & u), "those are in use already; the new ones"
         " are asked for"),
        (chosen(lambda v, u: (v > -1) & ~u, lambda v: torch.arange(len(v))), "the worst"
         " first: sort by the value, the largest first"),
        (chosen(lambda v, u: (v > -1) & ~u, lambda v: v.argsort()), "the worst are"
         " those with the largest value: sort them the other way round"),
        (among_the_unused, "those are places among the unused ones; give their indices"
         " in `values`"),
        (lambda values, in_use: values[hard_negatives(values, in_use)], "these are the"
         " values; give their indices"),
    ],
    accept=same_and_worst_first,
)  # fmt: skip


written(
    "05.3 proposals through the network",
    lambda num_proposals, side, width, height: (
        num_proposals * side * side / (width * height)
    ),
    lambda: (random.randint(1, 3000), *(random.randint(32, 900) for _ in range(3))),
    edges={
        "2,000 crops of side 227 from 500 x 375 pixels": (2000, 227, 500, 375),
        "no proposals": (0, 227, 500, 375),
        "one proposal": (1, 64, 240, 180),
        "crops as large as the image": (1, 100, 100, 100),
    },
    mistakes=[
        (lambda n, s, w, h: w * h / (n * s * s) if n else 0, "that is the other way"
         " round: crops over image"),
        (lambda n, s, w, h: s * s / (w * h), "that is one crop; there are"
         " `num_proposals` of them"),
        (lambda n, s, w, h: n, "compare pixels: a crop is smaller than the image"),
        (lambda n, s, w, h: n * s / (w * h), "a crop has side x side pixels"),
        (lambda n, s, w, h: n * s * s, "those are the pixels of the crops; divide by"
         " the image's"),
        (lambda n, s, w, h: n * s * s // (w * h), "do not cut the fraction off: / and"
         " not //"),
        (lambda n, s, w, h: n * s * s / w * h, "divide by width x height: put the"
         " product in brackets"),
        (lambda n, s, w, h: n * s * s / (w * w), "the image has width x height pixels"),
        (lambda n, s, w, h: 1 + n * s * s / (w * h), "the image itself does not pass"
         " through the network"),
    ],
)  # fmt: skip
