"""Wrong answers to the exercises of lessons 00 to 04 whose checks are not written ones.

A written exercise brings its own, its table of mistakes; the rows of one that is now
written are not used any more.
"""

import torch
from torch import nn

from course_utils.ops.boxes import box_iou
from course_utils.ops.nms import nms

WRONG = [
    ("00.1 box of a mask", lambda m: corners(m, 0), "one too small"),
    ("00.1 box of a mask", lambda m: corners(m.T, 1), "x and y are swapped"),
    ("00.1 box of a mask", lambda m: corners(m.T, 0), "swapped, and the far edge"),
    ("00.1 box of a mask", lambda m: sized(corners(m, 1)), "x, y, width, height"),
    ("00.1 box of a mask", lambda m: [0, 0, 1, 1], "you gave"),
    ("00.2 semantic map", lambda m, t: (m * torch.tensor([1, 2])[:, None, None]).sum(0),
     "object's number"),
    ("00.2 semantic map", lambda m, t: m.any(0), "only mark object or not"),
    ("00.2 semantic map", lambda m, t: (m * (t - 1)[:, None, None]).sum(0), "small"),
    ("00.2 semantic map", lambda m, t: m * t[:, None, None], "must be 3 x 4"),
    ("00.3 smallest object", "cup", "the name of a class"),
    ("00.3 smallest object", "book", "largest on average"),
    ("00.3 smallest object", "apple", "there is a smaller one"),
    ("01.4 choose the threshold", 0.5, "two numbers"),
    ("01.4 choose the threshold", (0.1, 0.9), "confidence comes first"),
    ("01.4 choose the threshold", (0.5, 0.45), "choose from"),
    ("01.4 choose the threshold", (0.5, 0.7), "most of it for extra boxes"),
    ("01.4 choose the threshold", (0.9, 0.7), "most of it for extra boxes"),
    ("03.4 how many proposals", 55, "a multiple of 10"),
    ("03.4 how many proposals", 10, "of the objects only"),
    ("03.4 how many proposals", 200, "fewer proposals reach it"),
    ("03.4 how many proposals", [1, 2], "one number"),
    ("04.4 a threshold for a cost", 0.33, "one of the thresholds"),
    ("04.4 a threshold for a cost", 0.95, "a lower threshold"),
    ("04.4 a threshold for a cost", 0.05, "a higher threshold"),
    ("04.4 a threshold for a cost", "low", "one number"),
    ("01.1 from VOC", lambda *v: list(v), "counts its pixels from 1"),
    ("01.1 from VOC", lambda *v: [x - 1 for x in v], "only the first corner"),
    ("01.1 from VOC", lambda a, b, c, d: [a, b, c + 1, d + 1], "added 1 to the far"),
    ("01.1 from VOC", lambda a, b, c, d: [b - 1, a - 1, d, c], "swapped"),
    ("01.2 coverage", box_iou, "that is the IoU"),
    ("01.2 coverage", lambda a, b: part(a, b) / area(b), "area of the second"),
    ("01.2 coverage", lambda a, b: part(a, b, False) / area(a)[:, None], "below 0"),
    ("01.2 coverage", lambda a, b: (part(a, b) / area(a)[:, None]).T, "2 x 3"),
    ("01.3 soft NMS", lambda b, s: hard(b, s), "hard NMS"),
    ("01.3 soft NMS", lambda b, s: soft(b, s, rounds=1), "not only the first"),
    ("01.3 soft NMS", lambda b, s: soft(b, s, fixed=True), "look for the best again"),
    ("01.3 soft NMS", lambda b, s: soft(b, s, copy=False), "scores.clone"),
    ("02.1 weights of a convolution", lambda i, o, k: i * o * k * k, "bias is missing"),
    ("02.1 weights of a convolution", lambda i, o, k: i * o * k + o, "square"),
    ("02.1 weights of a convolution", lambda i, o, k: o * k * k + o, "every input"),
    ("02.2 replace the last layer", lambda n, k: n, "1,000 outputs"),
    ("02.2 replace the last layer", lambda n, k: last(n, k), "4 more numbers"),
    ("02.2 replace the last layer", lambda n, k: last(n, k + 5), "no background"),
    ("02.2 replace the last layer", lambda n, k: 12, "return the network itself"),
    ("02.3 localization accuracy", lambda *a: hits(*a, either=True), "both must be"),
    ("02.3 localization accuracy", lambda *a: hits(*a, strict=True), "exactly 0.5"),
    ("02.3 localization accuracy", lambda *a: 2, "divide by the number"),
    ("02.3 localization accuracy", lambda *a: 50, "not per cent"),
    ("03.1 number of windows", lambda h, w, s, t: (h // t) * (w // t), "end inside"),
    ("03.1 number of windows", lambda h, w, s, t: (h - s) // t * ((w - s) // t),
     "add 1"),
    ("03.1 number of windows", lambda h, w, s, t: (h // s) * (w // s), "overlap"),
    ("03.1 number of windows", lambda h, w, s, t: places(h, s, t) * places(w, s, t),
     "does not fit"),
    ("03.2 histogram of a join", lambda a, m, b, n: (a + b) / 2, "weigh by size"),
    ("03.2 histogram of a join", lambda a, m, b, n: a * m + b * n, "divide"),
    ("03.2 histogram of a join", lambda a, m, b, n: a + b, "weighted mean"),
    ("03.2 histogram of a join", lambda a, m, b, n: (a * n + b * m) / (m + n),
     "swapped"),
    ("03.2 histogram of a join", lambda a, m, b, n: a.mul_(m).add_(b * n).div_(m + n),
     "was changed"),
    ("03.3 recall", lambda p, o, t: (box_iou(p, o) >= t).any(1).float().mean(),
     "of each object"),
    ("03.3 recall", lambda p, o, t: (box_iou(p, o) > t).any(0).float().mean(), ">="),
    ("03.3 recall", lambda p, o, t: (box_iou(p, o) >= t).sum() / len(o), "not pairs"),
    ("03.3 recall", lambda p, o, t: (box_iou(p, o) >= t).any(0).sum(), "a count"),
    ("03.3 recall", lambda p, o, t: box_iou(p, o).max(0).values.mean(), "mean best"),
    ("04.1 precision and recall", lambda s, r, n, t: cut(s, r, n, t)[::-1], "swapped"),
    ("04.1 precision and recall", lambda s, r, n, t: cut(s, r, 3, t), "over all"),
    ("04.1 precision and recall", lambda s, r, n, t: cut(s, r, n, t + 1e-6), ">="),
    ("04.1 precision and recall", lambda s, r, n, t: cut(s, r, n, 0), "cut the"),
    ("04.1 precision and recall", lambda s, r, n, t: cut(s, r, n, t), "not 0 / 0"),
    ("04.2 all-point AP", lambda r, n: area_under(r, n, fall=False), "fall first"),
    ("04.2 all-point AP", lambda r, n: area_under(r, sum(r)), "number of objects, 4"),
    ("04.2 all-point AP", lambda r, n: area_under(r, sum(r), False), "and make"),
    ("04.3 mean over classes", lambda a: sum(a.values()) / len(a), "leave it out"),
    ("04.3 mean over classes", lambda a: sum(v for v in a.values() if v == v) / 3,
     "divide by 2"),
    ("04.3 mean over classes", lambda a: known(a) / max(1, sum(v == v for v in
     a.values())), "the mean is NaN"),
    ("01.3 find the fault", ("nms", "off by one"), "it is, but not"),
    ("01.3 find the fault", ("batched_nms", "off by one"), "that it calls"),
    ("01.3 find the fault", ("box_iou", "off by one"), "is fine"),
    ("01.3 find the fault", ("off by one", "nms"), "comes first"),
    ("01.3 find the fault", "nms", "two texts"),
    ("02.3 find the fault", ("flip", "axes swapped"), "it is, but not"),
    ("02.3 find the fault", ("random_change", "axes swapped"), "that it calls"),
    ("02.3 find the fault", ("fit", "axes swapped"), "is fine"),
    ("02.3 find the fault", ("axes swapped", "flip"), "comes first"),
    ("02.3 find the fault", "flip", "two texts"),
    ("03.3 find the fault", ("similarity", "off by one"), "it is, but not"),
    ("03.3 find the fault", ("selective_search", "off by one"), "that it calls"),
    ("03.3 find the fault", ("sliding_windows", "off by one"), "is fine"),
    ("03.3 find the fault", ("off by one", "similarity"), "comes first"),
    ("03.3 find the fault", "similarity", "two texts"),
    ("04.3 find the fault", ("match_to_objects", "wrong order"), "it is, but not"),
    ("04.3 find the fault", ("score_class", "wrong order"), "that it calls"),
    ("04.3 find the fault", ("average_precision", "wrong order"), "is fine"),
    ("04.3 find the fault", ("wrong order", "match_to_objects"), "comes first"),
    ("04.3 find the fault", "match_to_objects", "two texts"),
]  # fmt: skip


def places(room, side, step):
    return max(0, room - side) // step + 1


def cut(scores, right, objects, threshold):
    kept = [r for s, r in zip(scores, right) if s >= threshold]
    return sum(kept) / max(1, len(kept)), sum(kept) / objects


def area_under(right, objects, fall=True):
    p = [sum(right[: n + 1]) / (n + 1) for n in range(len(right))]
    steps = [max(p[n:]) if fall else p[n] for n in range(len(right)) if right[n]]
    return sum(steps) / objects


def known(aps):
    return sum(v for v in aps.values() if v == v)


def corners(mask, end):
    x, y = mask.any(0).nonzero(), mask.any(1).nonzero()
    return [int(v) for v in (x[0], y[0], x[-1] + end, y[-1] + end)]


def sized(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def part(a, b, clamp=True):
    low = torch.maximum(a[:, None, :2], b[:, :2])
    size = torch.minimum(a[:, None, 2:], b[:, 2:]) - low
    return (size.clamp(min=0) if clamp else size).prod(2)


def hard(boxes, scores):
    keep = nms(boxes, scores, 0.5)
    return torch.zeros(4).scatter(0, keep, scores[keep])


def soft(boxes, scores, rounds=4, fixed=False, copy=True):
    new = scores.clone() if copy else scores
    order = scores.argsort(descending=True).tolist()
    waiting = list(range(len(scores)))
    for n in range(rounds):
        best = order[n] if fixed else max(waiting, key=lambda i: new[i])
        waiting.remove(best)
        for i in waiting:
            new[i] *= 1 - box_iou(boxes[best][None], boxes[i][None])[0, 0]
    return new


def last(network, outputs):
    network.fc = nn.Linear(network.fc.in_features, outputs)
    return network


def hits(boxes, found, truth, labels, strict=False, either=False):
    iou = box_iou(boxes, truth).diagonal()
    good = iou > 0.5 if strict else iou >= 0.5
    same = found == labels
    return (good | same if either else good & same).float().mean().item()
