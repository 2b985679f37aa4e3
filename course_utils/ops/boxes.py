"""Boxes: area, overlap, coding and non-maximum suppression.

Boxes are float32 ``(N, 4)`` tensors of ``x1, y1, x2, y2`` in pixels, half-open.
"""

import math

import numpy as np
import torch
from torch import Tensor

# A size delta above this would make a box 62 times its anchor; exp() of a wild one
# overflows to infinity, so it is cut off here.
MAX_SIZE_DELTA = math.log(1000 / 16)
# Divides the deltas of a box against its region, so that the network's numbers are
# about as large as its class scores (Fast R-CNN, section 2.3).
BOX_DELTA_STDS = (0.1, 0.1, 0.2, 0.2)


def check_boxes(boxes: Tensor | np.ndarray | list, where: str = "boxes") -> Tensor:
    """Return `boxes` as float32 (N, 4), or say what is wrong with which box.

    boxes: anything torch.as_tensor takes, (N, 4) pixels; empty of any shape gives
    (0, 4). where: name of the source for the message, such as ``"image dog.jpg"``.
    Raises ValueError for a wrong shape, a NaN or infinite number, or a box whose
    corners are swapped or whose width or height is zero. Lesson 01.
    """
    boxes = torch.as_tensor(boxes, dtype=torch.float32)
    if boxes.numel() == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"{where}: boxes must have shape (N, 4), x1 y1 x2 y2, got"
            f" {tuple(boxes.shape)}; write a single box as [[x1, y1, x2, y2]]"
        )
    finite = boxes.isfinite().all(1)
    positive = (boxes[:, 2:] > boxes[:, :2]).all(1)
    bad = ~(finite & positive)
    if bad.any():
        i = int(bad.nonzero()[0])
        box = [round(v, 3) for v in boxes[i].tolist()]
        if not finite[i]:
            mend = "it holds NaN or infinity; look for a division by zero"
        else:
            mend = "x2 must be > x1 and y2 > y1; swap the corners or drop the box"
        raise ValueError(f"{where}: box {i} = {box} is not a box: {mend}")
    return boxes


def box_area(boxes: Tensor) -> Tensor:
    """Areas of (N, 4) boxes, as (N,), in square pixels. Lesson 01."""
    boxes = boxes.float()
    width = (boxes[:, 2] - boxes[:, 0]).clamp(min=0)
    height = (boxes[:, 3] - boxes[:, 1]).clamp(min=0)
    return width * height


def box_intersection(a: Tensor, b: Tensor) -> Tensor:
    """Area that two boxes share, for all pairs: (N, 4), (M, 4) -> (N, M). Lesson 01."""
    ax1, ay1, ax2, ay2 = a.float().T[:, :, None]  # (N, 1) each
    bx1, by1, bx2, by2 = b.float().T  # (M,) each
    width = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp(min=0)  # (N, M)
    height = (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp(min=0)
    return width * height


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of all pairs: (N, 4), (M, 4) -> (N, M), 0 to 1.

    A box without area overlaps nothing, not even itself: its IoU is 0, and its gradient
    is finite. Source: Jaccard index; PASCAL VOC, Everingham et al. 2010, section
    4.2. Lesson 01.
    """
    intersection = box_intersection(a, b)
    union = box_area(a)[:, None] + box_area(b) - intersection
    return intersection / torch.where(union > 0, union, 1)  # 0 / 1, never 0 / 0


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of all pairs: (N, 4), (M, 4) -> (N, M), -1 to 1.

    Its gradient is finite for boxes without area, too.
    Source: Rezatofighi et al. 2019, algorithm 1. Lesson 01.
    """
    intersection = box_intersection(a, b)
    union = box_area(a)[:, None] + box_area(b) - intersection
    ax1, ay1, ax2, ay2 = a.float().T[:, :, None]
    bx1, by1, bx2, by2 = b.float().T
    width = (torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1)).clamp(min=0)
    height = (torch.maximum(ay2, by2) - torch.minimum(ay1, by1)).clamp(min=0)
    hull = width * height  # the smallest box around both
    iou = intersection / torch.where(union > 0, union, 1)
    return iou - (hull - union) / torch.where(hull > 0, hull, 1)


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Move corners that lie outside an image of `size` = (height, width) to its border.

    (N, 4) -> (N, 4), a new tensor; a box wholly outside comes back without area.
    Lesson 01.
    """
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(-1)
    x1, x2 = x1.clamp(0, width), x2.clamp(0, width)
    y1, y2 = y1.clamp(0, height), y2.clamp(0, height)
    return torch.stack([x1, y1, x2, y2], -1)


def xywh_to_xyxy(rects: Tensor | np.ndarray | list) -> Tensor:
    """OpenCV's and COCO's x, y, width, height to our boxes: (N, 4) -> (N, 4).

    Raises ValueError for another shape; no rects at all give (0, 4). Lesson 01.
    """
    rects = torch.as_tensor(rects, dtype=torch.float32)
    if rects.numel() == 0:
        return rects.reshape(0, 4)
    if rects.ndim != 2 or rects.shape[1] != 4:
        raise ValueError(f"rects of shape {tuple(rects.shape)}: give (N, 4), x y w h")
    return torch.cat([rects[:, :2], rects[:, :2] + rects[:, 2:]], 1)


def to_center(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Corners to center and size: (..., 4) -> four tensors cx, cy, w, h. Lesson 01."""
    x1, y1, x2, y2 = boxes.float().unbind(-1)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def encode_boxes(
    boxes: Tensor, anchors: Tensor, stds: tuple[float, ...] = (1, 1, 1, 1)
) -> Tensor:
    """How to move and scale `anchors` so that they become `boxes`, as deltas.

    boxes, anchors: (N, 4) pixels, row by row -> (N, 4) deltas tx, ty, tw, th, each
    divided by its number in `stds`. Raises ValueError for a box or anchor without area.
    Source: R-CNN, Girshick et al. 2014, appendix C. Lesson 01.
    """
    boxes, anchors = check_boxes(boxes), check_boxes(anchors, "anchors")
    x, y, w, h = to_center(boxes)
    ax, ay, aw, ah = to_center(anchors)
    deltas = [(x - ax) / aw, (y - ay) / ah, torch.log(w / aw), torch.log(h / ah)]
    return torch.stack(deltas, -1) / deltas[0].new_tensor(stds)


def decode_boxes(
    deltas: Tensor, anchors: Tensor, stds: tuple[float, ...] = (1, 1, 1, 1)
) -> Tensor:
    """Undo `encode_boxes`: (..., 4) deltas and (..., 4) anchors -> (..., 4) boxes.

    Size deltas are cut at log(1000 / 16), so that exp() cannot overflow.
    Source: R-CNN, Girshick et al. 2014, appendix C. Lesson 01.
    """
    ax, ay, aw, ah = to_center(anchors)
    tx, ty, tw, th = (deltas.float() * deltas.new_tensor(stds).float()).unbind(-1)
    x, y = ax + tx * aw, ay + ty * ah
    w = aw * torch.exp(tw.clamp(max=MAX_SIZE_DELTA))
    h = ah * torch.exp(th.clamp(max=MAX_SIZE_DELTA))
    return torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)
