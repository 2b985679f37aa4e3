"""Measure all detectors on the photographs of VOC 2007: python data/measure_photos.py

Trains R-CNN, Fast R-CNN and Faster R-CNN over the same frozen backbone, with less data
and with a random backbone too, and scores each on 1,000 test photographs. Writes
data/results/photos.json, which lesson 12 shows, and the detector that comes with the
course. About 45 minutes on one to two cores; needs the data set, see data/README.md.
"""

import argparse
import json
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from tqdm.auto import tqdm

from course_utils.core.settings import REPOSITORY, in_ci, seed_everything
from course_utils.core.timing import Timer
from course_utils.data.catalog import find_data, photographs
from course_utils.data.datasets import Images
from course_utils.data.feature_maps import SHAPES, Photographs, frozen_maps
from course_utils.evaluation.average_precision import evaluate
from course_utils.evaluation.proposal_recall import proposal_recall
from course_utils.lessons.report import report
from course_utils.models.imagenet import imagenet_backbone
from course_utils.models.photo_detector import (
    PhotoFasterRCNN,
    PhotoFastRCNN,
    save_detector,
)
from course_utils.models.rcnn import RCNN, RegionNet
from course_utils.ops.batches import collate
from course_utils.proposals.selective_search import dataset_proposals
from course_utils.training.loop import fit
from course_utils.training.rcnn_stages import fit_svms_and_regressors, known_regions

RESULTS = REPOSITORY / "data" / "results" / "photos.json"
WEIGHTS = REPOSITORY / "data" / "weights" / "voc2007.safetensors"


def score(model, data, detections):
    """Figures of a detector that gave `detections` to all photographs of `data`."""
    found = evaluate(detections, data.targets, data.classes, "11-point")
    every = evaluate(detections, data.targets, data.classes, "all-point")
    ms = {k: 1000 * v / len(data) for k, v in model.timer.seconds.items()}
    return {
        "map50 11-point": found["map50"],
        "map50 all-point": every["map50"],
        **{f"ms {phase}": value for phase, value in ms.items()},
    }, every["ap50"]


def train_on_maps(model, data, epochs, count=None):
    """Seconds of training on the first `count` items of `Photographs`."""
    data = Subset(data, range(count)) if count else data
    loader = DataLoader(data, 8, shuffle=True, collate_fn=collate, drop_last=True)
    history = fit(model, loader, epochs, lr=1e-3, weight_decay=0.02)
    return history[-1]["seconds"]


def faster(train, test, maps, backbone, epochs, count=None):
    seed_everything(0)
    model = PhotoFasterRCNN(backbone, len(train.classes) + 1)
    model.backbone.standardise(maps)
    seconds = train_on_maps(model, train, epochs, count)
    model.eval().timer = Timer()
    detections = [model([test[i][0]])[0] for i in range(len(test))]
    figures, by_class = score(model, test, detections)
    return model, figures | {"seconds": seconds}, by_class


def recall(model, test, num_proposals=150):
    """Recall of the RPN's proposals on all photographs of `test`."""
    found = []
    with torch.no_grad():
        for i in range(len(test)):
            maps, sizes = model.prepare([test[i][0]])
            proposals = model.rpn.proposals(*model.rpn(model.backbone(maps)), sizes)
            found.append(proposals[0][0])
    return proposal_recall(found, test.targets, num_proposals)


def fast(train, test, maps, backbone, epochs):
    seed_everything(0)
    model = PhotoFastRCNN(backbone, len(train.classes) + 1)
    model.backbone.standardise(maps)
    seconds = train_on_maps(model, train, epochs)
    model.eval().timer = Timer()
    detections = []
    for i in range(len(test)):
        row, target = test[i]
        detections += model.detections([row], [target["proposals"]])
    figures, _ = score(model, test, detections)
    return figures | {"seconds": seconds}


class CoarseMap(nn.Module):
    """The frozen backbone's second map alone, as R-CNN's region network takes it."""

    out_channels = SHAPES[1][0]

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, crops):
        return self.backbone(crops)[1]


def slow(train, test, backbone, count, num_proposals=100, side=96):
    """R-CNN: features of crops, SVMs, box regression; no fine-tuning."""
    seed_everything(0)
    k = len(train.classes) + 1
    model = RCNN(RegionNet(CoarseMap(backbone), k, 2), k, side).eval()
    start = time.perf_counter()
    regions, facts = known_regions(train, num_proposals, k)
    fit_svms_and_regressors(model, Images(train), regions, facts, train.classes)
    seconds = time.perf_counter() - start
    model([Images(test)[0].float() / 255])  # warm up
    model.timer = Timer()
    images = Images(test)
    some = range(min(count, len(test)))
    detections = [
        model([images[i].float() / 255])[0] for i in tqdm(some, disable=in_ci())
    ]
    targets = [test.target(i) for i in some]
    found = evaluate(detections, targets, test.classes, "11-point")["map50"]
    every = evaluate(detections, targets, test.classes, "all-point")["map50"]
    ms = {f"ms {p}": 1000 * v / len(some) for p, v in model.timer.seconds.items()}
    return {"map50 11-point": found, "map50 all-point": every, "seconds": seconds} | ms


def keep(name, figures):
    """Add {name: value} figures to the file of results."""
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    report("photos", **(old | {f"{name} {k}": v for k, v in figures.items()}))
    print(name, {k: round(v, 3) for k, v in figures.items()}, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of faster, fast, rcnn, less, random")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--rcnn-photographs", type=int, default=1000)
    options = parser.parse_args()
    names = options.names or ["faster", "fast", "less", "random", "rcnn"]
    find_data("voc2007")  # stops here with a clear line if it is missing
    train, test = photographs("trainval"), photographs("test")
    backbone, epochs = imagenet_backbone(), options.epochs
    start = time.perf_counter()
    maps = frozen_maps("voc-trainval", backbone, train, mirror=True)
    test_maps = frozen_maps("voc-test", backbone, test)
    seconds = time.perf_counter() - start
    print(f"maps: {seconds:.0f} s", flush=True)
    both = [Photographs(train, maps), Photographs(test, test_maps)]
    if "faster" in names:
        model, figures, by_class = faster(*both, maps, backbone, epochs)
        found = recall(model, both[1])
        figures |= {"recall": found[0.5], "recall 0.7": found[0.7]}
        keep("faster", figures)
        keep("ap", by_class)
        save_detector(model, WEIGHTS, train.classes)
    if "less" in names:
        for count in 600, 200:
            passes = epochs * len(train) // count // 2
            _, figures, _ = faster(*both, maps, backbone, passes, count)
            keep(f"{count} photographs", figures)
    if "fast" in names:
        start = time.perf_counter()
        proposals = [dataset_proposals(part) for part in (train, test)]
        print(f"proposals: {time.perf_counter() - start:.0f} s", flush=True)
        parts = [
            Photographs(*part)
            for part in zip((train, test), (maps, test_maps), proposals)
        ]
        keep("fast", fast(*parts, maps, backbone, epochs))
    if "random" in names:
        seed_everything(0)
        rough = imagenet_backbone(pretrained=False)
        rough_maps = frozen_maps("rough-trainval", rough, train, mirror=True)
        rough_test = frozen_maps("rough-test", rough, test)
        parts = (
            Photographs(train, rough_maps),
            Photographs(test, rough_test),
        )
        keep("random", faster(*parts, rough_maps, rough, epochs)[1])
    if "rcnn" in names:
        keep("rcnn", slow(train, test, backbone, options.rcnn_photographs))


if __name__ == "__main__":
    main()
