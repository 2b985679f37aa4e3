"""The explorers of the lessons on hand-made pictures and small networks."""

import numpy as np
import torch

from course_utils.lessons.widgets import boxes, localize, tasks
from course_utils.lessons.widgets import compare as compare_widgets
from course_utils.lessons.widgets import fast_rcnn as fast_widgets
from course_utils.lessons.widgets import faster_rcnn as faster_widgets
from course_utils.lessons.widgets import metrics as metric_widgets
from course_utils.lessons.widgets import proposals as proposal_widgets
from course_utils.lessons.widgets import rcnn as rcnn_widgets
from course_utils.lessons.widgets import roi as roi_widgets
from course_utils.lessons.widgets import rpn as rpn_widgets
from course_utils.models.backbone import SmallResNet
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.faster_rcnn import FasterRCNN
from course_utils.models.rcnn import RCNN, RegionNet
from course_utils.models.rpn import RPN
from course_utils.ops.anchors import AnchorGrid


def picture():
    masks = torch.zeros(3, 40, 60, dtype=torch.bool)
    masks[0, 5:10, 5:10] = True
    masks[1, 20:35, 20:50] = True
    masks[2, 5:10, 40:50] = True
    target = {
        "boxes": torch.tensor([[5.0, 5, 10, 10], [20, 20, 50, 35], [40, 5, 50, 10]]),
        "labels": torch.tensor([2, 1, 2]),
        "masks": masks,
    }
    return torch.rand(3, 40, 60), target


def crowd():
    """Boxes as a detector gives them before NMS, four for each object of `picture`."""
    generator = torch.Generator().manual_seed(0)
    truth = picture()[1]["boxes"].repeat(4, 1)
    boxes = truth + 2 * torch.rand(12, 4, generator=generator)
    return boxes, torch.rand(12, generator=generator)


class Sure(torch.nn.Module):
    """A detector that says the same of every image."""

    def forward(self, images):
        found = {"boxes": torch.tensor([[4.0, 5, 11, 10], [22, 20, 52, 33]])}
        found |= {"labels": torch.tensor([2, 1]), "scores": torch.tensor([0.9, 0.8])}
        return [found for _ in images]


class Pictures:
    classes = ("mug", "ball")

    def __getitem__(self, i):
        torch.manual_seed(i)
        return picture()


def film():
    detected = {"boxes": torch.tensor([[4.0, 4, 20, 20]]), "labels": torch.tensor([1])}
    history = [
        {"step": s, "class": 1 / (s + 1), "box": 2 / (s + 1), "look": 3}
        for s in range(6)
    ]

    image, target = picture()
    one = image, {k: v[1:2] for k, v in target.items()}
    return localize.training_film(
        [one], ("mug", "ball"), [[detected], [detected]], history, 3
    )


def photos():
    y, x = np.mgrid[:60, :80]
    shapes = np.stack([(x - 25) ** 2 + (y - 30) ** 2 < 300, x > 60, y > 50], 2)
    return {"shapes": (200 * shapes).astype(np.uint8), "turned": shapes[::-1] * 1.0}


def walk():
    some = [picture() for _ in range(3)]
    targets = [
        target | {"difficult": torch.zeros(3, dtype=torch.bool)} for _, target in some
    ]
    detections = metric_widgets.pretend_detector(targets, 3, (40, 60))
    return metric_widgets.walk_the_curve(some, detections, targets, ("mug", "ball"))


def small_rcnn():
    model = RCNN(
        RegionNet(SmallResNet((4, 8, 8)), 3), 3, side=24, num_proposals=30
    ).eval()
    weight = torch.randn(model.net.size, 2), torch.zeros(2)
    boxes_too = 0.01 * torch.randn(2, model.net.size, 4), torch.zeros(2, 4)
    model.set_svms_and_regressors(1.0, weight, boxes_too)
    image = torch.from_numpy(photos()["shapes"]).permute(2, 0, 1) / 255
    return rcnn_widgets.stage_viewer(model, [image], ("mug", "ball"))


