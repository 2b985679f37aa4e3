"""Our functions against the libraries', side by side in one process: `make bench`.

Each row is the median of several pairs of calls, ours and the reference in turn, so
that both meet the same machine. A ratio below 1 means that ours is faster.

`python -m tests.bench proposals` prints recall and MABO of selective search against
OpenCV's on all tabletop test scenes and on 100 photographs, and takes ten minutes.
`python -m tests.bench faster` trains our Faster R-CNN and torchvision's side by side;
`python -m tests.bench training` says how good ours is after its first minutes;
`python -m tests.bench sliders` measures how soon the explorers answer.
"""

import contextlib
import copy
import functools
import importlib
import io
import itertools
import statistics
import sys
import time

import cv2
import numba
import skimage.data
import torch
import torchvision
from pycocotools.cocoeval import COCOeval
from skimage.segmentation import felzenszwalb as skimage_felzenszwalb
from torch.utils.data import DataLoader

from course_utils import backbone, faster_rcnn, rcnn, roi, widgets
from course_utils import compare as compare_detectors
from course_utils.backbone import SmallResNet, freeze
from course_utils.boxes import batched_nms, box_iou, giou, nms, xywh_to_xyxy
from course_utils.data import VOCDataset, collate, find_data
from course_utils.env import seed_everything, train_or_load
from course_utils.fast_rcnn import FastRCNN, RegionHead, compress
from course_utils.localize import predict
from course_utils.metrics import evaluate, report
from course_utils.pictures import Scenes
from course_utils.pretrain import train_on_scenes
from course_utils.proposals import proposal_recall, selective_search
from course_utils.segmentation import felzenszwalb
from course_utils.single_shot import SingleShot
from course_utils.train import PRETRAINED, adamw, fit
from course_utils.widgets.metrics import pretend_detector
from tests.test_metrics import to_coco

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
    print(f"{name:44} {mine:8.3f} ms {theirs:8.3f} ms {mine / theirs:7.2f}x")
    return mine / theirs


def random_boxes(count, room):
    """Boxes of 10 to 100 pixels in a square of `room` pixels, and scores."""
    corner = torch.rand(count, 2) * room
    boxes = torch.cat([corner, corner + 10 + torch.rand(count, 2) * 90], 1)
    return boxes, torch.rand(count)


def opencv_search(image, quality=False):
    """OpenCV's selective search on a (3, H, W) image: boxes (N, 4), best first."""
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage((image.permute(1, 2, 0).numpy()[..., ::-1] * 255).astype("u1"))
    if quality:
        search.switchToSelectiveSearchQuality()
    else:
        search.switchToSelectiveSearchFast()
    return xywh_to_xyxy(search.process()[:2000])


def image_sets(scenes, photos):
    """{name: data set}: tabletop, and photographs of VOC 2007 where they are."""
    sets = {"tabletop": VOCDataset(find_data("tabletop"), "test", first=scenes)}
    try:
        sets["VOC 2007"] = VOCDataset(find_data("voc2007"), "test", first=photos)
    except FileNotFoundError as error:
        print(error)
    return sets


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
    answers = pretend_detector(targets, len(dataset.classes) + 1, (180, 240))
    ready = to_coco(answers, targets, len(dataset.classes))

    def reference():
        with contextlib.redirect_stdout(io.StringIO()):
            judge = COCOeval(ready.cocoGt, ready.cocoDt, "bbox")
            judge.evaluate()
            judge.accumulate()

    compare(
        f"evaluate against pycocotools, {len(targets)} images",
        lambda: evaluate(answers, targets, dataset.classes),
        reference,
        5,
    )


