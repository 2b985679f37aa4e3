"""How soon the explorers react: `python -m bench sliders [LESSON ...]`."""

import copy
import functools
import importlib
import itertools
import statistics
import time

import cv2
import numba
import skimage.data
import torch

from course_utils.core.weights import train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset
from course_utils.evaluation import compare as compare_detectors
from course_utils.lessons import widgets
from course_utils.lessons.widgets.metrics import pretend_detector
from course_utils.models.backbone import SmallResNet
from course_utils.models.fast_rcnn import FastRCNN, RegionHead, compress
from course_utils.models.faster_rcnn import new_faster_rcnn
from course_utils.models.rcnn import RCNN, RegionNet
from course_utils.models.single_shot import SingleShot
from course_utils.proposals.selective_search import selective_search


def trained_detectors(num_classes):
    """{name: detector} with the shipped weights, as in lesson 10."""
    made = {
        "rcnn": RCNN(RegionNet(SmallResNet(), num_classes), num_classes),
        "fast_rcnn": FastRCNN(SmallResNet(), RegionHead(128, num_classes)),
        "faster_rcnn": new_faster_rcnn(SmallResNet(), num_classes),
        "single_shot": SingleShot(SmallResNet(), num_classes),
    }
    for name, model in made.items():
        train_or_load(name, model.eval(), None)
    small = copy.deepcopy(made["fast_rcnn"])
    small.head.fc1 = compress(small.head.fc1, 32)
    names = "R-CNN", "Fast R-CNN", "Faster R-CNN", "single shot", "Fast, SVD"
    return dict(zip(names, [*made.values(), small]))


def settings_and_times(models, root):
    """The two tables of lesson 10, on few pictures."""
    counts = dict.fromkeys(models, (10, 25, 50, 100, 200)) | {"single shot": (300,)}
    some = [Scenes(VOCDataset(root, "test", first=n)) for n in (8, 2)]
    tables = compare_detectors.settings_table(models, some[0], counts, (0.3, 0.5, 0.7))
    return *tables, compare_detectors.phase_times(models, some[1], counts)


def training_run(targets, epochs=20, steps=20):
    """What `training_film` wants of a run: detections after each epoch, and losses."""
    alike = [{k: t[k][:1] for k in ("boxes", "labels")} for t in targets]
    rows = [{"step": i, "class": 9 / (i + 1)} for i in range(epochs * steps)]
    return [alike] * (epochs + 1), [r | {"box": 1.0, "look": 2.0} for r in rows], steps


def several_boxes(target, each=5):
    """Boxes and scores as before NMS: ground-truth boxes, moved at random."""
    boxes = target["boxes"].repeat_interleave(each, 0)
    return boxes + 4 * torch.randn(boxes.shape), torch.rand(len(boxes))


