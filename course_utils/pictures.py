"""Pictures for training: held in memory, small, cut out, and changed at random."""

import math

import torch
import torch.nn.functional as F

from course_utils.data import Images, flip
from course_utils.targets import (
    as_float,
    check_labels,
    clip_proposals,
    difficult_objects,
    move_boxes,
    read_target,
)


class SmallImages(torch.utils.data.Dataset):
    """A data set held in memory at one small size, with random changes for training.

    dataset: items (image, target). size: (height, width) of the small images. augment:
    mirror, move, zoom and tint at random. keep: a function of the target, False to
    leave an image out. Items are (image float32 (3, H, W), target without masks).
    Lesson 02.
    """

    def __init__(self, dataset, size, augment=False, keep=None):
        self.size, self.augment = size, augment
        self.classes = dataset.classes
        chosen = [i for i in range(len(dataset)) if not keep or keep(dataset.target(i))]
        self.images, self.targets = [], []
        for i in chosen:
            image, target = dataset[i]
            scale = torch.tensor([size[1] / image.shape[2], size[0] / image.shape[1]])
            small = F.interpolate(as_float(image)[None], size, mode="area")[0]
            self.images.append((small * 255).round().byte())
            target = {k: v for k, v in target.items() if k != "masks"}
            target = read_target(target, image.shape[1:], "SmallImages", i)
            self.targets.append(move_boxes(target, scale, (0, 0)))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, target = as_float(self.images[i]), dict(self.targets[i])
        return random_change(image, target) if self.augment else (image, target)


class Scenes(torch.utils.data.Dataset):
    """A data set held in memory at full size, for training detectors on whole images.

    dataset: a `VOCDataset`; proposals: a list of (N, 4), joins each target as
    ``proposals``; augment: mirror and tint at random. Items are (image float32
    (3, H, W), target) without masks. Lesson 07.
    """

    def __init__(self, dataset, proposals=None, augment=False):
        self.images = list(Images(dataset))
        self.targets = [dict(dataset.target(i)) for i in range(len(dataset))]
        if proposals is not None and len(proposals) != len(self.targets):
            raise ValueError(
                f"proposals of {len(proposals)} images for {len(self.targets)} images;"
                " give a list with one (N, 4) for each"
            )
        for target, boxes in zip(self.targets, proposals or []):
            target["proposals"] = boxes
        self.classes, self.augment = dataset.classes, augment

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, target = as_float(self.images[i]), dict(self.targets[i])
        if self.augment:
            image = random_tint(image)
            if torch.rand(()) < 0.5:
                image, target = flip(image, target)
        return image, target


class ObjectCrops(torch.utils.data.Dataset):
    """Every object of a data set, cut out as a square picture of `side` pixels.

    The square is 1.25 times the box's longer side, so a little surrounding is seen;
    difficult objects are left out. augment: mirror, shift and tint at random; strong:
    zoom, and hide a part, as well, for a long training. Items are
    (image float32 (3, side, side), {"labels": (1,)}). Lesson 02.
    """

    def __init__(self, dataset, side=40, augment=False, strong=False):
        self.side, self.augment, self.classes = side, augment, dataset.classes
        self.strong = strong
        room = side + side // 5 if augment else side  # to be cut at random later
        self.images, self.labels = [], []
        for i in range(len(dataset)):
            image, target = dataset[i]
            target = read_target(target, user="ObjectCrops", name=i)
            boxes, labels = target["boxes"], check_labels(target, math.inf, i)
            skip = difficult_objects(target, len(boxes))
            for box, label, difficult in zip(boxes, labels, skip):
                if not difficult:
                    half = 0.625 * (box[2:] - box[:2]).max() * room / side
                    center = (box[:2] + box[2:]) / 2
                    square = torch.cat([center - half, center + half])
                    self.images.append(cut_square(image, square, room))
                    self.labels.append(label)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = as_float(self.images[i])
        if self.augment:
            if self.strong:
                image = random_erase(random_zoom(image, self.side))
            else:
                free = image.shape[1] - self.side
                y, x = torch.randint(0, free + 1, (2,)).tolist()
                image = image[:, y : y + self.side, x : x + self.side]
            image = random_tint(image)
            if torch.rand(()) < 0.5:
                image = image.flip(2)
        return image, {"labels": self.labels[i][None]}


