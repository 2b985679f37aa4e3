"""Non-maximum suppression."""

import math

import numpy as np
import torch
from torch import Tensor

from course_utils.core.compiled import njit


def check_scored(
    boxes: Tensor, scores: Tensor, **others: Tensor
) -> tuple[Tensor, Tensor]:
    """Return `boxes` (N, 4) and `scores` (N,) as float32, or say what is wrong.

    others: more values that each box has one of, such as ``labels=labels``. Raises
    ValueError for what is no tensor of numbers, a wrong shape, different numbers or
    devices, and a NaN or infinite number. No boxes at all may have any shape.
    Lesson 01.
    """
    values = {"boxes": boxes, "scores": scores} | others
    for name, value in values.items():
        if not torch.is_tensor(value) or value.is_complex():
            kind = getattr(value, "dtype", type(value).__name__)
            raise ValueError(f"{name}: {kind} given; give a tensor of numbers")
    if boxes.numel() == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes of shape {tuple(boxes.shape)}: give (N, 4)")
    for name, value in list(values.items())[1:]:
        if value.ndim != 1:
            raise ValueError(f"{name} of shape {tuple(value.shape)}: give (N,)")
        if len(value) != len(boxes):
            raise ValueError(
                f"{len(boxes)} boxes but {len(value)} {name}; give one each"
            )
        if value.device != boxes.device:
            raise ValueError(
                f"boxes are on {boxes.device}, {name} on {value.device}: move one"
            )
    boxes, scores = boxes.detach().float(), scores.detach().float()
    for name, value in ("boxes", boxes), ("scores", scores):
        quick = math.isfinite(value.sum())  # one sum is faster than to ask each
        if not quick and not value.isfinite().all():
            i = int((~value.isfinite()).nonzero()[0, 0])
            raise ValueError(f"{name}[{i}] = {value[i].tolist()} is NaN or infinite")
    return boxes, scores


@njit(error_model="numpy")
def greedy_nms(boxes, iou_threshold, most):
    """The greedy loop of NMS over float32 (N, 4) `boxes`, best first -> (N,) bool.

    iou_threshold: float32, as the IoUs are, so that an IoU of 3 / 5 is not above 0.6.
    It stops when `most` are kept. Compiled to machine code at its first call.
    Lesson 01.
    """
    x1, y1, x2, y2 = [boxes[:, k].copy() for k in range(4)]
    area = (x2 - x1) * (y2 - y1)
    keep, kept = np.ones(len(boxes), np.bool_), 0
    for i in range(len(boxes)):
        if kept == most:
            keep[i] = False
        if keep[i]:
            kept += 1
            for j in range(i + 1, len(boxes)):
                w = max(min(x2[i], x2[j]) - max(x1[i], x1[j]), np.float32(0))
                h = max(min(y2[i], y2[j]) - max(y1[i], y1[j]), np.float32(0))
                iou = w * h / (area[i] + area[j] - w * h)
                keep[j] &= not iou > iou_threshold
    return keep


def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float = 0.5, most: int | None = None
) -> Tensor:
    """Non-maximum suppression: of boxes that overlap, keep the best one.

    boxes (N, 4), scores (N,) -> int64 indices of the kept boxes, best first. A box goes
    when its IoU with a better kept one is strictly greater than `iou_threshold`, both
    in float32; among equal scores the lowest index is better. most: stop when so many
    are kept. Raises ValueError as `check_scored` does. Source: Felzenszwalb et al. 2010
    (DPM), section 7.2. Lesson 01.
    """
    boxes, scores = check_scored(boxes, scores)
    order = scores.argsort(descending=True, stable=True)
    best_first = boxes[order].cpu().numpy()
    most = len(boxes) if most is None else most
    keep = greedy_nms(best_first, np.float32(iou_threshold), most)
    return order[torch.from_numpy(keep).to(order.device)]


def batched_nms(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float = 0.5
) -> Tensor:
    """NMS in each label: (N, 4), (N,), (N,) -> int64 indices, best first.

    Raises ValueError as `check_scored` does. Lesson 01.
    """
    check_scored(boxes, scores, labels=labels)
    kept = [torch.zeros(0, dtype=torch.int64, device=scores.device)]
    for label in labels.unique():
        of_label = (labels == label).nonzero().flatten()
        kept.append(of_label[nms(boxes[of_label], scores[of_label], iou_threshold)])
    keep = torch.cat(kept).sort().values  # so that ties go to the lowest index
    return keep[scores[keep].argsort(descending=True, stable=True)]
