"""Lesson 07: R-CNN and Fast R-CNN on the same picture."""

import matplotlib.pyplot as plt

from course_utils.core.devices import predict_one, to_device
from course_utils.core.timing import Timer
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, figure_of_panels, slider, steps
from course_utils.proposals.selective_search import selective_search

NUM_PROPOSALS = (20, 50, 100, 200)
PHASES = ("proposals", "backbone", "regions", "nms")
PHASE_COLORS = ("#BBBBBB", "#0072B2", "#E69F00", "#009E73")


def timed_detections(model, image, num_proposals):
    """One detector's detections to one image, and {phase: milliseconds} of the call."""
    model.num_proposals, model.timer = num_proposals, Timer()
    detected = predict_one(model, image)
    return detected, {k: 1000 * v for k, v in model.timer.seconds.items()}


def time_bars(times, ax=None, columns=4):
    """Stacked bars of {name: {phase: milliseconds}}; returns the axes.

    columns: of the legend.
    """
    ax = ax or plt.subplots(figsize=(6.5, 2.2), layout="constrained")[1]
    for row, split in enumerate(times.values()):
        left = 0.0
        for phase, color in zip(PHASES, PHASE_COLORS):
            value = split.get(phase, 0.0)
            text = phase if row == 0 or phase == "backbone" else None
            ax.barh(row, value, left=left, color=color, label=text)
            left += value
        ax.text(left, row, f" {left:.0f} ms", va="center", fontsize=9)
    ax.set_yticks(range(len(times)), times, fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.25)
    ax.set_xlabel("milliseconds an image", fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels())))
    ax.legend(handles.values(), handles, fontsize=8, ncols=columns, frameon=False,
              loc="lower center", bbox_to_anchor=(0.5, 1.0))  # fmt: skip
    return ax


def side_by_side(models, images, classes):
    """Explorer: the detections and times of {name: detector} on the same picture.

    All are made and timed at the start, so that no move waits: about a second for each
    two pictures.
    """
    images = to_device(list(images), "cpu")
    selective_search(images[0], 10)  # warm up, so that times compare
    made = {
        (name, picture, num_proposals): timed_detections(model, image, num_proposals)
        for picture, image in enumerate(images)
        for name, model in models.items()
        for num_proposals in NUM_PROPOSALS
    }

    def draw(picture, num_proposals, best):
        times, panels = {}, []
        for name in models:
            detected, times[name] = made[name, picture, num_proposals]
            # The best few: decision values and probabilities have no common scale.
            order = detected["scores"].argsort(descending=True, stable=True)[:best]
            kept = {k: v[order] for k, v in detected.items()}
            panels.append(plot.target_pixels(images[picture], kept, classes, 316))
        whole, high = 320 * len(models) + 320, panels[0].shape[0] + 30
        figure = figure_of_panels(panels, models, (whole, high))
        time_bars(times, figure.add_axes((1 - 230 / whole, 0.2, 170 / whole, 0.5)), 2)
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(images) - 1, 0),
        num_proposals=steps("proposals", NUM_PROPOSALS, NUM_PROPOSALS[-1]),
        best=slider("best boxes", 1, 10, 5),
    )