def proposal_table():
    """Recall at IoU 0.5 and 0.7, and MABO, against the number of windows."""
    searches = {
        "ours": selective_search,
        "OpenCV Fast": opencv_search,
        "OpenCV Quality": lambda image: opencv_search(image, True),
    }
    cv2.setRNGSeed(0)
    for name, dataset in image_sets(300, 100).items():
        images = [dataset[i][0] for i in range(len(dataset))]
        targets = [dataset.target(i) for i in range(len(dataset))]
        print(f"{name}, {len(images)} images: recall@0.5 / recall@0.7 / MABO")
        for kind, search in searches.items():
            search(images[0])
            start = time.perf_counter()
            found = [search(image) for image in images]
            passed = 1000 * (time.perf_counter() - start) / len(images)
            rows = [proposal_recall(found, targets, n) for n in (50, 100, 200, 500)]
            text = "  ".join(
                " / ".join(f"{value:.3f}" for value in row.values()) for row in rows
            )
            print(f"{kind:15} {passed:5.0f} ms  {text}", flush=True)


def bench_roi():
    """512 regions of a map (1, 128, 18, 24), forward and backward."""
    # Freed at once: glibc then keeps freed memory, as in a training, and no call spends
    # a quarter of its time on asking the system for new pages.
    torch.empty(30 << 20, dtype=torch.uint8)
    corner = torch.rand(512, 2) * torch.tensor([120.0, 80])
    regions = [torch.cat([corner, corner + 16 + torch.rand(512, 2) * 60], 1)]
    layout = {"memory_format": torch.channels_last}
    features = torch.randn(1, 128, 18, 24).to(**layout).requires_grad_()
    gradient = torch.randn(512, 128, 7, 7)

    def both(layer, **settings):
        layer(features, regions, 7, 1 / 8, **settings).backward(gradient)

    library = torchvision.ops
    aligned = {"sampling_ratio": 2, "aligned": True}
    compare(
        "roi_align, 512 regions, forward + backward",
        lambda: both(roi.roi_align),
        lambda: both(library.roi_align, **aligned),
        9,
    )
    compare(
        "roi_pool, 512 regions, forward + backward",
        lambda: both(roi.roi_pool),
        lambda: both(library.roi_pool),
        9,
    )


def bench_trunk():
    """A training step of the trunk: in mixed precision, and in float32 throughout."""
    trunk, images = SmallResNet().train(), torch.rand(4, 3, 184, 240)

    def step():
        trunk(images).sum().backward()

    def exact_step():
        ours = backbone.mixed_precision
        backbone.mixed_precision = lambda *_: ours(False)
        step()
        backbone.mixed_precision = ours

    compare("trunk, training step, against float32", step, exact_step, 9)


def two_detectors(seed, scenes):
    """Our Faster R-CNN and torchvision's, with equal trunks, for the same classes."""
    size, k = tuple(scenes[0][0].shape[1:]), len(scenes.classes) + 1
    seed_everything(seed)
    trunk = SmallResNet()
    train_or_load("scenes", trunk, train_on_scenes)
    freeze(trunk)
    ours = faster_rcnn.new_faster_rcnn(copy.deepcopy(trunk), k)
    theirs = faster_rcnn.library_faster_rcnn(trunk, ours.rpn.grid, k, size)
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
            trunk = model.trunk if name == "ours" else model.backbone
            optimizer = adamw(model, trunk=trunk, **PRETRAINED)
            history = fit(model, loader, epochs, optimizer=optimizer)
            model.eval()
            start = time.perf_counter()
            answers = predict(model, test, batch=1)
            found = {
                "step_ms": 1000 * history[-1]["seconds"] / len(history),
                "image_ms": 1000 * (time.perf_counter() - start) / len(test),
            }
            found |= evaluate(answers, test.targets, test.classes)
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
    trunk, sets = SmallResNet(), [VOCDataset(root, part) for part in ("val", "test")]
    train_or_load("scenes", trunk, train_on_scenes)
    model = faster_rcnn.new_faster_rcnn(trunk, len(sets[0].classes) + 1)
    last = faster_rcnn.train_faster_rcnn(model, epochs)[-1]
    print(f"{last['step'] + 1} steps in {last['seconds']:.1f} s")
    for dataset in sets:
        scenes = Scenes(dataset)
        found = evaluate(predict(model, scenes, 1), scenes.targets, scenes.classes)
        name, count = dataset.split, len(scenes)
        print(f"{name:5} {count} scenes {found['map50']:.4f} {found['map']:.4f}")


