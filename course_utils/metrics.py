"""Scoring detectors, timing their phases, and the figures a lesson reports."""

import json
import math
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from course_utils.boxes import box_iou
from course_utils.compiled import njit
from course_utils.env import REPOSITORY, peak_memory_mb

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10))
METHODS = ("coco", "all-point", "11-point")


@njit
def match_to_objects(boxes, objects, difficult, min_ious, take_next):
    """Which detections of one class in one image are right, at several IoUs.

    boxes (D, 4) float64, best score first; objects (G, 4) float64; difficult (G,) bool;
    min_ious (T,). An object is found once; later hits are false. VOC looks only at the
    object with the largest IoU; with `take_next`, as COCO does, at the largest that is
    still free. Returns int8 (T, D): 1 right, 0 false, -1 hits a difficult object and
    does not count. Lesson 04.
    """
    verdict = np.zeros((len(min_ious), len(boxes)), np.int8)
    iou = np.zeros((len(boxes), len(objects)))
    for d, a in enumerate(boxes):
        for g, b in enumerate(objects):
            w = min(a[2], b[2]) - max(a[0], b[0])
            h = min(a[3], b[3]) - max(a[1], b[1])
            if w > 0 and h > 0:
                areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
                iou[d, g] = w * h / (areas - w * h)
    for t, least in enumerate(min_ious):
        found = np.zeros(len(objects), np.bool_)
        for d in range(len(boxes)):
            best, best_value = -1, 0.0
            for g in range(len(objects)):
                if iou[d, g] >= least and not (take_next and found[g]):
                    # COCO prefers an ordinary object to a nearer difficult one.
                    value = iou[d, g] + 2 * (take_next and not difficult[g])
                    if value >= best_value:
                        best, best_value = g, value
            if best >= 0 and difficult[best]:
                verdict[t, d] = -1
            elif best >= 0 and not found[best]:
                verdict[t, d] = 1
                found[best] = True
    return verdict


def precision_recall(scores, right, objects):
    """Precision and recall after each detection, best score first.

    scores (D,); right (D,): 1 right, 0 false, -1 not counted, as from
    `match_to_objects`; objects: how many there are to find. Returns (precision, recall,
    scores), arrays over the detections that count. Lesson 04.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[right[order] >= 0]
    hits = np.cumsum(right[order] == 1)
    precision = hits / np.arange(1, len(order) + 1)
    recall = hits / objects if objects else np.full(len(order), np.nan)
    return precision, recall, scores[order]


def average_precision(precision, recall, method="coco"):
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


def check_answers(answers, targets, classes):
    """Raise ValueError, naming image and fault, if answers can not be scored."""
    if len(answers) != len(targets):
        raise ValueError(f"{len(answers)} answers for {len(targets)} images: one each")
    for i, answer in enumerate(answers):
        sizes = [len(answer[key]) for key in ("boxes", "labels", "scores")]
        where = f"answer {i} (image {targets[i].get('image_id', i)})"
        if len(set(sizes)) > 1:
            raise ValueError(f"{where}: boxes, labels, scores number {sizes}; one each")
        if not (answer["scores"].isfinite().all() and answer["boxes"].isfinite().all()):
            raise ValueError(f"{where}: a box or a score is NaN or infinite")
        for labels in answer["labels"], targets[i]["labels"]:
            if ((labels < 1) | (labels > len(classes))).any():
                raise ValueError(
                    f"{where}: labels {labels.tolist()} are not all in"
                    f" 1..{len(classes)}; 0 is the background"
                )


def score_class(answers, targets, label, min_ious, method, most=100):
    """All detections of one class: (scores (D,), verdicts (T, D), objects to find).

    At most `most` detections count in each image. Lesson 04.
    """
    scores, verdicts, objects = [], [], 0
    for answer, target in zip(answers, targets):
        mine, true = answer["labels"] == label, target["labels"] == label
        difficult = target["difficult"][true].numpy()
        objects += int((~difficult).sum())
        score = answer["scores"][mine].numpy()
        order = np.argsort(-score, kind="stable")[:most]
        if len(order):
            boxes = answer["boxes"][mine].numpy().astype(np.float64)[order]
            truth = target["boxes"][true].numpy().astype(np.float64)
            ious = np.asarray(min_ious, np.float64)
            coco = method == "coco"
            verdicts.append(match_to_objects(boxes, truth, difficult, ious, coco))
            scores.append(score[order])
    if not scores:
        return np.zeros(0), np.zeros((len(min_ious), 0), np.int8), objects
    return np.concatenate(scores), np.concatenate(verdicts, 1), objects


def mean_of_known(values):
    """The mean of the numbers that are not NaN; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def evaluate(answers, targets, classes, method="coco", min_ious=None):
    """Score a detector: mean average precision and AP by class.

    answers: for each image a dict of boxes (N, 4), labels (N,) and scores (N,).
    targets: as `VOCDataset.target` gives them. classes: the names of labels 1..K.
    method: "coco", or VOC's "all-point" or "11-point"; with min_ious left out, COCO
    averages over IoU 0.5, 0.55 ... 0.95 and VOC asks for 0.5.

    Returns ``map``, the mean over IoUs and classes; ``map50`` and ``ap50`` {class: AP},
    the same at IoU 0.5 if that is among min_ious; ``ap`` {class: AP, mean over IoUs};
    ``objects`` and ``detections`` {class: number}; ``method``. A class without objects
    has the AP NaN and is left out of the means; its false alarms are its detections.
    Difficult objects neither count nor cost. Raises ValueError for answers that can not
    be scored.
    Source: Everingham et al. 2010, section 4; Lin et al. 2014 (COCO). Lesson 04.
    """
    check_answers(answers, targets, classes)
    if min_ious is None:
        min_ious = COCO_IOUS if method == "coco" else (0.5,)
    result = {"method": method, "ap": {}, "ap50": {}, "objects": {}, "detections": {}}
    for label, name in enumerate(classes, 1):
        scored = score_class(answers, targets, label, min_ious, method)
        scores, verdicts, objects = scored
        aps = [math.nan] * len(min_ious)
        if objects:
            curves = [precision_recall(scores, right, objects) for right in verdicts]
            aps = [average_precision(p, r, method) for p, r, _ in curves]
        result["ap"][name] = sum(aps) / len(aps)
        if 0.5 in min_ious:
            result["ap50"][name] = aps[list(min_ious).index(0.5)]
        result["objects"][name], result["detections"][name] = objects, len(scores)
    result["map"] = mean_of_known(result["ap"].values())
    if 0.5 in min_ious:
        result["map50"] = mean_of_known(result["ap50"].values())
    return result


