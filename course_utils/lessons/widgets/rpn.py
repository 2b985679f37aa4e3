"""Lesson 08: anchors at a cell, which of them are positive, and proposals."""

import torch

from course_utils.core.devices import to_device
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, choice, empty_figure, slider
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.boxes import box_iou, clip_boxes
from course_utils.ops.matching import match_boxes

STRIDE = 8


def cells_of(image):
    """(rows, columns) of the map over an image (3, H, W)."""
    return -(-image.shape[1] // STRIDE), -(-image.shape[2] // STRIDE)


def anchors_at_a_cell(image):
    """Explorer: the shapes at one cell, with sliders for sizes and the ratio."""
    rows, columns = cells_of(image)

    def draw(row, column, size, sizes, ratio):
        shapes = [size * 2**k for k in range(sizes)]
        ratios = [1.0] if ratio == 1 else [1 / ratio, 1.0, ratio]
        grid = AnchorGrid(shapes, ratios, STRIDE)
        boxes = grid(rows, columns).view(rows, columns, -1, 4)[row, column]
        figure, (ax,) = empty_figure(560, 440)
        plot.show_image(image, ax)
        y, x = torch.meshgrid(
            (torch.arange(rows) + 0.5) * STRIDE,
            (torch.arange(columns) + 0.5) * STRIDE,
            indexing="ij",
        )
        ax.scatter(x.numpy(), y.numpy(), s=3, color="white", linewidths=0)
        colors = [plot.COLORS[n // len(ratios)] for n in range(len(boxes))]
        plot.draw_boxes(boxes, None, colors, ax, width=1.5)
        height, width = image.shape[1:]
        ax.set(xlim=(0, width), ylim=(height, 0))
        count = rows * columns * len(grid)
        ax.set_title(f"{len(grid)} shapes at each cell: {count:,} anchors", fontsize=11)
        return figure

    return Explorer(
        draw,
        row=slider("row", 0, rows - 1, rows // 2),
        column=slider("column", 0, columns - 1, columns // 2),
        size=slider("smallest size", 8, 48, 16, 4),
        sizes=slider("sizes", 1, 4, 4),
        ratio=slider("ratio", 1.0, 4.0, 2.0, 0.25),
    )


def which_are_positive(images, targets, grid):
    """Explorer: positive anchors of a picture at chosen thresholds."""
    images, targets = (to_device(list(v), "cpu") for v in (images, targets))

    def draw(picture, positive, negative, force):
        image, objects = images[picture], targets[picture]["boxes"]
        anchors = grid(*cells_of(image))
        negative = min(negative, positive)
        match, iou = match_boxes(anchors, objects, positive, negative, force == "on")
        figure, (ax,) = empty_figure(560, 440)
        plot.show_image(image, ax)
        hit = match >= 0
        boxes = clip_boxes(anchors[hit], image.shape[1:])
        colors = [plot.COLORS[i % len(plot.COLORS)] for i in match[hit].tolist()]
        plot.draw_boxes(boxes, None, colors, ax, width=0.8)
        plot.draw_boxes(objects, None, "white", ax, width=2.5)
        found = len(match[hit].unique())
        ax.set_title(
            f"positive {int(hit.sum())}, ignored {int((match == -2).sum())},"
            f" background {int((match == -1).sum()):,};"
            f" {found} of {len(objects)} objects have an anchor",
            fontsize=10,
        )
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(images) - 1, 0),
        positive=slider("positive from IoU", 0.3, 0.9, 0.7, 0.05),
        negative=slider("background below", 0.0, 0.9, 0.3, 0.05),
        force=choice("best anchor of each object is positive", ["on", "off"]),
    )


def best_proposals(images, found, targets=None):
    """Explorer: the best proposals of a picture; found: {name: list of (N, 4)}.

    targets: where given, objects that a proposal finds (IoU 0.5) are drawn green, and
    the others with a dashed line.
    """

    def draw(picture, num_proposals):
        figure, axes = empty_figure(300 * len(found), 270, len(found))
        for ax, (name, boxes) in zip(axes, found.items()):
            plot.show_image(images[picture], ax)
            some = boxes[picture][:num_proposals]
            plot.draw_boxes(some, None, plot.COLORS[1], ax, width=0.9)
            title = f"{name}: {len(some)}"
            if targets is not None:
                objects = targets[picture]["boxes"]
                hit = (box_iou(objects, some) >= 0.5).any(1)
                plot.draw_boxes(objects[hit], None, "#009E73", ax, width=2.5)
                plot.draw_boxes(objects[~hit], None, "#D55E00", ax, 2.5, "--")
                title += f", {int(hit.sum())} of {len(objects)} objects"
            ax.set_title(title, fontsize=10)
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(images) - 1, 0),
        num_proposals=slider("proposals", 1, 50, 10),
    )