def trained_detectors(num_classes):
    """{name: detector} with the shipped weights, as in lesson 10."""
    made = {
        "rcnn": rcnn.RCNN(rcnn.RegionNet(SmallResNet(), num_classes), num_classes),
        "fast_rcnn": FastRCNN(SmallResNet(), RegionHead(128, num_classes)),
        "faster_rcnn": faster_rcnn.new_faster_rcnn(SmallResNet(), num_classes),
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
    counts = 10, 25, 50, 100, 200
    some = [Scenes(VOCDataset(root, "test", first=n)) for n in (8, 2)]
    tables = compare_detectors.settings_table(models, some[0], counts, (0.3, 0.5, 0.7))
    return *tables, compare_detectors.phase_times(models, some[1], counts)


def training_run(targets, epochs=20, steps=20):
    """What `training_film` wants of a run: answers after each epoch, and losses."""
    alike = [{k: t[k][:1] for k in ("boxes", "labels")} for t in targets]
    rows = [{"step": i, "class": 9 / (i + 1)} for i in range(epochs * steps)]
    return [alike] * (epochs + 1), [r | {"box": 1.0, "look": 2.0} for r in rows], steps


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
        features = faster.trunk(images[5][None])[0]
    every = [whole.target(i) for i in range(len(whole))]
    photos = {"coffee": skimage.data.coffee(), "cat": skimage.data.chelsea()}
    photos = {name: cv2.resize(p, None, fx=0.5, fy=0.5) for name, p in photos.items()}
    photos["scene 0"] = images[0]
    windows = [selective_search(image) for image in images]
    runs = [(0.01, 0.8, 0.3), (0.1, 0.8, 0.5), (1, 0.8, 0.6), (10, 0.7, 0.7)]
    several = {"RPN": windows, "RPN, long": windows, "selective search": windows}
    make = functools.partial
    return {
        "00 five tasks": make(w["tasks"].five_tasks, whole, range(8)),
        "01 two boxes": w["boxes"].two_boxes,
        "01 stepping NMS": lambda: w["boxes"].stepping_nms(
            images[0], *w["boxes"].like_a_detector(targets[0], (180, 240))
        ),
        "02 training film": lambda: w["localize"].training_film(
            single, classes, *training_run([target for _, target in single])
        ),
        "02 loss weights": make(w["localize"].loss_weights, runs),
        "03 segments": make(w["proposals"].segments, photos),
        "03 hierarchy": make(w["proposals"].hierarchy, photos),
        "03 windows that find": make(w["proposals"].windows_that_find, scenes, windows),
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
    "03 windows that find": {"windows": 300},
    "05 stage viewer": {"stage": "scores", "min_margin": -1.0},
    "07 side by side": {"best": 10},
    "08 which are positive": {"positive": 0.3},
    "09 every stage": {"stage": "answer", "count": 100, "score": 0.05},
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


def bench_sliders(moves=20):
    """Milliseconds from a moved control to its new picture, for each control.

    Processor time (cpu) counts where other programs keep the machine busy.
    `python -m tests.bench sliders 08 09` measures the explorers of two lessons only.
    """
    head = f"{'p95':>5}{'median':>8}{'cpu p95':>9}{'median':>8}"
    print(f"{'explorer':24}{'control':12}{head}  ms, {moves} moves")
    for name, make in explorers().items():
        if sys.argv[2:] and name[:2] not in sys.argv[2:]:
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


def main():
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'':44} {'ours':>11} {'library':>11} {'ratio':>8}")
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
    bench_roi()
    bench_trunk()
    bench_proposals()
    bench_scorer()


if __name__ == "__main__":
    jobs = {
        "proposals": proposal_table,
        "faster": bench_faster,
        "training": bench_training,
        "sliders": bench_sliders,
    }
    jobs.get(sys.argv[1] if len(sys.argv) > 1 else "", main)()
