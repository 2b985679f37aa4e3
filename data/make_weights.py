"""Make the weights that the repository ships again: python data/make_weights.py

They spare the learner the long trainings: a lesson that finds them loads them, and
trains by itself where they are missing. Three to fifty minutes each on two cores.
"""

import argparse
import json
import time
from pathlib import Path

from course_utils.core.settings import REPOSITORY, seed_everything
from course_utils.core.weights import save_weights, train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import ObjectCrops, Scenes, VOCDataset
from course_utils.evaluation.average_precision import evaluate
from course_utils.evaluation.predict import predict
from course_utils.lessons.report import report
from course_utils.models import faster_rcnn
from course_utils.models.backbone import SmallResNet
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.localizer import Classifier
from course_utils.models.rcnn import RCNN, RegionNet
from course_utils.models.single_shot import SingleShot
from course_utils.training.pretrain import train_on_scenes
from course_utils.training.rcnn_stages import train_rcnn
from course_utils.training.recipes import (
    train_fast_rcnn,
    train_faster_rcnn,
    train_on_crops,
    train_single_shot,
)

WEIGHTS = Path(__file__).resolve().parent / "weights"
RESULTS = REPOSITORY / "data" / "results" / "weights.json"
CLASSES = 9  # tabletop's eight, and background


def crops():
    """The classifier of lesson 02 on all cut-out objects."""
    model = Classifier(SmallResNet(), 128, CLASSES)
    train_on_crops(model)
    test = ObjectCrops(VOCDataset(find_data("tabletop"), "test"), 48)
    found = predict(model, test)
    right = [int(a["labels"]) == int(label) for a, label in zip(found, test.labels)]
    return model, f"{sum(right) / len(right):.1%} of {len(right)} test objects right"


def scenes():
    """The backbone of `crops`, taught further on whole scenes."""
    backbone = SmallResNet()
    history = train_on_scenes(backbone)
    last = [row["loss"] for row in history[-200:]]
    return backbone, f"mean loss of the last epoch {sum(last) / len(last):.3f}"


def detector(build, train):
    """A job that trains the detector that build() gives, and scores it."""

    def job():
        model = build()
        train(model)
        test = Scenes(VOCDataset(find_data("tabletop"), "test"))
        result = evaluate(predict(model, test, 10), test.targets, test.classes)
        return model, f"mAP@0.5 {result['map50']:.3f}, mAP {result['map']:.3f}"

    return job


def scene_backbone():
    backbone = SmallResNet()
    train_or_load("scenes", backbone, train_on_scenes)
    return backbone


def new_rcnn():
    return RCNN(RegionNet(scene_backbone(), CLASSES), CLASSES)


def new_fast_rcnn():
    return FastRCNN(scene_backbone(), RegionHead(128, CLASSES))


def new_faster_rcnn():
    return faster_rcnn.new_faster_rcnn(scene_backbone(), CLASSES)


def new_single_shot():
    return SingleShot(scene_backbone(), CLASSES)


JOBS = {
    "crops": crops,
    "scenes": scenes,
    "rcnn": detector(new_rcnn, train_rcnn),
    "fast_rcnn": detector(new_fast_rcnn, train_fast_rcnn),
    "faster_rcnn": detector(new_faster_rcnn, train_faster_rcnn),
    "single_shot": detector(new_single_shot, train_single_shot),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(JOBS)}; all if none")
    names = parser.parse_args().names or list(JOBS)
    if unknown := set(names) - set(JOBS):
        parser.error(f"no such weights: {', '.join(unknown)}")
    for name in names:
        seed_everything(0)
        start = time.perf_counter()
        model, text = JOBS[name]()
        seconds = time.perf_counter() - start
        print(f"{name}: {seconds:.0f} s, {text}", flush=True)
        old = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        report("weights", **(old | {f"{name} seconds": seconds, f"{name} score": text}))
        save_weights(model.state_dict(), WEIGHTS / f"{name}.safetensors", half=True)


if __name__ == "__main__":
    main()
