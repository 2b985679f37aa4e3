"""Pretraining of a backbone on scenes: name and place objects whose box is given."""

import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from course_utils.core.weights import train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset
from course_utils.data.transforms import move_masks, zoom_and_shift
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.localizer import Classifier
from course_utils.ops.batches import collate
from course_utils.ops.boxes import box_area, check_boxes, clip_boxes
from course_utils.ops.roi import roi_align
from course_utils.ops.targets import (
    as_float,
    clip_target,
    difficult_objects,
    keep_objects,
    move_boxes,
    read_target,
)
from course_utils.training.loop import fit
from course_utils.training.recipes import train_on_crops


def random_view(image, target, least=0.6, most=1.4):
    """A scene from nearer or farther, and moved: zoomed by `least` to `most`.

    Beyond the image's border it is grey. Boxes are cut at the border; an object that
    keeps less than half of its box, or less than 80 square pixels, becomes difficult;
    what is out of sight is left out. The new image is float32, from uint8 in 0..1.
    Raises ValueError for a target without boxes. Lesson 07.
    """
    height, width = image.shape[1:]
    target = read_target(target, (height, width), "random_view")
    image = as_float(image)
    size = torch.tensor([width, height])
    zoom = (least + (most - least) * torch.rand(())) * torch.ones(2)
    zoom *= torch.tensor([1, -1]).mul(0.1 * (2 * torch.rand(()) - 1)).exp()
    reach = 0.5 if zoom.mean() > 1 else 0.25
    middle = size * (0.5 + reach * (torch.rand(2) - 0.5))
    shift = size / 2 - middle * zoom
    image = zoom_and_shift(image - 0.5, zoom, shift) + 0.5
    moved = move_boxes(target, zoom, shift)
    target = clip_target(moved, (height, width))
    boxes, whole = target["boxes"], box_area(moved["boxes"])
    lost = (box_area(boxes) < 0.5 * whole) | (box_area(boxes) < 80)
    difficult = difficult_objects(target, len(boxes), boxes.device) | lost
    if "masks" in target:
        target["masks"] = move_masks(target["masks"], zoom, shift)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return image, keep_objects(target | {"difficult": difficult}, kept)


def hide_parts(image, boxes, chance=0.3):
    """The image with a part of some objects under a rectangle of one random colour.

    image: float32 in 0..1, or uint8, which becomes that; boxes: (N, 4) pixels. Raises
    ValueError for a box without area. Lesson 07.
    """
    image, boxes = as_float(image).clone(), check_boxes(boxes)
    boxes = clip_boxes(boxes, image.shape[1:])
    for x1, y1, x2, y2 in boxes.cpu()[torch.rand(len(boxes)) < chance].tolist():
        w, h = ((0.2 + 0.4 * torch.rand(2)) * torch.tensor([x2 - x1, y2 - y1])).tolist()
        x, y = (torch.rand(2) * torch.tensor([x2 - x1 - w, y2 - y1 - h])).tolist()
        x, y = x1 + x, y1 + y
        color = torch.rand(3, 1, 1).to(image.device)
        image[:, int(y) : int(y + h), int(x) : int(x + w)] = color
    return image


def shake(boxes, part=0.22):
    """Boxes (N, 4) with every edge moved by up to `part` of the box's side."""
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    moves = (2 * torch.rand(boxes.shape) - 1).to(boxes.device)
    return boxes + part * sides * moves


def boxes_anywhere(count, size, least=10, most=110):
    """`count` boxes anywhere in an image of `size` = (height, width): (count, 4)."""
    place = torch.rand(count, 2) * torch.tensor([size[1], size[0]])
    low, high = torch.tensor([float(least), float(most)]).log()
    sides = (low + (high - low) * torch.rand(count, 2)).exp()
    boxes = clip_boxes(torch.cat([place - sides / 2, place + sides / 2], 1), size)
    return boxes[(boxes[:, 2:] - boxes[:, :2] >= 8).all(1)]


class Views(Dataset):
    """Scenes from nearer and farther, with shaken ground-truth boxes as ``proposals``.

    Each ground-truth box is shaken three times; a dozen random boxes join, most of them
    background. dataset: a `VOCDataset`. Items are as those of `Scenes`. Lesson 07.
    """

    def __init__(self, dataset):
        self.scenes = Scenes(dataset, augment=True)

    def __len__(self):
        return len(self.scenes)

    def __getitem__(self, i):
        image, target = random_view(*self.scenes[i])
        boxes = target["boxes"]
        others = boxes_anywhere(12, image.shape[1:]).to(boxes.device)
        target["proposals"] = torch.cat([*(shake(boxes) for _ in range(3)), others])
        return hide_parts(image, boxes), target


def train_on_scenes(backbone, epochs=160):
    """Teach a backbone to name and place given objects in scenes; returns the history.

    For `train_or_load("scenes", ...)`. It starts from the weights "crops" and goes
    on as the backbone of a `FastRCNN` whose proposals are shaken ground-truth boxes;
    the head is thrown away. About 50 minutes on two cores, so the repository ships the
    result. Lesson 07.
    """
    root = find_data("tabletop")
    splits = [VOCDataset(root, split) for split in ("train", "single_train")]
    k, channels = len(splits[0].classes) + 1, backbone.out_channels
    train_or_load("crops", Classifier(backbone, channels, k), train_on_crops)
    model = FastRCNN(backbone, RegionHead(channels, k), pool=roi_align)
    views = ConcatDataset([Views(split) for split in splits])
    loader = DataLoader(views, 8, shuffle=True, collate_fn=collate, drop_last=True)
    return fit(model, loader, epochs, lr=4e-3, weight_decay=0.05, name="scenes")
