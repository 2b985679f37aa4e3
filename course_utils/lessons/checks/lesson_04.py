"""Checks of the exercises of lesson 04."""

import functools
import random

import numpy as np
import torch

from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation.average_precision import (
    average_precision,
    precision_recall,
    score_class,
)
from course_utils.lessons.checks import attempted, exercise, written
from course_utils.lessons.checks.written import numbers
from course_utils.lessons.widgets.metrics import pretend_detector
from course_utils.ops.boxes import box_iou

# Of exercise 04.4: what a missed object and a false alarm cost, the detector's seed.
MISSED, ALARM, SEED = 5, 1, 7


def verdicts(
    boxes, objects, difficult, min_iou, voc=False, strict=False, first=False, once=True
):
    """COCO's verdicts, best score first; the settings are typical mistakes."""
    iou = box_iou(boxes, objects).tolist()
    free, found = [True] * len(objects), []
    for row in iou:
        can = [
            g
            for g in range(len(objects))
            if (row[g] > min_iou if strict else row[g] >= min_iou)
        ]
        counts = [g for g in can if not difficult[g] and (free[g] or voc)]
        best = max(counts, key=lambda g: 0 if first else row[g], default=None)
        if best is not None:
            found.append(int(free[best]))
            free[best] = free[best] and not once
        else:
            found.append(-1 if any(difficult[g] for g in can) else 0)
    return torch.tensor(found, dtype=torch.int64)


def coco_verdicts(boxes, objects, difficult, min_iou):
    return verdicts(boxes, objects, difficult, min_iou)


def as_ordinary(boxes, objects, difficult, min_iou):
    return verdicts(boxes, objects, [False] * len(objects), min_iou)


def difficult_taken_first(boxes, objects, difficult, min_iou):
    """A difficult object takes the detection wherever it is the nearest."""
    found = verdicts(boxes, objects, difficult, min_iou)
    if len(objects):
        best, place = box_iou(boxes, objects).max(1)
        nearest = torch.as_tensor(difficult)[place] & (best >= min_iou)
        found[nearest] = -1
    return found


def by_objects(boxes, objects, difficult, min_iou):
    """Each object chooses the detection with the largest IoU."""
    found = torch.zeros(len(boxes), dtype=torch.int64)
    if len(boxes):
        best, place = box_iou(boxes, objects).max(0)
        found[place[(best >= min_iou) & ~torch.as_tensor(difficult)]] = 1
    return found


def crowded_image():
    corner = torch.rand(random.randint(2, 6), 2) * 14
    objects = torch.cat([corner, corner + 15 + 15 * torch.rand(len(corner), 2)], 1)
    boxes = objects.repeat(3, 1)
    boxes = boxes + 3 * torch.randn(boxes.shape)
    boxes = boxes[torch.randperm(len(boxes))]
    return boxes, objects, torch.rand(len(objects)) < 0.3, random.choice([0.4, 0.5])


A, B, FAR = [0.0, 0, 10, 10], [2.0, 0, 12, 10], [50.0, 0, 60, 10]


def case(boxes, objects, difficult=None, min_iou=0.5):
    flags = torch.tensor(difficult or [False] * len(objects), dtype=torch.bool)
    boxes, objects = (torch.tensor(v).float().reshape(-1, 4) for v in (boxes, objects))
    return boxes, objects, flags, min_iou


written(
    "04.1 COCO's matcher",
    coco_verdicts,
    crowded_image,
    edges={
        "two detections of one object": case([A, A], [A]),
        "two objects near to each other": case([A, [0.4, 0, 10.4, 10]], [A, B]),
        "a detection between two objects": case(
            [[13, 0, 23, 10], [7, 0, 17, 10]], [[10, 0, 20, 10], [13, 0, 23, 10]]
        ),
        "an IoU equal to the threshold": case([[0.0, 0, 10, 5]], [A]),
        "a difficult object, hit twice": case([A, A, FAR], [A], [True]),
        "a difficult object nearer than one that counts": case([A], [A, B], [True, 0]),
        "no object": case([A, B], []),
        "no detection": case([], [A]),
    },
    mistakes=[
        (
            functools.partial(verdicts, voc=True),
            "that is VOC's rule: COCO goes on to the best object that is still free",
        ),
        (
            functools.partial(verdicts, once=False),
            "an object is found once: note which ones are taken",
        ),
        (
            functools.partial(verdicts, strict=True),
            "an IoU equal to the threshold is a hit: use >=",
        ),
        (
            functools.partial(verdicts, first=True),
            "take the free object with the largest IoU, not the first one",
        ),
        (as_ordinary, "a difficult object gives -1, and can be hit again"),
        (
            lambda *a: verdicts(*a).clamp(min=0),
            "a detection that hits nothing but a difficult object gets -1, not 0",
        ),
        (
            difficult_taken_first,
            "an object that counts comes before a difficult one, even a nearer one",
        ),
        (by_objects, "go through the detections, best first; each takes an object"),
    ],
)


