"""Rows of `make bench`: one function of ours beside one of a library."""

import contextlib
import functools
import io
import math
import statistics
import time
from unittest import mock

import skimage.data
import torch
import torchvision
from pycocotools.cocoeval import COCOeval
from skimage.segmentation import felzenszwalb as skimage_felzenszwalb

from bench.proposals import image_sets
from bench.references import opencv_search, to_coco
from bench.training import two_detectors
from course_utils.core.settings import REPOSITORY
from course_utils.core.weights import load_weights
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset
from course_utils.evaluation.average_precision import evaluate
from course_utils.lessons.widgets.metrics import pretend_detector
from course_utils.models.backbone import SmallResNet
from course_utils.models.faster_rcnn import new_faster_rcnn
from course_utils.models.torchvision_reference import LibraryTwin
from course_utils.ops import roi
from course_utils.ops.boxes import box_iou, clip_boxes, giou
from course_utils.ops.nms import batched_nms, nms
from course_utils.proposals.segmentation import felzenszwalb
from course_utils.proposals.selective_search import selective_search

RUNS = 41


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(name, ours, reference, runs=RUNS):
    """Print one row; returns the ratio of the median times."""
    ours(), reference()  # compile, warm up
    pairs = [(seconds(ours), seconds(reference)) for _ in range(runs)]
    mine, theirs = (1000 * statistics.median(column) for column in zip(*pairs))
    print(f"{name:48} {mine:8.3f} ms {theirs:8.3f} ms {mine / theirs:7.2f}x")
    return mine / theirs


def random_boxes(count, room):
    """Boxes of 10 to 100 pixels in a square of `room` pixels, and scores."""
    corner = torch.rand(count, 2) * room
    boxes = torch.cat([corner, corner + 10 + torch.rand(count, 2) * 90], 1)
    return boxes, torch.rand(count)


def bench_boxes():
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


def mixed_regions(count, height, width):
    """Boxes of all sizes in a picture, from 16 pixels to 60 % of its shorter side."""
    least, most = math.log(16), math.log(0.6 * min(height, width))
    side = (least + torch.rand(count, 1) * (most - least)).exp()
    shape = torch.tensor([1.0, 1]) + (torch.rand(count, 1) - 0.5) * torch.tensor(
        [1, -1]
    )
    center = torch.rand(count, 2) * torch.tensor([width, height])
    boxes = torch.cat([center - side * shape / 2, center + side * shape / 2], 1)
    return clip_boxes(boxes, (height, width))


def roi_cases():
    """(name, size of the maps, regions of each picture, stride) of RoI rows."""
    regions = []
    for _ in range(8):
        corner = torch.rand(64, 2) * torch.tensor([120.0, 80])
        box = torch.cat([corner, corner + 16 + torch.rand(64, 2) * 60], 1)
        regions.append(box)
    yield "8 maps 18 x 24, 512 regions", (18, 24), regions, 8
    for h, w, stride in (38, 63, 16), (75, 125, 8), (150, 250, 4):
        regions = [mixed_regions(64, h * stride, w * stride) for _ in range(2)]
        yield f"2 maps {h} x {w}, 128 regions", (h, w), regions, stride


def bench_roi():
    """RoI layers on maps of 128 channels, as our backbone's lie in memory."""
    # Freed at once: glibc then keeps freed memory, as in a training, and no call spends
    # a quarter of its time on asking the system for new pages.
    torch.empty(30 << 20, dtype=torch.uint8)
    library = torchvision.ops
    align = functools.partial(library.roi_align, sampling_ratio=2, aligned=True)
    for name, size, regions, stride in roi_cases():
        features = torch.randn(len(regions), 128, *size)
        features = features.to(memory_format=torch.channels_last).requires_grad_()
        gradient = torch.randn(sum(map(len, regions)), 128, 7, 7)

        @torch.no_grad()
        def forward(layer, maps=features, r=regions, s=stride):
            layer(maps, r, 7, 1 / s)

        def both(layer, maps=features, r=regions, s=stride, g=gradient):
            layer(maps, r, 7, 1 / s).backward(g)

        for job, run in ("forward", forward), ("both ways", both):
            for kind, ours, theirs in (
                ("roi_align", roi.roi_align, align),
                ("roi_pool", roi.roi_pool, library.roi_pool),
            ):
                compare(
                    f"{kind} {job}, {name}",
                    functools.partial(run, ours),
                    functools.partial(run, theirs),
                    9,
                )


