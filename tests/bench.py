"""Our functions against the libraries', side by side in one process: `make bench`.

Each row is the median of RUNS pairs of calls, ours and the reference in turn, so that
both meet the same machine. A ratio below 1 means that ours is faster.
"""

import statistics
import time

import torch
import torchvision

from course_utils.boxes import batched_nms, box_iou, giou, nms

RUNS = 41


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(name, ours, reference):
    """Print one row; returns the ratio of the median times."""
    ours(), reference()  # compile, warm up
    pairs = [(seconds(ours), seconds(reference)) for _ in range(RUNS)]
    mine, theirs = (1000 * statistics.median(column) for column in zip(*pairs))
    print(f"{name:44} {mine:8.3f} ms {theirs:8.3f} ms {mine / theirs:7.2f}x")
    return mine / theirs


def random_boxes(count, room):
    """Boxes of 10 to 100 pixels in a square of `room` pixels, and scores."""
    corner = torch.rand(count, 2) * room
    boxes = torch.cat([corner, corner + 10 + torch.rand(count, 2) * 90], 1)
    return boxes, torch.rand(count)


def main():
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'median of ' + str(RUNS):44} {'ours':>11} {'library':>11} {'ratio':>8}")
    for room, threshold in (200, 0.3), (200, 0.7), (400, 0.5), (1000, 0.5):
        boxes, scores = random_boxes(1000, room)
        kept = len(nms(boxes, scores, threshold))
        compare(
            f"nms, 1,000 boxes, IoU > {threshold}, keeps {kept}",
            lambda b=boxes, s=scores, t=threshold: nms(b, s, t),
            lambda b=boxes, s=scores, t=threshold: torchvision.ops.nms(b, s, t),
        )
    boxes, scores = random_boxes(1000, 400)
    labels = torch.randint(1, 9, (1000,))
    compare(
        "batched_nms, 1,000 boxes, 8 classes",
        lambda: batched_nms(boxes, scores, labels, 0.5),
        lambda: torchvision.ops.batched_nms(boxes, scores, labels, 0.5),
    )
    a, b = random_boxes(1000, 400)[0], random_boxes(1000, 400)[0]
    compare(
        "box_iou, 1,000 x 1,000",
        lambda: box_iou(a, b),
        lambda: torchvision.ops.box_iou(a, b),
    )
    compare(
        "giou, 1,000 x 1,000",
        lambda: giou(a, b),
        lambda: torchvision.ops.generalized_box_iou(a, b),
    )


if __name__ == "__main__":
    main()
