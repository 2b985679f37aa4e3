"""How sure a score is: 95 % intervals by the bootstrap over images."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from course_utils.core.compiled import njit
from course_utils.evaluation.average_precision import (
    checked_settings,
    cpu_array,
    score_image,
)
from course_utils.evaluation.scorer_input import scorer_input
from course_utils.ops.targets import Detections, Target

ROUNDS = 1000


class Interval(NamedTuple):
    """A number and the ends of its 95 % interval. Lesson 04."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def draw_images(count: int, rounds: int = ROUNDS, seed: int = 0) -> np.ndarray:
    """How often each of `count` images is drawn: (rounds, count) int64.

    Each round draws `count` images with replacement. Raises ValueError for no image.
    Source: Efron 1979. Lesson 04.
    """
    if count < 1 or rounds < 1:
        raise ValueError(f"{count} images, {rounds} rounds: give 1 or more of each")
    generator = np.random.default_rng(seed)
    return generator.multinomial(count, np.full(count, 1 / count), rounds)


def interval_of(value: float, drawn: np.ndarray) -> Interval:
    """The middle 95 % of what the rounds gave, NaN left out. Lesson 04."""
    known = drawn[~np.isnan(drawn)]
    low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (math.nan,) * 2
    return Interval(float(value), float(low), float(high))


@njit
def resampled_ap(right, image, objects, draws, points):
    """AP of one class at one IoU, had each image been there so many times.

    right (D,) int8, best score first, 1 right, 0 false, -1 not counted; image (D,): the
    image of each; objects (N,): to find in each image; draws (R, N); points: recalls at
    which precision is averaged, none for the exact area. Returns (R,), NaN for rounds
    without objects. Lesson 04.
    """
    many = len(right)
    result = np.full(len(draws), np.nan)
    precision, recall = np.zeros(many), np.zeros(many)
    for r in range(len(draws)):
        total = (draws[r] * objects).sum()
        if total == 0:
            continue
        hits, false, result[r] = 0, 0, 0
        for d in range(many):
            hits += (right[d] == 1) * draws[r, image[d]]
            false += (right[d] == 0) * draws[r, image[d]]
            precision[d] = hits / max(1, hits + false)
            recall[d] = hits / total
        for d in range(many - 2, -1, -1):  # the curve is made to fall
            precision[d] = max(precision[d], precision[d + 1])
        if len(points) == 0:
            for d in range(many):
                step = recall[d] - (recall[d - 1] if d else 0)
                result[r] += step * precision[d]
            continue
        for place in np.searchsorted(recall, points):
            if place < many:
                result[r] += precision[place] / len(points)
    return result


def matched_once(
    detections: list[Detections],
    targets: list[Target],
    classes: Sequence[str],
    iou_thresholds: Sequence[float],
    method: str = "coco",
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each class (verdicts (T, D), image (D,), objects (N,)), best score first.

    Images are matched here; a resampled data set only counts them anew. Lesson 04.
    """
    found, truth = scorer_input(detections, targets, classes)
    classwise = []
    for label in range(1, len(classes) + 1):
        rows = [
            score_image(*pair, label, iou_thresholds, method)
            for pair in zip(found, truth)
        ]
        scores, verdicts, objects = zip(*rows)
        order = np.argsort(-np.concatenate(scores), kind="stable")
        image = np.repeat(np.arange(len(rows)), [len(s) for s in scores])
        parts = np.concatenate(verdicts, 1)[:, order], image[order], np.array(objects)
        classwise.append(parts)
    return classwise


def resampled_maps(
    detections: list[Detections],
    targets: list[Target],
    classes: Sequence[str],
    draws: np.ndarray,
    method: str = "coco",
    iou_thresholds: Sequence[float] | None = None,
) -> dict[str, np.ndarray]:
    """{"map": (R,), "map50": (R,)} of the data sets that `draws` (R, N) make of one.

    Equal to `evaluate` on the repeated images, where no scores tie. Lesson 04.
    """
    ious = checked_settings(method, iou_thresholds, None, "order")
    points = np.linspace(0, 1, 101) if method == "coco" else np.arange(11) / 10 - 1e-9
    points = points[: 0 if method == "all-point" else None]
    rows = matched_once(detections, targets, classes, ious, method)
    aps = np.array(  # (K, T, R)
        [[resampled_ap(v, i, n, draws, points) for v in right] for right, i, n in rows]
    )
    known = (~np.isnan(aps)).sum(0)
    by_iou = np.where(known > 0, np.nansum(aps, 0) / np.maximum(known, 1), math.nan)
    found = {"map": by_iou.mean(0)}
    return found | ({"map50": by_iou[ious.index(0.5)]} if 0.5 in ious else {})


def map_intervals(
    detections: list[Detections],
    targets: list[Target],
    classes: Sequence[str],
    method: str = "coco",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Interval]:
    """mAP and mAP@0.5 with their intervals: {"map": Interval, "map50": Interval}.

    Arguments as in `evaluate`; `rounds` data sets are drawn from the images. They say
    how much the score would differ on other such images, not on another training of the
    detector. Lesson 04.
    """
    return map_differences(detections, None, targets, classes, method, rounds, seed)


def map_differences(
    detections: list[Detections],
    others: list[Detections] | None,
    targets: list[Target],
    classes: Sequence[str],
    method: str = "coco",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Interval]:
    """By how much a detector's mAP and mAP@0.5 are above another's on the same images.

    Each round draws the same images for both, so that hard ones hit both; an interval
    without 0 says that one is better. Lesson 04.
    """
    drawn = draw_images(len(targets), rounds, seed)
    draws = np.concatenate([np.ones((1, len(targets)), drawn.dtype), drawn])
    found = resampled_maps(detections, targets, classes, draws, method)
    if others is not None:
        minus = resampled_maps(others, targets, classes, draws, method)
        found = {key: values - minus[key] for key, values in found.items()}
    return {key: interval_of(v[0], v[1:]) for key, v in found.items()}


def share_interval(
    hits: Tensor | np.ndarray | list,
    image: Tensor | np.ndarray | list,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """The mean of `hits` with its interval: a recall, an accuracy, a mean IoU.

    hits (G,): a number for each object, such as found or not; image (G,): the number of
    its image. The objects of an image are drawn together. Raises ValueError for none.
    Lesson 04.
    """
    values, image = cpu_array(hits, float), cpu_array(image)
    if len(values) != len(image) or len(values) == 0:
        raise ValueError(f"{len(values)} hits, {len(image)} images: one each")
    _, image = np.unique(image, return_inverse=True)
    sums, counts = np.bincount(image, values), np.bincount(image)
    draws = draw_images(len(counts), rounds, seed)
    return interval_of(values.mean(), draws @ sums / (draws @ counts))
