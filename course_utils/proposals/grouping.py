"""Hierarchical grouping of regions, the inner part of selective search."""

import cv2
import numpy as np

from course_utils.core.compiled import njit

COLOR_BINS, TEXTURE_BINS = 25, 24  # texture: 8 directions x 3 strengths
COLOR_SPACES = {
    "lab": (cv2.COLOR_RGB2LAB, (0, -128, -128), (100, 255, 255)),
    "hsv": (cv2.COLOR_RGB2HSV, (0, 0, 0), (360, 1, 1)),
}


def color_space(image, name):
    """An RGB image (H, W, 3) in 0..1 in another colour space, each channel in 0..1.

    name: "lab" (lightness, green to red, blue to yellow) or "hsv" (hue, saturation,
    value). Lesson 03.
    """
    code, low, reach = COLOR_SPACES[name]
    return (cv2.cvtColor(image, code) - np.float32(low)) / np.float32(reach)


def color_codes(image):
    """The colour bin of each pixel and channel, over each channel's range in the image.

    (H, W, C) floats -> (H, W, C) uint8 below COLOR_BINS. Lesson 03.
    """
    low, high = image.min((0, 1)), image.max((0, 1))
    share = (image - low) / np.maximum(high - low, np.float32(1e-6))
    return (share * np.float32(COLOR_BINS - 1e-3)).astype(np.uint8)