def cut_square(image, square, side):
    """The square x1, y1, x2, y2 of an image at side x side pixels, uint8.

    What lies outside the image repeats its border.
    """
    height, width = image.shape[1:]
    x1, y1, x2, y2 = square.tolist()
    step = torch.linspace(-1, 1, side) * (side - 1) / side
    x = ((x1 + x2) + (x2 - x1) * step) / width - 1
    y = ((y1 + y2) + (y2 - y1) * step) / height - 1
    grid = torch.stack([x.expand(side, side), y[:, None].expand(side, side)], -1)
    grid = grid.to(image.device)
    small = F.grid_sample(
        as_float(image)[None], grid[None], padding_mode="border", align_corners=False
    )
    return (small[0] * 255).round().byte()


def random_change(image, target):
    """Mirror, zoom, move and tint at random, every box kept inside. Lesson 02.

    Proposals are cut at the border; those of which nothing is left are dropped. The
    new image is float32 in 0..1, from uint8 too. Raises ValueError for a target without
    boxes.
    """
    target = read_target(target, image.shape[1:], "random_change")
    if torch.rand(()) < 0.5:
        image, target = flip(image, target)
    height, width = image.shape[1:]
    size, boxes = torch.tensor([width, height]), target["boxes"].cpu()
    boxes = boxes if len(boxes) else (size / 2).repeat(2)[None]  # the middle stays
    zoom = 0.75 + 0.5 * torch.rand(2)  # > 1 enlarges
    low = -boxes[:, :2].amin(0) * zoom
    high = size - boxes[:, 2:].amax(0) * zoom
    if (high < low).any():  # an object would not fit any more
        zoom, low, high = torch.ones(2), torch.zeros(2), torch.zeros(2)
    middle = size * (1 - zoom) / 2
    shift = middle + 0.25 * size * (torch.rand(2) - 0.5)
    shift = shift.clamp(low, high)
    target = clip_proposals(move_boxes(target, zoom, shift), (height, width))
    if "masks" in target:
        target["masks"] = move_masks(target["masks"], zoom, shift)
    image = zoom_and_shift(image, zoom, shift, padding_mode="border")
    return random_tint(image), target


def zoom_and_shift(image, zoom, shift, **padding):
    """The image (3, H, W) with its point p at zoom * p + shift, on the same canvas.

    image: float, or uint8, which becomes float32 in 0..1. zoom, shift: (2,), x first;
    padding: for `grid_sample`. Lesson 02.
    """
    image = as_float(image)
    size = torch.tensor([image.shape[2], image.shape[1]])
    # affine_grid wants, for each pixel of the new image, its place in the old one
    offset = (size - 2 * shift) / (size * zoom) - 1
    theta = torch.cat([torch.diag(1 / zoom), offset[:, None]], 1)
    grid = F.affine_grid(theta[None], [1, *image.shape], align_corners=False)
    grid = grid.to(image.device)
    return F.grid_sample(image[None], grid, align_corners=False, **padding)[0]


def move_masks(masks, zoom, shift):
    """Masks (N, H, W) moved as `zoom_and_shift` moves their image; empty beyond it."""
    if len(masks) == 0:
        return masks
    moved = zoom_and_shift(masks.float(), zoom, shift, mode="nearest")
    return moved.to(masks.dtype)


def random_tint(image):
    """Brighten or darken each colour channel at random: float32 in 0..1. Lesson 02."""
    factors = 0.7 + 0.6 * torch.rand(3, 1, 1)
    return (as_float(image) * factors.to(image.device)).clamp(0, 1)


def random_zoom(image, side, least=0.7):
    """A random part of the image, `least` to all of each side, at side x side."""
    room = image.shape[1]
    h, w = (room * (least + (1 - least) * torch.rand(2))).int().tolist()
    y, x = int(torch.rand(()) * (room - h)), int(torch.rand(()) * (room - w))
    part = as_float(image)[None, :, y : y + h, x : x + w]
    return F.interpolate(part, (side, side), mode="bilinear", antialias=True)[0]


def random_erase(image):
    """Half of the time, a random rectangle in one random colour, as if hidden."""
    if torch.rand(()) < 0.5:
        side = image.shape[1]
        h, w = (side * (0.15 + 0.35 * torch.rand(2))).int().tolist()
        y, x = int(torch.rand(()) * (side - h)), int(torch.rand(()) * (side - w))
        image = image.clone()
        image[:, y : y + h, x : x + w] = torch.rand(3, 1, 1).to(image.device)
    return image
