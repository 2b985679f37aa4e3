"""A region proposal network that is never told of one class of objects."""

from torch.utils.data import DataLoader

from course_utils.core.settings import seed_everything
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset
from course_utils.evaluation.intervals import share_interval
from course_utils.lessons.report import report
from course_utils.models.backbone import SmallResNet
from course_utils.models.rpn import RPN, ProposalNet
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.batches import collate
from course_utils.ops.boxes import box_iou
from course_utils.proposals.selective_search import dataset_proposals
from course_utils.training.loop import fit

COUNT = 50  # proposals of an image


def ignore(scenes, label):
    """Scenes whose objects of one class train nothing, neither as object nor as not."""
    for target in scenes.targets:
        target["difficult"] = target["difficult"] | (target["labels"] == label)
    return scenes


def trained_net(label, seed, scenes, epochs):
    """A `ProposalNet` from random weights; objects of `label` are not trained on.

    Its backbone, too, starts from nothing: a pretrained one has seen all classes.
    """
    data = Scenes(VOCDataset(find_data("tabletop"), "train", first=scenes), None, True)
    seed_everything(seed)
    backbone = SmallResNet()
    net = ProposalNet(
        backbone, RPN(backbone.out_channels, AnchorGrid((16, 32, 64, 96)))
    )
    loader = DataLoader(
        ignore(data, label), 4, shuffle=True, collate_fn=collate, drop_last=True
    )
    fit(net, loader, epochs, lr=2e-3, weight_decay=0.05, name=f"without {label}")
    net.rpn.post_nms_top_n_test = COUNT
    return net.eval()


def recall_of(proposals, targets, label, min_iou=0.5):
    """Recall of the objects of one class, with its interval over images."""
    hits, image = [], []
    for i, (boxes, target) in enumerate(zip(proposals, targets)):
        own = target["boxes"][(target["labels"] == label) & ~target["difficult"]]
        if len(own):
            found = box_iou(boxes[:COUNT], own).max(0).values >= min_iou
            hits += found.tolist()
            image += [i] * len(own)
    return share_interval(hits, image)


def bench_held_out(classes=("ball", "book"), scenes=600, epochs=2, seed=0):
    """Train one net for each class held out; write data/results/ablations_rpn.json.

    Each is measured on the class that it does not know and on the others, so that every
    class has nets that know it.
    """
    dataset = VOCDataset(find_data("tabletop"), "test")
    test, figures = Scenes(dataset), {}
    searched = dataset_proposals(dataset)
    labels = {name: test.classes.index(name) + 1 for name in classes}
    found = {"selective search": searched}
    for name, label in labels.items():
        net = trained_net(label, seed, scenes, epochs)
        found[f"without {name}"] = [
            net([test[i][0]])[0]["boxes"] for i in range(len(test))
        ]
    for net, proposals in found.items():
        for name, label in labels.items():
            for min_iou in 0.5, 0.7:
                share = recall_of(proposals, test.targets, label, min_iou)
                key = f"{net}: {name} {min_iou}"
                figures |= {key: share.value, f"{key} low": share.low}
                figures[f"{key} high"] = share.high
                print(f"{key:32} {share}", flush=True)
    report(
        "ablations_rpn",
        **{"scenes": scenes, "epochs": epochs, "count": COUNT},
        **figures,
    )
