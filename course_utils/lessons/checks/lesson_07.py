"""Checks of the exercises of lesson 07."""

import random

import torch
import torch.nn.functional as F

from course_utils.lessons.checks import as_tensor, exercise, written


def sample(labels, order, count, fraction):
    positive = [i for i in order.tolist() if labels[i] > 0][: int(count * fraction)]
    background = [i for i in order.tolist() if labels[i] == 0]
    return positive + background[: count - len(positive)]


def labels_and_order():
    number = random.randint(8, 24)
    labels = torch.randint(-1, 4, (number,))
    labels[torch.rand(number) < random.choice((0.1, 0.6))] = 0
    fraction = random.choice((0.25, 0.5, 0.3))
    return labels, torch.randperm(number), random.randint(2, 12), fraction


def drawn(positive=None, background=None, limit=lambda most: int(most), fill=True):
    """A wrong answer: other labels are positive or background, or other limits."""
    positive = positive or (lambda label: label > 0)
    background = background or (lambda label: label == 0)

    def answer(labels, order, count, fraction):
        most = limit(count * fraction)
        first = [i for i in order.tolist() if positive(labels[i])][:most]
        rest = [i for i in order.tolist() if background(labels[i])]
        room = count - len(first) if fill else count - most
        return first + rest[: max(0, room)]

    return answer


def in_place_of_order(labels, order, count, fraction):
    return sample(labels, torch.arange(len(order)), count, fraction)


FEW = torch.tensor([0, 2, 0, -1, 1, 0, 3, 0, 0, 1])
ORDER = torch.tensor([3, 6, 0, 9, 7, 4, 2, 1, 8, 5])

