"""Lesson 10: all detectors on one picture, their times, and accuracy against time."""

import functools
import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from course_utils.core.devices import to_device
from course_utils.evaluation.compare import detections_from, pareto_front
from course_utils.lessons import plot
from course_utils.lessons.widgets import (
    Explorer,
    empty_figure,
    figure_of_panels,
    slider,
    steps,
    young_garbage,
)
from course_utils.lessons.widgets.fast_rcnn import time_bars

DRAWN = 10  # boxes in each picture; more would hide it
PANEL = 250  # pixels of width for each picture
# Of the detectors in the plot; yellow and white would be lost on its ground.
POINTS = [plot.COLORS[i] for i in (0, 2, 1, 6, 4, 5)]


def draw_pareto(points, ax):
    """mAP against milliseconds of {name: (ms, map50)}; the front joined by a line."""
    front = sorted(points[name] for name in pareto_front(points))
    ax.plot(*zip(*front), color="#999999", linewidth=1, zorder=1)
    for color, (name, (ms, score)) in zip(itertools.cycle(POINTS), points.items()):
        ax.scatter(
            ms, score, s=60, color=color, edgecolor="black", zorder=2, label=name
        )
    ax.legend(fontsize=8, frameon=False, ncols=2, loc="lower right")
    ax.set_xlabel("milliseconds an image, proposals included", fontsize=9)
    ax.set_title("mAP@0.5", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    return ax


def pixels(figure):
    """A figure as an array (H, W, 4) of uint8, to be laid into others."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def speed_and_accuracy(models, scenes, table, numbers, times):
    """Explorer: pictures, times and the Pareto plot at chosen settings.

    models {name: detector}; table, numbers: of `compare.settings_table`; times: of
    `compare.phase_times`.
    """
    num_proposals = sorted({count for _, count, _ in table})
    ious = sorted({iou for _, _, iou in table})
    half = PANEL * len(models) // 2, 240  # pixels of each lower part, across and down

    def split(count):
        return {name: times[name, count] for name in models}

    @functools.cache
    def bars(count):
        figure, (ax,) = empty_figure(*half)
        ax.set_position((0.26, 0.2, 0.66, 0.56))
        time_bars(split(count), ax)
        return pixels(figure)

    @functools.cache
    def pareto(count, nms_iou):
        figure, (ax,) = empty_figure(*half)
        ax.set_position((0.12, 0.2, 0.8, 0.66))
        points = {
            name: (sum(phases.values()), table[name, count, nms_iou])
            for name, phases in split(count).items()
        }
        most = max(ms for ms, _ in points.values())
        draw_pareto(points, ax)
        ax.set(xlim=(0, 1.1 * most), ylim=(min(table.values()) - 0.15, 1))
        return pixels(figure)

    def draw(picture, count, nms_iou, score):
        image = scenes[picture][0]
        panels, titles = [], []
        for name, model in models.items():
            some = to_device(numbers[name][picture], "cpu")
            detected = detections_from(some, model, image.shape[1:], count, nms_iou)
            # R-CNN's decision values: 0 is its middle, as 1/2 is that of a probability.
            limit = 2 * score - 1 if model.min_score < 0 else score
            kept = int((detected["scores"] >= limit).sum())
            best = detected["scores"].argsort(descending=True, stable=True)
            shown = {k: v[best[: min(kept, DRAWN)]] for k, v in detected.items()}
            panels.append(plot.target_pixels(image, shown, scenes.classes, PANEL - 4))
            more = f", best {DRAWN} drawn" if kept > DRAWN else ""
            titles.append(f"{name}: {kept} boxes{more}")
        size = 2 * half[0], 2 * half[1]
        figure = figure_of_panels(panels, titles, size, half[1] + 10)
        figure.figimage(bars(count))
        figure.figimage(pareto(count, nms_iou), half[0])
        return figure

    with young_garbage():  # all of them now, so that no move waits
        for count in num_proposals:
            bars(count)
            for nms_iou in ious:
                pareto(count, nms_iou)
    return Explorer(
        draw,
        picture=slider("picture", 0, len(scenes) - 1, 0),
        count=steps("proposals", num_proposals, num_proposals[-2]),
        nms_iou=steps("NMS at IoU", ious, ious[0]),
        score=slider("least score", 0.05, 0.95, 0.5, 0.05),
    )
