"""Lesson 00: one picture, five tasks."""

from course_utils.lessons import plot
from course_utils.lessons.widgets import Explorer, choice, empty_figure, slider

TASKS = (
    "classification",
    "localization",
    "detection",
    "semantic segmentation",
    "instance segmentation",
)


def task_answer(target, classes, task):
    """The right answer to one of `TASKS` for a picture, in words.

    target: as VOCDataset gives it, with masks. For classification and localization the
    object with the most visible pixels counts.
    """
    names = [classes[label - 1] for label in target["labels"].tolist()]
    main = biggest(target)
    box = [round(v) for v in target["boxes"][main].tolist()]
    if task == "classification":
        return f"one label: {names[main]}"
    if task == "localization":
        return f"one label and one box: {names[main]} at {box}"
    if task == "detection":
        return f"{len(names)} labels and {len(names)} boxes"
    if task == "semantic segmentation":
        kinds = len(set(names))
        return f"a class for each pixel: {kinds} classes and the background"
    return f"a class and an object for each pixel: {len(names)} masks"


def biggest(target):
    """Index of the object with the most visible pixels."""
    return int(target["masks"].flatten(1).sum(1).argmax())


def draw_task(image, target, classes, task, ax):
    """Draw the right answer to one of `TASKS` on the picture."""
    plot.show_image(image, ax)
    main = biggest(target)
    one = {key: target[key][main : main + 1] for key in ("boxes", "labels")}
    colors = [plot.color_of(label) for label in target["labels"]]
    if task == "classification":
        name = classes[int(one["labels"]) - 1]
        ax.text(6, 14, name, fontsize=13, bbox={"facecolor": "white", "pad": 3})
    elif task == "localization":
        plot.draw_target(one, classes, ax)
    elif task == "detection":
        plot.draw_target(target, classes, ax)
    elif task == "semantic segmentation":
        plot.draw_masks(target["masks"], colors, ax)
    else:
        own = [plot.COLORS[i % len(plot.COLORS)] for i in range(len(colors))]
        plot.draw_masks(target["masks"], own, ax)
    return ax


def five_tasks(dataset, indices=range(10)):
    """Explorer: one picture of `dataset` and the answer to each of the five tasks."""

    def draw(picture, task):
        image, target = dataset[indices[picture]]
        figure, (ax,) = empty_figure(560, 450)
        draw_task(image, target, dataset.classes, task, ax)
        ax.set_title(task_answer(target, dataset.classes, task), fontsize=11)
        return figure

    return Explorer(
        draw,
        picture=slider("picture", 0, len(indices) - 1, 0),
        task=choice("task", TASKS),
    )
