"""Lesson 07: R-CNN and Fast R-CNN on the same picture."""

import matplotlib.pyplot as plt

from course_utils.core.devices import predict_one, to_device
from course_utils.core.timing import Timer
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, figure_of_panels, slider, steps
from course_utils.proposals.selective_search import selective_search

WINDOWS = (20, 50, 100, 200)
PHASES = ("proposals", "trunk", "regions", "nms")
PHASE_COLORS = ("#BBBBBB", "#0072B2", "#E69F00", "#009E73")


def timed_answer(model, image, windows):
    """One detector's answer to one image, and {phase: milliseconds} of the call."""
    model.windows, model.timer = windows, Timer()
    answer = predict_one(model, image)
    return answer, {k: 1000 * v for k, v in model.timer.seconds.items()}


def time_bars(times, ax=None, columns=4):
    """Stacked bars of {name: {phase: milliseconds}}; returns the axes.

    columns: of the legend.
    """
    ax = ax or plt.subplots(figsize=(6.5, 2.2), layout="constrained")[1]
    for row, split in enumerate(times.values()):
        left = 0.0
        for phase, color in zip(PHASES, PHASE_COLORS):
            value = split.get(phase, 0.0)
            text = phase if row == 0 or phase == "trunk" else None
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
    """Explorer: the answers and times of {name: detector} on the same picture.

    All are made and timed at the start, so that no move waits: about a second for each
    two pictures.
    """
    images = to_device(list(images), "cpu")
    selective_search(images[0], 10)  # warm up, so that times compare
    made = {
        (name, picture, windows): timed_answer(model, image, windows)
        for picture, image in enumerate(images)
        for name, model in models.items()
        for windows in WINDOWS
    }

    def draw(picture, windows, best):
        times, panels = {}, []
        for name in models:
            answer, times[name] = made[name, picture, windows]
            # The best few, because margins and probabilities have no common scale.
            order = answer["scores"].argsort(descending=True, stable=True)[:best]
            kept = {k: v[order] for k, v in answer.items()}
            panels.append(plot.target_pixels(images[picture], kept, classes, 316))
        whole, high = 320 * len(models) + 320, panels[0].shape[0] + 30
        figure = figure_of_panels(panels, models, (whole, high))
        time_bars(times, figure.add_axes((1 - 230 / whole, 0.2, 170 / whole, 0.5)), 2)
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(images) - 1, 0),
        windows=steps("windows", WINDOWS, WINDOWS[-1]),
        best=slider("best boxes", 1, 10, 5),
    )