def texture_codes(image):
    """The texture bin of each pixel and channel: direction and strength of its slope.

    (H, W, C) floats -> (H, W, C) uint8 below TEXTURE_BINS. Strengths are thirds of the
    root of the steepest slope; simpler than the paper's derivatives. Lesson 03.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    return slope_codes(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))


@njit(nogil=True)
def slope_codes(dx, dy):
    """Octant and strength of slopes: (H, W, C) twice -> (H, W, C) uint8. Lesson 03."""
    height, width, channels = dx.shape
    codes = np.zeros(dx.shape, np.uint8)
    for c in range(channels):
        steepest = np.float32(1e-12)
        for y in range(height):
            for x in range(width):
                steepest = max(steepest, dx[y, x, c] ** 2 + dy[y, x, c] ** 2)
        for y in range(height):
            for x in range(width):
                a, b = dx[y, x, c], dy[y, x, c]
                octant = (a > 0) + 2 * (b > 0) + 4 * (abs(a) > abs(b))
                share = (a * a + b * b) / steepest  # of the squared slope
                strength = (share > 1 / 81) + (share > 16 / 81)
                codes[y, x, c] = octant + 8 * strength
    return codes


@njit(nogil=True)
def region_shapes(labels, count):
    """Boxes (N, 4) int32, sizes (N,) in pixels, and touching (N, N) bool, of N regions.

    labels (H, W): the region of each pixel, below `count` = N. Lesson 03.
    """
    height, width = labels.shape
    boxes, sizes = np.zeros((count, 4), np.int32), np.zeros(count, np.int32)
    boxes[:, 0], boxes[:, 1] = width, height
    touching = np.zeros((count, count), np.bool_)
    for y in range(height):
        for x in range(width):
            r = labels[y, x]
            sizes[r] += 1
            boxes[r, 0], boxes[r, 1] = min(boxes[r, 0], x), min(boxes[r, 1], y)
            boxes[r, 2], boxes[r, 3] = max(boxes[r, 2], x + 1), max(boxes[r, 3], y + 1)
            for q in (labels[y, max(x - 1, 0)], labels[max(y - 1, 0), x]):
                if q != r:
                    touching[r, q] = touching[q, r] = True
    return boxes, sizes, touching


@njit(nogil=True)
def region_histograms(labels, sizes, codes, bins):
    """Histograms (N, C * bins) of N regions, each channel's part summing to 1 / C.

    labels (H, W); sizes (N,) in pixels; codes (H, W, C): the bin of each pixel and
    channel. Lesson 03.
    """
    height, width, channels = codes.shape
    counts = np.zeros((len(sizes), channels * bins), np.float32)
    for y in range(height):
        for x in range(width):
            row = counts[labels[y, x]]
            for c in range(channels):
                row[c * bins + codes[y, x, c]] += 1
    for r in range(len(sizes)):
        counts[r] /= sizes[r] * channels
    return counts


@njit(nogil=True)
def describe_regions(labels, count, colors, textures):
    """What selective search knows of each of `count` = N regions.

    labels (H, W); colors, textures: codes (H, W, C). Returns colour histograms
    (N, C * COLOR_BINS) and texture histograms (N, C * TEXTURE_BINS), see
    `region_histograms`; boxes, sizes, touching, see `region_shapes`. Lesson 03.
    """
    boxes, sizes, touching = region_shapes(labels, count)
    color = region_histograms(labels, sizes, colors, COLOR_BINS)
    texture = region_histograms(labels, sizes, textures, TEXTURE_BINS)
    return color, texture, boxes, sizes, touching


@njit(nogil=True)
def similarity(a, b, color, texture, boxes, sizes, total, strategy):
    """How well regions a and b go together: the sum of up to four numbers in 0..1.

    color, texture, boxes, sizes: as from `describe_regions`. total: pixels of the
    image. strategy: weights of colour, texture, size and fill.
    Source: Uijlings et al. 2013, section 3.2. Lesson 03.
    """
    s = np.float32(0)
    if strategy[0]:
        s += strategy[0] * np.minimum(color[a], color[b]).sum()
    if strategy[1]:
        s += strategy[1] * np.minimum(texture[a], texture[b]).sum()
    both = sizes[a] + sizes[b]
    s += strategy[2] * (1 - both / total)
    width = max(boxes[a, 2], boxes[b, 2]) - min(boxes[a, 0], boxes[b, 0])
    height = max(boxes[a, 3], boxes[b, 3]) - min(boxes[a, 1], boxes[b, 1])
    s += strategy[3] * (1 - (width * height - both) / total)
    return s


@njit(nogil=True)
def join_regions(a, b, color, texture, boxes, sizes):
    """Make region a the join of a and b, in the arrays of `describe_regions`.

    Histograms become the mean, weighted by size; no pixel is looked at. Lesson 03.
    """
    share = np.float32(sizes[a] / (sizes[a] + sizes[b]))
    color[a] = share * color[a] + (1 - share) * color[b]
    texture[a] = share * texture[a] + (1 - share) * texture[b]
    boxes[a, :2] = np.minimum(boxes[a, :2], boxes[b, :2])
    boxes[a, 2:] = np.maximum(boxes[a, 2:], boxes[b, 2:])
    sizes[a] += sizes[b]


@njit(nogil=True)
def group_regions(color, texture, boxes, sizes, touching, strategy):
    """Join the two most similar touching regions again and again, until one is left.

    Arguments as from `describe_regions`, for N regions. Returns the boxes (2N - 1, 4)
    of the N regions and of the N - 1 joined ones in order of making, and the parent of
    each region (2N - 1,), -1 for the last.
    Source: Uijlings et al. 2013, algorithm 1. Lesson 03.
    """
    n, total = len(sizes), sizes.sum()
    known = color.copy(), texture.copy(), boxes.copy(), sizes.copy()
    all_boxes, parent = np.zeros((2 * n - 1, 4), np.int32), np.full(2 * n - 1, -1)
    all_boxes[:n], number = boxes, np.arange(n)
    alike = np.full((n, n), -1, np.float32)  # -1: they do not touch
    for a, b in zip(*touching.nonzero()):
        if a < b:
            s = similarity(a, b, *known, total, strategy)
            alike[a, b] = alike[b, a] = s
    most = np.array([alike[a].max() for a in range(n)])
    for new in range(n, 2 * n - 1):
        a = most.argmax()
        b = alike[a].argmax()
        join_regions(a, b, *known)  # the new region takes the place of a
        parent[number[a]] = parent[number[b]] = new
        all_boxes[new], number[a] = known[2][a], new
        for j in range(n):
            old = max(alike[a, j], alike[b, j])
            alike[b, j] = alike[j, b] = -1
            if old >= 0 and j != a and j != b:
                s = similarity(a, j, *known, total, strategy)
                alike[a, j] = alike[j, a] = s
                most[j] = alike[j].max() if old == most[j] else max(most[j], s)
        most[a], most[b] = alike[a].max(), -1
    return all_boxes, parent
