"""How each detector of the course is trained on tabletop."""

from torch.utils.data import ConcatDataset, DataLoader

from course_utils.data.catalog import find_data
from course_utils.data.datasets import ObjectCrops, Scenes, VOCDataset
from course_utils.models.backbone import freeze
from course_utils.ops.batches import collate
from course_utils.proposals.selective_search import dataset_proposals
from course_utils.training.loop import fit

# Settings of `fit` for a detector over a pretrained backbone: what has learned already
# takes smaller steps than the new layers. Lesson 07.
PRETRAINED = {"lr": 2e-3, "backbone_lr": 5e-4, "weight_decay": 0.05}


def all_scenes(num_proposals=0):
    """Batches of 4 of all tabletop training scenes, mirrored and tinted at random.

    Both splits, ``train`` and ``single_train``; with the best `num_proposals` of each
    scene in its target, if any are asked for. Lesson 07.
    """
    root, parts = find_data("tabletop"), []
    for split in "train", "single_train":
        dataset = VOCDataset(root, split)
        found = dataset_proposals(dataset) if num_proposals else []
        proposals = [boxes[:num_proposals] for boxes in found]
        parts.append(Scenes(dataset, proposals or None, augment=True))
    scenes = ConcatDataset(parts)
    return DataLoader(scenes, 4, shuffle=True, collate_fn=collate, drop_last=True)


def train_fast_rcnn(model, epochs=10):
    """Train a `FastRCNN` on all tabletop scenes, for `weights.train_or_load`.

    Its backbone should be pretrained. About five minutes on two cores without AMX, so
    the repository ships the result. Lesson 07.
    """
    freeze(model.backbone)
    loader = all_scenes(model.num_proposals)
    return fit(model, loader, epochs, **PRETRAINED, name="Fast R-CNN")


def train_faster_rcnn(model, epochs=10):
    """Train a `FasterRCNN` on all tabletop scenes, for `weights.train_or_load`.

    Its backbone should be pretrained. About four minutes on two cores with AMX, so the
    repository ships the result. Lesson 09.
    """
    freeze(model.backbone)
    loader = all_scenes()
    return fit(model, loader, epochs, **PRETRAINED, name="Faster R-CNN")


def train_on_crops(model, epochs=80):
    """Train a `Classifier` on all objects of tabletop; returns the history.

    For `weights.train_or_load("crops", ...)`: 80 epochs take about eight minutes on two
    cores, so the repository ships the result. Lesson 05.
    """
    root = find_data("tabletop")
    splits = [VOCDataset(root, split) for split in ("train", "single_train")]
    crops = ConcatDataset(
        [ObjectCrops(split, 48, augment=True, strong=True) for split in splits]
    )
    loader = DataLoader(crops, 64, shuffle=True, collate_fn=collate, drop_last=True)
    return fit(model, loader, epochs, lr=3e-3, weight_decay=0.05, name="crops")


def train_single_shot(model, epochs=10):
    """Train a `SingleShot` on all tabletop scenes, for `weights.train_or_load`.

    Its backbone should be pretrained. About five minutes on two cores with AMX, so the
    repository ships the result. Lesson 11.
    """
    freeze(model.backbone)
    loader = all_scenes()
    return fit(model, loader, epochs, **PRETRAINED, name="single shot")