def ap_with_ties(scores, right, objects, ties="group", fall=True, method="all-point"):
    """AP; the further settings are typical mistakes."""
    scores, right = np.asarray(scores, float), np.asarray(right, int)
    precision, recall, _ = precision_recall(scores, right, objects, ties)
    if not fall:
        return float((np.diff(recall, prepend=0) * precision).sum())
    return average_precision(precision, recall, method)


def grouped_ap(scores, right, objects):
    return ap_with_ties(scores, right, objects)


def of_the_found(scores, right, objects):
    return ap_with_ties(scores, right, max(1, sum(right)))


def in_order_given(scores, right, objects):
    return ap_with_ties([-n for n in range(len(scores))], right, objects)


def worst_first(scores, right, objects):
    return ap_with_ties([-s for s in scores], right, objects)


def last_precision(scores, right, objects):
    return sum(right) / max(1, len(right))


def first_of_group(scores, right, objects):
    """Only one detection of each score is looked at."""
    seen = {}
    for s, r in zip(scores, right):
        seen.setdefault(s, r)
    return ap_with_ties(list(seen), list(seen.values()), objects)


def scored_list():
    many = random.randint(3, 14)
    scores = [random.randint(1, 7) / 8 for _ in range(many)]
    right = [random.random() < 0.55 for _ in range(many)]
    return scores, right, sum(right) + random.randint(1, 4)


written(
    "04.2 AP with ties",
    grouped_ap,
    scored_list,
    edges={
        "no two scores equal": ([0.9, 0.8, 0.7, 0.6], [True, False, True, True], 4),
        "one hit and one miss of equal score": ([0.5, 0.5], [True, False], 1),
        "the same, in the other order": ([0.5, 0.5], [False, True], 1),
        "scores that are not sorted": ([0.2, 0.9, 0.5], [True, False, True], 3),
        "all wrong": ([0.5, 0.5, 0.1], [False, False, False], 2),
        "no detection": ([], [], 3),
    },
    mistakes=[
        (
            functools.partial(ap_with_ties, ties="order"),
            "detections of equal score enter at once: only the last of them is a point"
            " of the curve",
        ),
        (
            functools.partial(ap_with_ties, fall=False),
            "make the curve fall first: each precision becomes the best from there on",
        ),
        (of_the_found, "recall is over all objects, also those that nobody found"),
        (in_order_given, "sort by score first: the best detection comes first"),
        (worst_first, "the highest score comes first: you began with the lowest"),
        (
            functools.partial(ap_with_ties, method="11-point"),
            "that is the 11-point method; take the exact area under the curve",
        ),
        (last_precision, "that is the precision of all; take the area of the curve"),
        (first_of_group, "all detections of a score count, not only the first"),
        (
            lambda s, r, n: sum(r) / n,
            "that is the recall of all detections: precision must weigh each step",
        ),
    ],
)


@functools.cache
def val_costs():
    """{threshold: cost} of the detector of exercise 04.4, by the reference."""
    data = VOCDataset(find_data("tabletop"), "val")
    targets = [data.target(i) for i in range(len(data))]
    found = pretend_detector(targets, len(data.classes) + 1, (180, 240), SEED)
    thresholds = [round(0.05 * n, 2) for n in range(1, 20)]
    costs = dict.fromkeys(thresholds, 0)
    for label in range(1, len(data.classes) + 1):
        scores, (right,), total = score_class(found, targets, label, [0.5], "all-point")
        for t in thresholds:
            kept = right[scores >= t]
            hits, alarms = int((kept == 1).sum()), int((kept == 0).sum())
            costs[t] += MISSED * (total - hits) + ALARM * alarms
    return costs


@exercise("04.4 a threshold for a cost")
def threshold_for_a_cost(answer):
    given = numbers(attempted(answer))
    if given is None or given.numel() != 1:
        return "the answer is one number, the threshold"
    costs, t = val_costs(), round(float(given), 4)
    if t not in costs:
        return "give one of the thresholds 0.05, 0.10 ... 0.95"
    least = min(costs.values())
    if costs[t] > 1.01 * least:
        best = min(costs, key=costs.get)
        way = "lower" if best < t else "higher"
        return f"the cost at {t:g} is {costs[t]} on val; a {way} threshold costs less"
