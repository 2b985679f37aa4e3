"""Lesson 10: all detectors on one picture, their times, and accuracy against time."""

import functools
import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

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
POINTS = [plot.COLORS[i] for i in (0, 4, 2, 5, 6, 1)]
LABEL = 0.085  # height of a label, in parts of the axes
LABEL_STYLE = {"fontsize": 9, "va": "center"}
# The line of the front would cross the letters.
LABEL_STYLE["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}


def draw_pareto(points, ax, ylim, spans=None, title="mAP@0.5"):
    """Accuracy against time of {name: (ms, accuracy)}, and the front; returns the axes.

    Time has a logarithmic axis: a factor is a distance. The front is a staircase: so
    accurate is the best that takes no longer. ylim: (lowest, highest) accuracy shown;
    spans: {name: (low, high)}, drawn as bars.
    """
    fastest, slowest = (end(ms for ms, _ in points.values()) for end in (min, max))
    right = 4 * slowest  # room for the labels
    ax.set(xscale="log", xlim=(fastest / 1.6, right), ylim=ylim)
    front = sorted(points[name] for name in pareto_front(points))
    stairs = [(front[0][0], ylim[0]), *front, (right, front[-1][1])]
    ax.plot(*zip(*stairs), "k", drawstyle="steps-post", linewidth=1.5, zorder=1)
    places = label_heights([(a - ylim[0]) / (ylim[1] - ylim[0]) for _, a in
                            points.values()])  # fmt: skip
    rows = zip(itertools.cycle(POINTS), points.items(), places)
    for color, (name, (ms, accuracy)), place in rows:
        if spans:
            ax.plot((ms, ms), spans[name], color=color, linewidth=1.5, zorder=2)
        ax.scatter(ms, accuracy, s=45, color=color, edgecolor="black", zorder=3)
        beside = 1.25 * ms, ylim[0] + place * (ylim[1] - ylim[0])
        ax.annotate(name, (ms, accuracy), beside, **LABEL_STYLE, zorder=4,
                    arrowprops={"arrowstyle": "-", "color": color})  # fmt: skip
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("milliseconds an image, proposals included", fontsize=9)
    ax.set_title(title, fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    return ax


def label_heights(heights, gap=LABEL):
    """Heights moved apart, so that neighbours have `gap` between them: (N,).

    Their order stays, and each group of neighbours stays about where it was.
    """
    heights = np.asarray(heights, float)
    order = np.argsort(heights, kind="stable")
    room = gap * np.arange(len(order))
    free = heights[order] - room
    lifted = np.maximum.accumulate(free)
    lowered = np.minimum.accumulate(free[::-1])[::-1]
    places = np.empty(len(order))
    places[order] = (lifted + lowered) / 2 + room
    return places


def pixels(figure):
    """A figure as an array (H, W, 4) of uint8, to be laid into others."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def speed_and_accuracy(models, scenes, table, numbers, times):
    """Explorer: pictures, times and the Pareto plot at chosen settings.

    models {name: detector}; table, numbers: of `compare.settings_table`; times: of
    `compare.phase_times`. A detector that stands there with one number alone, as one
    without proposals does, keeps it whatever the slider says.
    """
    counts = {name: sorted({c for n, c, _ in table if n == name}) for name in models}
    num_proposals = max(counts.values(), key=len)
    ious = sorted({iou for _, _, iou in table})
    half = PANEL * len(models) // 2, 250  # pixels of each lower part, across and down
    lowest = np.floor(10 * min(table.values()) - 0.5) / 10

    def own(name, count):
        return count if len(counts[name]) > 1 else counts[name][0]

    def split(count):
        return {name: times[name, own(name, count)] for name in models}

    @functools.cache
    def bars(count):
        figure, (ax,) = empty_figure(*half)
        ax.set_position((0.2, 0.2, 0.72, 0.56))
        time_bars(split(count), ax)
        return pixels(figure)

    @functools.cache
    def pareto(count, nms_iou):
        figure, (ax,) = empty_figure(*half)
        ax.set_position((0.1, 0.2, 0.84, 0.68))
        points = {
            name: (sum(phases.values()), table[name, own(name, count), nms_iou])
            for name, phases in split(count).items()
        }
        draw_pareto(points, ax, (lowest, 1.02))
        return pixels(figure)

    def draw(picture, count, nms_iou, score):
        image = scenes[picture][0]
        panels, titles = [], []
        for name, model in models.items():
            some = to_device(numbers[name][picture], "cpu")
            settings = model, image.shape[1:], own(name, count), nms_iou
            detected = detections_from(some, *settings)
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
    crowded = max(range(len(scenes)), key=lambda i: len(scenes[i][1]["boxes"]))
    return Explorer(
        draw,
        picture=slider("picture", 0, len(scenes) - 1, crowded),
        count=steps("proposals", num_proposals, num_proposals[0]),
        nms_iou=steps("NMS at IoU", ious, ious[0]),
        score=slider("least score", 0.05, 0.95, 0.5, 0.05),
    )
