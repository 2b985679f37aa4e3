"""Targets of any user's form, and the one way in which boxes move with their image.

A target is a dict: ``boxes`` and, each optional, ``labels``, ``difficult``, ``masks``,
``proposals``, ``image_id`` and what else torchvision's detectors are trained with.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from typing_extensions import NotRequired

from course_utils.core.devices import to_device
from course_utils.ops.boxes import box_area, check_boxes, clip_boxes

BOX_KEYS = ("boxes", "proposals")  # move with the image
# One row for each object, in the order of the boxes: leave with it.
OBJECT_KEYS = {
    *("boxes", "labels", "difficult", "truncated", "occluded", "iscrowd", "area"),
    *("masks", "scores", "names"),
}
IMAGE_KEYS = {"image_id", "proposals", "size", "orig_size"}  # belong to the image
ROWS = (torch.Tensor, np.ndarray, list)  # what may hold a row for each object
FIXED_KEYS = ("keypoints", "polygons", "segmentation")  # places that nothing here moves


class Target(TypedDict):
    """What is to be found in one image of N objects. Lesson 00."""

    boxes: Tensor  # (N, 4) float32 pixels
    labels: Tensor  # (N,) int64, from 1; -1 is ignored
    difficult: NotRequired[Tensor]  # (N,) bool
    iscrowd: NotRequired[Tensor]  # (N,) bool
    masks: NotRequired[Tensor]  # (N, H, W) bool
    proposals: NotRequired[Tensor]  # (R, 4) float32 pixels
    image_id: NotRequired[Any]  # a name or a number


class Detections(TypedDict):
    """What a detector finds in one image: N boxes, the best first. Lesson 00."""

    boxes: Tensor  # (N, 4) float32 pixels
    labels: Tensor  # (N,) int64, from 1
    scores: Tensor  # (N,) float32


def check_targets(
    targets: Sequence[Mapping] | None,
    num_classes: float,
    device: torch.device | None = None,
) -> list[Target]:
    """Return targets ready for training, or say which image and box is at fault.

    Checks boxes, see `boxes.check_boxes`, and that labels are whole numbers from 1 to
    `num_classes` - 1, or -1 (0 is the background); an integer type becomes int64.
    ``difficult`` is filled in, (N,) bool: True also for a crowd (``iscrowd``), False
    where nothing is said. device: where all its tensors shall lie, if not
    where they are. The given targets are not changed. Raises ValueError that
    names image, key and mend. Lesson 02.
    """
    if not isinstance(targets, (list, tuple)):
        kind = type(targets).__name__
        raise ValueError(f"training needs a list of targets, one an image, not {kind}")
    checked: list[Target] = []
    for i, given in enumerate(targets):
        target = to_device(read_target(given, user="training", name=i), device)
        boxes = target["boxes"]
        labels = check_labels(target, num_classes, i).to(boxes.device)
        difficult = difficult_objects(target, len(boxes), boxes.device)
        checked.append(
            {**target, "boxes": boxes, "labels": labels, "difficult": difficult}
        )
    return checked


def image_name(target: Mapping, default: str | int = "of this target") -> str:
    """ "image 7" for messages, whatever form the target's ``image_id`` has."""
    name = target.get("image_id", default)
    name = name.tolist() if isinstance(name, (torch.Tensor, np.ndarray)) else name
    return f"image {name[0] if isinstance(name, list) and len(name) == 1 else name}"


def count_rows(value: Any) -> int | str:
    """The length of a value, "no" where it has none."""
    try:
        return len(value)
    except TypeError:  # a number, None, a tensor of no dimension
        return "no"


