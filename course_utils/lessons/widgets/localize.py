"""Lesson 02: a box that moves to its object, and the weight of the box loss."""

from course_utils.core.devices import to_device
from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, empty_figure, slider
from course_utils.models.localizer import left_to_right
from course_utils.ops.boxes import box_iou

TRUTH, GUESS, EARLIER = "#56B4E9", "#E69F00", "#FFFFFF"


def draw_guess(image, target, detected, classes, ax):
    """A picture with ground truth (blue) and prediction (orange); returns the IoU.

    Of several boxes it is the mean, in pairs from left to right.
    """
    target, detected = to_device(target, "cpu"), to_device(detected, "cpu")
    plot.show_image(image, ax)
    names = [classes[label - 1] for label in detected["labels"].tolist()]
    plot.draw_boxes(target["boxes"], None, TRUTH, ax, width=2)
    plot.draw_boxes(detected["boxes"], names, GUESS, ax, width=2)
    found, true = left_to_right(detected)[0], left_to_right(target)[0]
    return float(box_iou(found, true).diagonal().mean())


def guesses(pictures, detections, classes):
    """Draw (image, target) pairs in rows of four with their detections and IoUs."""
    axes = plot.panels(len(pictures), 4, (2.2, 1.65), ["IoU"] * len(pictures))
    for ax, picture, detected in zip(axes, pictures, detections):
        iou = draw_guess(*picture, detected, classes, ax)
        ax.set_title(f"IoU {iou:.2f}", fontsize=10)


def training_film(pictures, classes, detections, history, per_epoch):
    """Explorer: the detections for a few pictures after each epoch of training.

    pictures: list of (image, target). detections: for each epoch, a list of detections,
    one for each picture, the first before training. history: as `loop.fit` returns it,
    per_epoch: its steps in one. Dotted boxes are those after 0, 1, 2, 4, 8 ... epochs.
    It opens on the last epoch.
    """
    last = len(detections) - 1

    def draw(epoch, picture):
        figure, (ax, side) = empty_figure(760, 330, 2, (4, 3))
        image, target = pictures[picture]
        detected = detections[epoch][picture]
        iou = draw_guess(image, target, detected, classes, ax)
        for earlier in (0, 1, 2, 4, 8, 16):
            if earlier < epoch:
                box = to_device(detections[earlier][picture], "cpu")["boxes"]
                plot.draw_boxes(box, None, EARLIER, ax, width=1, style=":")
        ax.set_title(f"after epoch {epoch}: IoU {iou:.2f}", fontsize=11)
        steps = [row["step"] / per_epoch for row in history]
        names = ("class", "box", "look")
        losses = {k: (steps, [row[k] for row in history]) for k in names}
        plot.curves(losses, side, xlabel="epoch", markers=[epoch])
        side.set(yscale="log", title="training loss")
        figure.subplots_adjust(left=0.01, right=0.98, bottom=0.16, wspace=0.15)
        return figure

    return Explorer(
        draw,
        epoch=slider("epoch", 0, last, last),
        picture=slider("picture", 0, len(pictures) - 1, 0),
    )


def loss_weights(runs):
    """Explorer: the weight of the box loss. runs: [(weight, accuracy, mean IoU)]."""
    weights, accuracies, ious = zip(*runs)

    def draw(run):
        figure, (ax,) = empty_figure(560, 300)
        lines = {
            "share of right labels": (weights, accuracies),
            "mean IoU": (weights, ious),
        }
        plot.curves(lines, ax, "weight of the box loss", markers=[weights[run]])
        ax.set(xscale="log", ylim=(0, 1.02))
        ax.set_title(
            f"weight {weights[run]:g}: {accuracies[run]:.1%} right labels,"
            f" mean IoU {ious[run]:.2f}",
            fontsize=11,
        )
        figure.subplots_adjust(left=0.09, bottom=0.17)
        return figure

    run = slider("weight", 0, len(runs) - 1, len(runs) // 2)
    run.readout = False  # it would show the run's number; the title has the weight
    return Explorer(draw, run=run)