def bench_backbone():
    """A training step of the backbone: in mixed precision, and in float32 alone."""
    backbone, images = SmallResNet().train(), torch.rand(4, 3, 184, 240)

    def step():
        backbone(images).sum().backward()

    def exact_step():
        with mock.patch("course_utils.models.backbone.mixed_precision", exact):
            step()

    def exact(*_):
        return contextlib.nullcontext()

    compare("backbone, training step, against float32", step, exact_step, 9)


def bench_detector():
    """Faster R-CNN: a training step, and the detections of one image.

    torchvision's has the same backbone, so that is in both; the last row has the same
    trained weights, too.
    """
    scenes = Scenes(VOCDataset(find_data("tabletop"), "train"))
    batch = [scenes[i] for i in range(4)]
    images, targets = [image for image, _ in batch], [target for _, target in batch]
    models = two_detectors(0, scenes)

    def step(name):
        losses = models[name].train()(images, targets)
        sum(losses.values()).backward()

    steps = functools.partial(step, "ours"), functools.partial(step, "torchvision")
    compare("Faster R-CNN, training step, 4 images", *steps, 15)
    exact = mock.patch(
        "course_utils.models.backbone.mixed_precision",
        lambda *_: contextlib.nullcontext(),
    )
    models["ours"].mixed = models["ours"].rpn.mixed = False
    with exact:
        compare("the same in float32 alone", *steps, 15)
    ours = new_faster_rcnn(SmallResNet(), len(scenes.classes) + 1)
    load_weights(ours, REPOSITORY / "data" / "weights" / "faster_rcnn.safetensors")
    twin = LibraryTwin(ours, images[0].shape[1:])
    ours.eval(), twin.eval()
    compare(
        "Faster R-CNN, detections in one image",
        lambda: ours(images[:1]),
        lambda: twin(images[:1]),
    )


def bench_proposals():
    coffee = skimage.data.coffee()
    compare(
        "felzenszwalb against scikit-image, 400 x 600",
        lambda: felzenszwalb(coffee, 100),
        lambda: skimage_felzenszwalb(coffee, 100, 0.8, 30),
        5,
    )
    for name, dataset in image_sets(5, 3).items():
        images = [dataset[i][0] for i in range(len(dataset))]
        for quality in (False, True):
            kind = "Quality" if quality else "Fast"
            compare(
                f"selective search, OpenCV {kind}, {name}",
                lambda i=images: [selective_search(image) for image in i],
                lambda i=images, q=quality: [opencv_search(image, q) for image in i],
                3,
            )


def bench_scorer():
    dataset = VOCDataset(find_data("tabletop"), "test")
    targets = [dataset.target(i) for i in range(len(dataset))]
    detections = pretend_detector(targets, len(dataset.classes) + 1, (180, 240))
    ready = to_coco(detections, targets, len(dataset.classes))

    def reference():
        with contextlib.redirect_stdout(io.StringIO()):
            judge = COCOeval(ready.cocoGt, ready.cocoDt, "bbox")
            judge.evaluate()
            judge.accumulate()

    compare(
        f"evaluate against pycocotools, {len(targets)} images",
        lambda: evaluate(detections, targets, dataset.classes),
        reference,
        5,
    )


def main():
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'':48} {'ours':>11} {'library':>11} {'ratio':>8}")
    bench_boxes()
    bench_roi()
    bench_backbone()
    bench_detector()
    bench_proposals()
    bench_scorer()
