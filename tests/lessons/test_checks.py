"""Exercises: solutions pass; blanks and typical mistakes get the right sentence."""

import contextlib
import io
import math
import re

import nbformat
import pytest
import torch
from torch import nn

from course_utils.lessons import checks, notebooks
from course_utils.ops.boxes import box_iou, decode_boxes
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
    ("05.1 label of a region", lambda i, t: torch.where(i.max(1).values > 0.5,
     t[i.argmax(1)], 0), ">="),
    ("05.1 label of a region", lambda i, t: t[i.argmax(1)], "background: 0"),
    ("05.1 label of a region", lambda i, t: torch.where(i.max(1).values >= 0.5,
     t[i.argmax(1)], -1), "means ignore"),
    ("05.1 label of a region", lambda i, t: torch.where(i.max(1).values >= 0.5,
     t[i.argmin(1)], 0), "largest IoU"),
    ("05.2 hard negatives", lambda m, u: (m > 0).nonzero()[:, 0][:1], "within"),
    ("05.2 hard negatives", lambda m, u: m.argsort(descending=True)[:4], "in use"),
    ("05.2 hard negatives", lambda m, u: (~u & (m >= -1)).nonzero()[:, 0], "use >"),
    ("05.2 hard negatives", lambda m, u: (~u & (m < -0.95)).nonzero()[:, 0], "easy"),
    ("05.3 proposals through the network", lambda n, s, w, h: w * h / (n * s * s),
     "other way"),
    ("05.3 proposals through the network", lambda n, s, w, h: s * s / (w * h),
     "one crop"),
    ("05.3 proposals through the network", lambda n, s, w, h: n, "compare pixels"),
    ("06.1 in cells", lambda b, s: (b / s).round(), "away from zero"),
    ("06.1 in cells", lambda b, s: b / s, "whole cells"),
    ("06.1 in cells", lambda b, s: (b * s), "divide by the stride"),
    ("06.1 in cells", lambda b, s: (b / s + 0.5).floor() + torch.tensor([0, 0, 1, 1]),
     "included already"),
    ("06.2 bilinear", lambda g, y, x: mix(g.T, y, x), "swapped"),
    ("06.2 bilinear", lambda g, y, x: g[round(y), round(x)], "nearest"),
    ("06.2 bilinear", lambda g, y, x: mix(g, 1 - y, x), "nearer to a cell"),
    ("06.2 bilinear", lambda g, y, x: mix(g, y, x) if y < 2 else g[3, 3], "no next"),
    ("06.3 average pooling", lambda f, *e: pool(f, *e, torch.amax), "maximum"),
    ("06.3 average pooling", lambda f, *e: pool(f, *e, torch.sum), "the sum"),
    ("06.3 average pooling", lambda f, *e: pool(f, *e, torch.mean, 1), "0/0"),
    ("07.1 smooth L1", lambda e: e.abs(), "below 1"),
    ("07.1 smooth L1", lambda e: e**2 / 2, "a line"),
    ("07.1 smooth L1", lambda e: torch.where(e.abs() < 1, e**2 / 2, e.abs()), "meet"),
    ("07.1 smooth L1", lambda e: torch.where(e < 1, e.abs() * e / 2, e) - 0.5, "gave"),
    ("07.2 weights of a compressed layer", lambda i, o, r: r * (i + o), "biases"),
    ("07.2 weights of a compressed layer", lambda i, o, r: i * o + o, "before"),
    ("07.2 weights of a compressed layer", lambda i, o, r: i * o * r, "two layers"),
    ("07.3 own class's box", lambda d, k: d[torch.arange(3), k - 1], "row out"),
    ("07.3 own class's box", lambda d, k: d[[0, 2], k[[0, 2]] % 2], "subtract 1"),
    ("07.3 own class's box", lambda d, k: d[:2][[0, 1], [1, 0]], "background row"),
    ("08.1 number of anchors", lambda h, w, t, s, r: (h // t) * (w // t) * s * r, "up"),
    ("08.1 number of anchors", lambda h, w, t, s, r: h * w * s * r, "not at pixels"),
    ("08.1 number of anchors", lambda h, w, t, s, r: -(-h // t) * (w // t) * (s + r),
     "multiply"),
    ("08.2 label anchors", lambda i, p, n: label(i, p, n, force=False), "its best, 2"),
    ("08.2 label anchors", lambda i, p, n: label(i, p, p), "ignored: -1"),
    ("08.2 label anchors", lambda i, p, n: label(i, p, n, touch=False), "no anchor"),
    ("08.3 objectness is not a class", lambda k: k[k >= 0], "object or not"),
    ("08.3 objectness is not a class", lambda k: k > 0, "no background"),
    ("08.3 objectness is not a class", lambda k: (k != 0).float(), "no object"),
    ("09.1 stop the gradient", decode_boxes, "still carry"),
    ("09.1 stop the gradient", lambda d, a: decode_boxes(d.detach_(), a), "lost"),
    ("09.1 stop the gradient", lambda d, a: d.detach(), "decode_boxes"),
    ("09.2 all four losses", lambda x: x["class"] + x["box"], "RPN's"),
    ("09.2 all four losses", lambda x: x["rpn_object"] + x["rpn_box"], "head's"),
    ("09.2 all four losses", lambda x: sum(x.values()) / 4, "not the mean"),
    ("09.3 freeze the backbone", lambda t: t.requires_grad_(False), "batch norm"),
    ("09.3 freeze the backbone", lambda t: t.eval(), "ask for gradients"),
    ("09.3 freeze the backbone", lambda t: t, "ask for gradients"),
    ("10.1 speed-up", lambda a, b, p: (a / b, (a + p) / (b + p)), "swapped"),
    ("10.1 speed-up", lambda a, b, p: (a / b, a / b), "add it to both"),
    ("10.1 speed-up", lambda a, b, p: ((b + p) / (a + p), b / a), "above 1"),
    ("10.2 Pareto front", lambda p: [0, 1, 3], "4 stays"),
    ("10.2 Pareto front", lambda p: [i for i, v in enumerate(p) if v[1] == 0.8],
     "most accurate"),
    ("10.2 Pareto front", lambda p: [2, 5], "beaten ones"),
    ("10.3 a budget", lambda s, b: max(s, key=lambda k: s[k][1]), "over the budget"),
    ("10.3 a budget", lambda s, b: min(s, key=lambda k: s[k][0]), "use <="),
    ("10.3 a budget", lambda s, b: "d", "most accurate"),
    ("10.3 a budget", lambda s, b: "b", "return None"),
    ("11.1 counting anchors", lambda h, w, s, a: sum(
        (h // d) * (w // d) * n for d, n in zip(s, a)), "round up"),
    ("11.1 counting anchors", lambda h, w, s, a: sum(
        -(-h // d) * -(-w // d) for d in s), "several anchors"),
    ("11.1 counting anchors", lambda h, w, s, a: h * w * sum(a), "not at pixels"),
    ("11.2 focal weight", lambda p, g: p**g, "keeps the easy ones"),
    ("11.2 focal weight", lambda p, g: 0.25 * (1 - p) ** g, "alpha"),
    ("11.2 focal weight", lambda p, g: -((1 - p) ** g) * math.log(p), "logarithm"),
    ("11.2 focal weight", lambda p, g: g * (1 - p), "exponent"),
    ("11.3 hard negatives", lambda x, p, r: x.topk(2).indices, "is a positive"),
    ("11.3 hard negatives", lambda x, p, r: (-x).topk(2).indices, "smallest loss"),
    ("11.3 hard negatives", lambda x, p, r: x.topk(3).indices, "the negatives alone"),
    ("11.3 hard negatives", lambda x, p, r: [3], "two negatives"),
    ("12.1 from the square", lambda b, h, w: b * torch.tensor([h, w, h, w]) / 384,
     "swapped"),
    ("12.1 from the square", lambda b, h, w: b / torch.tensor([w, h, w, h]) * 384,
     "not back"),
    ("12.1 from the square", lambda b, h, w: torch.cat(
        [b[:2] * torch.tensor([w, h]) / 384, b[2:]]), "lower right"),
    ("12.2 cache or not", lambda n, p, t, d: (n * (t + d * (p + 1)), n * p * t),
     "swapped"),
    ("12.2 cache or not", lambda n, p, t, d: (n * p * t, n * t), "add the disk"),
    ("12.2 cache or not", lambda n, p, t, d: (n * p * t, n * (t + p * d)), "writing"),
    ("12.2 cache or not", lambda n, p, t, d: (n * p * (t + d), n * (t + (p + 1) * d)),
     "nothing is written"),
    ("12.3 what to work on", lambda t: (
        t["right"] / (t["right"] + t["missed"]), t["right"] / sum(t.values())),
     "no answers"),
    ("12.3 what to work on", lambda t: (0.6, 0.4), "swapped"),
    ("12.3 what to work on", lambda t: (0.4, 0.65), "second finding"),
    ("13.1 from YOLO", lambda x, y, w, h, W, H: (
        x * W, y * H, (x + w) * W, (y + h) * H), "center, not a corner"),
    ("13.1 from YOLO", lambda x, y, w, h, W, H: (x * W, y * H, w * W, h * H),
     "return corners"),
    ("13.1 from YOLO", lambda x, y, w, h, W, H: (
        x - w / 2, y - h / 2, x + w / 2, y + h / 2), "multiply"),
    ("13.1 from YOLO", lambda x, y, w, h, W, H: (
        (x - w) * W, (y - h) * H, (x + w) * W, (y + h) * H), "half the size"),
    ("13.2 turn a box", lambda b, w, h: b, "nothing moved"),
    ("13.2 turn a box", lambda b, w, h: (b[1], w - b[2], b[3], w - b[0]),
     "quarter to the left"),
    ("13.2 turn a box", lambda b, w, h: (h - b[1], b[0], h - b[3], b[2]),
     "smaller x comes first"),
    ("13.2 turn a box", lambda b, w, h: (w - b[3], b[0], w - b[1], b[2]),
     "lower border"),
    ("13.3 a fair split", lambda n, p: (n[3:], n[:3]), "no others"),
    ("13.3 a fair split", lambda n, p: (n[9:], n[:9]), "swapped"),
    ("13.3 a fair split", lambda n, p: (n, n[9:]), "in both parts"),
    ("13.3 a fair split", lambda n, p: (n[:8], n[9:]), "neither"),
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


def mix(grid, y, x):
    top, left = int(y), int(x)
    low, right = min(top + 1, len(grid) - 1), min(left + 1, len(grid) - 1)
    a = grid[top, left] * (1 - x + left) + grid[top, right] * (x - left)
    b = grid[low, left] * (1 - x + left) + grid[low, right] * (x - left)
    return a * (1 - y + top) + b * (y - top)


def pool(features, top, bottom, left, right, function, least=0):
    out = torch.zeros(2, 2, 3)
    for p in range(2):
        for q in range(3):
            part = features[:, top[p] : bottom[p], left[q] : right[q]]
            if part.numel() or least:
                out[:, p, q] = function(part.flatten(1), dim=1)
    return out


def label(ious, positive, negative, force=True, touch=True):
    best = ious.max(1).values
    labels = torch.where(best >= positive, 1, torch.where(best < negative, 0, -1))
    if force:
        top = ious.max(0).values
        labels[((ious == top) & ((top > 0) | (not touch))).any(1)] = 1
    return labels


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


@pytest.mark.parametrize("name, answer, words", WRONG)
def test_wrong_answer_gets_its_sentence(name, answer, words):
    right, sentence = checks.judge(name, answer)
    assert not right and re.search(words, sentence), sentence


def test_every_check_has_three_wrong_answers():
    for name in checks.CHECKS:
        assert sum(n == name for n, _, _ in WRONG) >= 3, name


@pytest.mark.parametrize("name", checks.CHECKS)
def test_blank_is_not_attempted(name):
    for blank in (lambda *a: None, lambda *a: ...):
        assert checks.judge(name, blank)[0] is False
    value = None if "smallest" in name else (lambda *a: None)
    assert checks.judge(name, value) == (False, "not attempted yet")


def test_check_prints_and_survives_any_error(capsys):
    assert checks.check("01.1 from VOC", lambda *a: 1 / 0) is False
    assert "✘ 01.1 from VOC: your code stopped with ZeroDiv" in capsys.readouterr().out
    assert (
        checks.check("01.1 from VOC", lambda a, b, c, d: [a - 1, b - 1, c, d]) is True
    )
    assert capsys.readouterr().out == "✔ 01.1 from VOC: right\n"


def check_names(path):
    return re.findall(r'checks\.check\("([^"]+)"', path.read_text().replace("\\", ""))


@pytest.mark.parametrize("lesson", notebooks.lessons(), ids=lambda p: p.stem)
def test_solutions_pass_and_cover_the_lesson(lesson):
    solution = notebooks.NOTEBOOKS / "solutions" / lesson.name
    wanted = check_names(lesson)
    assert 2 <= len(wanted) <= 4 and check_names(solution) == wanted
    assert set(wanted) <= set(checks.CHECKS)
    scope, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in nbformat.read(solution, 4).cells:
            if cell.cell_type == "code":
                exec(cell.source, scope)
    verdicts = [v for v in printed.getvalue().splitlines() if v[:1] in "✔✘"]
    assert len(verdicts) == len(wanted)
    assert all(v.startswith("✔") for v in verdicts), verdicts
