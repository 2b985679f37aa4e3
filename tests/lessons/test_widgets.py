"""Explorers: the logic by hand, and that a moved control draws a new picture."""

import base64
import gc
import io
import warnings
import weakref

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from course_utils.evaluation.average_precision import evaluate
from course_utils.lessons import plot
from course_utils.lessons.widgets import (
    Explorer,
    boxes,
    empty_figure,
    localize,
    slider,
    tasks,
)
from course_utils.lessons.widgets import metrics as metric_widgets
from course_utils.lessons.widgets import proposals as proposal_widgets
from course_utils.lessons.widgets import rcnn as rcnn_widgets
from course_utils.ops.boxes import box_iou
from course_utils.ops.nms import nms
from tests.helpers.explorers import EXPLORERS, crowd, picture


def test_overlap_numbers_by_hand():
    numbers = boxes.overlap_numbers((0, 0, 4, 4), (2, 2, 6, 6))
    assert numbers["intersection"] == 4 and numbers["union"] == 28
    assert numbers["IoU"] == pytest.approx(4 / 28)
    assert numbers["GIoU"] == pytest.approx(4 / 28 - 8 / 36)
    assert (numbers["tx"], numbers["ty"], numbers["tw"], numbers["th"]) == (
        0.5,
        0.5,
        0,
        0,
    )


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_nms_steps_end_where_nms_ends(threshold):
    many, scores = crowd()
    steps = boxes.nms_steps(many, scores, threshold)
    assert [best for best, _ in steps] == nms(many, scores, threshold).tolist()
    named = sorted(i for best, gone in steps for i in [best, *gone])
    assert named == list(range(len(many)))
    for best, gone in steps:
        assert (box_iou(many[[best]], many[gone]) > threshold).all()
        assert (scores[gone] <= scores[best]).all()


def test_nms_steps_follow_the_learners_nms(monkeypatch):
    monkeypatch.setattr(boxes, "nms", lambda b, s, t: s.argsort(descending=True))
    many, scores = crowd()
    assert [gone for _, gone in boxes.nms_steps(many, scores, 0.5)] == [[]] * 12


def test_objects_that_still_have_a_box():
    truth = torch.tensor([[0.0, 0, 10, 10], [40, 0, 50, 10], [0, 40, 10, 50]])
    found = torch.tensor([[0.0, 0, 10, 5], [1, 0, 11, 10], [40, 0, 50, 4]])
    assert boxes.with_a_box(truth, found) == 1
    assert boxes.with_a_box(truth, found[:0]) == 0


def test_step_text_tells_start_rounds_and_end():
    steps = [(0, [1]), (2, [])]
    assert boxes.step_text(steps, 0, 3).startswith("3 boxes wait")
    assert "remove 1 box " in boxes.step_text(steps, 1, 3)
    assert "remove 0 boxes" in boxes.step_text(steps, 2, 3)
    assert "2 boxes kept of 3" in boxes.step_text(steps, 3, 3)


def test_task_answers():
    _, target = picture()
    words = [tasks.task_answer(target, ("mug", "ball"), task) for task in tasks.TASKS]
    assert words[0] == "one label: mug"
    assert words[1].endswith("mug at [20, 20, 50, 35]")
    assert words[2] == "3 labels and 3 boxes"
    assert "2 classes" in words[3] and "3 masks" in words[4]


def test_task_scores_of_right_and_of_wrong_predictions():
    _, target = picture()
    right = target | {"scores": torch.tensor([0.9, 0.8, 0.7])}
    said = [tasks.task_score(target, right, task) for task in tasks.TASKS]
    assert said == [
        "right",
        "label right, IoU 1.00",
        "3 of 3 found, 0 extra, mean box IoU 1.00",
        "mean IoU of the classes 1.00",
        "3 of 3 found, 0 extra, mean mask IoU 1.00",
    ]
    wrong = right | {"labels": torch.tensor([2, 2, 2])}
    said = [tasks.task_score(target, wrong, task) for task in tasks.TASKS]
    assert said[0] == "wrong" and said[1] == "label wrong, IoU 1.00"
    assert said[2] == "2 of 3 found, 1 extra, mean box IoU 1.00"
    # class 1 is not found; class 2 covers 25 + 50 pixels of 25 + 50 + 450
    assert said[3] == f"mean IoU of the classes {75 / 525 / 2:.2f}"
    nothing = {key: value[:0] for key, value in right.items()}
    assert {tasks.task_score(target, nothing, t) for t in tasks.TASKS} == {
        "nothing found"
    }