written(
    "07.1 sampling",
    sample,
    labels_and_order,
    edges={
        "4 of the labels 0, 2, 0, -1, 1, 0, 3, 0, 0, 1, half of them positive": (
            FEW, ORDER, 4, 0.5),
        "too few positives": (FEW, ORDER, 10, 0.9),
        "no positive": (torch.zeros(5, dtype=torch.int64), ORDER[ORDER < 5], 3, 0.25),
        "no background": (torch.tensor([1, 2, 1]), torch.tensor([2, 0, 1]), 2, 0.5),
        "a quarter of 6, which is no whole number": (FEW, ORDER, 6, 0.25),
        "no region": (torch.zeros(0).long(), torch.zeros(0).long(), 4, 0.25),
    },
    mistakes=[
        (drawn(limit=lambda most: 999), "positives have a limit: count * fraction"),
        (drawn(background=lambda label: label <= 0), "-1 trains nothing: background is"
         " label 0 alone"),
        (drawn(fill=False), "background makes up for the positives that are missing"),
        (in_place_of_order, "draw in the given order, not from the first row on"),
        (drawn(positive=lambda label: label == 1), "every label above 0 is positive"),
        (drawn(limit=lambda most: int(-(-most // 1))), "at most a fraction: cut the"
         " limit off to a whole number"),
        (lambda *args: sample(*args)[::-1], "positives come first, then background"),
        (lambda *args: sorted(sample(*args)), "keep the order in which they were drawn:"
         " do not sort"),
        (lambda labels, order, count, fraction: [i for i in order.tolist()
         if labels[i] >= 0][:count], "draw positives and background apart from each"
         " other"),
        (drawn(positive=lambda label: label >= 0), "background (label 0) is no"
         " positive"),
        (lambda labels, order, count, fraction: labels[sample(labels, order, count,
         fraction)], "return the indices of the regions, not their labels"),
    ],
)  # fmt: skip


def smooth(error):
    return torch.where(error.abs() < 1, error**2 / 2, error.abs() - 0.5)


def multi_task_loss(logits, deltas, labels, wanted):
    count = max(1, len(labels))
    row = (labels > 0).nonzero().flatten()
    own = deltas[row, labels[row] - 1]
    box = smooth(own - wanted[row]).sum() / count
    return F.cross_entropy(logits, labels, reduction="sum") / count, box


def head_outputs():
    regions, classes = random.randint(1, 9), random.randint(2, 5)
    labels = torch.randint(0, classes + 1, (regions,))
    deltas = torch.randn(regions, classes, 4) * 2
    return torch.randn(regions, classes + 1), deltas, labels, torch.randn(regions, 4)


def losses(
    place=smooth,
    rows=lambda k: k > 0,
    column=lambda k, classes: k - 1,
    class_loss=F.cross_entropy,
    share=lambda k: max(1, len(k)),
):
    """A wrong answer: another box loss, other regions, another divisor."""

    def answer(logits, deltas, labels, wanted):
        row = rows(labels).nonzero().flatten()
        own = deltas[row, column(labels[row], deltas.shape[1])]
        box = place(own - wanted[row]).sum() / share(labels)
        if not len(labels):
            return 0.0, 0.0
        return class_loss(logits, labels), box

    return answer


def without_softmax(logits, labels):
    return F.nll_loss(logits, labels)


LOGITS = torch.tensor([[0.0, 2, 1], [1.0, 0, 0], [0.0, 1, 3]])
DELTAS = torch.arange(24.0).view(3, 2, 4) / 8 - 1
WANTED = torch.tensor([[0.0, 0.5, -1, 0.25], [0.0, 0, 0, 0], [1.0, 1, 0.5, 3]])

written(
    "07.2 multi-task loss",
    multi_task_loss,
    head_outputs,
    edges={
        "three regions with labels 2, 0, 1": (
            LOGITS, DELTAS, torch.tensor([2, 0, 1]), WANTED),
        "background only": (LOGITS, DELTAS, torch.tensor([0, 0, 0]), WANTED),
        "one region": (LOGITS[:1], DELTAS[:1], torch.tensor([1]), WANTED[:1]),
        "errors of exactly 1": (LOGITS[:1], torch.ones(1, 2, 4), torch.tensor([2]),
                                torch.tensor([[0.0, 2, 1, 1]])),
        "no region": (LOGITS[:0], DELTAS[:0], torch.zeros(0).long(), WANTED[:0]),
    },
    mistakes=[
        (losses(share=lambda k: max(1, int((k > 0).sum()))), "divide the box loss by"
         " the number of all regions, not of the positives"),
        (losses(share=lambda k: 1), "the box loss is not divided by the number of"
         " regions"),
        (losses(rows=lambda k: k >= 0), "background has no box: leave its rows out of"
         " the box loss"),
        (losses(column=lambda k, classes: k % classes), "class 1 stands at 0: subtract"
         " 1 from the label"),
        (losses(column=lambda k, classes: 0), "each region has a class of its own;"
         " yours always takes the first"),
        (losses(place=lambda e: e.abs()), "that is L1: below 1 the loss is half the"
         " square"),
        (losses(place=lambda e: e**2 / 2), "that is half the square: from 1 on the loss"
         " is a line"),
        (losses(place=lambda e: smooth(e) / 4), "sum over the four numbers of a box, do"
         " not take their mean"),
        (losses(class_loss=without_softmax), "the logits are no logarithms of"
         " probabilities yet: a softmax is missing"),
        (losses(class_loss=lambda x, k: F.cross_entropy(x, k, reduction="sum")),
         "divide the class loss by the number of regions"),
        (lambda *args: multi_task_loss(*args)[::-1], "the class loss comes first, then"
         " the box loss"),
        (lambda *args: sum(multi_task_loss(*args)), "return both losses, not their"
         " sum"),
    ],
)  # fmt: skip


# mAP@[.5:.95] of the shipped Fast R-CNN on the first 100 scenes of val, in per cent.
FULL, BY_RANK = 77.2, {8: 45.1, 16: 65.2, 32: 75.1, 64: 76.2, 128: 76.8}


@exercise("07.4 decide: the rank")
def decide_the_rank(answer):
    rank = float(as_tensor(answer))
    if rank not in BY_RANK:
        return f"one of the ranks {', '.join(map(str, BY_RANK))} is asked for"
    best = min(r for r, value in BY_RANK.items() if value >= FULL - 1.5)
    if rank < best:
        return (
            f"rank {rank:.0f} has {BY_RANK[rank]} per cent on val, the full layer"
            f" {FULL}: that is more than 1.5 points"
        )
    if rank > best:
        return f"rank {rank:.0f} is good enough, and so is a smaller one"
