"""Graph-based segmentation: pixels that look alike become one region."""

import math

import cv2
import numpy as np
import torch

from course_utils.core.compiled import njit


def as_image(image):
    """Any usual kind of image as a float32 array (H, W, 3) in 0..1.

    image: tensor (3, H, W) or (1, H, W), or array (H, W), (H, W, 1) or (H, W, 3); of
    uint8, uint16 or floats in 0..1. Grey becomes three equal channels. Raises
    ValueError, with the mend, for other shapes and types, NaN, and floats beyond 0..1.
    Lesson 03.
    """
    if torch.is_tensor(image):
        image = image.detach().cpu()
        image = image.float() if image.dtype == torch.bfloat16 else image
        image = (image.permute(1, 2, 0) if image.ndim == 3 else image).numpy()
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise ValueError(
            f"image of shape {image.shape}: give a tensor (3, H, W) or an array"
            " (H, W, 3), or grey ones; drop an alpha channel with image[..., :3]"
        )
    if image.dtype in (np.uint8, np.uint16):
        image = image / np.float32(np.iinfo(image.dtype).max)
    elif image.dtype.kind != "f":
        raise ValueError(
            f"image of {image.dtype}: give uint8, uint16 or floats in 0..1"
        )
    elif not np.isfinite(image).all():
        raise ValueError("the image holds NaN or infinity")
    elif image.min() < -0.01 or image.max() > 1.01:  # room for rounding of a resize
        low, high = image.min(), image.max()
        raise ValueError(
            f"float image from {low:.3g} to {high:.3g}: floats must be in 0..1; divide"
            " by 255"
        )
    image = np.repeat(image, 3 // image.shape[2], 2)
    return np.ascontiguousarray(image, np.float32)


@njit(nogil=True)
def grid_edges(image):
    """The graph of an image: an edge joins each pixel to its 8 neighbours.

    (H, W, C) -> weights (E,), the distance of the two colours, and the numbers (E,) of
    the first and the second pixel, counted row by row. Lesson 03.
    """
    height, width, channels = image.shape
    steps = ((0, 1), (1, 0), (1, 1), (1, -1))
    most = 4 * height * width
    weight = np.empty(most, np.float32)
    first, second = np.empty(most, np.int32), np.empty(most, np.int32)
    e = 0
    for dy, dx in steps:
        for y in range(height - dy):
            for x in range(max(0, -dx), width - max(0, dx)):
                total = np.float32(0)
                for c in range(channels):
                    total += (image[y, x, c] - image[y + dy, x + dx, c]) ** 2
                weight[e] = math.sqrt(total)
                first[e] = y * width + x
                second[e] = (y + dy) * width + x + dx
                e += 1
    return weight[:e], first[:e], second[:e]


@njit(nogil=True)
def ascending(weight):
    """Stable order of float32 numbers >= 0, by three passes of counting 11 bits each.

    The bits of such a float, read as an integer, keep its order; nine times faster here
    than a comparison sort. (N,) -> (N,) int32. Lesson 03.
    """
    key = weight.view(np.int32)
    order = np.arange(len(key)).astype(np.int32)
    target = np.empty_like(order)
    for shift in (0, 11, 22):
        place = np.zeros(2049, np.int64)
        for k in key:
            place[((k >> shift) & 2047) + 1] += 1
        place = np.cumsum(place)
        for i in order:
            digit = (key[i] >> shift) & 2047
            target[place[digit]] = i
            place[digit] += 1
        order, target = target, order
    return order


def sorted_edges(image, sigma):
    """Edges of a smoothed (H, W, C) image by ascending weight, see `grid_edges`.

    sigma: width of the Gaussian in pixels, 0 for none. Lesson 03.
    """
    if sigma > 0:
        reach = int(4 * sigma + 0.5)
        size = (2 * reach + 1, 2 * reach + 1)
        smooth = cv2.GaussianBlur(image, size, sigma, borderType=cv2.BORDER_REFLECT)
        image = smooth.reshape(image.shape)
    weight, first, second = grid_edges(image)
    order = ascending(weight)
    return weight[order], first[order], second[order]


@njit(nogil=True)
def find_root(parent, i):
    """The pixel that stands for pixel i's region; shortens the way for the next time.

    parent (N,): of each pixel another one of its region, of a root itself. Lesson 03.
    """
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True)
def number_regions(parent):
    """The regions of `find_root`, numbered 0, 1, ... by their first pixel. Lesson 03.

    (N,) -> (N,) int32.
    """
    number = np.full(len(parent), -1, np.int32)
    labels, found = np.empty(len(parent), np.int32), 0
    for i in range(len(parent)):
        root = find_root(parent, i)
        if number[root] < 0:
            number[root] = found
            found += 1
        labels[i] = number[root]
    return labels


@njit(nogil=True)
def join_pixels(weight, first, second, count, scale, min_size):
    """Join the `count` pixels of a graph to regions, edges by ascending weight.

    Two regions join over an edge no heavier than the heaviest edge inside either plus
    scale / (its size). Then regions under `min_size` join their nearest neighbour.
    Returns the region of each pixel, see `number_regions`. Lesson 03.
    """
    parent = np.arange(count).astype(np.int32)
    size, limit = np.ones(count, np.int32), np.full(count, scale, np.float32)
    for small_only in (False, True):
        for e in range(len(weight)):
            a, b = find_root(parent, first[e]), find_root(parent, second[e])
            if a == b:
                continue
            if small_only:
                join = min(size[a], size[b]) < min_size
            else:
                join = weight[e] <= min(limit[a], limit[b])
            if join:
                if size[a] < size[b]:  # the smaller region below the larger
                    a, b = b, a
                parent[b] = a
                size[a] += size[b]
                limit[a] = weight[e] + scale / size[a]
    return number_regions(parent)


def felzenszwalb(image, scale=100, sigma=0.8, min_size=30):
    """Segment an image: regions whose inside is smoother than their border.

    image: see `as_image`. scale: higher gives larger regions (k of the paper, in units
    of 0..255). sigma: width of the smoothing in pixels, 0 for none. min_size: smallest
    region in pixels. Returns int64 (H, W), regions numbered from 0, on the device of
    the image. Raises ValueError for a negative setting or a bad image.
    Source: Felzenszwalb and Huttenlocher 2004, sections 3 and 4. Lesson 03.
    """
    for name, value in ("scale", scale), ("sigma", sigma), ("min_size", min_size):
        if not value >= 0:
            raise ValueError(f"{name} = {value}: it must be 0 or more")
    device = image.device if torch.is_tensor(image) else None
    image = as_image(image)
    height, width = image.shape[:2]
    edges = sorted_edges(image, sigma)
    labels = join_pixels(*edges, height * width, np.float32(scale / 255), min_size)
    return torch.from_numpy(labels.reshape(height, width)).long().to(device)
