"""A detector's pipeline as a picture, drawn from what really goes through it."""

import contextlib

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from course_utils.lessons import plot

WIDTH, HEIGHT = 2.5, 2.9  # of a panel, in inches
SHOWN = 9  # crops, or pooled regions
# What a detector may have, and what is recorded of a call: its result, or arguments.
PARTS = ("backbone", "net.backbone", "coarser", "pool", "head", "score_features")


def watch(model, image):
    """Run a detector on an image and record what its parts take and give.

    Returns {part: [(arguments, result)]} in the order of the first calls, and
    "detections". The model is as before afterwards.
    """
    seen = {}

    def record(part, arguments, result):
        seen.setdefault(part, []).append((arguments, result))

    def wrapped(part, function):
        def call(*arguments, **keywords):
            result = function(*arguments, **keywords)
            record(part, arguments, result)
            return result

        return call

    with contextlib.ExitStack() as stack:
        for part in PARTS:
            owner, _, name = part.rpartition(".")
            holder = getattr(model, owner, None) if owner else model
            thing = getattr(holder, name, None)
            if isinstance(thing, nn.Module):
                hook = thing.register_forward_hook(
                    lambda _, given, got, part=part: record(part, given, got)
                )
                stack.callback(hook.remove)
            elif thing is not None:
                own = name in vars(holder)
                setattr(holder, name, wrapped(part, thing))
                if own:
                    stack.callback(setattr, holder, name, thing)
                else:
                    stack.callback(delattr, holder, name)
        (found,) = model.eval()([image])
    return seen | {"detections": found}


def pipeline_steps(model, image, classes):
    """The panels of a pipeline: [(title, shape as text, function that draws on axes)].

    What a detector has decides which: maps, proposals, crops or pooled regions, scores.
    """
    seen = watch(model, image)
    shown = [("image", image.shape, lambda ax: plot.show_image(image, ax))]

    def add(title, shape, draw):
        shown.append((title, shape, draw))

    for part in seen:
        if part == "detections":
            continue
        given, got = seen[part][0]
        if part in ("backbone", "coarser"):
            add("feature map", got.shape[1:], lambda ax, m=got: draw_map(m[0], ax))
        elif part == "pool":
            regions = given[1][0]
            add("proposals", regions.shape, lambda ax, r=regions: over(image, r, ax))
            pooled = got.float().amax(1, keepdim=True)
            add("pooled regions", got.shape, lambda ax, p=pooled: draw_grid(p, ax))
        elif part == "head":
            add("class logits", got[0].shape, lambda ax, v=got: draw_rows(v[0], ax))
            add("box deltas", got[1].shape, lambda ax, v=got: draw_rows(v[1], ax))
        elif part == "net.backbone":
            crops, count = given[0], sum(len(g[0]) for g, _ in seen[part])
            shape = (count, *crops.shape[1:])
            add("warped crops", shape, lambda ax, c=crops: draw_grid(c, ax))
        elif part == "score_features":
            features, regions = given
            shown.insert(
                1,
                ("proposals", regions.shape, lambda ax, r=regions: over(image, r, ax)),
            )
            add("features", features.shape, lambda ax, f=features: draw_rows(f, ax))
            add("SVM scores", got[0].shape, lambda ax, s=got[0]: draw_rows(s, ax))
    scores, boxes = model.score_regions(image)
    if "pool" not in seen and "score_features" not in seen:
        first = boxes[:, 0]
        add("best anchors", first.shape, lambda ax: over(image, first, ax, 300))
        add("probabilities", scores.shape, lambda ax: draw_rows(scores, ax))
    found = seen["detections"]
    # Probabilities count from one half on, values of SVMs from 0.
    likely = found["scores"] > (0.5 if (found["scores"] >= 0).all() else 0)
    best = {key: value[likely] for key, value in found.items()}

    def detections(ax):
        plot.show_image(image, ax)
        plot.draw_target(best, classes, ax)

    add("detections", found["boxes"].shape, detections)
    return shown


def pipeline(model, image, classes):
    """Draw what goes through a trained detector: one panel a step, with its shape.

    image (3, H, W) in 0..1; classes: names without background. Proposals and
    detections are drawn as far as they are likely, maps as the mean over channels of
    their size. Returns the figure. For lessons 05 to 11.
    """
    shown = pipeline_steps(model, image, classes)
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * WIDTH, rows * HEIGHT), layout="constrained"
    )
    axes = np.atleast_1d(axes).flatten()
    for ax in axes:
        ax.axis("off")
    for number, (ax, (title, shape, draw)) in enumerate(zip(axes, shown), 1):
        draw(ax)
        size = " x ".join(f"{n:,}" for n in shape)
        ax.set_title(f"{number}  {title}\n{size}", fontsize=10)
        if number < len(shown):
            ax.text(
                1.03,
                0.5,
                "\N{RIGHTWARDS ARROW}",
                fontsize=15,
                va="center",
                transform=ax.transAxes,
            )
    figure.get_layout_engine().set(wspace=0.12)
    return figure


def over(image, boxes, ax, most=40):
    """The first boxes over a paled image."""
    plot.show_image(0.5 + 0.5 * image.cpu(), ax)
    plot.draw_boxes(boxes[:most].cpu(), None, "#0072B2", ax, width=0.8)


def draw_map(features, ax):
    """A feature map (C, H, W): how strong each cell is, on the mean over channels."""
    strength = features.float().abs().mean(0).cpu()
    height, width = strength.shape
    ax.imshow(strength.numpy(), cmap="magma", extent=(0, width, height, 0))


def draw_grid(pictures, ax):
    """The first pictures (N, 1 or 3, P, P) as a square of small ones."""
    some = pictures[:SHOWN].float().cpu()
    side = int(np.ceil(np.sqrt(len(some)))) or 1
    some = some - some.amin((1, 2, 3), keepdim=True) if some.shape[1] == 1 else some
    some = nn.functional.pad(some, (1, 1, 1, 1), value=float(some.max()))
    blank = some.new_ones(side * side - len(some), *some.shape[1:]) * some.max()
    some = torch.cat([some, blank])
    _, channels, height, width = some.shape
    grid = some.view(side, side, channels, height, width).permute(0, 3, 1, 4, 2)
    grid = grid.reshape(side * height, side * width, channels)
    grid = grid[..., 0] if channels == 1 else grid.clamp(0, 1)
    ax.imshow(grid.numpy(), cmap="magma")


def draw_rows(values, ax, most=24):
    """Numbers of the first regions (R, ...) as a picture: a row each."""
    rows = values[:most].flatten(1)[:, :64].float().detach().cpu()
    largest = float(rows.abs().max()) or 1.0
    ax.imshow(rows.numpy(), cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
