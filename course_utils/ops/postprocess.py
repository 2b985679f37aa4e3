"""From scored boxes to detections, and to proposals."""

from course_utils.ops.boxes import clip_boxes
from course_utils.ops.nms import batched_nms, nms


def postprocess_detections(scores, boxes, size, min_score, nms_iou=0.3, most=100):
    """From scored boxes of each class to a detector's detections in one image.

    scores (N, K), boxes (N, K, 4), size (height, width). Boxes are clipped; those with
    at least `min_score` and one pixel of width and height go through NMS class by
    class, and the best `most` stay. Lesson 05.
    """
    region, k = (scores >= min_score).nonzero().unbind(1)
    boxes, scores = clip_boxes(boxes[region, k], size), scores[region, k]
    real = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    boxes, scores, labels = boxes[real], scores[real], k[real] + 1
    keep = batched_nms(boxes, scores, labels, nms_iou)[:most]
    return {"boxes": boxes[keep], "labels": labels[keep], "scores": scores[keep]}


def filter_proposals(objectness, boxes, size, before=1000, after=100, nms_iou=0.7):
    """The best boxes of one image, without near copies: (N, 4), scores (N,).

    objectness (M,), boxes (M, 4), size (height, width). The best `before` are clipped,
    those under one pixel dropped, and of the rest the best `after` that survive NMS
    are taken. Source: Faster R-CNN, section 3.3. Lesson 08.
    """
    best = objectness.argsort(descending=True, stable=True)[:before]  # ties: the first
    boxes, scores = clip_boxes(boxes[best], size), objectness[best]
    real = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    boxes, scores = boxes[real], scores[real]
    keep = nms(boxes, scores, nms_iou, after)
    return boxes[keep], scores[keep]