def test_each_object_is_found_once():
    target = {"labels": torch.tensor([1, 1])}
    twice = {"labels": torch.tensor([1, 1, 1]), "scores": torch.tensor([0.3, 0.9, 0.8])}
    overlap = torch.tensor([[0.9, 0.6, 0.7], [0.0, 0.0, 0.5]])
    assert tasks.matches(target, twice, overlap) == pytest.approx([0.6, 0.5])


def test_a_disc_is_cut_out_of_its_box():
    y, x = torch.meshgrid(torch.arange(60), torch.arange(80), indexing="ij")
    disc = (x - 40) ** 2 + (y - 30) ** 2 < 400
    image = torch.where(disc, 0.8, 0.2) + 0.02 * torch.rand(3, 60, 80)
    masks = tasks.cut_out(image, torch.tensor([[18.0, 8, 62, 52]]))
    assert tasks.mask_iou(masks, disc[None]).item() > 0.9
    assert tasks.cut_out(image, torch.zeros(0, 4)).shape == (0, 60, 80)


def test_regions_at_follows_the_joins():
    parents = np.array([3, 3, 4, 4, -1])  # 0 and 1 make 3, then 2 and 3 make 4
    assert proposal_widgets.regions_at(0, 3, parents).tolist() == [0, 1, 2]
    assert proposal_widgets.regions_at(1, 3, parents).tolist() == [3, 3, 2]
    assert proposal_widgets.regions_at(2, 3, parents).tolist() == [4, 4, 4]


def test_mean_colors_by_hand():
    image = np.zeros((1, 3, 3), np.float32)
    image[0, :, 0] = 0.2, 0.4, 0.9
    labels = torch.tensor([[0, 0, 1]])
    mean = proposal_widgets.mean_colors(image, labels)
    assert mean[0, :, 0].tolist() == pytest.approx([0.3, 0.3, 0.9])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proposal_widgets.mean_colors(image, labels * 2)  # region 1 is left out


def test_at_threshold_reads_the_curve():
    curve = (
        np.array([1, 0.5, 2 / 3]),
        np.array([0.5, 0.5, 1]),
        np.array([0.9, 0.8, 0.7]),
    )
    assert metric_widgets.at_threshold(*curve, 0.8) == (0.5, 0.5, 2)
    assert metric_widgets.at_threshold(*curve, 0.95) == (1.0, 0.0, 0)


def test_pretended_detector_makes_every_kind_of_mistake():
    _, target = picture()
    targets = [target | {"difficult": torch.zeros(3, dtype=torch.bool)}] * 100
    detections = metric_widgets.pretend_detector(targets, 3, (40, 60))
    again = metric_widgets.pretend_detector(targets, 3, (40, 60))
    assert all(torch.equal(a["scores"], b["scores"]) for a, b in zip(detections, again))
    assert 0.4 < evaluate(detections, targets, ("mug", "ball"))["map50"] < 0.9
    for detected in detections:
        assert (detected["boxes"][:, 2:] >= detected["boxes"][:, :2]).all()


def test_tile_puts_crops_in_rows():
    crops = torch.zeros(5, 3, 4, 4)
    crops[4] = 0.5
    sheet = rcnn_widgets.tile(crops, columns=3)
    assert sheet.shape == (3, 12, 18)
    assert sheet[:, 6:10, 6:10].unique().tolist() == [0.5]


