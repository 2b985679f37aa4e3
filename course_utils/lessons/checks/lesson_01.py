"""Checks of the exercises of lesson 01."""

import functools

import torch

from course_utils.lessons.checks import attempted, exercise, written
from course_utils.ops.boxes import decode_boxes, encode_boxes, to_center
from course_utils.ops.nms import nms

STDS = (0.1, 0.1, 0.2, 0.2)


def there_and_back(boxes, anchors, deltas, stds):
    return encode_boxes(boxes, anchors, stds), decode_boxes(deltas, anchors, stds)


def some_boxes(count, whole=False):
    corner, size = 90 * torch.rand(count, 2), 3 + 60 * torch.rand(count, 2)
    boxes = torch.cat([corner, corner + size], 1)
    return boxes.round() if whole else boxes


def coding_inputs():
    count = int(torch.randint(1, 6, ()))
    stds = tuple((0.05 + torch.rand(4)).tolist())
    return some_boxes(count), some_boxes(count), torch.randn(count, 4), stds


def corners(boxes):
    return boxes[:, 0], boxes[:, 1], *to_center(boxes)[2:]


def coding(place=to_center, log=torch.log, exp=torch.exp, times=True, turn=False):
    """A coder with one thing changed, for the table of mistakes."""

    def code(boxes, anchors, deltas, stds):
        (x, y, w, h), (ax, ay, aw, ah) = place(boxes), place(anchors)
        if turn:
            aw, ah = ah, aw
        stds = torch.tensor(stds)
        given = [(x - ax) / aw, (y - ay) / ah, log(w / aw), log(h / ah)]
        given = torch.stack(given, -1)
        given = given / stds if times else given * stds
        tx, ty, tw, th = (deltas * stds if times else deltas / stds).unbind(-1)
        bx, by, bw, bh = ax + tx * aw, ay + ty * ah, aw * exp(tw), ah * exp(th)
        if place is to_center:
            bx, by = bx - bw / 2, by - bh / 2
        return given, torch.stack([bx, by, bx + bw, by + bh], -1)

    return code


def in_pixels(boxes, anchors, deltas, stds):
    shift = torch.stack(to_center(boxes), 1) - torch.stack(to_center(anchors), 1)
    given, decoded = there_and_back(boxes, anchors, deltas, stds)
    return torch.cat([shift[:, :2] / torch.tensor(stds)[:2], given[:, 2:]], 1), decoded


def as_center(boxes, anchors, deltas, stds):
    given, decoded = there_and_back(boxes, anchors, deltas, stds)
    return given, torch.stack(to_center(decoded), 1)


CAPPED = functools.partial(torch.clamp, max=4.135166556742356)  # log(1000 / 16)
HALF = torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([[5.0, 0, 15, 10]])

written(
    "01.1 encode and decode",
    there_and_back,
    coding_inputs,
    edges={
        "equal boxes, deltas of 0": (*HALF[:1] * 2, torch.zeros(1, 4), STDS),
        "a box of 10 x 20 and an anchor of 10 x 10": (*HALF, torch.ones(1, 4), STDS),
        "no boxes at all": (*[torch.zeros(0, 4)] * 3, STDS),
        "deltas as wild as 125": (*HALF, torch.full((1, 4), 125.0), (1, 1, 1, 1)),
    },
    mistakes=[
        (
            coding(),
            "exp overflows for wild deltas: cut tw and th at MAX_SIZE_DELTA first",
        ),
        (
            coding(place=corners, exp=lambda t: torch.exp(CAPPED(t))),
            "you measure from corner to corner; x and y are those of the centers",
        ),
        (
            coding(log=lambda r: r - 1, exp=lambda t: 1 + t),
            "sizes are coded as the logarithm of the ratio, and decoded by exp",
        ),
        (
            coding(times=False, exp=lambda t: torch.exp(CAPPED(t))),
            "`stds` the wrong way round: encoding divides by them, decoding multiplies",
        ),
        (
            lambda b, a, d, s: there_and_back(b, a, d, (1, 1, 1, 1)),
            "`stds` is not used: encoding divides by it, decoding multiplies",
        ),
        (
            coding(turn=True, exp=lambda t: torch.exp(CAPPED(t))),
            "width and height of the anchor are swapped",
        ),
        (in_pixels, "tx and ty are pixels: divide by the anchor's width and height"),
        (
            as_center,
            "the decoded box is center and size; turn it back into corners",
        ),
        (
            lambda b, a, d, s: (encode_boxes(a, b, s), decode_boxes(d, a, s)),
            "boxes and anchors are swapped: the anchor is what everything is measured"
            " by",
        ),
    ],
)