def sort_mistakes(answer, target, min_score=0.5):
    """What each answer to one image is, and which objects are missed.

    Answers from `min_score` on are taken, the surest first; each object can be found
    once. Returns {kind: row numbers}, rows of the answer for ``right`` (class and IoU
    >= 0.5), ``twice`` (so, but the object was found already), ``class`` (IoU >= 0.5
    with an object of another class), ``place`` (the class, IoU 0.1 to 0.5) and
    ``background`` (all else), and rows of the target for ``missed``. Answers that hit a
    difficult object best are in none. Source: after Hoiem et al. 2012. Lesson 12.
    """
    kinds = {k: [] for k in ("right", "twice", "class", "place", "background")}
    free = torch.ones(len(target["boxes"]), dtype=torch.bool)
    ious = box_iou(answer["boxes"], target["boxes"])
    same = answer["labels"][:, None] == target["labels"]
    for row in answer["scores"].argsort(descending=True, stable=True).tolist():
        if answer["scores"][row] < min_score:
            break
        own, other = ious[row] * same[row], ious[row] * ~same[row]
        best, place = own.max(0) if len(own) else (torch.tensor(0.0), None)
        if best >= 0.5 and target["difficult"][place]:
            continue
        if best >= 0.5:
            hits = (own >= 0.5) & free & ~target["difficult"]
            kinds["right" if hits.any() else "twice"].append(row)
            if hits.any():
                free[(own * hits).argmax()] = False
        elif len(other) and other.max() >= 0.5:
            kinds["class"].append(row)
        else:
            kinds["place" if best >= 0.1 else "background"].append(row)
    kinds["missed"] = (free & ~target["difficult"]).nonzero().flatten().tolist()
    return kinds


class Timer:
    """Seconds spent in named phases: ``with timer("proposals"): ...``. Lesson 05.

    ``timer.seconds`` is {name: seconds}, summed over all times a phase was entered.
    """

    def __init__(self):
        self.seconds = {}

    @contextmanager
    def __call__(self, name):
        start = time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0) + passed


def report(lesson, **figures):
    """Write a lesson's measured `figures` to data/results/<lesson>.json; return them.

    Adds ``peak_mb``, the peak memory of this process, and ``written``, the time in
    seconds since 1970. $COURSE_RESULTS names another folder. A folder that can not be
    written is said in one line, and the lesson goes on. Raises ValueError for a figure
    that is not a number or text. Every lesson's last cell calls it.
    """
    for name, value in figures.items():
        if not isinstance(value, (int, float, str)) or value != value:
            raise ValueError(
                f"report {lesson}: {name} = {value!r} is no number or text"
            )
    figures = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
    figures |= {"peak_mb": round(peak_memory_mb()), "written": round(time.time(), 1)}
    folder = Path(os.environ.get("COURSE_RESULTS") or REPOSITORY / "data" / "results")
    temporary = folder / f".{lesson}.json.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(figures, indent=2) + "\n")
        os.replace(temporary, folder / f"{lesson}.json")
    except OSError as error:
        trouble = f"can not write {folder} ({error.strerror or error})"
        print(f"NOTE  not kept: {trouble}; $COURSE_RESULTS names another folder")
    return figures