def read_boxes(target: Mapping, key: str, where: str) -> Tensor:
    """The boxes under a key as a plain float32 tensor (N, 4), or a clear error.

    Ground truth must have area, see `boxes.check_boxes`; proposals need only be finite.
    """
    given = target[key]
    form = getattr(getattr(given, "format", None), "name", "XYXY")  # of a tv_tensor
    if form != "XYXY":
        raise ValueError(
            f"{where}: {key} are in {form}; convert them to x1, y1, x2, y2 (XYXY)"
        )
    try:
        boxes = torch.as_tensor(given, dtype=torch.float32).as_subclass(torch.Tensor)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{where}: {key} are no tensor (N, 4): {error}") from None
    if key == "boxes" or boxes.numel() == 0 or boxes.shape[1:] != (4,):
        return check_boxes(boxes, where if key == "boxes" else f"{where}, {key}")
    if not boxes.isfinite().all():
        row = int((~boxes.isfinite()).any(1).nonzero()[0])
        raise ValueError(
            f"{where}: {key}[{row}] = {boxes[row].tolist()} is not finite; look for a"
            " division by zero, or drop the box"
        )
    return boxes


def difficult_objects(
    target: Mapping, count: int, device: torch.device | None = None
) -> Tensor:
    """Which objects are not to be trained on: (count,) bool, False where none says so.

    Those that are ``difficult``, and crowds, ``iscrowd`` (COCO).
    """
    flags = torch.zeros(count, dtype=torch.bool, device=device)
    for key in ("difficult", "iscrowd"):
        if key in target and len(target[key]):
            flags = flags | torch.as_tensor(target[key], device=device).bool().reshape(
                -1
            )
    return flags


def read_target(
    target: Mapping,
    size: tuple[int, int] | None = None,
    user: str | None = None,
    name: str | int = "of this target",
) -> dict:
    """A target in one form, a new dict: boxes and proposals (N, 4), masks (N, H, W).

    size: (height, width) of its image, if it is to be moved; user: who cannot do
    without boxes; name: of a target without ``image_id``. Raises ValueError that names
    the image, the key and the mend.
    """
    if not isinstance(target, dict):
        raise ValueError(
            f"a target is a dict with 'boxes' and 'labels', got {type(target).__name__}"
        )
    where, new = image_name(target, name), dict(target)
    if user and "boxes" not in target:
        raise ValueError(
            f"{where}: no 'boxes', which {user} needs; give (N, 4) pixels, or"
            " torch.zeros(0, 4) where there is no object"
        )
    for key in BOX_KEYS:
        if key in target:
            new[key] = read_boxes(target, key, where)
    for key in FIXED_KEYS:
        if size and key in target:
            raise ValueError(f"{where}: {key} cannot move along; leave that key out")
    for key in target.keys() & OBJECT_KEYS - {"boxes"}:
        rows = count_rows(target[key])
        if "boxes" in target and rows != len(new["boxes"]):
            raise ValueError(
                f"{where}: {len(new['boxes'])} boxes but {rows} {key}; give one for"
                " each box"
            )
    if size and "masks" in target:
        masks = torch.as_tensor(target["masks"]).as_subclass(torch.Tensor)
        masks = masks if masks.numel() else masks.new_zeros(0, *size)
        if masks.shape[1:] != tuple(size):
            raise ValueError(
                f"{where}: masks of shape {tuple(masks.shape)} for an image of"
                f" {size[0]} x {size[1]}; they must be (N, height, width)"
            )
        new["masks"] = masks
    return new


def check_labels(
    target: Mapping, num_classes: float, name: str | int = "of this target"
) -> Tensor:
    """The labels of a target as int64 (N,), or a ValueError that names the wrong one.

    Right are 1 to `num_classes` - 1, and -1. name: of a target without ``image_id``.
    """
    where = image_name(target, name)
    if "labels" not in target:
        raise ValueError(f"{where}: no 'labels'; give one for each box, from 1")
    labels = torch.as_tensor(target["labels"])
    if labels.numel() == 0:
        labels = torch.zeros(0, dtype=torch.int64, device=labels.device)
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"{where}: labels are {labels.dtype}, they must be integers"
            f" 1..{num_classes - 1}, 0 is background; use labels.long()"
        )
    if labels.ndim != 1:
        raise ValueError(
            f"{where}: labels have shape {tuple(labels.shape)}, they must be (N,);"
            " use labels.reshape(-1)"
        )
    labels = labels.long()
    bad = ((labels < 1) & (labels != -1)) | (labels >= num_classes)
    if bad.any():
        n = int(bad.nonzero()[0])
        raise ValueError(
            f"{where}: label {n} is {int(labels[n])}; this model knows labels"
            f" 1..{num_classes - 1}, 0 is background; count classes from 1"
        )
    return labels