def nms_inputs():
    """Crowded boxes; in every second set whole numbers and equal scores."""
    count = int(torch.randint(1, 13, ()))
    whole = bool(torch.rand(()) < 0.5)
    boxes = some_boxes(1 + count // 2, whole).repeat(2, 1)[:count]
    boxes = boxes + (torch.randint(-8, 9, boxes.shape) if whole else 0)
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    boxes = boxes if whole else boxes + 10 * torch.rand(count, 4)
    scores = torch.rand(count)
    scores = (scores * 4).round() / 4 if whole else scores
    return boxes, scores, (0.25, 0.5, 0.75)[int(torch.randint(3, ()))]


def greedy(boxes, scores, limit, order=None, above=None, gone_silence=False):
    """Greedy NMS with one thing changed, for the table of mistakes."""
    from course_utils.ops.boxes import box_iou

    above = above or (lambda iou, limit: iou > limit)
    if order is None:
        order = scores.argsort(descending=True, stable=True).tolist()
    overlap, kept, gone = box_iou(boxes, boxes), [], set()
    for place, i in enumerate(order):
        if i not in gone:
            kept.append(i)
        elif not gone_silence:
            continue
        gone |= {j for j in order[place + 1 :] if above(overlap[i, j], limit)}
    return kept


def only_the_first_round(boxes, scores, limit):
    from course_utils.ops.boxes import box_iou

    order = scores.argsort(descending=True, stable=True)
    if not len(order):
        return []
    far = box_iou(boxes[order[:1]], boxes[order])[0] <= limit
    far[0] = True
    return order[far]


def places_in_order(boxes, scores, limit):
    order = scores.argsort(descending=True, stable=True).tolist()
    return [order.index(i) for i in greedy(boxes, scores, limit)]


def mask_of_kept(boxes, scores, limit):
    kept = greedy(boxes, scores, limit)
    return torch.tensor([i in kept for i in range(len(boxes))])


def last_of_equals(boxes, scores, limit):
    order = sorted(range(len(scores)), key=lambda i: (-float(scores[i]), -i))
    return greedy(boxes, scores, limit, order)


STACK = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [50, 50, 60, 60]])
CHAIN = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])

written(
    "01.2 NMS",
    lambda boxes, scores, iou_threshold: nms(boxes, scores, iou_threshold),
    nms_inputs,
    edges={
        "no boxes at all": (torch.zeros(0, 4), torch.zeros(0), 0.5),
        "an IoU of exactly 0.5 at the threshold 0.5": (
            STACK[[0, 2]],
            torch.tensor([0.9, 0.8]),
            0.5,
        ),
        "three equal boxes with equal scores": (STACK[[0, 0, 0]], torch.ones(3), 0.5),
        "boxes in a row, each over the next, the best one last": (
            CHAIN.flip(0),
            torch.tensor([0.7, 0.8, 0.9]),
            0.25,
        ),
    },
    mistakes=[
        (
            functools.partial(greedy, above=lambda iou, limit: iou >= limit),
            "an IoU equal to the threshold is kept: use >, not >=",
        ),
        (
            lambda b, s, t: greedy(b, s, t, s.argsort(stable=True).tolist()),
            "the best score comes first: sort from high to low",
        ),
        (
            lambda b, s, t: greedy(b, s, t, range(len(b))),
            "you go through the boxes as they are given; take the best score first",
        ),
        (
            functools.partial(greedy, gone_silence=True),
            "a box that was removed must not remove others",
        ),
        (only_the_first_round, "only the first round: go on with what is left"),
        (last_of_equals, "among equal scores the lowest index comes first"),
        (
            places_in_order,
            "you return places in the sorted list; translate them: order[place]",
        ),
        (mask_of_kept, "return the indices of the kept boxes, not a mask"),
        (
            lambda b, s, t: sorted(greedy(b, s, t)),
            "the right boxes in another order: return the best one first",
        ),
        (
            lambda b, s, t: b[greedy(b, s, t)],
            "return the indices of the kept boxes, not the boxes",
        ),
    ],
)

