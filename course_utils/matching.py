"""Which proposal or anchor stands for which object."""

import torch

from course_utils.boxes import box_iou


def match_boxes(boxes, objects, positive=0.5, negative=0.5):
    """Tie each of N boxes to the object that it overlaps most.

    boxes (N, 4), objects (G, 4). Returns (match (N,) int64, iou (N,)): match is the
    object's index where the IoU is at least `positive`, -1 (background) where it is
    below `negative`, and -2 (neither) between the two. Raises ValueError if negative
    is above positive. Source: R-CNN, Girshick et al. 2014, section 2.3. Lesson 05.
    """
    if negative > positive:
        raise ValueError(f"negative = {negative} must not exceed positive = {positive}")
    if len(objects) == 0:
        return torch.full((len(boxes),), -1), torch.zeros(len(boxes))
    iou, match = box_iou(boxes, objects).max(1)
    match[iou < positive] = -2
    match[iou < negative] = -1
    return match, iou