@pytest.mark.parametrize("make, move", EXPLORERS)
def test_moved_control_draws_a_new_picture(make, move):
    # pitfall: widgets: plot vanishes and page jumps
    torch.manual_seed(0)
    explorer = make()
    first = explorer.png
    explorer.set(**move)
    assert explorer.png != first and explorer.image.value == explorer.png
    shown = Image.open(io.BytesIO(explorer.png))
    assert explorer.image.width == f"{shown.width}px", "the page must not jump"
    assert shown.size == Image.open(io.BytesIO(first)).size
    assert plt.get_fignums() == [], "a figure stayed open"


@pytest.mark.parametrize("make, move", EXPLORERS)
def test_a_state_has_one_picture(make, move):
    torch.manual_seed(0)
    explorer = make()
    before = {name: explorer.controls[name].value for name in move}
    first, there = explorer.png, explorer.set(**move).png
    assert explorer.set(**before).png == first
    assert explorer.set(**move).png == there


def test_no_figure_outlives_its_move():
    alive = []

    def draw(n):
        figure, (ax,) = empty_figure(200, 100)
        ax.plot([0, n])
        alive.append(weakref.ref(figure))
        return figure

    gc.collect()
    explorer = Explorer(draw, n=slider("n", 0, 30, 1))
    for n in range(2, 22):
        explorer.set(n=n)
    assert len(alive) == 21 and not any(figure() for figure in alive)
    assert plt.get_fignums() == []


def fragile():
    """A drawing that fails at 3."""

    def draw(n):
        if n == 3:
            raise ValueError(f"no <picture> for {n}")
        figure, (ax,) = empty_figure(200, 100)
        ax.text(0.5, 0.5, n)
        return figure

    return draw


def test_a_failed_move_shows_the_error_and_marks_the_old_picture():
    # pitfall: widgets: a handler that raises
    explorer = Explorer(fragile(), n=slider("n", 0, 5, 1))
    first, box = explorer.png, explorer.box.children
    explorer.controls["n"].set_state({"value": 3})  # as the page does: nothing raises
    text = explorer.said.value
    assert explorer.said in box and isinstance(explorer.error, ValueError)
    assert "ValueError: no &lt;picture&gt; for 3\nin draw, line" in text
    assert "raise ValueError(f" in text, "the learner's line"
    assert "at n = 3" in text and "old picture: n = 1" in text
    assert (
        explorer.image.value == first and "old-picture" in explorer.image._dom_classes
    )
    explorer.controls["n"].set_state({"value": 4})
    assert explorer.error is None and explorer.said.value == ""
    assert explorer.image.value != first and not explorer.image._dom_classes
    with pytest.raises(ValueError, match="no <picture> for 3"):
        explorer.set(n=3)
    assert "old picture: n = 4" in explorer.said.value


def test_a_first_drawing_that_fails_still_shows_the_widget(monkeypatch):
    with pytest.raises(ValueError, match="no <picture>"):
        Explorer(fragile(), n=slider("n", 0, 5, 3))
    told = []

    class Shell:
        showtraceback = staticmethod(told.append)

    monkeypatch.setattr("course_utils.lessons.widgets.get_ipython", Shell)
    explorer = Explorer(fragile(), n=slider("n", 0, 5, 3))
    assert [kind for kind, *_ in told] == [ValueError], "the lesson tests hear of it"
    assert "ValueError: no" in explorer.said.value
    assert "old picture" not in explorer.said.value
    bundle = explorer._repr_mimebundle_()
    still = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert still.size == (640, 120), "a still that tells the error"
    assert explorer.set(n=2).error is None and explorer.png != bundle["image/png"]


