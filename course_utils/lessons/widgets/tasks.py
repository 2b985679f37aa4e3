"""Lesson 00: one picture, five tasks, true and predicted."""

import textwrap

import cv2
import numpy as np
import torch

from course_utils.core.devices import device_of, to_device
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, choice, empty_figure, slider
from course_utils.ops.boxes import box_area, box_iou

TASKS = (
    "classification",
    "localization",
    "detection",
    "semantic segmentation",
    "instance segmentation",
)


def predict_scene(model, image, min_score=0.5):
    """A detector's detections in one image, with a mask each by `cut_out`."""
    with torch.no_grad():
        (detected,) = model.eval()([image.to(device_of(model))])
    detected = to_device(detected, "cpu")
    sure = detected["scores"] >= min_score
    detected = {key: value[sure] for key, value in detected.items()}
    return detected | {"masks": cut_out(image, detected["boxes"])}


def cut_out(image, boxes):
    """A mask for each box of an image (3, H, W): (N, 4) -> (N, H, W) bool.

    By OpenCV's GrabCut, which parts each box in two by colour and learns nothing.
    Source: Rother, Kolmogorov and Blake 2004.
    """
    pixels = (255 * image.cpu().permute(1, 2, 0).numpy()).astype(np.uint8)
    masks = np.zeros((len(boxes), *pixels.shape[:2]), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.round().int().tolist()):
        cv2.setRNGSeed(0)
        room = x1, y1, max(x2 - x1, 1), max(y2 - y1, 1)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(pixels, mask, room, *models, 3, cv2.GC_INIT_WITH_RECT)
    return torch.from_numpy(masks % 2 == 1)  # GrabCut: 1 and 3 are the object


def task_answer(target, classes, task):
    """The answer to one of `TASKS` for a picture, in words.

    target: as VOCDataset gives it, or detections, with masks. For classification and
    localization the object with the largest box counts.
    """
    names = [classes[label - 1] for label in target["labels"].tolist()]
    if not names:
        return "nothing found"
    main = biggest(target)
    box = [round(v) for v in target["boxes"][main].tolist()]
    if task == "classification":
        return f"one label: {names[main]}"
    if task == "localization":
        return f"one label and one box: {names[main]} at {box}"
    if task == "detection":
        return f"{len(names)} labels and {len(names)} boxes"
    if task == "semantic segmentation":
        kinds = len(set(names))
        return f"a class for each pixel: {kinds} classes and the background"
    return f"a class and an object for each pixel: {len(names)} masks"


def task_score(target, detected, task):
    """How right `detected` is at one of `TASKS`, in words."""
    if not len(detected["labels"]):
        return "nothing found"
    one, other = biggest(target), biggest(detected)
    right = bool(target["labels"][one] == detected["labels"][other])
    if task == "classification":
        return "right" if right else "wrong"
    if task == "localization":
        iou = float(box_iou(target["boxes"][[one]], detected["boxes"][[other]]))
        return f"label {'right' if right else 'wrong'}, IoU {iou:.2f}"
    if task == "semantic segmentation":
        return f"mean IoU of the classes {mean_class_iou(target, detected):.2f}"
    masks = task == "instance segmentation"
    overlap = mask_iou if masks else box_iou
    key = "masks" if masks else "boxes"
    ious = matches(target, detected, overlap(target[key], detected[key]))
    extra = len(detected["labels"]) - len(ious)
    what = "mask" if masks else "box"
    mean = f", mean {what} IoU {sum(ious) / len(ious):.2f}" if ious else ""
    return f"{len(ious)} of {len(target['labels'])} found, {extra} extra{mean}"


def matches(target, detected, overlap, least=0.5):
    """IoUs of the detections that are right, the surest first; each object once."""
    same = target["labels"][:, None] == detected["labels"]
    overlap, found = torch.where(same, overlap, 0), []
    for d in detected["scores"].argsort(descending=True, stable=True):
        best = int(overlap[:, d].argmax())
        if overlap[best, d] >= least:
            found.append(float(overlap[best, d]))
            overlap[best] = 0
    return found


def mask_iou(a, b):
    """IoU of all pairs of masks: (N, H, W), (M, H, W) bool -> (N, M)."""
    a, b = a.flatten(1).float(), b.flatten(1).float()
    common = a @ b.T
    return common / (a.sum(1)[:, None] + b.sum(1) - common).clamp(min=1)


def mean_class_iou(target, detected):
    """Mean IoU of the areas that each class covers, over all classes of both."""
    labels = torch.cat([target["labels"], detected["labels"]]).unique().tolist()
    areas = [
        torch.stack([t["masks"][t["labels"] == label].any(0) for label in labels])
        for t in (target, detected)
    ]
    return float(mask_iou(*areas).diagonal().mean())


def biggest(target):
    """Index of the object with the largest box."""
    return int(box_area(target["boxes"]).argmax())


def draw_task(image, target, classes, task, ax):
    """Draw the answer to one of `TASKS`, true or predicted, on the picture."""
    plot.show_image(image, ax)
    if not len(target["labels"]):
        return ax
    main = biggest(target)
    one = {key: target[key][main : main + 1] for key in ("boxes", "labels")}
    colors = [plot.color_of(label) for label in target["labels"]]
    if task == "classification":
        name = classes[int(one["labels"]) - 1]
        ax.text(6, 14, name, fontsize=13, bbox={"facecolor": "white", "pad": 3})
    elif task == "localization":
        plot.draw_target(one, classes, ax)
    elif task == "detection":
        plot.draw_target(target, classes, ax)
    elif task == "semantic segmentation":
        plot.draw_masks(target["masks"], colors, ax)
    else:
        from_left = target["boxes"][:, 0].argsort().argsort()  # in both pictures alike
        own = [plot.COLORS[int(i) % len(plot.COLORS)] for i in from_left]
        plot.draw_masks(target["masks"], own, ax)
    return ax


def true_and_predicted(image, target, detected, classes):
    """All five tasks on one picture: the truth above each prediction and its score."""
    titles = [f"{task}: true" for task in TASKS]
    scores = [f"predicted: {task_score(target, detected, task)}" for task in TASKS]
    axes = plot.panels(2 * len(TASKS), 2, (2.4, 1.75), titles=[""] * 2 * len(TASKS))
    for row, task in enumerate(TASKS):
        for answer, title, ax in zip(
            (target, detected), (titles[row], scores[row]), axes[2 * row :]
        ):
            draw_task(image, answer, classes, task, ax)
            ax.set_title(textwrap.fill(title, 34), fontsize=8)


def five_tasks(dataset, indices, model, task="instance segmentation"):
    """Explorer: one picture of `dataset`, the five tasks, true and predicted."""
    known = {}  # GrabCut takes a while

    def draw(picture, task):
        image, target = dataset[indices[picture]]
        if picture not in known:
            known[picture] = predict_scene(model, image)
        detected = known[picture]
        figure, axes = empty_figure(680, 310, 2)
        for answer, ax in zip((target, detected), axes):
            draw_task(image, answer, dataset.classes, task, ax)
        true = f"true: {task_answer(target, dataset.classes, task)}"
        predicted = f"predicted: {task_score(target, detected, task)}"
        for ax, title in zip(axes, (true, predicted)):
            ax.set_title(textwrap.fill(title, 46), fontsize=9)
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(indices) - 1, 0),
        task=choice("task", TASKS, task),
    )
