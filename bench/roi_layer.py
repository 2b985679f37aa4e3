"""RoI pooling against RoIAlign in one detector: what the layer alone changes."""

import statistics

import numpy as np
from torch.utils.data import DataLoader

from course_utils.core.devices import to_device
from course_utils.core.settings import seed_everything
from course_utils.core.weights import train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset
from course_utils.evaluation.average_precision import evaluate
from course_utils.lessons.report import report
from course_utils.models.backbone import SmallResNet, freeze
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.faster_rcnn import new_faster_rcnn
from course_utils.ops.batches import collate
from course_utils.ops.roi import roi_align, roi_pool
from course_utils.proposals.selective_search import dataset_proposals
from course_utils.training.loop import fit
from course_utils.training.pretrain import train_on_scenes
from course_utils.training.recipes import PRETRAINED, train_faster_rcnn

LAYERS = {"pool": roi_pool, "align": roi_align}
SCORES = ("map50", "map")
ROUNDS = 40  # of the bootstrap


def trained(layer, scenes, epochs, seed):
    """A Fast R-CNN over the shipped backbone, trained from a seed with an RoI layer."""
    seed_everything(seed)
    backbone = SmallResNet()
    train_or_load("scenes", backbone, train_on_scenes)
    head = RegionHead(backbone.out_channels, len(scenes.classes) + 1)
    model = FastRCNN(freeze(backbone), head, pool=layer)
    loader = DataLoader(scenes, 4, shuffle=True, collate_fn=collate, drop_last=True)
    fit(model, loader, epochs, **PRETRAINED)
    return model


def detect(model, scenes, proposals=None):
    """The detections of a detector in all scenes, on given proposals or its own."""
    model.eval()
    found = []
    for i in range(len(scenes)):
        given = None if proposals is None else [proposals[i]]
        found += model.detections([scenes[i][0]], given)
    return to_device(found, "cpu")


def intervals(a, b, scenes):
    """95 % intervals of the differences of two detectors' scores, images redrawn."""
    generator, differences = np.random.default_rng(0), {key: [] for key in SCORES}
    for _ in range(ROUNDS):
        drawn = generator.integers(len(scenes), size=len(scenes))
        targets = [scenes.targets[i] for i in drawn]
        first, second = (
            evaluate([found[i] for i in drawn], targets, scenes.classes)
            for found in (a, b)
        )
        for key in SCORES:
            differences[key].append(first[key] - second[key])
    return {k: np.percentile(v, (2.5, 97.5)).tolist() for k, v in differences.items()}


def bench_roi_layer(images=600, epochs=2, seeds=3):
    """Train Fast R-CNN with each layer; write data/results/ablations_roi.json.

    The same scenes, proposals, epochs, seeds and weights at the start; scores on val.
    Before, the shipped Faster R-CNN's head on its own RPN's proposals and on 200 of
    selective search. The file is written after each seed.
    """
    images, epochs, seeds = int(images), int(epochs), int(seeds)
    root = find_data("tabletop")
    train, val = VOCDataset(root, "train", first=images), VOCDataset(root, "val")
    scenes = Scenes(train, dataset_proposals(train), augment=True)
    tested, proposals = Scenes(val), dataset_proposals(val)
    figures, found = {"images": images, "epochs": epochs}, {}

    def score(name, detections):
        result = evaluate(detections, tested.targets, tested.classes)
        print(name, f"{result['map50']:.3f} {result['map']:.3f}", flush=True)
        return result

    def compare(a, b):
        for key, (low, high) in intervals(found[a], found[b], tested).items():
            name = f"{a} - {b} {key}"
            figures.update({f"{name} low": low, f"{name} high": high})

    shipped = new_faster_rcnn(SmallResNet(), len(val.classes) + 1)
    train_or_load("faster_rcnn", shipped, train_faster_rcnn)
    found["own"] = detect(shipped, tested)
    found["search"] = detect(shipped, tested, proposals)
    for name in "own", "search":
        result = score(name, found[name])
        figures |= {f"faster {name} {key}": result[key] for key in SCORES}
    compare("own", "search")
    results = {name: [] for name in LAYERS}
    for seed in range(seeds):
        for name, layer in LAYERS.items():
            found[name] = detect(
                trained(layer, scenes, epochs, seed), tested, proposals
            )
            results[name].append(score(f"{name}, seed {seed}", found[name]))
            for key in SCORES:
                values = [result[key] for result in results[name]]
                figures[f"{name} {key}"] = statistics.mean(values)
                figures[f"{name} {key} {seed}"] = values[-1]
        compare("align", "pool")  # of this seed
        report("ablations_roi", seeds=seed + 1, **figures)
