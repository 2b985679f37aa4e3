"""Lesson 05: every stage of R-CNN on one picture."""

import torch

from course_utils.core.devices import device_of, to_device
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, choice, empty_figure, slider
from course_utils.models.rcnn import region_features, warp_regions
from course_utils.ops.postprocess import postprocess_detections
from course_utils.proposals.selective_search import selective_search

SHOWN = 48  # warped regions in the picture of them
STAGES = ("proposals", "warped", "scores", "regressed", "detections")


def stages(model, image):
    """All that an `RCNN` makes of one image, as a dict.

    ``regions`` (N, 4), ``crops`` of the first `SHOWN` (M, 3, S, S), ``values`` (N, K),
    ``boxes`` (N, K, 4); all on the image's device, whatever the model's.
    """
    given, image = image.device, image.to(device_of(model))
    regions = selective_search(image, model.num_proposals)
    features = region_features(model.net, image, regions, model.side)
    values, boxes = model.score_features(features, regions)
    crops = warp_regions(image, regions[:SHOWN], model.side)
    made = {
        "regions": regions,
        "crops": crops,
        "values": values,
        "boxes": boxes,
    }
    return to_device(made, given)


def tile(crops, columns=8):
    """(N, 3, S, S) crops side by side in rows: one (3, H, W) picture."""
    side = crops.shape[2]
    rows = -(-len(crops) // columns)
    sheet = torch.ones(3, rows * (side + 2), columns * (side + 2))
    for n, crop in enumerate(crops):
        y, x = n // columns * (side + 2), n % columns * (side + 2)
        sheet[:, y : y + side, x : x + side] = crop
    return sheet.clamp(0, 1)


def stage_viewer(model, images, classes):
    """Explorer: proposals, crops, scores, regressed boxes, survivors of NMS."""
    with torch.no_grad():  # now, so that no move waits for it
        images = to_device(list(images), "cpu")
        made = [stages(model, image) for image in images]

    def draw(picture, stage, num_proposals, min_decision):
        image = images[picture]
        parts = {key: value[:num_proposals] for key, value in made[picture].items()}
        figure, (ax,) = empty_figure(560, 460)
        if stage == "warped":
            plot.show_image(tile(parts["crops"]), ax)
            shown = len(parts["crops"])
            ax.set_title(f"the first {shown} proposals, warped", fontsize=11)
            return figure
        plot.show_image(image, ax)
        best, k = parts["values"].max(1)
        sure = best >= min_decision
        names = [f"{classes[c]} {m:.1f}" for c, m in zip(k[sure].tolist(), best[sure])]
        colors = [plot.color_of(c + 1) for c in k[sure].tolist()]
        if stage == "proposals":
            plot.draw_boxes(parts["regions"], None, plot.COLORS[1], ax, width=0.7)
            text = f"{len(parts['regions'])} proposals"
        elif stage == "scores":
            plot.draw_boxes(parts["regions"][sure], names, colors, ax, width=1.2)
            text = f"{int(sure.sum())} proposals of value {min_decision:.1f} or more"
        elif stage == "regressed":
            moved = parts["boxes"][torch.arange(len(k)), k][sure]
            plot.draw_boxes(parts["regions"][sure], None, "white", ax, 0.8, ":")
            plot.draw_boxes(moved, names, colors, ax, width=1.2)
            text = "the same, moved by box regression (dotted: before)"
        else:
            size = image.shape[1:]
            detected = postprocess_detections(
                parts["values"], parts["boxes"], size, min_decision
            )
            plot.draw_target(detected, classes, ax)
            text = f"after NMS: {len(detected['boxes'])} boxes"
        ax.set_title(text, fontsize=11)
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(images) - 1, 0),
        stage=choice("stage", list(STAGES), "regressed"),
        num_proposals=slider(
            "proposals", 10, model.num_proposals, model.num_proposals, 10
        ),
        min_decision=slider("least value", -1.0, 2.0, 0.0, 0.1),
    )