def test_a_drawing_that_fails_leaves_python_as_it_was():
    def draw(n):
        assert not gc.isenabled() and matplotlib.rcParams["axes.titley"] == 1
        return empty_figure(200, 100)[0] if n else 1 / 0

    explorer = Explorer(draw, n=slider("n", 0, 5, 1))
    with pytest.raises(ZeroDivisionError):
        explorer.set(n=0)
    assert gc.isenabled() and matplotlib.rcParams["axes.titley"] is None
    gc.disable()
    try:
        explorer.set(n=2)
        assert not gc.isenabled(), "switched off by the learner"
    finally:
        gc.enable()


def pixels(paint):
    """What paint(ax) draws over a picture."""
    figure, (ax,) = empty_figure(200, 160)
    plot.show_image(torch.linspace(0, 1, 3600).view(1, 40, 90).expand(3, 40, 90), ax)
    paint(ax)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


@pytest.mark.parametrize("width, style", [(0.4, "-"), (1, ":"), (1.5, "--"), (3, "-")])
def test_many_boxes_look_as_rectangles_one_by_one(width, style):
    corner = torch.rand(40, 2) * 30
    some = torch.cat([corner, corner + torch.rand(40, 2) * 40], 1)
    colors = [plot.COLORS[i % 8] for i in range(40)]

    def one_by_one(ax):
        line = {"fill": False, "linewidth": width, "linestyle": style}
        for (x1, y1, x2, y2), color in zip(some.tolist(), colors):
            shape = (x1, y1), x2 - x1, y2 - y1
            ax.add_patch(plt.Rectangle(*shape, edgecolor=color, **line))

    ours = pixels(lambda ax: plot.draw_boxes(some, None, colors, ax, width, style))
    assert np.array_equal(ours, pixels(one_by_one))
    nothing = pixels(lambda ax: plot.draw_boxes(some[:0], ax=ax))
    assert np.array_equal(nothing, pixels(lambda ax: None))


def test_all_tasks_and_the_ends_of_every_slider_draw():
    for make, _ in EXPLORERS:
        explorer = make()
        for name, control in explorer.controls.items():
            ends = getattr(control, "options", None) or (control.min, control.max)
            for value in ends:
                assert explorer.set(**{name: value}).error is None


def test_explorer_shows_a_widget_and_a_still_picture():
    # pitfall: widgets: Lab and kernel in two environments
    def draw(n):
        figure, (ax,) = empty_figure(200, 100)
        ax.plot([0, n])
        return figure

    explorer = Explorer(draw, n=slider("n", 0, 5, 1))
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert base64.b64decode(bundle["image/png"]) == explorer.png


def test_a_gallery_of_nothing_draws_nothing():
    before = plt.get_fignums()
    assert plot.gallery([], [], ["mug"]) is None
    assert plt.get_fignums() == before


def test_pixels_of_a_target_show_its_boxes():
    image = torch.zeros(3, 40, 60)
    target = {"boxes": torch.tensor([[10.0, 20, 30, 36]]), "labels": torch.tensor([1])}
    pixels = plot.target_pixels(image, target, ("mug",), 120)
    assert pixels.shape == (80, 120, 3)
    orange = [230, 159, 0]
    for x, y in (20, 40), (59, 71), (40, 41):  # corners and an edge, twice as far
        assert pixels[y, x].tolist() == orange
    assert not pixels[72:].any() and not pixels[40:, 60:].any(), "half-open"
    assert pixels[56, 40].tolist() == [0, 0, 0], "the inside stays"
    assert (pixels[27:39, 20:40] == orange).all(2).mean() > 0.5, "the name's ground"
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    assert plot.target_pixels(image, nothing, ("mug",), 120).max() == 0


def test_guesses_of_two_objects_are_paired_from_left_to_right():
    boxes = torch.tensor([[30.0, 4, 40, 20], [2, 4, 12, 20]])
    target = {"boxes": boxes, "labels": torch.tensor([1, 2])}
    detected = {key: value.flip(0) for key, value in target.items()}
    ax = plot.panels(1)[0]
    image = torch.zeros(3, 24, 44)
    assert localize.draw_guess(image, target, detected, ("mug", "ball"), ax) == 1
    plt.close(ax.figure)
