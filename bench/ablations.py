"""What each part of Faster R-CNN is worth: one change at a time."""

import copy
import statistics

from torch.utils.data import DataLoader

from course_utils.core.settings import seed_everything
from course_utils.core.weights import train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset
from course_utils.evaluation.average_precision import evaluate
from course_utils.lessons.report import report
from course_utils.models.backbone import SmallResNet, freeze
from course_utils.models.fast_rcnn import FastRCNN
from course_utils.models.faster_rcnn import new_faster_rcnn
from course_utils.models.rpn import ProposalNet
from course_utils.ops.batches import collate
from course_utils.ops.roi import roi_pool
from course_utils.training.four_steps import WithProposals, train_in_four_steps
from course_utils.training.loop import fit
from course_utils.training.pretrain import train_on_scenes
from course_utils.training.recipes import PRETRAINED


def joint(model, loader, epochs):
    """One network, both parts at once, as often as each part of the others learns."""
    fit(model, loader, 2 * epochs, **PRETRAINED, name="joint")
    return model.eval()


def joint_with_roi_pooling(model, loader, epochs):
    model.pool = roi_pool
    return joint(model, loader, epochs)


def four_steps(model, loader, epochs):
    train_in_four_steps(model, loader, epochs, **PRETRAINED)
    return model.eval()


def unshared(model, loader, epochs):
    """Two networks, each trained as long as its part in `four_steps`."""
    net = ProposalNet(copy.deepcopy(model.backbone), model.rpn)
    fit(net, loader, 2 * epochs, **PRETRAINED, name="rpn")
    detector = FastRCNN(model.backbone, model.head, model.stride, model.pool)
    batches = WithProposals(loader, net)
    fit(detector, batches, 2 * epochs, **PRETRAINED, name="detector")
    return net.eval(), detector.eval()


ARMS = {
    "joint": joint,
    "joint, RoI pooling": joint_with_roi_pooling,
    "four steps": four_steps,
    "unshared": unshared,
}


def detections(trained, scenes):
    """Detections of a detector, or of a (proposal network, detector) pair."""
    images = [scenes[i][0] for i in range(len(scenes))]
    if not isinstance(trained, tuple):
        return [trained([image])[0] for image in images]
    net, detector = trained
    net.rpn.post_nms_top_n_test = 50
    given = [[net([image])[0]["boxes"]] for image in images]
    return [detector.detections([i], boxes)[0] for i, boxes in zip(images, given)]


def bench_ablations(seeds=3, scenes=200, epochs=1, images=150):
    """Train all arms from each seed; write data/results/ablations_faster.json.

    Each part sees the scenes 2 * `epochs` times in every arm. Scores on the
    first `images` of test.
    """
    root = find_data("tabletop")
    train = Scenes(VOCDataset(root, "train", first=scenes), augment=True)
    test, figures = Scenes(VOCDataset(root, "test", first=images)), {}
    for seed in range(seeds):
        for name, arm in ARMS.items():
            seed_everything(seed)
            backbone = SmallResNet()
            train_or_load("scenes", backbone, train_on_scenes)
            model = new_faster_rcnn(freeze(backbone), len(test.classes) + 1)
            loader = DataLoader(
                train, 4, shuffle=True, collate_fn=collate, drop_last=True
            )
            found = detections(arm(model, loader, epochs), test)
            score = evaluate(found, test.targets, test.classes)
            for key in "map50", "map":
                figures.setdefault(f"{name} {key}", []).append(score[key])
            print(seed, name, f"{score['map50']:.3f} {score['map']:.3f}", flush=True)
        means = {key: statistics.mean(values) for key, values in figures.items()}
        ends = {f"{key} least": min(values) for key, values in figures.items()}
        ends |= {f"{key} most": max(values) for key, values in figures.items()}
        report(
            "ablations_faster",
            **{"seeds": seed + 1, "scenes": scenes, "epochs": 2 * epochs},
            images=images,
            **means,
            **ends,
        )
