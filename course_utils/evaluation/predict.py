"""A model's detections for a whole data set."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils.core.devices import device_of, to_device
from course_utils.data.datasets import SmallImages
from course_utils.data.transforms import cut_square
from course_utils.models.localizer import left_to_right
from course_utils.ops.boxes import box_iou
from course_utils.ops.targets import Detections, as_float


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


def close_ups(
    dataset: Sequence, boxes: Sequence[Tensor], side: int = 40
) -> list[tuple[Tensor, dict]]:
    """The box of each image, cut out as `ObjectCrops` does: a list of items to predict.

    dataset: items (image, target); boxes: (4,) pixels for each. Lesson 02.
    """
    crops: list[tuple[Tensor, dict]] = []
    for i, box in enumerate(boxes):
        center, half = (box[:2] + box[2:]) / 2, 0.625 * (box[2:] - box[:2]).max()
        square = torch.cat([center - half, center + half])
        crops.append((as_float(cut_square(dataset[i][0], square, side)), {}))
    return crops


def look_twice(
    model: nn.Module, classifier: nn.Module, dataset: Sequence, size: tuple[int, int]
) -> list[list[Detections]]:
    """One object's box and label from several looks, without any training.

    model: a `Localizer` of images of `size` (height, width); classifier: of crops;
    dataset: full-size images. The box is the mean of image and mirror image; the label
    is the surest of three: theirs, and the classifier's of the close-up. Returns lists
    of detections of small images: one look, both ways round, and with the close-up.
    Source: averaging over mirrored images, Krizhevsky et al. 2012, section 4.1.
    Lesson 02.
    """
    pictures = SmallImages(dataset, size)
    small = [pictures[i] for i in range(len(pictures))]
    plain = predict(model, small)
    other = predict(model, [(image.flip(2), target) for image, target in small])
    for found in other:
        x1, y1, x2, y2 = found["boxes"][0]
        found["boxes"] = torch.stack([size[1] - x2, y1, size[1] - x1, y2])[None]
    boxes = [(a["boxes"] + b["boxes"]) / 2 for a, b in zip(plain, other)]
    zoom = [dataset[i][0].shape[1] / size[0] for i in range(len(small))]
    near = predict(
        classifier, close_ups(dataset, [b[0] * z for b, z in zip(boxes, zoom)])
    )
    looks = list(zip(plain, other, near))
    steps = [plain]
    for count in (2, 3):
        surest = [max(some[:count], key=lambda a: float(a["scores"])) for some in looks]
        steps.append([{**a, "boxes": box} for a, box in zip(surest, boxes)])
    return steps
