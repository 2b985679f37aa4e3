"""Lesson 11: what each cell of both maps says, and two detectors side by side."""

import torch

from course_utils.core.devices import device_of, predict_one, to_device
from course_utils.lessons import plot
from course_utils.lessons.widgets import (
    Explorer,
    choice,
    empty_figure,
    figure_of_panels,
    slider,
)
from course_utils.ops.batches import stack_images
from course_utils.ops.nms import batched_nms


@torch.no_grad()
def probabilities(model, image):
    """For each map the chance of each class at each cell, (H, W, K), best anchor."""
    given, image = image.device, image.to(device_of(model))
    maps = model.maps(stack_images([image], 16)[0])
    found = []
    for head, grid, features in zip(model.heads, model.grids, maps):
        logits = head(features)[0][0]
        height, width = features.shape[2:]
        cells = logits.view(height, width, len(grid), -1).amax(2)
        found.append(cells.sigmoid())
    return to_device(found, given)


def what_cells_say(model, images, classes, name=None):
    """Explorer: the chance of one class, at first `name`, over both maps."""
    images, made = to_device(list(images), "cpu"), {}

    def draw(picture, name):
        if picture not in made:
            made[picture] = probabilities(model, images[picture])
        image, label = images[picture], classes.index(name)
        height, width = image.shape[1:]
        figure, axes = empty_figure(900, 270, 3)
        plot.show_image(image, axes[0])
        for ax, cells, grid in zip(axes[1:], made[picture], model.grids):
            rows, columns = cells.shape[:2]
            room = (0, columns * grid.stride, rows * grid.stride, 0)
            ax.imshow(cells[..., label], vmin=0, vmax=1, cmap="magma", extent=room)
            ax.set(xlim=(0, width), ylim=(height, 0))
            ax.axis("off")
            best = cells[..., label].max()
            ax.set_title(f"{name}, stride {grid.stride}: at most {best:.2f}")
        axes[0].set_title("picture")
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(images) - 1, 0),
        name=choice("class", list(classes), name),
    )


def one_or_two_stages(models, images, classes):
    """Explorer: the detections of {name: detector} to a picture, at chosen limits.

    All detections are made at the start, so that no move waits.
    """
    images = to_device(list(images), "cpu")
    made = {
        (name, picture): predict_one(model, image)
        for name, model in models.items()
        for picture, image in enumerate(images)
    }

    def draw(picture, score, nms_iou):
        image = images[picture]
        panels, titles = [], []
        for name in models:
            detected = made[name, picture]
            kept = {k: v[detected["scores"] >= score] for k, v in detected.items()}
            rows = batched_nms(kept["boxes"], kept["scores"], kept["labels"], nms_iou)
            kept = {k: v[rows] for k, v in kept.items()}
            panels.append(plot.target_pixels(image, kept, classes, 326))
            titles.append(f"{name}: {len(rows)} boxes")
        size = 330 * len(models), panels[0].shape[0] + 30
        return figure_of_panels(panels, titles, size)

    return Explorer(
        draw,
        picture=slider("picture", 0, len(images) - 1, 0),
        score=slider("least score", 0.05, 0.95, 0.5, 0.05),
        nms_iou=slider("NMS at IoU", 0.1, 0.9, 0.4, 0.1),
    )
