"""Lesson 01: the overlap of two boxes, and non-maximum suppression step by step."""

import torch

from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, empty_figure, slider
from course_utils.ops.boxes import box_area, box_iou, clip_boxes, encode_boxes, giou
from course_utils.ops.nms import nms

BLUE, RED = "#0072B2", "#D55E00"


def overlap_numbers(a, b):
    """All that lesson 01 says of two boxes (x1, y1, x2, y2), as {name: value}."""
    a, b = (torch.tensor([box], dtype=torch.float32) for box in (a, b))
    top_left = torch.maximum(a[:, :2], b[:, :2])
    corner = torch.minimum(a[:, 2:], b[:, 2:])
    common = float((corner - top_left).clamp(min=0).prod())
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
    """The rounds of greedy NMS, as a list of (kept index, [indices it silenced]).

    `nms`, the learner's if it was changed, says for each pair of boxes whether the
    better one silences the other.
    """
    alive = scores.argsort(descending=True, stable=True).tolist()
    steps = []
    while alive:
        best, *rest = alive
        silenced = []
        for i in rest:
            pair = [best, i]
            if len(nms(boxes[pair], scores[pair], iou_threshold)) == 1:
                silenced.append(i)
        alive = [i for i in rest if i not in silenced]
        steps.append((best, silenced))
    return steps


def like_a_detector(target, size, per_object=5, seed=0):
    """Boxes and scores as a detector gives them before NMS: several for each object.

    They are the ground-truth boxes of `target`, moved and scaled at random; a box
    further off has a lower score. size: (height, width). Returns (N, 4) and (N,).
    """
    generator = torch.Generator().manual_seed(seed)
    truth = target["boxes"].cpu().repeat_interleave(per_object, 0)
    side = (truth[:, 2:] - truth[:, :2]).repeat(1, 2)
    noise = 0.13 * torch.randn(truth.shape, generator=generator)
    boxes = clip_boxes(truth + noise * side, size)
    overlap = torch.stack(
        [box_iou(a[None], b[None])[0, 0] for a, b in zip(boxes, truth)]
    )
    scores = overlap + 0.05 * torch.randn(len(boxes), generator=generator)
    return boxes, scores.clamp(0.05, 0.99)


def stepping_nms(image, boxes, scores):
    """Explorer: step through the rounds of NMS on one picture, at any threshold."""
    boxes, scores = boxes.cpu(), scores.cpu()

    def draw(threshold, step):
        steps = nms_steps(boxes, scores, threshold)
        done = steps[:step]
        kept = [i for i, _ in done]
        silenced = [i for _, gone in done for i in gone]
        waiting = [i for i in range(len(boxes)) if i not in kept + silenced]
        figure, (ax,) = empty_figure(560, 460)
        plot.show_image(image, ax)
        plot.draw_boxes(boxes[waiting], None, "#56B4E9", ax, width=1)
        plot.draw_boxes(boxes[silenced], None, "white", ax, width=1, style=":")
        if done:
            gone = done[-1][1]
            plot.draw_boxes(boxes[gone], None, RED, ax, width=1.5, style="--")
        plot.draw_boxes(
            boxes[kept], [f"{scores[i]:.2f}" for i in kept], "#E69F00", ax, width=2.5
        )
        ax.set_title(step_text(steps, step, len(boxes)), fontsize=10)
        return figure

    return Explorer(
        draw,
        step=slider("rounds done", 0, len(boxes) + 1, 0),
        threshold=slider("IoU threshold", 0.0, 1.0, 0.5, 0.05),
    )


def step_text(steps, step, total):
    """One line about the last round done."""
    if step == 0:
        return f"{total} boxes wait (blue); the best one is taken first"
    if step > len(steps):
        return f"finished after {len(steps)} rounds: {len(steps)} boxes kept of {total}"
    gone = len(steps[step - 1][1])
    word = "box" if gone == 1 else "boxes"
    return f"round {step}: keep the best (orange), silence {gone} {word} (red, dashed)"
