"""Hand-sized examples of functions that are fine, for what `verdict` says."""

import numpy as np
import torch

from course_utils.evaluation.average_precision import average_precision
from course_utils.lessons import live
from course_utils.models.localizer import left_to_right
from course_utils.ops.boxes import (
    box_area,
    box_iou,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    giou,
)
from course_utils.ops.nms import batched_nms, nms
from course_utils.proposals.selective_search import sliding_windows
from course_utils.training.loop import cosine_schedule

A, B = [0.0, 0, 4, 4], [2.0, 0, 6, 4]
WIDE = [180.0, 90, 280, 200]


def boxes(*rows):
    return torch.tensor(rows)


# {function: (what it is given, function that gives its result)}
EXAMPLES = {
    "box_area": ("[0, 0, 4, 4]", lambda: box_area(boxes(A))),
    "box_iou": (
        "[0, 0, 4, 4] and [2, 0, 6, 4]",
        lambda: box_iou(boxes(A), boxes(B)),
    ),
    "giou": ("[0, 0, 4, 4] and [2, 0, 6, 4]", lambda: giou(boxes(A), boxes(B))),
    "clip_boxes": (
        "[180, 90, 280, 200] in 240 x 180 pixels",
        lambda: clip_boxes(boxes(WIDE), (180, 240)),
    ),
    "encode_boxes": (
        "[2, 0, 6, 4] against [0, 0, 4, 4]",
        lambda: encode_boxes(boxes(B), boxes(A)),
    ),
    "decode_boxes": (
        "deltas (0.5, 0, 0, 0) of [0, 0, 4, 4]",
        lambda: decode_boxes(boxes([0.5, 0, 0, 0]), boxes(A)),
    ),
    "nms": (
        "two equal boxes with scores 0.2 and 0.9",
        lambda: nms(boxes(A, A), torch.tensor([0.2, 0.9])),
    ),
    "batched_nms": (
        "two equal boxes with scores 0.2 and 0.9 and labels 1 and 2",
        lambda: batched_nms(
            boxes(A, A), torch.tensor([0.2, 0.9]), torch.tensor([1, 2])
        ),
    ),
    "left_to_right": (
        "[2, 0, 6, 4] and [0, 0, 4, 4] with labels 1 and 2",
        lambda: left_to_right({"boxes": boxes(B, A), "labels": torch.tensor([1, 2])})[
            1
        ],
    ),
    "cosine_schedule": (
        "steps 1, 10 and 100 of 100",
        lambda: torch.tensor([cosine_schedule(n, 100) for n in (0, 9, 99)]),
    ),
    "sliding_windows": (
        "one square of 60 pixels in a picture of 120 x 60",
        lambda: sliding_windows((60, 120), [60], [1]),
    ),
    "average_precision": (
        "precision 1 and 1/2 at recall 1/2 and 1",
        lambda: torch.tensor(average_precision(np.array([1, 0.5]), np.array([0.5, 1]))),
    ),
}


def example(name):
    """ ": on ... it gives ..., as it should", or nothing where there is no example."""
    if name not in EXAMPLES:
        return ": look elsewhere"
    given, result = EXAMPLES[name]
    with live.paused():
        values = [round(v, 3) for v in result().flatten().tolist()]
    return f": on {given} it gives {values}, as it should"