def pieces():
    backbone = SmallResNet((4, 8, 8))
    return backbone, RegionHead(8, 3, pool_size=7, hidden=8)


def two_detectors():
    image = torch.from_numpy(photos()["shapes"]).permute(2, 0, 1) / 255
    names = {"one": FastRCNN(*pieces(), min_score=0).eval()}
    names["two"] = FastRCNN(*pieces(), min_score=0).eval()
    return fast_widgets.side_by_side(names, [image], ("mug", "ball"))


def all_stages():
    backbone, head = pieces()
    model = FasterRCNN(backbone, RPN(8, AnchorGrid()), head).eval()
    image, target = picture()
    return faster_widgets.every_stage(model, [image] * 2, [target] * 2, ("mug", "ball"))


def at_all_settings():
    class Scenes(list):
        classes = ("mug", "ball")

    backbone, head = pieces()
    models = {
        "one": FasterRCNN(backbone, RPN(8, AnchorGrid()), head, min_score=0).eval()
    }
    models["two"] = models["no proposals"] = models["one"]
    numbers = torch.rand(9, 2), torch.tensor([4.0, 4, 30, 30]).expand(9, 2, 4)
    counts = {"one": (5, 9), "two": (5, 9), "no proposals": (30,)}
    settings = [(n, c, iou) for n in models for c in counts[n] for iou in (0.3, 1)]
    return compare_widgets.speed_and_accuracy(
        models,
        Scenes([picture(), picture()]),
        {setting: 0.1 * i for i, setting in enumerate(settings)},
        {name: [numbers] * 2 for name in models},
        {(n, count): {"backbone": 9.0 * count} for n, count, _ in settings},
    )


EXPLORERS = [
    (lambda: proposal_widgets.segments(photos()), {"scale": 600, "min_size": 400}),
    (lambda: proposal_widgets.segments(photos()), {"picture": "turned"}),
    (lambda: proposal_widgets.hierarchy(photos()), {"level": 0}),
    (
        lambda: proposal_widgets.proposals_that_find(
            [picture()], [torch.tensor([[4.0, 4, 12, 12], [20, 18, 50, 36]] * 20)]
        ),
        {"min_iou": 0.9},
    ),
    (walk, {"threshold": 0.8}),
    (walk, {"name": "mug"}),
    (small_rcnn, {"stage": "warped"}),
    (small_rcnn, {"stage": "detections"}),
    (lambda: boxes.two_boxes(), {"x": 20}),
    (lambda: boxes.two_boxes(), {"height": 100}),
    (
        lambda: boxes.stepping_nms(picture()[0], *crowd(), picture()[1]["boxes"]),
        {"step": 2},
    ),
    (
        lambda: tasks.five_tasks(Pictures(), [0, 1], Sure()),
        {"task": "semantic segmentation"},
    ),
    (film, {"epoch": 0}),
    (
        lambda: roi_widgets.region_over_map(picture()[0], torch.rand(4, 5, 8)),
        {"x": 20.0},
    ),
    (two_detectors, {"best": 1}),
    (lambda: rpn_widgets.anchors_at_a_cell(picture()[0]), {"size": 24}),
    (
        lambda: rpn_widgets.which_are_positive(
            [picture()[0]] * 2, [picture()[1]] * 2, AnchorGrid()
        ),
        {"positive": 0.3},
    ),
    (
        lambda: rpn_widgets.best_proposals(
            [picture()[0]] * 2, {"a": [picture()[1]["boxes"]] * 2}
        ),
        {"num_proposals": 1},
    ),
    (all_stages, {"stage": "proposals"}),
    (at_all_settings, {"nms_iou": 1}),
    (at_all_settings, {"count": 9}),
    (lambda: localize.loss_weights([(0.1, 0.5, 0.2), (1, 0.9, 0.7)]), {"run": 0}),
]
