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
    """An RGB image (H, W, 3) in 0..1 in another colour space, each channel in 0..1."""
    code, low, reach = COLOR_SPACES[name]
    return (cv2.cvtColor(image, code) - np.float32(low)) / np.float32(reach)


def color_codes(image):
    """The colour bin of each pixel and channel, over each channel's range in the image.

    (H, W, C) floats -> (H, W, C) uint8 below COLOR_BINS.
    """
    low, high = image.min((0, 1)), image.max((0, 1))
    share = (image - low) / np.maximum(high - low, np.float32(1e-6))
    return (share * np.float32(COLOR_BINS - 1e-3)).astype(np.uint8)


def texture_codes(image):
    """The texture bin of each pixel and channel: direction and strength of its slope.

    (H, W, C) floats -> (H, W, C) uint8 below TEXTURE_BINS. The strengths are thirds
    of the root of the channel's steepest slope. A simpler form of the eight Gaussian
    derivatives of the paper.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    return slope_codes(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))


@njit(nogil=True)
def slope_codes(dx, dy):
    """Octant and strength of slopes: (H, W, C) twice -> (H, W, C) uint8."""
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
def describe_regions(labels, count, colors, textures):
    """What selective search knows of each of `count` = N regions.

    labels (H, W); colors, textures: codes (H, W, C). Returns colour histograms
    (N, C * COLOR_BINS) and texture histograms (N, C * TEXTURE_BINS), each channel's
    part summing to 1 / C; boxes (N, 4) int32; sizes (N,) in pixels; and touching
    (N, N) bool. Lesson 03.
    """
    height, width, channels = colors.shape
    color = np.zeros((count, channels * COLOR_BINS), np.float32)
    texture = np.zeros((count, channels * TEXTURE_BINS), np.float32)
    boxes = np.zeros((count, 4), np.int32)
    boxes[:, 0], boxes[:, 1] = width, height
    sizes = np.zeros(count, np.int32)
    touching = np.zeros((count, count), np.bool_)
    for y in range(height):
        for x in range(width):
            r = labels[y, x]
            sizes[r] += 1
            boxes[r, 0], boxes[r, 1] = min(boxes[r, 0], x), min(boxes[r, 1], y)
            boxes[r, 2], boxes[r, 3] = max(boxes[r, 2], x + 1), max(boxes[r, 3], y + 1)
            for c in range(channels):
                color[r, c * COLOR_BINS + colors[y, x, c]] += 1
                texture[r, c * TEXTURE_BINS + textures[y, x, c]] += 1
            for q in (labels[y, max(x - 1, 0)], labels[max(y - 1, 0), x]):
                if q != r:
                    touching[r, q] = touching[q, r] = True
    for r in range(count):
        color[r] /= sizes[r] * channels
        texture[r] /= sizes[r] * channels
    return color, texture, boxes, sizes, touching


@njit(nogil=True)
def similarity(a, b, color, texture, boxes, sizes, total, strategy):
    """How well regions a and b go together: the sum of up to four numbers in 0..1.

    color, texture, boxes, sizes: as from `describe_regions`. total: pixels of the
    image. strategy: weights of colour, texture, size and fill.
    Source: Uijlings et al. 2013, section 3.2. Lesson 03.
    """
    total_similarity = np.float32(0)
    if strategy[0]:
        total_similarity += strategy[0] * np.minimum(color[a], color[b]).sum()
    if strategy[1]:
        total_similarity += strategy[1] * np.minimum(texture[a], texture[b]).sum()
    both = sizes[a] + sizes[b]
    total_similarity += strategy[2] * (1 - both / total)
    width = max(boxes[a, 2], boxes[b, 2]) - min(boxes[a, 0], boxes[b, 0])
    height = max(boxes[a, 3], boxes[b, 3]) - min(boxes[a, 1], boxes[b, 1])
    total_similarity += strategy[3] * (1 - (width * height - both) / total)
    return total_similarity


@njit(nogil=True)
def group_regions(color, texture, boxes, sizes, touching, strategy):
    """Join the two most similar touching regions again and again, until one is left.

    Arguments as from `describe_regions`, for N regions. Returns the boxes (2N - 1, 4)
    of the N regions and of the N - 1 joined ones in order of making, and the parent of
    each region (2N - 1,), -1 for the last.
    Source: Uijlings et al. 2013, algorithm 1. Lesson 03.
    """
    n = len(sizes)
    total = sizes.sum()
    # A joined region takes the place of its first part in these four arrays.
    color, texture, box, size = color.copy(), texture.copy(), boxes.copy(), sizes.copy()
    number = np.arange(n)
    all_boxes, parent = np.zeros((2 * n - 1, 4), np.int32), np.full(2 * n - 1, -1)
    all_boxes[:n] = boxes
    alike = np.full((n, n), -1, np.float32)  # -1: do not touch
    for i in range(n):
        for j in range(i):
            if touching[i, j]:
                s = similarity(i, j, color, texture, box, size, total, strategy)
                alike[i, j] = alike[j, i] = s
    best = np.array([alike[i].argmax() for i in range(n)])  # nearest of each
    alive = np.ones(n, np.bool_)
    for new in range(n, 2 * n - 1):
        a = -1
        for i in range(n):
            if alive[i] and (a < 0 or alike[i, best[i]] > alike[a, best[a]]):
                a = i
        b = best[a]
        parent[number[a]] = parent[number[b]] = new
        share = np.float32(size[a] / (size[a] + size[b]))
        color[a] = share * color[a] + (1 - share) * color[b]
        texture[a] = share * texture[a] + (1 - share) * texture[b]
        box[a, :2] = np.minimum(box[a, :2], box[b, :2])
        box[a, 2:] = np.maximum(box[a, 2:], box[b, 2:])
        size[a] += size[b]
        all_boxes[new], number[a], alive[b] = box[a], new, False
        for j in range(n):
            near = alive[j] and j != a and max(alike[a, j], alike[b, j]) >= 0
            alike[b, j] = alike[j, b] = -1
            if near:
                s = similarity(a, j, color, texture, box, size, total, strategy)
                alike[a, j] = alike[j, a] = s
                if best[j] == a or best[j] == b:
                    best[j] = alike[j].argmax()
                elif s > alike[j, best[j]]:
                    best[j] = a
        best[a] = alike[a].argmax()
    return all_boxes, parent
