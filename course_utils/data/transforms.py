"""Change an image and its target together: mirror, crop, zoom, tint, erase."""

import torch
import torch.nn.functional as F

from course_utils.ops.boxes import box_area
from course_utils.ops.targets import (
    as_float,
    clip_proposals,
    clip_target,
    keep_objects,
    move_boxes,
    read_target,
)


def flip(image, target):
    """Mirror image and target left to right; both are new. Lesson 02."""
    target = read_target(target, image.shape[-2:])
    target = move_boxes(target, (-1, 1), (image.shape[-1], 0))
    if "masks" in target:
        target["masks"] = target["masks"].flip(-1)
    return image.flip(-1), target


def crop(image, target, window, min_visible=0.25):
    """Cut out `window` = (x1, y1, x2, y2) in whole pixels; image and target are new.

    Boxes are moved and clipped; an object that keeps less than `min_visible` of its box
    area is left out, as is a proposal of which nothing is left. Raises ValueError if
    the window is not inside the image, and for a target without boxes. Lesson 02.
    """
    x1, y1, x2, y2 = (int(v) for v in window)
    height, width = image.shape[-2:]
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise ValueError(f"window {(x1, y1, x2, y2)} is not inside {width} x {height}")
    target = read_target(target, (height, width), "crop")
    old = move_boxes(target, (1, 1), (-x1, -y1))
    target = clip_target(old, (y2 - y1, x2 - x1))
    area = box_area(target["boxes"])
    keep = (area > 0) & (area >= min_visible * box_area(old["boxes"]))
    target = keep_objects(target, keep)
    if "masks" in target:
        target["masks"] = target["masks"][:, y1:y2, x1:x2].clone()
    return image[..., y1:y2, x1:x2].clone(), target


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
