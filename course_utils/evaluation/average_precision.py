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


@njit
def match_to_objects(boxes, objects, ignored, crowd, iou_thresholds, take_next):
    """Which detections of one class in one image are right, at several IoUs.

    boxes (D, 4) float64, best score first; objects (G, 4) float64; ignored (G,) bool,
    objects that need not be found; crowd (G,) bool, of those the ones that stand for
    many: a detection's overlap with them is its share that lies inside; iou_thresholds
    (T,) float64. An object is found once; later hits are false. VOC looks only at the
    object with the largest IoU; with `take_next`, as COCO does, at the largest that is
    still free. Returns int8 (T, D): 1 right, 0 false, -1 hits an ignored object and
    does not count. Lesson 04.
    """
    verdict = np.zeros((len(iou_thresholds), len(boxes)), np.int8)
    iou = np.zeros((len(boxes), len(objects)))
    for d, a in enumerate(boxes):
        for g, b in enumerate(objects):
            w = min(a[2], b[2]) - max(a[0], b[0])
            h = min(a[3], b[3]) - max(a[1], b[1])
            if w > 0 and h > 0:
                area = (a[2] - a[0]) * (a[3] - a[1])
                union = area + (b[2] - b[0]) * (b[3] - b[1]) - w * h
                iou[d, g] = w * h / (area if crowd[g] else union)
    for t, least in enumerate(iou_thresholds):
        found = np.zeros(len(objects), np.bool_)
        for d in range(len(boxes)):
            best = -1
            for g in range(len(objects)):
                if iou[d, g] < least or (take_next and found[g]):
                    continue
                better = best < 0 or iou[d, g] >= iou[d, best]
                if take_next and best >= 0 and ignored[g] != ignored[best]:
                    better = ignored[best]  # COCO prefers an object that counts
                if better:
                    best = g
            if best >= 0 and ignored[best]:
                verdict[t, d] = -1
            elif best >= 0 and not found[best]:
                verdict[t, d] = 1
                found[best] = True
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
    another method. "coco" is equal to pycocotools to the last bit: its recall points
    are rounded floats, so that 7 hits of 10 miss the point 0.7000000000000001.
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


def score_class(
    detections: Sequence[Mapping],
    targets: Sequence[Mapping],
    label: int,
    iou_thresholds: Sequence[float],
    method: str,
    max_detections: int | None = None,
    ties: str = "order",
) -> tuple[np.ndarray, np.ndarray, int]:
    """All detections of one class: (scores (D,), verdicts (T, D), objects to find).

    See `evaluate` for max_detections and ties. Lesson 04.
    """
    coco = method == "coco"
    most = 100 if coco and max_detections is None else max_detections
    limits = np.asarray(iou_thresholds, np.float64)
    scores, verdicts, objects = [], [], 0
    for detected, target in zip(detections, targets):
        mine = cpu_array(detected["labels"]) == label
        true = cpu_array(target["labels"]) == label
        ignored, crowd = (flags[true] for flags in ignored_objects(target))
        objects += int((~ignored).sum())
        score = cpu_array(detected["scores"])[mine]
        boxes = cpu_array(detected["boxes"], np.float64)[mine]
        truth = cpu_array(target["boxes"], np.float64)[true]
        order = np.argsort(-score, kind="stable")
        if ties == "group":  # an order that does not depend on the input's
            order = np.lexsort((*boxes.T, -score))
            rows = np.lexsort((crowd, ignored, *truth.T))
            truth, ignored, crowd = truth[rows], ignored[rows], crowd[rows]
        order = order[:most]
        if len(order):
            given = boxes[order], truth, ignored, crowd & coco, limits
            verdicts.append(match_to_objects(*given, coco))
            scores.append(score[order])
    if not scores:
        return np.zeros(0), np.zeros((len(iou_thresholds), 0), np.int8), objects
    return np.concatenate(scores), np.concatenate(verdicts, 1), objects


def mean_of_known(values: Iterable[float]) -> float:
    """The mean of the numbers that are not NaN; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def evaluate(
    detections: list[Detections],
    targets: list[Target],
    classes: Sequence[str],
    method: str = "coco",
    iou_thresholds: Sequence[float] | None = None,
    max_detections: int | None = None,
    ties: str = "order",
) -> dict:
    """Score a detector: mean average precision and AP by class.

    detections: for each image a dict of boxes (N, 4), labels (N,) and scores (N,).
    targets: as `VOCDataset.target` gives them, `difficult` may be missing; `iscrowd`
    (N,) bool may name objects that are crowds. classes: the names of labels 1..K.
    method: "coco", or VOC's "all-point" or "11-point"; with iou_thresholds left out,
    COCO averages over IoU 0.5, 0.55 ... 0.95 and VOC asks for 0.5. max_detections: how
    many of a class count in an image, the best ones; 100 for COCO and all for VOC if
    left out. ties: by "order", equal scores count one after the other as they are
    given, images first, as in pycocotools; as a "group" they enter the curve at once,
    so that the order of images, detections and objects does not matter.

    Returns ``map``, the mean over IoUs and classes; ``map50`` and ``ap50`` {class: AP},
    the same at IoU 0.5 if that is among iou_thresholds; ``ap`` {class: AP, mean over
    IoUs}; ``objects`` and ``detections`` {class: number}; ``method``. A class without
    objects has the AP NaN and is left out of the means; its false alarms are its
    detections. Difficult objects and crowds neither count nor cost, and take any number
    of detections. COCO measures overlap with a crowd as the share of the detection
    inside it; VOC, which has no crowds, takes them as difficult objects, by IoU. Raises
    ValueError as `scorer_input` does, and for another method, number or rule for ties.
    Source: Everingham et al. 2010, section 4; Lin et al. 2014 (COCO). Lesson 04.
    """
    if ties not in TIES:
        raise ValueError(f"ties {ties!r}: choose one of {', '.join(TIES)}")
    if max_detections is not None and not max_detections >= 1:
        raise ValueError(f"max_detections = {max_detections}: give 1 or more")
    found, truth = scorer_input(detections, targets, classes)
    if iou_thresholds is None:
        iou_thresholds = COCO_IOUS if method == "coco" else (0.5,)
    result: dict = {
        "method": method,
        "ap": {},
        "ap50": {},
        "objects": {},
        "detections": {},
    }
    for label, name in enumerate(classes, 1):
        scores, verdicts, objects = score_class(
            found, truth, label, iou_thresholds, method, max_detections, ties
        )
        aps = [math.nan] * len(iou_thresholds)
        if objects:
            curves = [precision_recall(scores, v, objects, ties) for v in verdicts]
            aps = [average_precision(p, r, method) for p, r, _ in curves]
        result["ap"][name] = sum(aps) / len(aps)
        if 0.5 in iou_thresholds:
            result["ap50"][name] = aps[list(iou_thresholds).index(0.5)]
        result["objects"][name], result["detections"][name] = objects, len(scores)
    result["map"] = mean_of_known(result["ap"].values())
    if 0.5 in iou_thresholds:
        result["map50"] = mean_of_known(result["ap50"].values())
    return result
