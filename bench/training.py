"""Our Faster R-CNN trained beside torchvision's, and alone for its first minutes."""

import copy
import statistics
import time

from torch.utils.data import DataLoader

from course_utils.core.settings import seed_everything
from course_utils.core.weights import train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset
from course_utils.evaluation.average_precision import evaluate
from course_utils.evaluation.predict import predict
from course_utils.lessons.report import report
from course_utils.models.backbone import SmallResNet, freeze
from course_utils.models.faster_rcnn import new_faster_rcnn
from course_utils.models.torchvision_reference import library_faster_rcnn
from course_utils.ops.batches import collate
from course_utils.training.loop import adamw, fit
from course_utils.training.pretrain import train_on_scenes
from course_utils.training.recipes import PRETRAINED, train_faster_rcnn


def two_detectors(seed, scenes):
    """Our Faster R-CNN and torchvision's, equal backbones, for the same classes."""
    size, k = tuple(scenes[0][0].shape[1:]), len(scenes.classes) + 1
    seed_everything(seed)
    backbone = SmallResNet()
    train_or_load("scenes", backbone, train_on_scenes)
    freeze(backbone)
    ours = new_faster_rcnn(copy.deepcopy(backbone), k)
    theirs = library_faster_rcnn(backbone, ours.rpn.grid, k, size)
    return {"ours": ours, "torchvision": theirs}


def bench_faster(seeds=3, epochs=2):
    """Train both detectors alike; write data/results/bench_faster.json."""
    root = find_data("tabletop")
    scenes = Scenes(VOCDataset(root, "train"), augment=True)
    test = Scenes(VOCDataset(root, "test"))
    figures = {}
    for seed in range(seeds):
        for name, model in two_detectors(seed, scenes).items():
            seed_everything(seed)
            loader = DataLoader(
                scenes, 4, shuffle=True, collate_fn=collate, drop_last=True
            )
            optimizer = adamw(model, backbone=model.backbone, **PRETRAINED)
            history = fit(model, loader, epochs, optimizer=optimizer)
            model.eval()
            start = time.perf_counter()
            detections = predict(model, test, batch=1)
            found = {
                "step_ms": 1000 * history[-1]["seconds"] / len(history),
                "image_ms": 1000 * (time.perf_counter() - start) / len(test),
            }
            found |= evaluate(detections, test.targets, test.classes)
            for key in "step_ms", "image_ms", "map50", "map":
                figures.setdefault(f"{name} {key}", []).append(found[key])
            print(seed, name, {k: found[k] for k in ("step_ms", "map50")}, flush=True)
    means = {key: statistics.mean(values) for key, values in figures.items()}
    report("bench_faster", seeds=seeds, epochs=epochs, **means)
    for key in "step_ms", "image_ms":
        a, b = means[f"ours {key}"], means[f"torchvision {key}"]
        print(f"{key:44} {a:8.1f} ms {b:8.1f} ms {a / b:7.2f}x")
    for key in "map50", "map":
        print(f"{key:44} {means[f'ours {key}']:.3f}  {means[f'torchvision {key}']:.3f}")


def bench_training(epochs=7):
    """Print seconds and scores of a Faster R-CNN after `epochs` of all scenes."""
    root = find_data("tabletop")
    seed_everything(0)
    backbone, sets = SmallResNet(), [VOCDataset(root, part) for part in ("val", "test")]
    train_or_load("scenes", backbone, train_on_scenes)
    model = new_faster_rcnn(backbone, len(sets[0].classes) + 1)
    last = train_faster_rcnn(model, epochs)[-1]
    print(f"{last['step'] + 1} steps in {last['seconds']:.1f} s")
    for dataset in sets:
        scenes = Scenes(dataset)
        found = evaluate(predict(model, scenes, 1), scenes.targets, scenes.classes)
        name, count = dataset.split, len(scenes)
        print(f"{name:5} {count} scenes {found['map50']:.4f} {found['map']:.4f}")
