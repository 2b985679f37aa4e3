"""Average precision, as COCO and PASCAL VOC define it."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from torch import Tensor

from course_utils.core.compiled import njit
from course_utils.core.devices import to_device
from course_utils.evaluation.scorer_input import scorer_input
from course_utils.ops.targets import Detections, Target

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10))
METHODS = ("coco", "all-point", "11-point")
TIES = ("order", "group")
ALL_AREAS = (0.0, math.inf)


@njit
def overlaps(boxes, objects, crowd):
    """IoU of (D, 4) detections and (G, 4) objects, float64 (D, G).

    crowd (G,) bool: with those, the share of the detection that lies inside. Lesson 04.
    """
    iou = np.zeros((len(boxes), len(objects)))
    for d, a in enumerate(boxes):
        for g, b in enumerate(objects):
            w = min(a[2], b[2]) - max(a[0], b[0])
            h = min(a[3], b[3]) - max(a[1], b[1])
            if w > 0 and h > 0:
                area = (a[2] - a[0]) * (a[3] - a[1])
                union = area + (b[2] - b[0]) * (b[3] - b[1]) - w * h
                iou[d, g] = w * h / (area if crowd[g] else union)
    return iou


@njit
def match_to_objects(boxes, objects, ignored, crowd, iou_thresholds, take_next):
    """Which detections of one class in one image are right, at several IoUs.

    boxes (D, 4) float64, best score first; objects (G, 4) float64; ignored (G,): 0 to
    be found, 1 not, takes any number of detections, 2 not, takes one; crowd (G,) bool,
    see `overlaps`; iou_thresholds (T,) float64. An object is found once; later hits are
    false. VOC looks only at the object with the largest IoU; with `take_next`, as COCO
    does, at the largest that is still free. Returns int8 (T, D): 1 right, 0 false, -1
    hits an ignored object and does not count. Lesson 04.
    """
    verdict = np.zeros((len(iou_thresholds), len(boxes)), np.int8)
    iou = overlaps(boxes, objects, crowd)
    for t, least in enumerate(iou_thresholds):
        taken = np.zeros(len(objects), np.bool_)
        for d in range(len(boxes)):
            best = -1
            for g in range(len(objects)):
                if iou[d, g] < least or (take_next and taken[g]):
                    continue
                better = best < 0 or iou[d, g] >= iou[d, best]
                if take_next and best >= 0 and (ignored[g] > 0) != (ignored[best] > 0):
                    better = ignored[best] > 0  # COCO prefers an object that counts
                if better:
                    best = g
            if best >= 0 and ignored[best]:
                verdict[t, d], taken[best] = -1, ignored[best] == 2
            elif best >= 0 and not taken[best]:
                verdict[t, d], taken[best] = 1, True
    return verdict


def precision_recall(
    scores: np.ndarray, right: np.ndarray, objects: int, ties: str = "order"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision and recall after each detection, best score first.

    scores (D,); right (D,): 1 right, 0 false, -1 not counted, as from
    `match_to_objects`; objects: how many there are to find. Returns (precision, recall,
    scores), arrays over the detections that count; with ties = "group" over the
    different scores, since all detections of equal score enter at once. Lesson 04.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[right[order] >= 0]
    scores, hits = scores[order], np.cumsum(right[order] == 1)
    precision = hits / np.arange(1, len(order) + 1)
    recall = hits / objects if objects else np.full(len(order), np.nan)
    if ties == "group":  # only where the next score differs
        ends = np.flatnonzero(np.diff(scores, append=np.nan))
        return precision[ends], recall[ends], scores[ends]
    return precision, recall, scores


def average_precision(
    precision: np.ndarray, recall: np.ndarray, method: str = "coco"
) -> float:
    """Area under a precision-recall curve, 0 to 1.

    precision, recall: (D,), recall ascending, as from `precision_recall`. First the
    curve is made to fall: each precision becomes the best at this or a higher recall.
    Then "11-point" averages it at recall 0, 0.1 ... 1, "coco" at 0, 0.01 ... 1, and
    "all-point" takes the exact area. No detection gives 0. Raises ValueError for
    another method. "coco" equals pycocotools to the last bit, rounded points included.
    Source: VOC development kits 2007 and 2010; COCO. Lesson 04.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: choose one of {', '.join(METHODS)}")
    if len(precision) == 0:
        return 0.0
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    if method == "all-point":
        return float(np.sum(np.diff(recall, prepend=0) * falling))
    if method == "11-point":  # whole tenths, less a hair for rounding
        points = np.arange(11) / 10 - 1e-9
    else:
        points = np.linspace(0, 1, 101)
    place = np.searchsorted(recall, points)
    return float(np.sum(falling[place[place < len(falling)]]) / len(points))


