"""Lesson 01: the overlap of two boxes, and non-maximum suppression step by step."""

import torch

from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, empty_figure, slider
from course_utils.ops.boxes import (
    box_area,
    box_intersection,
    box_iou,
    encode_boxes,
    giou,
)
from course_utils.ops.nms import nms

BLUE, RED = "#0072B2", "#D55E00"


def overlap_numbers(a, b):
    """All that lesson 01 says of two boxes (x1, y1, x2, y2), as {name: value}."""
    a, b = (torch.tensor([box], dtype=torch.float32) for box in (a, b))
    common = float(box_intersection(a, b))
    names = ("tx", "ty", "tw", "th")
    return {
        "intersection": common,
        "union": float(box_area(a) + box_area(b)) - common,
        "IoU": float(box_iou(a, b)),
        "GIoU": float(giou(a, b)),
    } | dict(zip(names, encode_boxes(b, a)[0].tolist()))


def two_boxes(a=(60, 50, 140, 130), size=(180, 240)):
    """Explorer: move box B over a fixed box A; see IoU, GIoU and the deltas A -> B."""

    def draw(x, y, width, height):
        b = (x, y, x + width, y + height)
        figure, (ax, side) = empty_figure(760, 400, 2, (2, 1))
        ax.set(xlim=(0, size[1]), ylim=(size[0], 0), aspect="equal")
        ax.tick_params(labelsize=8)
        low = torch.maximum(torch.tensor(a[:2]), torch.tensor(b[:2])).tolist()
        high = torch.minimum(torch.tensor(a[2:]), torch.tensor(b[2:])).tolist()
        if low[0] < high[0] and low[1] < high[1]:
            shade = {"color": "#CC79A7", "alpha": 0.5}
            ax.fill_between((low[0], high[0]), low[1], high[1], **shade)
        plot.draw_boxes([a, b], "AB", [BLUE, RED], ax, width=3)
        write_numbers(overlap_numbers(a, b), side)
        figure.subplots_adjust(left=0.06, bottom=0.08, top=0.96)
        return figure

    return Explorer(
        draw,
        x=slider("B: x1", 0, 180, 100),
        y=slider("B: y1", 0, 120, 80),
        width=slider("B: width", 10, 160, 100),
        height=slider("B: height", 10, 140, 60),
    )


def write_numbers(numbers, ax):
    """Write {name: value} as a table into empty axes."""
    ax.axis("off")
    for row, (name, value) in enumerate(numbers.items()):
        y = 0.95 - 0.115 * row - 0.06 * (row > 3)
        text = f"{value:,.0f}" if row < 2 else f"{value:.3f}"
        font = {"fontsize": 12, "transform": ax.transAxes}
        ax.text(0.05, y, name, **font)
        ax.text(0.95, y, text, ha="right", family="monospace", **font)


def nms_steps(boxes, scores, iou_threshold):
    """The rounds of greedy NMS, as a list of (kept index, [indices it removed]).

    `nms`, the learner's if it was changed, says for each pair of boxes whether the
    better one removes the other.
    """
    alive = scores.argsort(descending=True, stable=True).tolist()
    steps = []
    while alive:
        best, *rest = alive
        removed = []
        for i in rest:
            pair = [best, i]
            if len(nms(boxes[pair], scores[pair], iou_threshold)) == 1:
                removed.append(i)
        alive = [i for i in rest if i not in removed]
        steps.append((best, removed))
    return steps


def with_a_box(truth, boxes, least=0.5):
    """How many ground-truth boxes have one of `boxes` on them, at IoU `least`."""
    return int((box_iou(truth, boxes) >= least).any(1).sum())


def stepping_nms(image, boxes, scores, truth, threshold=0.5, step=0):
    """Explorer: the rounds of NMS on one picture, and what it leaves, at any threshold.

    truth: (G, 4) ground-truth boxes, to count those that still have a box. threshold,
    step: where the sliders stand first.
    """
    boxes, scores, truth = boxes.cpu(), scores.cpu(), truth.cpu()

    def draw(threshold, step):
        steps = nms_steps(boxes, scores, threshold)
        figure, axes = empty_figure(820, 370, 2)
        for ax in axes:
            plot.show_image(image, ax)
        draw_rounds(steps, step, boxes, scores, axes[0])
        kept = [i for i, _ in steps]
        draw_kept(kept, boxes, scores, axes[1])
        found = with_a_box(truth, boxes[kept])
        axes[1].set_title(
            f"after NMS: {len(kept)} boxes; {found} of {len(truth)} objects have one",
            fontsize=10,
        )
        return figure

    return Explorer(
        draw,
        step=slider("rounds done", 0, len(boxes) + 1, step),
        threshold=slider("IoU threshold", 0.0, 1.0, threshold, 0.05),
    )


def draw_rounds(steps, done, boxes, scores, ax):
    """What waits (blue), is kept (orange) and removed (black, then dotted)."""
    steps_done = steps[:done]
    kept = [i for i, _ in steps_done]
    removed = [i for _, gone in steps_done for i in gone]
    waiting = [i for i in range(len(boxes)) if i not in kept + removed]
    plot.draw_boxes(boxes[waiting], None, "#56B4E9", ax, width=1)
    plot.draw_boxes(boxes[removed], None, "white", ax, width=1, style=":")
    if steps_done:
        latest = boxes[steps_done[-1][1]]
        plot.draw_boxes(latest, None, "black", ax, width=1.5, style="--")
    draw_kept(kept, boxes, scores, ax)
    ax.set_title(step_text(steps, done, len(boxes)), fontsize=10)


def draw_kept(kept, boxes, scores, ax):
    """Draw the boxes that NMS keeps, with their scores, in orange."""
    texts = [f"{scores[i]:.2f}" for i in kept]
    plot.draw_boxes(boxes[kept], texts, "#E69F00", ax, width=2.5)


def step_text(steps, step, total):
    """One line about the last round done."""
    if step == 0:
        return f"{total} boxes wait (blue); the best one is taken first"
    if step > len(steps):
        return f"finished: {len(steps)} boxes kept of {total}"
    gone = len(steps[step - 1][1])
    word = "box" if gone == 1 else "boxes"
    return f"round {step}: keep the best, remove {gone} {word} (black, dashed)"
