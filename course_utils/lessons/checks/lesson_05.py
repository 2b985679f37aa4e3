"""Checks of the exercises of lesson 05."""

import random

import torch

from course_utils.lessons.checks import NotAttempted, exercise, written
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


def mining_round(values, used, most):
    values_of = values.tolist()
    kept = [row for row in used.tolist() if values_of[row] >= -1]
    fresh = set(range(len(values))) - set(used.tolist())
    hard = sorted(fresh, key=lambda row: (-values_of[row], row))
    hard = [row for row in hard if values_of[row] > -1]
    return torch.tensor(kept + hard[:most], dtype=torch.int64)


def some_values():
    count = random.randint(2, 12)
    values = torch.randint(-12, 5, (count,)) / 4  # ties, and -1 itself
    used = torch.randperm(count)[: random.randint(0, count)]
    return values, used, random.randint(1, 4)


def kept_then_worst(got, want, values, used, most):
    """Whether rows are the wanted ones; of equal values any may come first."""
    got, kept = indices(got), int((values[used] >= -1).sum())
    fresh = got[kept:]
    return (
        torch.equal(got[:kept], want[:kept])
        and torch.equal(values[fresh], values[want[kept:]])
        and len(fresh.unique()) == len(fresh)
        and not torch.isin(fresh, used).any()
    )


def mined(
    keep=lambda v: v >= -1,
    hard=lambda v: v > -1,
    order=lambda v: v.argsort(descending=True, stable=True),
    again=False,
):
    """A wrong answer: a round with one of its rules replaced."""

    def answer(values, used, most):
        rows = order(values)
        fresh = ~torch.isin(rows, used) | again
        rows = rows[fresh & hard(values[rows])][:most]
        return torch.cat([used[keep(values[used])], rows])

    return answer


def no_limit(values, used, most):
    return mining_round(values, used, len(values))


def limit_of_all(values, used, most):
    return mining_round(values, used, most)[:most]


def only_the_new(values, used, most):
    kept = int((values[used] >= -1).sum())
    return mining_round(values, used, most)[kept:]


def among_the_unused(values, used, most):
    unused = torch.ones(len(values), dtype=torch.bool)
    unused[used] = False
    rest = values[unused]
    order = rest.argsort(descending=True)
    return torch.cat([used[values[used] >= -1], order[rest[order] > -1][:most]])


written(
    "05.2 a round of hard negatives",
    mining_round,
    some_values,
    edges={
        "values 0.5, -0.2, -2, -3, 2, -0.9, rows 4 and 2 in use, most = 2": (
            torch.tensor([0.5, -0.2, -2.0, -3.0, 2.0, -0.9]),
            torch.tensor([4, 2]),
            2,
        ),
        "a new value of exactly -1": (torch.tensor([-1.0, 1]), torch.tensor([1]), 3),
        "a used one of exactly -1": (torch.tensor([-1.0, 1]), torch.tensor([0]), 3),
        "fewer hard ones than `most`": (torch.zeros(2), torch.tensor([1]), 5),
        "easy ones only": (torch.tensor([-2.0, -1.5, -3]), torch.tensor([1, 0]), 2),
        "all in use": (torch.tensor([1.0, 0, 2]), torch.tensor([2, 0, 1]), 2),
        "none in use yet": (torch.tensor([1.0, 0, 2]), torch.tensor([]).long(), 2),
        "no negatives at all": (torch.zeros(0), torch.tensor([]).long(), 2),
    },
    mistakes=[
        (mined(keep=lambda v: v > -9), "those in use that are easy by now, below -1,"
         " leave the training set"),
        (mined(hard=lambda v: v > 0), "those within the margin, above -1, are hard"
         " too, not only the wrong ones above 0"),
        (mined(keep=lambda v: v > 0), "of those in use only the easy ones go, below"
         " -1; you drop all below 0"),
        (mined(again=True), "a negative that is in use already must not come in a"
         " second time"),
        (mined(hard=lambda v: v >= -1), "exactly -1 is no longer hard: use > for the"
         " new ones"),
        (mined(keep=lambda v: v > -1), "exactly -1 is not easy yet: it stays if it is"
         " in use"),
        (mined(hard=lambda v: v < -1), "those are the easy ones; the hard ones are"
         " above -1"),
        (mined(hard=lambda v: v > -9), "only values above -1 are hard: there is no"
         " limit in yours"),
        (mined(order=lambda v: torch.arange(len(v))), "the worst of the new ones"
         " first: sort by the value, the largest first"),
        (mined(order=lambda v: v.argsort()), "the worst are those with the largest"
         " value: sort them the other way round"),
        (no_limit, "at most `most` new ones join: cut the list"),
        (limit_of_all, "`most` limits the new ones, not the whole set"),
        (only_the_new, "those are the new ones alone; the next set holds the old ones"
         " that are not easy, too"),
        (among_the_unused, "those are places among the unused ones; give row numbers"
         " of `values`"),
        (lambda values, used, most: values[mining_round(values, used, most)], "these"
         " are the values; give their row numbers"),
    ],
    accept=kept_then_worst,
)  # fmt: skip


@exercise("05.4 a threshold")
def a_threshold(answer):
    form = "answer with (thresholds, scores, choice): two lists and one of the first"
    if not isinstance(answer, (tuple, list)) or len(answer) != 3:
        return form
    if any(part is None or part is ... for part in answer):
        raise NotAttempted
    try:
        limits, scores = ([float(v) for v in part] for part in answer[:2])
        choice = float(answer[2])
    except (TypeError, ValueError):
        return form
    if len(limits) != len(scores):
        return f"{len(limits)} thresholds and {len(scores)} scores: one each"
    if len(limits) < 8:
        return f"{len(limits)} thresholds are too few: try 8 or more"
    if not (min(limits) < 0 < max(limits)):
        return "try thresholds on both sides of 0"
    if not all(0 <= score <= 1 for score in scores):
        return "F1 lies between 0 and 1: 2 P R / (P + R)"
    best = max(scores)
    if best - min(scores) < 0.05:
        return "that curve is flat: is each threshold really used?"
    near = [abs(choice - limit) for limit in limits]
    place = near.index(min(near))
    if scores[place] >= best - 0.002 and near[place] < 1e-6:
        return None
    if abs(choice - best) < 1e-6:
        return "that is the best F1 itself; give the threshold that reaches it"
    if choice == scores.index(best):
        return "that is a place in the list; give the threshold at that place"
    if near[place] > 1e-6:
        return "choose one of your thresholds"
    return (
        f"at {choice:g} F1 is {scores[place]:.3f}; another threshold reaches {best:.3f}"
    )
