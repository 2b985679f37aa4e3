"""Lesson 06: a region over a feature map, and what the two layers make of it."""

import torch

from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, choice, empty_figure, slider
from course_utils.ops.roi import roi_align, roi_pool, round_half_away

STRIDE = 8


def pooled_block(box):
    """The pixels that RoI pooling really takes for a box (4,), as a box (4,)."""
    cells = round_half_away(box / STRIDE)
    return torch.cat([cells[:2], cells[2:] + 1]) * STRIDE


def align_points(box, bins, samples=2):
    """RoIAlign's points in a box (4,): x and y, (bins * samples,) pixels each."""
    part = (torch.arange(bins * samples, device=box.device) + 0.5) / (bins * samples)
    return box[0] + part * (box[2] - box[0]), box[1] + part * (box[3] - box[1])


def region_over_map(image, features):
    """Explorer: move a region over the map (C, H, W) of an image (3, H', W')."""
    image, features = image.cpu(), features.detach().cpu()
    height, width = image.shape[1:]
    strongest = int(features.amax((1, 2)).argmax())
    row, column = divmod(int(features[strongest].argmax()), features.shape[2])
    left = min(max(0.0, column * STRIDE - 40.0), width - 16.0)
    top = min(max(0.0, row * STRIDE - 30.0), height - 16.0)

    def draw(x, y, wide, high, bins, channel, under):
        box = torch.tensor([x, y, min(x + wide, width), min(y + high, height)])
        grid = features[channel]
        figure, axes = empty_figure(860, 330, 3, (1.6, 1, 1))
        plot.show_image(image, axes[0])
        shown = {"vmin": 0, "vmax": float(grid.max()), "cmap": "viridis"}
        if under == "map":
            extent = (0, grid.shape[1] * STRIDE, grid.shape[0] * STRIDE, 0)
            axes[0].imshow(grid.numpy(), extent=extent, **shown)
            axes[0].set(xlim=(0, width), ylim=(height, 0))
        plot.draw_boxes(pooled_block(box)[None], None, "#E69F00", axes[0], 2.5)
        plot.draw_boxes(box[None], None, "white", axes[0], 1.5)
        px, py = torch.meshgrid(*align_points(box, bins), indexing="xy")
        axes[0].scatter(px.numpy(), py.numpy(), s=4, color="white", linewidths=0)
        axes[0].set_title(f"channel {channel} of {len(features)}", fontsize=11)
        layers = ("RoI pooling", roi_pool), ("RoIAlign", roi_align)
        for ax, (name, layer) in zip(axes[1:], layers):
            out = layer(grid[None, None], [box[None]], bins, 1 / STRIDE)[0, 0]
            ax.imshow(out.numpy(), **shown)
            ax.set_title(f"{name}, {bins} x {bins}", fontsize=11)
            ax.axis("off")
        return figure

    return Explorer(
        draw,
        x=slider("left edge", 0.0, width - 16.0, left, 0.5),
        y=slider("top edge", 0.0, height - 16.0, top, 0.5),
        wide=slider("width", 8.0, 160.0, 80.0, 0.5),
        high=slider("height", 8.0, 120.0, 60.0, 0.5),
        bins=slider("bins", 1, 14, 7),
        channel=slider("channel", 0, len(features) - 1, strongest),
        under=choice("under it", ["map", "image"]),
    )
