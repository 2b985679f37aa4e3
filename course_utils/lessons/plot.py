"""Drawing on matplotlib axes. Every function takes ``ax=None`` and returns the axes."""

import functools

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

# Okabe and Ito's colours, told apart with every kind of colour vision.
COLORS = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#FFFFFF",
)


def color_of(label):
    """The colour of a label: 1..K by its class, 0 and below grey."""
    return COLORS[(int(label) - 1) % len(COLORS)] if label > 0 else "#999999"


def panels(count, columns=4, size=(3.0, 2.25), titles=None, room=None):
    """`count` empty axes without ticks, in rows of `columns`; size in inches each.

    room: (width, height) in pixels that each shows, y downward, if no image will be.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    shape = (columns * size[0], rows * (size[1] + 0.25 * bool(titles)))
    _, axes = plt.subplots(
        rows, columns, figsize=shape, squeeze=False, layout="constrained"
    )
    axes = axes.flatten()
    for ax in axes:
        ax.axis("off")
        if room:
            ax.set(xlim=(0, room[0]), ylim=(room[1], 0), aspect="equal")
    for ax, title in zip(axes, titles or ()):
        ax.set_title(title, fontsize=10)
    return axes[:count]


def show_image(image, ax=None, title=None):
    """Draw an image: a (3, H, W) tensor in 0..1 or an (H, W, 3) array."""
    ax = ax or panels(1, size=(4.8, 3.6))[0]
    if torch.is_tensor(image):
        image = image.detach().cpu().permute(1, 2, 0).numpy()
    height, width = image.shape[:2]
    ax.imshow(image, extent=(0, width, height, 0), interpolation="nearest")
    ax.axis("off")
    if title:
        ax.set_title(title, fontsize=10)
    return ax


def gallery(pictures, titles=None, classes=None, columns=4):
    """Show (image, target) pairs in rows; boxes with names if `classes` are given.

    titles: one text for each. Returns nothing, so a cell shows only the pictures; draws
    nothing for no pairs.
    """
    if not pictures:
        return
    size = (8.8 / columns, 6.6 / columns)
    axes = panels(len(pictures), columns, size, titles)
    for ax, (image, target) in zip(axes, pictures):
        show_image(image, ax, ax.get_title())
        if "boxes" in target and classes:
            draw_target(target, classes, ax)
        elif "boxes" in target:
            draw_boxes(target["boxes"], ax=ax)


def draw_boxes(boxes, names=None, colors=None, ax=None, width=2, style="-"):
    """Draw (N, 4) boxes, with a name each if given.

    names: N texts. colors: N colours, or one for all. Raises ValueError if the numbers
    of boxes, names and colours differ.
    """
    ax = ax or plt.gca()
    boxes = torch.as_tensor(boxes).reshape(-1, 4).tolist()
    names = [""] * len(boxes) if names is None else list(names)
    colors = COLORS[0] if colors is None else colors
    colors = [colors] * len(boxes) if isinstance(colors, str) else list(colors)
    if not len(boxes) == len(names) == len(colors):
        raise ValueError(
            f"{len(boxes)} boxes, {len(names)} names, {len(colors)} colors: one each"
        )
    corners = [((a, b), (c, b), (c, d), (a, d)) for a, b, c, d in boxes]
    line = {"edgecolors": colors, "linewidths": width, "linestyles": style}
    shape = {"facecolors": "none", "joinstyle": "miter", "capstyle": "butt"}
    # One collection: six times as fast as a rectangle for each of 300 boxes.
    ax.add_collection(PolyCollection(corners, **line, **shape), autolim=False)
    ax.update_datalim(np.reshape(boxes, (-1, 2)))
    for (x1, y1, _, _), name, color in zip(boxes, names, colors):
        if name:
            ax.text(
                x1,
                max(y1, 0),
                name,
                fontsize=8,
                color=ink_on(color),
                va="bottom" if y1 > 12 else "top",
                bbox={"facecolor": color, "edgecolor": "none", "pad": 1.5},
            )
    return ax


def ink_on(color):
    """White or black, whichever is read better on a colour."""
    return "white" if np.dot(to_rgb(color), (0.3, 0.6, 0.1)) < 0.5 else "black"


def names_and_colors(target, classes):
    """A text for each box of a target or detections, and its colour: two lists."""
    labels = target["labels"].tolist()
    names = [classes[label - 1] for label in labels]
    if "scores" in target:
        names = [f"{n} {s:.2f}" for n, s in zip(names, target["scores"].tolist())]
    return names, [color_of(label) for label in labels]


def draw_target(target, classes, ax=None, **style):
    """Draw the boxes of a target or detections with class names and scores."""
    names, colors = names_and_colors(target, classes)
    return draw_boxes(target["boxes"], names, colors, ax, **style)


@functools.cache
def label_font(size=11):
    return ImageFont.truetype(findfont("DejaVu Sans"), size)


def target_pixels(image, target, classes, width):
    """An image (3, H, W) in 0..1 with a target's boxes: pixels (h, width, 3).

    By Pillow, for explorers that show many pictures: matplotlib takes about ten times
    as long for axes and texts.
    """
    pixels = (image.cpu().permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    scale = width / pixels.shape[1]
    size = width, round(scale * pixels.shape[0])
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
    draw_on(picture, target | {"boxes": target["boxes"] * scale}, classes)
    return np.array(picture)


def draw_on(picture, target, classes, size=11, line=2):
    """Draw a target or detections on a Pillow image: all boxes, and their names on top.

    Of detections the best comes last. size, line: of letters and lines, in pixels.
    """
    pen, font, pad = ImageDraw.Draw(picture), label_font(size), size // 5
    rows = list(zip(target["boxes"].tolist(), *names_and_colors(target, classes)))
    if "scores" in target:
        rows = [rows[i] for i in target["scores"].argsort().tolist()]
    for (x1, y1, x2, y2), _, color in rows:
        corners = x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)
        pen.rectangle(corners, outline=color, width=line)
    for (x, y, _, _), name, color in rows:
        long, high = (round(v) for v in font.getbbox(name)[2:])
        x = max(0, min(x, picture.width - long - 2 * pad))
        y = y - high - pad - 1 if y > high + pad + 1 else max(y, 0)
        pen.rectangle((x, y, x + long + 2 * pad - 1, y + high + pad), fill=color)
        pen.text((x + pad, y + pad // 2), name, fill=ink_on(color), font=font)


def draw_masks(masks, colors, ax=None, alpha=0.6):
    """Lay (N, H, W) bool masks over an image, one colour each."""
    ax = ax or plt.gca()
    height, width = masks.shape[-2:]
    for mask, color in zip(masks, colors):
        layer = np.zeros((height, width, 4))
        layer[mask.cpu().numpy()] = (*to_rgb(color), alpha)
        ax.imshow(layer, extent=(0, width, height, 0), interpolation="nearest")
    return ax


def curves(lines, ax=None, xlabel="", ylabel="", markers=()):
    """Draw named curves, ``{name: (x values, y values)}``, in different dashes too."""
    ax = ax or plt.subplots(figsize=(5.5, 3), layout="constrained")[1]
    colors = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    styles = ("-", "--", "-.", ":", "-", "--")
    for (name, (x, y)), color, style in zip(lines.items(), colors, styles):
        ax.plot(x, y, style, color=color, label=name, linewidth=1.8)
    for x in markers:
        ax.axvline(x, color="#999999", linewidth=1)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    if len(lines) > 1:
        ax.legend(fontsize=9, frameon=False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax
