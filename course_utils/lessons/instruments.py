"""Instruments for finding a fault in a detector. Each returns matplotlib axes.

They look at what goes in and what comes out, and measure with torchvision where they
measure boxes: a fault in the package is not in the instrument as well.
"""

import matplotlib.pyplot as plt
import torch
import torchvision
from matplotlib.ticker import NullFormatter

from course_utils.lessons import live, plot
from course_utils.lessons.checks import seeded

NOW, RIGHT = "#D55E00", "#0072B2"
IOUS = tuple(i / 100 for i in range(30, 100, 5))


def loss_curves(train, key="loss", seed=0, smooth=1, ax=None):
    """The loss of a training as the package is now, beside the course's own.

    train: function without arguments that builds a network, trains it and returns the
    history of `fit`; it runs twice, from one seed. key: which of the losses; smooth:
    draw the mean of so many steps.
    """
    with seeded(seed):
        now = train()
    with seeded(seed), live.paused():
        right = train()
    lines = {
        name: smoothed([row[key] for row in history], smooth)
        for name, history in (("the course's own", right), ("now", now))
    }
    return plot.curves(lines, ax, "step", key)


def smoothed(values, width):
    """(steps, values), each the mean of the last `width`, fewer at the start."""
    means = []
    for n in range(1, len(values) + 1):
        part = values[max(0, n - width) : n]
        means.append(sum(part) / len(part))
    return range(len(means)), means


def targets_on_pictures(dataset, count=8, classes=None, seed=0, columns=4):
    """The first `count` items of a data set, (image, target), as training gets them.

    Augmentation is drawn from the seed. classes: names, by default the data set's.
    Returns a list of axes.
    """
    classes = classes or dataset.classes
    axes = plot.panels(min(count, len(dataset)), columns, (2.6, 2.0))
    with seeded(seed):
        items = [dataset[i] for i in range(len(axes))]
    for ax, (image, target) in zip(axes, items):
        plot.show_image(image, ax)
        plot.draw_target(target, classes, ax)
    return axes


def samples_by_label(labels, classes=(), ax=None):
    """How many samples have each label: -1 ignored, 0 background, then the classes.

    labels: a tensor (N,), or a list of them, as for each image of a batch. The scale
    is logarithmic where one label has over twenty times as many as another.
    """
    if not torch.is_tensor(labels):
        labels = torch.cat(list(labels))
    values, counts = labels.cpu().unique(return_counts=True)
    names = {-1: "ignored", 0: "background"} | dict(enumerate(classes, 1))
    ax = ax or new_axes()
    texts = [str(names.get(v, v)) for v in values.tolist()]
    colors = [plot.color_of(v) for v in values.tolist()]
    bars = ax.barh(texts, counts.tolist(), color=colors, edgecolor="#444444")
    ax.bar_label(bars, padding=3, fontsize=9)
    ax.invert_yaxis()
    ax.set(xlabel="samples")
    if len(counts) and counts.max() > 20 * counts.min():
        logarithmic(ax, 0.5)
    ax.margins(x=0.15)
    return ax


def recall_at_ious(found, targets, ax=None):
    """Share of objects with a box at least so near, for IoUs from 0.3 to 0.95.

    found: for each image boxes (N, 4), or {name: such a list} to compare several;
    targets: for each image a dict with ``boxes``.
    """
    lists = found if isinstance(found, dict) else {"recall": found}
    lines = {}
    for name, images in lists.items():
        best = [best_iou(b, t["boxes"]) for b, t in zip(images, targets, strict=True)]
        overlap = torch.cat(best)
        lines[name] = (IOUS, [float((overlap >= i).float().mean()) for i in IOUS])
    ax = plot.curves(lines, ax, "IoU at least", "recall")
    ax.set_ylim(0, 1.03)
    return ax


def best_iou(boxes, objects):
    """The largest IoU of each object with one of the boxes: (N, 4), (G, 4) -> (G,)."""
    iou = torchvision.ops.box_iou(objects.cpu().float(), boxes.cpu().float())
    return iou.amax(1) if iou.shape[1] else torch.zeros(len(objects))


def gradient_norms(model, loss, depth=2, ax=None):
    """Length of the gradient that `loss` gives the weights of each part of a network.

    loss: a number with a graph, such as ``sum(model(images, targets).values())``;
    depth: parts are named by so many parts of their names. A part without any gradient
    is written so. What the weights have as gradients stays as it is.
    """
    named = dict(model.named_parameters())
    learning = {n: w for n, w in named.items() if w.requires_grad}
    found = torch.autograd.grad(
        loss, [*learning.values()], retain_graph=True, allow_unused=True
    )
    squares = {".".join(n.split(".")[:depth]): 0.0 for n in named}
    for name, gradient in zip(learning, found):
        if gradient is not None:
            part = ".".join(name.split(".")[:depth])
            squares[part] += float(gradient.square().sum())
    norms = [square**0.5 for square in squares.values()]
    ax = ax or new_axes(0.25 * len(norms) + 0.8)
    ax.barh([*squares], norms, color=RIGHT)
    if any(norms):
        logarithmic(ax, min(norm for norm in norms if norm) / 3)
    for row, norm in enumerate(norms):
        if not norm:
            ax.text(0.02, row, "no gradient", va="center", fontsize=9, color=NOW,
                    transform=ax.get_yaxis_transform())  # fmt: skip
    ax.invert_yaxis()
    ax.set(xlabel="gradient norm")
    return ax


def logarithmic(ax, left):
    """Make the horizontal axis logarithmic, from `left` on, with whole powers only."""
    ax.set_xscale("log")
    ax.set_xlim(left=left)
    ax.xaxis.set_minor_formatter(NullFormatter())


def new_axes(height=2.4):
    """One pair of axes without its upper and right line; height in inches."""
    ax = plt.subplots(figsize=(5.5, height), layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    return ax
