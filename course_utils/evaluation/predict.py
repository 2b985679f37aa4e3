"""A model's detections for a whole data set."""

from collections.abc import Sequence

import torch
from torch import nn

from course_utils.core.devices import device_of, to_device
from course_utils.models.localizer import left_to_right
from course_utils.ops.boxes import box_iou
from course_utils.ops.targets import Detections


@torch.no_grad()
def predict(model: nn.Module, dataset: Sequence, batch: int = 50) -> list[Detections]:
    """The model's detections for a whole data set, as a list of dicts. Lesson 02.

    Images are moved to the model's device, `batch` at a time, and the detections come
    back to where the images were.
    """
    model.eval()
    device, detections = device_of(model), []
    for start in range(0, len(dataset), batch):
        items = range(start, min(start + batch, len(dataset)))
        images = [dataset[i][0] for i in items]
        found = model(to_device(images, device))
        detections += [to_device(a, image.device) for a, image in zip(found, images)]
    return detections


def localize_scores(
    detections: list[Detections], dataset: Sequence
) -> tuple[float, float]:
    """Share of right labels, and mean IoU, over all objects of a data set.

    Detections and objects are paired from left to right. Lesson 02.
    """
    right, ious = [], []
    for detected, i in zip(to_device(detections, "cpu"), range(len(dataset))):
        boxes, labels = left_to_right(to_device(dataset[i][1], "cpu"))
        found_boxes, found_labels = left_to_right(detected)
        right.append((found_labels == labels).float())
        ious.append(box_iou(found_boxes, boxes).diagonal())
    return torch.cat(right).mean().item(), torch.cat(ious).mean().item()
