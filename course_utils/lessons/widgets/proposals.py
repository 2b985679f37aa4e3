"""Lesson 03: segmentation, the hierarchy of regions, and the number of proposals."""

import numpy as np
import torch

from course_utils.core.devices import to_device
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, choice, empty_figure, slider
from course_utils.ops.boxes import box_iou
from course_utils.proposals.grouping import (
    color_codes,
    color_space,
    describe_regions,
    group_regions,
    texture_codes,
)
from course_utils.proposals.segmentation import as_image, felzenszwalb
from course_utils.proposals.selective_search import STRATEGIES


def mean_colors(image, labels):
    """The image (H, W, 3) with each region of labels (H, W) in its mean colour."""
    labels = labels.cpu()
    flat = labels.flatten().numpy()
    sums = [np.bincount(flat, image[..., c].ravel()) for c in range(3)]
    sizes = np.maximum(np.bincount(flat), 1)  # numbers may be left out
    return (np.stack(sums, 1) / sizes[:, None])[labels.numpy()]


def segments(pictures):
    """Explorer: Felzenszwalb's segmentation. pictures: {name: image}."""

    def draw(picture, scale, sigma, min_size):
        image = as_image(pictures[picture])
        labels = felzenszwalb(image, scale, sigma, min_size)
        figure, axes = empty_figure(760, 330, 2)
        plot.show_image(image, axes[0], picture)
        title = f"{int(labels.max()) + 1} regions, each in its mean colour"
        plot.show_image(mean_colors(image, labels), axes[1], title)
        return figure

    return Explorer(
        draw,
        picture=choice("picture", list(pictures)),
        scale=slider("scale", 10, 600, 100, 10),
        sigma=slider("sigma", 0.0, 2.0, 0.8, 0.1),
        min_size=slider("minimum size", 0, 400, 30, 10),
    )


def region_tree(image, scale, min_size, strategy):
    """The regions of one run: labels (H, W), boxes (2N - 1, 4), parents (2N - 1,)."""
    labels = felzenszwalb(image, scale, min_size=min_size).cpu()
    lab = color_space(as_image(image), "lab")
    regions = describe_regions(
        labels.numpy(), int(labels.max()) + 1, color_codes(lab), texture_codes(lab)
    )
    boxes, parents = group_regions(*regions, np.array(strategy, np.float32))
    return labels, torch.from_numpy(boxes), parents


def regions_at(level, count, parents):
    """The region that each of `count` first regions belongs to after `level` joins."""
    root = np.arange(count)
    for i in range(count):
        while parents[root[i]] >= 0 and parents[root[i]] < count + level:
            root[i] = parents[root[i]]
    return root


def hierarchy(pictures):
    """Explorer: the joins of selective search, one after the other."""

    def draw(picture, strategy, level):
        image = as_image(pictures[picture])
        weights = {"all four": STRATEGIES[0], "without texture": STRATEGIES[1]}
        labels, boxes, parents = region_tree(image, 50, 60, weights[strategy])
        count = int(labels.max()) + 1
        done = round((count - 1) * level / 100)
        root = torch.from_numpy(regions_at(done, count, parents))
        figure, axes = empty_figure(760, 330, 2)
        left = len(root.unique())
        title = f"{done} of {count - 1} joins done, regions left: {left}"
        plot.show_image(mean_colors(image, root[labels]), axes[0], title)
        plot.show_image(image, axes[1], "boxes of the last 10 joins")
        last = boxes[max(count, count + done - 10) : count + done]
        plot.draw_boxes(last, None, plot.COLORS[1], axes[1], width=1)
        plot.draw_boxes(last[-1:], None, plot.COLORS[0], axes[1], width=2.5)
        return figure

    return Explorer(
        draw,
        picture=choice("picture", list(pictures)),
        strategy=choice("similarity", ["all four", "without texture"]),
        level=slider("joins done in %", 0, 100, 80),
    )


def proposals_that_find(pictures, proposals):
    """Explorer: how many proposals does it take to find the objects?

    pictures: list of (image, target). proposals: for each (N, 4), best first.
    """
    pictures, proposals = to_device(pictures, "cpu"), to_device(proposals, "cpu")
    # Opens on the picture with the most objects.
    crowded = max(range(len(pictures)), key=lambda i: len(pictures[i][1]["boxes"]))

    def draw(picture, num_proposals, min_iou):
        image, target = pictures[picture]
        boxes = proposals[picture][:num_proposals]
        best, which = box_iou(boxes, target["boxes"]).max(0)
        found = best >= min_iou
        figure, (ax,) = empty_figure(560, 460)
        plot.show_image(image, ax)
        plot.draw_boxes(boxes, None, "#DDDDDD", ax, width=0.8)
        colors = ["#009E73" if f else "#D55E00" for f in found]
        names = [f"{iou:.2f}" for iou in best.tolist()]
        plot.draw_boxes(target["boxes"], None, "white", ax, width=1, style=":")
        plot.draw_boxes(boxes[which], names, colors, ax, width=2)
        count = f"{int(found.sum())} of {len(found)} objects found"
        ax.set_title(f"{count} by {len(boxes)} proposals", fontsize=11)
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(pictures) - 1, crowded),
        num_proposals=slider("proposals", 5, 300, 20, 5),
        min_iou=slider("IoU wanted", 0.3, 0.9, 0.5, 0.05),
    )
