"""From scored boxes to detections, and to proposals."""

from torch import Tensor

from course_utils.ops.boxes import clip_boxes
from course_utils.ops.nms import batched_nms, nms
from course_utils.ops.targets import Detections


def postprocess_detections(
    scores: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    min_score: float,
    nms_iou: float = 0.3,
    max_detections: int = 100,
) -> Detections:
    """From scored boxes of each class to the detections in one image.

    scores (N, K), boxes (N, K, 4), size (height, width). Boxes are clipped; those with
    at least `min_score` and one pixel of width and height go through NMS class by
    class, and the best `max_detections` stay. Lesson 05.
    """
    region, k = (scores >= min_score).nonzero().unbind(1)
    boxes, scores = clip_boxes(boxes[region, k], size), scores[region, k]
    real = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    boxes, scores, labels = boxes[real], scores[real], k[real] + 1
    keep = batched_nms(boxes, scores, labels, nms_iou)[:max_detections]
    return {"boxes": boxes[keep], "labels": labels[keep], "scores": scores[keep]}


def filter_proposals(
    objectness: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    pre_nms_top_n: int = 1000,
    post_nms_top_n: int = 100,
    nms_iou: float = 0.7,
) -> tuple[Tensor, Tensor]:
    """The best boxes of one image, without near copies: (N, 4), scores (N,).

    objectness (M,) logits, boxes (M, 4), size (height, width). The best `pre_nms_top_n`
    are clipped, those under one pixel dropped, and of the rest the best
    `post_nms_top_n` that survive NMS are taken.
    Source: Faster R-CNN, section 3.3. Lesson 08.
    """
    best = objectness.argsort(descending=True, stable=True)  # ties: the first
    best = best[:pre_nms_top_n]
    boxes, scores = clip_boxes(boxes[best], size), objectness[best]
    real = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    boxes, scores = boxes[real], scores[real]
    keep = nms(boxes, scores, nms_iou, post_nms_top_n)
    return boxes[keep], scores[keep]