def move_boxes(target: Mapping, zoom: Sequence[float], shift: Sequence[float]) -> dict:
    """Every box of a target moved as its image is: point p to zoom * p + shift.

    target: from `read_target`; zoom, shift: (2,), x first; a negative zoom mirrors. An
    ``area`` grows with the image. Returns a new dict.
    """
    target = dict(target)
    for key in target.keys() & set(BOX_KEYS):
        boxes = target[key]
        zooms, shifts = (torch.as_tensor(v).repeat(2).to(boxes) for v in (zoom, shift))
        x1, y1, x2, y2 = (boxes * zooms + shifts).unbind(1)
        x1, x2 = (x2, x1) if zoom[0] < 0 else (x1, x2)
        y1, y2 = (y2, y1) if zoom[1] < 0 else (y1, y2)
        target[key] = torch.stack([x1, y1, x2, y2], 1)
    if "area" in target:
        grown = float(abs(zoom[0] * zoom[1]))
        target["area"] = torch.as_tensor(target["area"]).float() * grown
    return target


def clip_target(target: Mapping, size: tuple[int, int]) -> dict:
    """Boxes and proposals cut at the border of an image of `size` = (height, width).

    An ``area`` shrinks by the part of its box that is cut off. Proposals of which
    nothing is left are dropped; objects stay, see `keep_objects`. Returns a new dict.
    """
    target = clip_proposals(target, size)
    boxes = clip_boxes(target["boxes"], size)
    if "area" in target:
        share = box_area(boxes) / box_area(target["boxes"])
        target["area"] = target["area"] * share.to(target["area"].device)
    return target | {"boxes": boxes}


def clip_proposals(target: Mapping, size: tuple[int, int]) -> dict:
    """The same for the proposals alone."""
    if "proposals" not in target:
        return dict(target)
    proposals = clip_boxes(target["proposals"], size)
    return {**target, "proposals": proposals[box_area(proposals) > 0]}


def keep_objects(target: Mapping, keep: Tensor) -> dict:
    """The target of the objects where `keep` (N,) is True; a new dict.

    What belongs to the image, as ``image_id``, stays whole. Raises ValueError for
    another key with as many rows as there are boxes, since it may be either.
    """
    new = dict(target)
    for key, value in target.items():
        if key in OBJECT_KEYS:
            new[key] = pick_rows(value, keep)
        elif key in IMAGE_KEYS or keep.all():
            continue
        elif isinstance(value, ROWS) and count_rows(value) == len(keep):
            raise ValueError(
                f"{image_name(target)}: an object leaves, and {key!r} may have a row"
                " for each object or be the image's; leave it out, or add its name to"
                " course_utils.ops.targets.OBJECT_KEYS or IMAGE_KEYS"
            )
    return new


def pick_rows(
    rows: Tensor | np.ndarray | list, keep: Tensor
) -> Tensor | np.ndarray | list:
    """The rows of a tensor, an array or a list where `keep` (N,) is True."""
    if torch.is_tensor(rows):
        return rows.as_subclass(torch.Tensor)[keep.to(rows.device)]
    if isinstance(rows, np.ndarray):
        return rows[keep.cpu().numpy()]
    return [row for row, kept in zip(rows, keep.tolist()) if kept]


def as_float(image: Tensor | np.ndarray) -> Tensor:
    """An image as plain float32 in 0..1; uint8 is divided by 255."""
    image = torch.as_tensor(image).as_subclass(torch.Tensor)
    return image.float() / 255 if image.dtype == torch.uint8 else image.float()
