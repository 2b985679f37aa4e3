"""Lesson 09: every stage of Faster R-CNN on one picture."""

import torch

from course_utils.core.devices import device_of, to_device
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, choice, empty_figure, slider
from course_utils.models.fast_rcnn import sample_regions, score_boxes
from course_utils.ops.boxes import BOX_DELTA_STDS, clip_boxes, decode_boxes
from course_utils.ops.postprocess import filter_proposals, postprocess_detections

STAGES = (
    "anchors",
    "objectness",
    "moved",
    "proposals",
    "sampled",
    "pooled",
    "detections",
)


@torch.no_grad()
def stages(model, image):
    """All that a `FasterRCNN` computes for one image, as a dict of tensors.

    ``anchors`` (M, 4); ``objectness`` (M,) logits; ``map`` (H, W), the largest
    probability at each cell; ``moved`` (M, 4), anchors after their deltas;
    ``proposals`` (N, 4); ``pooled`` (N, C, P, P); ``logits`` (N, num_classes);
    ``deltas`` (N, K, 4); all on the image's device, whatever the model's.
    """
    given, image = image.device, image.to(device_of(model))
    features = model.backbone(model.prepare([image])[0])
    objectness, deltas, anchors = model.rpn(features)
    moved = decode_boxes(deltas[0], anchors, BOX_DELTA_STDS)
    proposals, _ = filter_proposals(
        objectness[0], moved, image.shape[1:], model.rpn.pre_nms_top_n, 100
    )
    pooled = model.pooled(features, [proposals])
    logits, deltas = model.head(pooled)
    per_cell = objectness[0].view(*features.shape[2:], -1)
    made = {
        "anchors": anchors,
        "objectness": objectness[0],
        "map": per_cell.amax(2).sigmoid(),
        "moved": moved,
        "proposals": proposals,
        "pooled": pooled,
        "logits": logits,
        "deltas": deltas,
    }
    return to_device(made, given)


def every_stage(model, images, targets, classes):
    """Explorer: from anchors to the detections, stage by stage."""
    images, targets = (to_device(list(v), "cpu") for v in (images, targets))
    made = {}

    def draw(picture, stage, count, score):
        image, size = images[picture], images[picture].shape[1:]
        if picture not in made:
            made[picture] = stages(model, image)
        made_of = made[picture]
        best = made_of["objectness"].topk(count).indices
        proposals = made_of["proposals"][:count]
        figure, (ax,) = empty_figure(600, 470)
        plot.show_image(image, ax)
        blue, text = plot.COLORS[1], f"the best {count} "
        if stage == "anchors":
            boxes = clip_boxes(made_of["anchors"][best], size)
            plot.draw_boxes(boxes, None, blue, ax, width=0.9)
            text += f"of {len(made_of['anchors']):,} anchors, as they stand"
        elif stage == "moved":
            boxes = clip_boxes(made_of["moved"][best], size)
            plot.draw_boxes(boxes, None, blue, ax, width=0.9)
            text += "anchors, moved by their deltas, before NMS"
        elif stage == "objectness":
            grid = made_of["map"]
            high, wide = (cells * model.stride for cells in grid.shape)
            shown = {"vmin": 0, "vmax": 1, "cmap": "viridis", "alpha": 0.75}
            ax.imshow(grid.numpy(), extent=(0, wide, high, 0), **shown)
            ax.set(xlim=(0, size[1]), ylim=(size[0], 0))
            text = "largest objectness at each cell (yellow: 1)"
        elif stage == "proposals":
            plot.draw_boxes(proposals, None, blue, ax, width=0.9)
            text += "proposals, after NMS"
        elif stage == "sampled":
            torch.manual_seed(0)
            boxes, labels, _ = sample_regions(proposals, targets[picture], count)
            colors = [plot.color_of(k) for k in labels.tolist()]
            plot.draw_boxes(boxes, None, colors, ax, width=0.9)
            text = f"in training: {int((labels > 0).sum())} positive (coloured),"
            text += f" {int((labels == 0).sum())} background (grey)"
        elif stage == "pooled":
            ax.clear()
            maps = made_of["pooled"][:24].amax(1)
            sheet = torch.zeros(4 * 8 - 1, 6 * 8 - 1)
            for n, small in enumerate(maps):
                y, x = n // 6 * 8, n % 6 * 8
                sheet[y : y + small.shape[0], x : x + small.shape[1]] = small
            ax.imshow(sheet.numpy(), cmap="viridis")
            ax.axis("off")
            text = "pooled features of the first 24 proposals (largest channel)"
        else:
            outputs = made_of["logits"][:count], made_of["deltas"][:count]
            scored = score_boxes(*outputs, proposals)
            detected = postprocess_detections(*scored, size, score)
            plot.draw_target(detected, classes, ax)
            text = f"{len(detected['boxes'])} detections"
        ax.set_title(text, fontsize=11)
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(images) - 1, 0),
        stage=choice("stage", list(STAGES), "sampled"),
        count=slider("boxes", 1, 100, 50),
        score=slider("least score", 0.05, 0.95, 0.5, 0.05),
    )
