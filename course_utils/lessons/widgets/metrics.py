"""Lesson 04: pretended detections, and a walk along a precision-recall curve."""

import torch

from course_utils.core.devices import to_device
from course_utils.evaluation.average_precision import (
    average_precision,
    precision_recall,
    score_class,
)
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, choice, empty_figure, slider
from course_utils.ops.boxes import clip_boxes


def pretend_detector(targets, num_classes, size, seed=0):
    """Detections as an average detector gives them, made from the truth.

    It misses some objects, finds some twice, takes some for another class, and raises
    false alarms; its boxes are a little off. size: (height, width). Lesson 04.
    """
    g = torch.Generator().manual_seed(seed)
    height, width = size
    detections = []
    for target in to_device(targets, "cpu"):
        seen = torch.rand(len(target["boxes"]), generator=g) < 0.9
        boxes, labels = target["boxes"][seen], target["labels"][seen]
        twice = torch.rand(len(boxes), generator=g) < 0.25
        boxes = torch.cat([boxes, boxes[twice]])
        labels = torch.cat([labels, labels[twice]])
        side = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        off = torch.randn(boxes.shape, generator=g)
        quality = 2 * torch.rand(len(boxes), generator=g)
        boxes = boxes + 0.06 * quality[:, None] * off * side
        mixed = torch.rand(len(boxes), generator=g) < 0.12
        other = torch.randint(1, num_classes, (len(boxes),), generator=g)
        labels = torch.where(mixed, other, labels)
        scores = 0.9 - 0.25 * quality - 0.2 * mixed
        alarms = int(torch.randint(0, 4, (1,), generator=g))
        corner = torch.rand(alarms, 2, generator=g) * torch.tensor([width, height])
        shape = 15 + 60 * torch.rand(alarms, 2, generator=g)
        wrong = torch.cat([corner - shape / 2, corner + shape / 2], 1)
        boxes = clip_boxes(torch.cat([boxes, wrong]), size)
        labels = torch.cat(
            [labels, torch.randint(1, num_classes, (alarms,), generator=g)]
        )
        scores = torch.cat([scores, torch.full((alarms,), 0.3)])
        scores = scores + 0.12 * torch.randn(len(scores), generator=g)
        scores = scores.clamp(0.01, 0.99)
        detections.append({"boxes": boxes, "labels": labels, "scores": scores})
    return detections


def at_threshold(precision, recall, scores, threshold):
    """(precision, recall, number of detections) when those below threshold are cut."""
    kept = int((scores >= threshold).sum())
    if kept == 0:
        return 1.0, 0.0, 0
    return float(precision[kept - 1]), float(recall[kept - 1]), kept


def walk_the_curve(pictures, detections, targets, classes):
    """Explorer: score threshold and IoU threshold, and what they do to a class.

    detections, targets: of a whole data set; pictures: (image, target) of the first
    few.
    """
    pictures, detections = to_device(pictures, "cpu"), to_device(detections, "cpu")
    curves = {}

    def curve(label, iou):
        if (label, iou) not in curves:
            scored = score_class(detections, targets, label, (iou,), "all-point")
            scores, verdicts, objects = scored
            curves[label, iou] = precision_recall(scores, verdicts[0], objects)
        return curves[label, iou]

    def draw(name, threshold, min_iou, picture):
        label = classes.index(name) + 1
        precision, recall, scores = curve(label, min_iou)
        p, r, kept = at_threshold(precision, recall, scores, threshold)
        figure, (ax, side) = empty_figure(780, 360, 2, (5, 4))
        image, target = pictures[picture]
        plot.show_image(image, ax)
        mine = target["labels"] == label
        plot.draw_boxes(target["boxes"][mine], None, "white", ax, width=1.5, style=":")
        detected = detections[picture]
        shown = (detected["labels"] == label) & (detected["scores"] >= threshold)
        texts = [f"{s:.2f}" for s in detected["scores"][shown].tolist()]
        plot.draw_boxes(detected["boxes"][shown], texts, plot.COLORS[0], ax)
        ax.set_title(
            f"{name}: ground-truth boxes dotted, detections orange", fontsize=10
        )
        ap = average_precision(precision, recall, "all-point")
        plot.curves({"curve": (recall, precision)}, side, "recall", "precision")
        side.plot([r], [p], "o", color="#D55E00", markersize=9)
        side.set(xlim=(0, 1.02), ylim=(0, 1.04))
        text = f"{kept} detections: precision {p:.2f}, recall {r:.2f}\n"
        text += f"AP at IoU {min_iou:.2f}: {ap:.3f}"
        side.set_title(text, fontsize=10)
        figure.subplots_adjust(left=0.01, right=0.98, bottom=0.14, top=0.87, wspace=0.2)
        return figure

    return Explorer(
        draw,
        name=choice(
            "class", list(classes), classes[int(pictures[0][1]["labels"][0]) - 1]
        ),
        threshold=slider("score threshold", 0.0, 1.0, 0.3, 0.02),
        min_iou=slider("IoU for a hit", 0.3, 0.95, 0.5, 0.05),
        picture=slider("picture", 0, len(pictures) - 1, 0),
    )
