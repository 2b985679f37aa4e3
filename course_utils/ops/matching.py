"""Which proposal or anchor stands for which object, and which ones train."""

from typing import Any

import torch
from torch import Tensor

from course_utils.ops.boxes import box_iou
from course_utils.ops.targets import Target


def check_finite(boxes: Tensor, name: str) -> None:
    """Raises ValueError, with the row, if boxes (N, 4) hold NaN or infinity."""
    if not boxes.isfinite().all():
        row = int((~boxes.isfinite()).nonzero()[0, 0])
        raise ValueError(
            f"{name}[{row}] = {boxes[row].tolist()} is not finite: a network that"
            " diverged makes such boxes; lower its learning rate"
        )


def match_boxes(
    boxes: Tensor,
    gt_boxes: Tensor,
    positive: float = 0.5,
    negative: float = 0.5,
    force_best: bool = False,
) -> tuple[Tensor, Tensor]:
    """Tie each of N boxes to the ground-truth box that it overlaps most.

    boxes (N, 4), gt_boxes (G, 4). Returns (match (N,) int64, iou (N,)): match is the
    object's index where the IoU is at least `positive`, -1 (background) where it is
    below `negative`, and -2 (neither) between the two. force_best: the box that
    overlaps an object most is positive whatever its IoU, if they touch at all; it
    stays tied to the object that *it* overlaps most. IoU and limits are compared in
    float32. Raises ValueError if negative is above positive, and for NaN boxes.
    Source: Fast R-CNN, section 2.3; Faster R-CNN, section 3.1.2. Lesson 07.
    """
    if negative > positive:
        raise ValueError(f"negative = {negative} must not exceed positive = {positive}")
    check_finite(boxes, "boxes")
    check_finite(gt_boxes, "gt_boxes")
    if len(gt_boxes) == 0 or len(boxes) == 0:
        none = torch.full((len(boxes),), -1, device=boxes.device)
        return none, torch.zeros(len(boxes), device=boxes.device)
    ious = box_iou(boxes, gt_boxes)  # (N, G)
    iou, nearest = ious.max(1)
    match = torch.where(iou >= positive, nearest, -2)
    match[iou < negative] = -1
    if force_best:
        best = ious.max(0).values  # (G,)
        forced = ((ious == best) & (best > 0)).any(1)
        match[forced] = nearest[forced]
    return match, iou


def assign_targets(
    boxes: Tensor, target: Target, **limits: Any
) -> tuple[Tensor, Tensor]:
    """What each of N boxes should say: (labels (N,), matched_gt_boxes (N, 4)).

    labels: the class of the object that the box is tied to, 0 for background, -1 for
    boxes that train nothing: neither positive nor background, or tied to an object that
    is difficult or has label -1. matched_gt_boxes: the box of that object; where there
    is none, the box itself. limits: for `match_boxes`. Lesson 07.
    """
    match, _ = match_boxes(boxes, target["boxes"], **limits)
    labels = torch.where(match == -2, -1, 0)
    matched_gt_boxes = boxes.float().clone()
    hit = match >= 0
    labels[hit] = target["labels"][match[hit]]
    matched_gt_boxes[hit] = target["boxes"][match[hit]].float()
    if "difficult" in target:
        labels[hit] = torch.where(target["difficult"][match[hit]], -1, labels[hit])
    return labels, matched_gt_boxes


def sample_balanced(
    labels: Tensor, count: int, positive_fraction: float = 0.25
) -> Tensor:
    """Draw `count` boxes to train on, at most `positive_fraction` of them positive.

    labels (N,): above 0 positive, 0 background, -1 never drawn. Missing positives are
    made up by background. Returns indices, the positives first; fewer than `count`,
    down to none, where there are no more. One seed draws the same on every device.
    Source: Fast R-CNN, section 2.3. Lesson 07.
    """
    positive = (labels > 0).nonzero().flatten()
    background = (labels == 0).nonzero().flatten()
    most = int(count * positive_fraction)
    drawn = torch.randperm(len(positive))[:most]
    positive = positive[drawn.to(labels.device)]
    drawn = torch.randperm(len(background))[: count - len(positive)]
    background = background[drawn.to(labels.device)]
    return torch.cat([positive, background])
