"""Region proposals: boxes that may hold an object, whatever its class."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from tqdm.auto import tqdm

from course_utils.core.cache import cached_array
from course_utils.core.compiled import njit
from course_utils.core.files import content_key, file_state
from course_utils.core.settings import in_ci
from course_utils.proposals.grouping import (
    color_codes,
    color_space,
    describe_regions,
    group_regions,
    texture_codes,
)
from course_utils.proposals.segmentation import as_image, join_pixels, sorted_edges

# Of selective search: raise it when its boxes change, so that no old cache stays.
VERSION = 2
# Which of colour, texture, size and fill count when regions are joined.
STRATEGIES = ((1, 1, 1, 1), (1, 0, 1, 1))


def sliding_windows(size, sides, ratios=(0.5, 1, 2), overlap=0.5):
    """Windows of fixed sizes all over an image of `size` = (height, width) pixels.

    A window has the area side x side and height / width = ratio; neighbours share
    `overlap` of a side. Windows that do not fit are left out. Returns (N, 4).
    Lesson 03.
    """
    windows = []
    for side in sides:
        for ratio in ratios:
            h, w = round(side * ratio**0.5), round(side / ratio**0.5)
            ys = np.arange(0, size[0] - h + 1, max(1, round(h * (1 - overlap))))
            xs = np.arange(0, size[1] - w + 1, max(1, round(w * (1 - overlap))))
            y, x = (v.ravel() for v in np.meshgrid(ys, xs, indexing="ij"))
            windows.append(np.stack([x, y, x + w, y + h], 1))
    return torch.from_numpy(np.concatenate(windows)).float()


@njit(nogil=True)
def count_votes(boxes, run, min_iou=0.6):
    """How well other runs agree with each box: float32 (N, 4) -> (N,).

    run: (N,) number of the run that found it, ascending. Each run gives a box the IoU
    of its own nearest box, if that is at least `min_iou`, both in float32. Lesson 03.
    """
    least = np.float32(min_iou)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    votes = np.zeros(len(boxes), np.float32)
    for i in range(len(boxes)):
        nearest = np.float32(0)
        for j in range(len(boxes)):
            if j and run[j] != run[j - 1]:
                votes[i] += nearest
                nearest = np.float32(0)
            w = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            h = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            if w > 0 and h > 0:
                iou = w * h / (area[i] + area[j] - w * h)
                if iou >= least and iou > nearest:
                    nearest = iou
        votes[i] += nearest
    return votes


@njit(nogil=True)
def spread_out(boxes, rounds=(0.7, 0.85, 1.0)):
    """An order of boxes, given best first, that puts near copies of a box later.

    Each round takes, in the given order, the boxes whose IoU with all taken so far is
    at most its number, both in float32. float32 (N, 4) -> (N,) indices. Lesson 03.
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    overlap = np.zeros(len(boxes), np.float32)  # with the nearest box taken
    taken = np.zeros(len(boxes), np.bool_)
    order = []
    for limit in rounds:
        for i in range(len(boxes)):
            if taken[i] or overlap[i] > np.float32(limit):
                continue
            taken[i] = True
            order.append(i)
            for j in range(len(boxes)):
                w = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
                h = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
                if not taken[j] and w > 0 and h > 0:
                    iou = w * h / (area[i] + area[j] - w * h)
                    overlap[j] = max(overlap[j], iou)
    return np.array(order)


def search_one_space(image, space, scales, sigma, min_size, strategies):
    """The boxes of all runs in one colour space, a list of (N, 4), latest made first.

    image (H, W, 3) in 0..1; space: see `color_space`; the rest as in
    `selective_search`. Lesson 03.
    """
    height, width = image.shape[:2]
    image = color_space(image, space)
    colors, textures = color_codes(image), texture_codes(image)
    edges = sorted_edges(image, sigma)
    found = []
    for scale in scales:
        joined = join_pixels(*edges, height * width, np.float32(scale / 255), min_size)
        labels = joined.reshape(height, width)
        regions = describe_regions(labels, labels.max() + 1, colors, textures)
        for strategy in strategies:
            boxes, _ = group_regions(*regions, np.array(strategy, np.float32))
            found.append(boxes[::-1])
    return found


