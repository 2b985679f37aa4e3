"""Checks of the exercises of lesson 07."""

import random

import torch

from course_utils.lessons.checks import written


def smooth_l1(error):
    losses = [v * v / 2 if abs(v) < 1 else abs(v) - 0.5 for v in error.tolist()]
    return torch.tensor(losses)


def pieces(inside, outside):
    """A wrong answer: other functions of the size inside and outside of the bend."""
    return lambda error: torch.where(
        error.abs() < 1, inside(error.abs()), outside(error.abs())
    )


written(
    "07.1 smooth L1",
    smooth_l1,
    lambda: (torch.randn(random.randint(1, 9)) * 2,),
    edges={
        "the errors 0, 0.5, 1, -3": (torch.tensor([0.0, 0.5, 1, -3]),),
        "an error of exactly 1 and -1": (torch.tensor([1.0, -1]),),
        "one error, -0.2": (torch.tensor([-0.2]),),
        "no errors": (torch.zeros(0),),
    },
    mistakes=[
        (lambda error: error.abs(), "that is L1; below 1 the loss is a parabola"),
        (lambda error: error**2 / 2, "that is half the square; from 1 on it is a line"),
        (lambda error: error**2, "that is the square; take half of it, and a line from"
         " 1 on"),
        (pieces(lambda v: v**2, lambda v: v - 0.5), "the parabola is half the square"),
        (pieces(lambda v: v**2 / 2, lambda v: v), "the two pieces must meet at 1:"
         " subtract 0.5"),
        (lambda error: torch.where(error.abs() < 1, error**2 / 2, error - 0.5), "take"
         " the absolute value: -3 costs as much as 3"),
        (lambda error: torch.where(error < 1, error**2 / 2, error - 0.5), "where the"
         " bend is, the absolute value decides: -3 lies beyond it"),
        (pieces(lambda v: v - 0.5, lambda v: v**2 / 2), "the pieces are swapped: the"
         " parabola is near 0"),
        (lambda error: torch.where(error.abs() < 1 / 9, 4.5 * error**2, error.abs()
         - 1 / 18), "the bend is at 1 here"),
        (lambda error: smooth_l1(error).mean(), "one loss for each error, not their"
         " mean"),
        (lambda error: smooth_l1(error).sum(), "one loss for each error, not their"
         " sum"),
    ],
)  # fmt: skip


written(
    "07.2 weights of a compressed layer",
    lambda d_in, d_out, rank: d_in * rank + rank * d_out + d_out,
    lambda: (random.randint(2, 9000), random.randint(2, 5000), random.randint(2, 300)),
    edges={
        "6,272 to 256 with rank 32": (6272, 256, 32),
        "rank 1": (100, 7, 1),
        "one input": (1, 9, 2),
        "one output": (9, 1, 2),
    },
    mistakes=[
        (lambda i, o, r: r * (i + o), "the biases of the second layer are missing"),
        (lambda i, o, r: i * o + o, "that is the layer before it was compressed"),
        (lambda i, o, r: r * (i + o) + o + r, "only the second of the two layers has"
         " biases"),
        (lambda i, o, r: i * o * r, "two layers: d_in x rank and rank x d_out"),
        (lambda i, o, r: r * (i + o) + r, "the biases are the second layer's: one for"
         " each of its d_out outputs"),
        (lambda i, o, r: r * (i + o) + i, "there is a bias for each output, not for"
         " each input"),
        (lambda i, o, r: i * r + o, "the weights of the second layer, rank x d_out, are"
         " missing"),
        (lambda i, o, r: r * o + o, "the weights of the first layer, d_in x rank, are"
         " missing"),
        (lambda i, o, r: r * (i + o + r) + o, "the singular values go into one of the"
         " two layers; there is no third"),
    ],
    tolerance=1e-7,
)  # fmt: skip


def own_class_box(deltas, labels):
    own = [deltas[r, k - 1] for r, k in enumerate(labels.tolist()) if k > 0]
    return torch.stack(own) if own else torch.zeros(0, 4)


def deltas_and_labels():
    regions, classes = random.randint(1, 9), random.randint(2, 5)
    return torch.randn(regions, classes, 4), torch.randint(0, classes + 1, (regions,))


def picked(row_of, class_of):
    """A wrong answer: other rows, or other classes, of the (R, K, 4) deltas."""
    return lambda deltas, labels: deltas[row_of(labels), class_of(deltas, labels)]


def positives(labels):
    return (labels > 0).nonzero().flatten()


written(
    "07.3 own class's box",
    own_class_box,
    deltas_and_labels,
    edges={
        "labels 2, 0, 1 and deltas 0, 1, 2, ... 23": (
            torch.arange(24.0).view(3, 2, 4),
            torch.tensor([2, 0, 1]),
        ),
        "background only": (torch.rand(3, 2, 4), torch.zeros(3, dtype=torch.int64)),
        "one region": (torch.rand(1, 3, 4), torch.tensor([3])),
        "one class": (torch.rand(3, 1, 4), torch.tensor([1, 0, 1])),
        "no regions": (torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.int64)),
    },
    mistakes=[
        (picked(lambda k: torch.arange(len(k)), lambda d, k: k - 1), "background (label"
         " 0) has no box: leave its row out"),
        (picked(positives, lambda d, k: k[k > 0] % d.shape[1]), "class 1 stands at 0:"
         " subtract 1"),
        (picked(positives, lambda d, k: k[k > 0]), "class 1 stands at 0: subtract 1;"
         " the last class has no place after it"),
        (picked(lambda k: torch.arange(len(positives(k))), lambda d, k: k[k > 0] - 1),
         "those are the first rows; take the rows of the regions that are not"
         " background"),
        (picked(positives, lambda d, k: 0), "each region has a class of its own; yours"
         " always takes the first"),
        (lambda deltas, labels: deltas[labels > 0].mean(1), "take the deltas of the"
         " right class, not the mean over the classes"),
        (lambda deltas, labels: deltas[labels > 0], "pick one class of each region:"
         " (P, 4), not (P, K, 4)"),
        (picked(lambda k: (k == 0).nonzero().flatten(), lambda d, k: k[k == 0] - 1),
         "those are the background's rows; take the others"),
        (picked(lambda k: (k > 1).nonzero().flatten(), lambda d, k: k[k > 1] - 1),
         "label 1 is a class too: background is 0"),
        (lambda deltas, labels: own_class_box(deltas, labels) if (labels > 0).any()
         else None, "without positives return an empty (0, 4)"),
    ],
)  # fmt: skip
