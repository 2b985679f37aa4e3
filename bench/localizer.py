"""Lesson 02's whole training, from scratch, with several seeds."""

import copy

import torch
from scipy import stats
from torch.utils.data import ConcatDataset, DataLoader

from course_utils.core.settings import seed_everything
from course_utils.data.catalog import find_data
from course_utils.data.datasets import ObjectCrops, SmallImages, VOCDataset
from course_utils.data.paste import Pasted, cut_outs, empty_pictures
from course_utils.evaluation.predict import localize_scores, look_twice
from course_utils.lessons.report import report
from course_utils.models.backbone import SmallResNet
from course_utils.models.localizer import Classifier, LocalizeHead, Localizer
from course_utils.ops.batches import collate
from course_utils.training.loop import fit

SIZE = (72, 96)


def batches(dataset, count):
    return DataLoader(dataset, count, shuffle=True, collate_fn=collate, drop_last=True)


def train_from_scratch(crops, pictures, epochs=(12, 18)):
    """Trained as in lesson 02: (`Localizer`, `Classifier` of crops, seconds)."""
    backbone = SmallResNet()
    classifier = Classifier(backbone, 128, 9)
    first = fit(classifier, batches(crops, 64), epochs[0], lr=3e-3, weight_decay=0.05)
    near = copy.deepcopy(classifier)
    head = LocalizeHead(128, 9)
    head.classify.weight.data[:, :, 0, 0] = classifier.last.weight.data
    head.classify.bias.data[:] = classifier.last.bias.data
    model = Localizer(backbone, head, SIZE, box_weight=2)
    rows = fit(model, batches(pictures, 30), epochs[1], lr=2e-3, weight_decay=0.05)
    return model, near, first[-1]["seconds"] + rows[-1]["seconds"]


def bench_localizer(seeds=3):
    """Write data/results/bench_localizer.json: about six minutes on two cores."""
    root = find_data("tabletop")
    ids = VOCDataset(root, "single_train").ids[:500]
    scenes, learn = VOCDataset(root, "train"), VOCDataset(root, "single_train", ids=ids)
    crops = ConcatDataset([ObjectCrops(data, augment=True) for data in (scenes, learn)])
    objects = cut_outs(scenes, 0.5) + cut_outs(learn, 0.4)
    pasted = Pasted(empty_pictures(learn, SIZE), objects, 700)
    pictures = ConcatDataset([SmallImages(learn, SIZE, augment=True), pasted])
    test_data = VOCDataset(root, "single_test")
    test = SmallImages(test_data, SIZE)
    rows = []
    for seed in range(int(seeds)):
        seed_everything(seed)
        model, near, seconds = train_from_scratch(crops, pictures)
        one, _, twice = look_twice(model, near, test_data, SIZE)
        scores = *localize_scores(one, test), *localize_scores(twice, test)
        rows.append((seconds, *scores))
        print(seed, [round(value, 3) for value in rows[-1]], flush=True)
    mean, std = torch.tensor(rows).mean(0), torch.tensor(rows).std(0)
    half = std * stats.t.ppf(0.975, len(rows) - 1) / len(rows) ** 0.5
    figures = {}
    names = "seconds", "one look: labels", "one look: IoU", "accuracy", "iou"
    for name, m, h in zip(names, mean.tolist(), half.tolist()):
        figures |= {name: m, f"{name} half interval": h}
    report("bench_localizer", seeds=len(rows), **figures)