def all_runs(
    image,
    spaces=("lab", "hsv"),
    scales=(25, 50, 100, 200),
    sigma=0.8,
    min_size=30,
    strategies=STRATEGIES,
):
    """The boxes of each run of selective search, a list of (N, 4), latest made first.

    image (H, W, 3) in 0..1; settings as in `selective_search`. Each colour space has a
    thread of its own. Lesson 03.
    """
    settings = scales, sigma, min_size, strategies
    with ThreadPoolExecutor(len(spaces)) as pool:
        jobs = [pool.submit(search_one_space, image, s, *settings) for s in spaces]
        return [boxes for job in jobs for boxes in job.result()]


def rank_boxes(found, max_candidates=2500):
    """Boxes of several runs, each box once, in the order to look at them.

    found: for each run (N, 4), latest made first, of which an equal share of
    `max_candidates` is taken. Most votes first (`count_votes`), then near copies later
    (`spread_out`). Returns float32 (N, 4). Lesson 03.
    """
    share = max(1, max_candidates // len(found))
    found = [np.unique(boxes[:share], axis=0) for boxes in found]
    run = np.repeat(np.arange(len(found)), [len(boxes) for boxes in found])
    boxes = np.concatenate(found).astype(np.float32)
    order = (-count_votes(boxes, run)).argsort(kind="stable")
    _, first = np.unique(boxes[order], axis=0, return_index=True)
    boxes = boxes[order][np.sort(first)]  # each box once, most votes first
    return boxes[spread_out(boxes)]


def selective_search(
    image, num_proposals=None, max_pixels=60_000, max_candidates=2500, **settings
):
    """Boxes that may hold an object, best first, by grouping regions of an image.

    image: see `segmentation.as_image`. num_proposals: at most so many boxes. A larger
    image is shrunk to `max_pixels` first. max_candidates: see `rank_boxes`. settings:
    one run for each of ``spaces`` ("lab", "hsv"), ``scales`` of the segmentation (25,
    50, 100, 200; see `felzenszwalb`, also for ``sigma`` 0.8 and ``min_size`` 30) and
    ``strategies`` (weights of colour, texture, size, fill). Returns float32 (N, 4) in
    pixels of the image given, without duplicates, on its device; it is computed on the
    CPU. Raises ValueError for a bad image.
    Source: Uijlings et al. 2013; the ranking by votes is ours. Lesson 03.
    """
    device = image.device if torch.is_tensor(image) else None
    image = as_image(image)
    height, width = image.shape[:2]
    shrink = min(1, (max_pixels / (height * width)) ** 0.5)
    small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    if shrink < 1:
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    boxes = rank_boxes(all_runs(image, **settings), max_candidates)[:num_proposals]
    back = np.float32([width / small[0], height / small[1]] * 2)
    return torch.from_numpy(boxes * back).to(device)


def dataset_proposals(dataset, num_proposals=200):
    """Selective search on every image of a `VOCDataset`, kept in the cache.

    Returns a list of float32 (N, 4), best first. Made again when an image file or the
    list of images changes. About 40 ms for a tabletop image. Lesson 05.
    """
    files = [dataset.path("JPEGImages", image_id) for image_id in dataset.ids]
    key = content_key(VERSION, num_proposals, *map(file_state, files))

    def fill(array):
        array[:] = 0
        title = f"selective search, {dataset.split}"
        for i in tqdm(range(len(dataset)), desc=title, disable=in_ci(), leave=False):
            boxes = selective_search(dataset[i][0], num_proposals)
            array[i, : len(boxes)] = boxes.cpu().numpy()

    name = f"proposals-{dataset.split}-{key}"
    array = cached_array(name, (len(dataset), num_proposals, 4), np.float32, fill)
    rows = (torch.from_numpy(np.array(boxes)) for boxes in array)
    return [boxes[boxes[:, 2] > 0] for boxes in rows]