def cpu_array(
    values: Tensor | np.ndarray | list, kind: type | None = None
) -> np.ndarray:
    """A tensor on any device, or what else numpy takes, as an array."""
    return np.asarray(to_device(values, "cpu"), kind)


def ignored_objects(target: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Which of N objects need not be found: (ignored, crowd), both (N,) bool.

    Those are the ones that are difficult or a crowd; a flag that `target` does not hold
    is False everywhere. Lesson 04.
    """
    none = np.zeros(len(target["labels"]), bool)
    crowd = cpu_array(target.get("iscrowd", none), bool)
    return crowd | cpu_array(target.get("difficult", none), bool), crowd


def score_image(
    detected: Mapping,
    target: Mapping,
    label: int,
    iou_thresholds: Sequence[float],
    method: str = "coco",
    max_detections: int | None = None,
    ties: str = "order",
    areas: tuple[float, float] = ALL_AREAS,
) -> tuple[np.ndarray, np.ndarray, int]:
    """One image's detections of one class: scores (D,), verdicts (T, D), objects.

    Best score first; the last is how many objects there are to find. Arguments as in
    `evaluate`. Lesson 04.
    """
    mine, true = (cpu_array(p["labels"]) == label for p in (detected, target))
    ignored, crowd = (flags[true] for flags in ignored_objects(target))
    truth = cpu_array(target["boxes"], np.float64)[true]
    if areas != ALL_AREAS:
        ignored = np.where(outside(truth, areas) & ~ignored, 2, ignored)
    objects = int((ignored == 0).sum())
    if not mine.any():
        return np.zeros(0), np.zeros((len(iou_thresholds), 0), np.int8), objects
    scores = cpu_array(detected["scores"])[mine]
    boxes = cpu_array(detected["boxes"], np.float64)[mine]
    order = np.argsort(-scores, kind="stable")
    if ties == "group":  # an order that does not depend on the input's
        order = np.lexsort((*boxes.T, -scores))
        rows = np.lexsort((crowd, ignored, *truth.T))
        truth, ignored, crowd = truth[rows], ignored[rows], crowd[rows]
    coco, limits = method == "coco", np.asarray(iou_thresholds, np.float64)
    most = 100 if coco and max_detections is None else max_detections
    scores, boxes = scores[order[:most]], boxes[order[:most]]
    verdicts = match_to_objects(boxes, truth, ignored, crowd & coco, limits, coco)
    if areas != ALL_AREAS:
        verdicts[(verdicts == 0) & outside(boxes, areas)] = -1
    return scores, verdicts, objects


def outside(boxes: np.ndarray, areas: tuple[float, float]) -> np.ndarray:
    """Which of (N, 4) boxes are smaller or larger than `areas` in square pixels.

    As COCO does, a box of exactly one of the limits is inside. Lesson 04.
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return (area < areas[0]) | (area > areas[1])


def score_class(
    detections: Sequence[Mapping],
    targets: Sequence[Mapping],
    label: int,
    iou_thresholds: Sequence[float],
    method: str = "coco",
    max_detections: int | None = None,
    ties: str = "order",
    areas: tuple[float, float] = ALL_AREAS,
) -> tuple[np.ndarray, np.ndarray, int]:
    """All detections of one class: (scores (D,), verdicts (T, D), objects to find).

    Image after image, see `score_image`; arguments as in `evaluate`. Lesson 04.
    """
    rows = [
        score_image(*pair, label, iou_thresholds, method, max_detections, ties, areas)
        for pair in zip(detections, targets)
    ]
    if not rows:
        return np.zeros(0), np.zeros((len(iou_thresholds), 0), np.int8), 0
    scores, verdicts, objects = zip(*rows)
    return np.concatenate(scores), np.concatenate(verdicts, 1), sum(objects)


def mean_of_known(values: Iterable[float]) -> float:
    """The mean of the numbers that are not NaN; NaN if there is none. Lesson 04."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def checked_settings(
    method: str,
    iou_thresholds: Sequence[float] | None,
    max_detections: int | None,
    ties: str,
) -> list[float]:
    """The IoUs to score at; ValueError for a setting of `evaluate` that is none."""
    if method not in METHODS:
        raise ValueError(f"method {method!r}: choose one of {', '.join(METHODS)}")
    if ties not in TIES:
        raise ValueError(f"ties {ties!r}: choose one of {', '.join(TIES)}")
    if max_detections is not None and not max_detections >= 1:
        raise ValueError(f"max_detections = {max_detections}: give 1 or more")
    if iou_thresholds is None:
        return list(COCO_IOUS if method == "coco" else (0.5,))
    return list(iou_thresholds)


def class_result(
    detections: Sequence[Mapping],
    targets: Sequence[Mapping],
    label: int,
    iou_thresholds: Sequence[float],
    method: str,
    max_detections: int | None,
    ties: str,
    areas: tuple[float, float],
) -> dict:
    """One class: aps and recalls at each IoU (NaN without objects), and its counts.

    Arguments as in `evaluate`. Lesson 04.
    """
    settings = iou_thresholds, method, max_detections, ties, areas
    scores, verdicts, objects = score_class(detections, targets, label, *settings)
    aps, recalls = [math.nan] * len(iou_thresholds), []
    if objects:
        curves = [precision_recall(scores, v, objects, ties) for v in verdicts]
        aps = [average_precision(p, r, method) for p, r, _ in curves]
        recalls = [float((v == 1).sum() / objects) for v in verdicts]
    counts = {"objects": objects, "detections": len(scores)}
    return {"aps": aps, "recalls": recalls} | counts


def evaluate(
    detections: list[Detections],
    targets: list[Target],
    classes: Sequence[str],
    method: str = "coco",
    iou_thresholds: Sequence[float] | None = None,
    max_detections: int | None = None,
    ties: str = "order",
    areas: tuple[float, float] = ALL_AREAS,
) -> dict:
    """Score a detector: mean average precision, AP by class, average recall.

    classes: names of labels 1..K. method: "coco", "all-point" or "11-point". IoUs: 0.5
    for VOC and `COCO_IOUS` for COCO if None. max_detections: of a class in an image;
    None is 100 for COCO, all for VOC. ties: equal scores count in the "order" given, as
    in pycocotools, or as a "group" at once. areas: the sizes that count, in square
    pixels, as in COCO. Difficult objects and crowds neither count nor cost.

    Returns ``map``, ``ap`` {class: AP}, ``map50`` and ``ap50`` (if 0.5 is asked for),
    ``ar`` (the recall of all detections, averaged over IoUs and classes), ``objects``,
    ``detections`` {class: number}, ``method``. AP of a class without objects is NaN,
    left out of means. Raises ValueError as `scorer_input` does.
    Source: Everingham et al. 2010, section 4; Lin et al. 2014 (COCO). Lesson 04.
    """
    ious = checked_settings(method, iou_thresholds, max_detections, ties)
    found, truth = scorer_input(detections, targets, classes)
    settings = ious, method, max_detections, ties, areas
    rows = {
        n: class_result(found, truth, k, *settings) for k, n in enumerate(classes, 1)
    }
    result: dict = {"method": method, "ap50": {}}
    result["ap"] = {n: sum(row["aps"]) / len(ious) for n, row in rows.items()}
    result["map"] = mean_of_known(result["ap"].values())
    result["ar"] = mean_of_known(r for row in rows.values() for r in row["recalls"])
    for key in "objects", "detections":
        result[key] = {n: row[key] for n, row in rows.items()}
    if 0.5 in ious:
        result["ap50"] = {n: r["aps"][ious.index(0.5)] for n, r in rows.items()}
        result["map50"] = mean_of_known(result["ap50"].values())
    return result