def explorers():
    """{name: function that makes the explorer}, as the lessons show them, on tabletop.

    The detectors have the shipped weights.
    """
    names = "boxes compare fast_rcnn faster_rcnn localize metrics proposals rcnn roi"
    w = {
        name: importlib.import_module(f"{widgets.__name__}.{name}")
        for name in f"{names} rpn single_shot tasks".split()
    }
    root = find_data("tabletop")
    whole, test = VOCDataset(root, "test"), Scenes(VOCDataset(root, "test", first=8))
    scenes, classes = [test[i] for i in range(8)], test.classes
    images, targets = map(list, zip(*scenes))
    single = [VOCDataset(root, "single_test", first=6)[i] for i in range(6)]
    models = trained_detectors(9)
    slow, fast, faster, single_shot, _ = models.values()
    with torch.no_grad():
        features = faster.backbone(images[5][None])[0]
    every = [whole.target(i) for i in range(len(whole))]
    photos = {"coffee": skimage.data.coffee(), "cat": skimage.data.chelsea()}
    photos = {name: cv2.resize(p, None, fx=0.5, fy=0.5) for name, p in photos.items()}
    photos["scene 0"] = images[0]
    proposals = [selective_search(image) for image in images]
    runs = [(0.01, 0.8, 0.3), (0.1, 0.8, 0.5), (1, 0.8, 0.6), (10, 0.7, 0.7)]
    several = {"RPN": proposals, "RPN, long": proposals, "selective search": proposals}
    make = functools.partial
    return {
        "00 five tasks": make(w["tasks"].five_tasks, whole, range(8), faster),
        "01 two boxes": w["boxes"].two_boxes,
        "01 stepping NMS": lambda: w["boxes"].stepping_nms(
            images[0], *several_boxes(targets[0]), targets[0]["boxes"]
        ),
        "02 training film": lambda: w["localize"].training_film(
            single, classes, *training_run([target for _, target in single])
        ),
        "02 loss weights": make(w["localize"].loss_weights, runs),
        "03 segments": make(w["proposals"].segments, photos),
        "03 hierarchy": make(w["proposals"].hierarchy, photos),
        "03 proposals that find": make(
            w["proposals"].proposals_that_find, scenes, proposals
        ),
        "04 walk the curve": lambda: w["metrics"].walk_the_curve(
            scenes, pretend_detector(every, 9, (180, 240)), every, classes
        ),
        "05 stage viewer": make(w["rcnn"].stage_viewer, slow, images, classes),
        "06 region over map": make(w["roi"].region_over_map, images[5], features),
        "07 side by side": make(
            w["fast_rcnn"].side_by_side,
            {"R-CNN": slow, "Fast R-CNN": fast},
            images,
            classes,
        ),
        "08 anchors at a cell": make(w["rpn"].anchors_at_a_cell, images[0]),
        "08 which are positive": make(
            w["rpn"].which_are_positive, images, targets, faster.rpn.grid
        ),
        "08 best proposals": make(w["rpn"].best_proposals, images, several),
        "09 every stage": make(
            w["faster_rcnn"].every_stage, faster, images, targets, classes
        ),
        "10 speed and accuracy": lambda: w["compare"].speed_and_accuracy(
            models, test, *settings_and_times(models, root)
        ),
        "11 what cells say": make(
            w["single_shot"].what_cells_say, single_shot, images, classes, "book"
        ),
        "11 one or two stages": make(
            w["single_shot"].one_or_two_stages,
            {"single shot": single_shot, "Faster R-CNN": faster},
            images,
            classes,
        ),
    }


# Where the picture depends on a choice: the state with the most to draw.
FULL = {
    "00 five tasks": {"task": "instance segmentation"},
    "03 proposals that find": {"num_proposals": 300},
    "05 stage viewer": {"stage": "scores", "min_decision": -1.0},
    "07 side by side": {"best": 10},
    "08 which are positive": {"positive": 0.3},
    "09 every stage": {"stage": "detections", "count": 100, "score": 0.05},
    "10 speed and accuracy": {"score": 0.05},
    "11 one or two stages": {"score": 0.05},
}


def different_values(control, count):
    """`count` values for a control, spread over its range, each unlike the one before.

    One that has fewer gets them in turn.
    """
    values = list(getattr(control, "options", ()))
    if not values:
        steps = round((control.max - control.min) / control.step)
        values = [control.min + i * control.step for i in range(steps + 1)]
    others = [type(control.value)(v) for v in values if v != control.value]
    last = min(len(others), count) - 1
    spread = [
        others[round(i * (len(others) - 1) / max(last, 1))] for i in range(last + 1)
    ]
    return list(itertools.islice(itertools.cycle([*spread, control.value]), count))


def move_ms(explorer, key, values):
    """Milliseconds of each move of one control: by the clock, and of processor time."""
    passed = []
    for value in values:
        start = time.perf_counter(), time.process_time()
        explorer.set(**{key: value})
        end = time.perf_counter(), time.process_time()
        passed.append([1000 * (b - a) for a, b in zip(start, end)])
    return zip(*passed)


def bench_sliders(*lessons, moves=20):
    """Milliseconds from a moved control to its new picture, for each control.

    Processor time (cpu) counts where other programs keep the machine busy.
    `python -m bench sliders 08 09` measures the explorers of two lessons only.
    """
    head = f"{'p95':>5}{'median':>8}{'cpu p95':>9}{'median':>8}"
    print(f"{'explorer':24}{'control':12}{head}  ms, {moves} moves")
    for name, make in explorers().items():
        if lessons and name[:2] not in lessons:
            continue
        explorer = make().set(**FULL.get(name, {}))
        # Numba's threads, once started, give torch as many; the goal holds for one.
        numba.set_num_threads(1)
        torch.set_num_threads(1)
        for key, control in explorer.controls.items():
            start = control.value
            both = move_ms(explorer, key, different_values(control, moves))
            explorer.set(**{key: start})
            text = f"{name:24}{key:12}"
            for passed, width in zip(both, (5, 9)):
                late = statistics.quantiles(passed, n=20)[-1]
                text += f"{late:{width}.0f}{statistics.median(passed):8.0f}"
            print(text, flush=True)