CONFIDENCES, THRESHOLDS = (0.5, 0.7, 0.9), (0.1, 0.3, 0.5, 0.7)
EXTRA_COST = 5  # of an extra box; a missed object costs 1


@functools.cache
def errors_on_val():
    """{(confidence, NMS threshold): (scenes, 2) missed and extra boxes} on val."""
    from course_utils.core.weights import train_or_load
    from course_utils.data.catalog import find_data
    from course_utils.data.datasets import VOCDataset
    from course_utils.lessons.widgets.tasks import matches
    from course_utils.models.backbone import SmallResNet
    from course_utils.models.faster_rcnn import new_faster_rcnn
    from course_utils.ops.boxes import box_iou
    from course_utils.ops.postprocess import postprocess_detections
    from course_utils.training.recipes import train_faster_rcnn

    val = VOCDataset(find_data("tabletop"), "val")
    model = new_faster_rcnn(SmallResNet(), 1 + len(val.classes))
    train_or_load("faster_rcnn", model, train_faster_rcnn)
    model.eval()
    settings = [(c, t) for c in CONFIDENCES for t in THRESHOLDS]
    counts = {setting: [] for setting in settings}
    for image, target in (val[i] for i in range(len(val))):
        scored = *model.score_regions(image), tuple(image.shape[1:])
        for setting in settings:
            found = postprocess_detections(*scored, *setting)
            iou = box_iou(target["boxes"], found["boxes"])
            right = len(matches(target, found, iou))
            missed, extra = len(iou) - right, len(found["labels"]) - right
            counts[setting].append((missed, extra))
    return {setting: torch.tensor(rows) for setting, rows in counts.items()}


@exercise("01.4 choose the threshold")
def choose_the_threshold(answer):
    from course_utils.lessons import live

    given = attempted(answer)
    try:
        setting = tuple(round(float(v), 4) for v in given)
    except (TypeError, ValueError):
        return "give two numbers: (least confidence, NMS threshold)"
    if len(setting) != 2:
        return "give two numbers: (least confidence, NMS threshold)"
    choices = [(c, t) for c in CONFIDENCES for t in THRESHOLDS]
    if setting not in choices:
        if setting[::-1] in choices:
            return "the confidence comes first, then the NMS threshold"
        return f"choose from confidences {CONFIDENCES} and thresholds {THRESHOLDS}"
    with live.paused():
        errors = errors_on_val()
    price = torch.tensor([1, EXTRA_COST])
    costs = {key: int((value * price).sum()) for key, value in errors.items()}
    best = min(costs, key=costs.__getitem__)
    more = ((errors[setting] - errors[best]) * price).sum(1).float()
    draws = torch.randint(len(more), (1000, len(more)))
    if (
        more[draws].sum(1).quantile(0.025) <= 0
    ):  # no worse than the best, for all we know
        return None
    missed, extra = errors[setting].sum(0).tolist()
    most = "extra boxes" if EXTRA_COST * extra > missed else "missed objects"
    return (
        f"{missed} missed and {extra} extra boxes on val cost {costs[setting]}, most of"
        f" it for {most}; another choice costs {costs[best]}"
    )
