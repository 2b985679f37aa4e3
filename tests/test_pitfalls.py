"""Faults that others reported in public: each has a test that names it.

A test that covers a row of ROWS holds the comment ``# pitfall: area: row``, in any file
of this folder. Here stand the tests that fit in no other file, those of the lessons and
of several modules at once.

Rows that the course meets in another way than by the usual cure:

- widgets: slow callback. Sliders stay continuous. ipywidgets keeps at most one change
  under way and after it sends only the newest value, so no drag steps queue up; and a
  move draws from kept numbers, no network runs. bench/sliders.py measures the moves.
- notebooks: slow cell and failures that go on. Some cells train for minutes, so each
  may take thirty; each lesson is a pytest run of its own and ends at its first failure.
- environment: float64 and other devices. The lessons run on the CPU, so there is no
  choice of a device that could fall back; that all works on another is tested.
- environment: the lowest versions that the requirements allow are tried by
  tests/lowest_versions.sh.
"""

import json
import pickle
import re
import sys

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_output
from packaging.requirements import Requirement
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from course_utils.core.environment import find_broken_libraries
from course_utils.core.settings import REPOSITORY
from course_utils.data.catalog import find_data
from course_utils.data.datasets import Scenes, VOCDataset
from course_utils.data.transforms import flip
from course_utils.evaluation.average_precision import evaluate, match_to_objects
from course_utils.lessons import notebooks
from course_utils.models import rcnn
from course_utils.models.backbone import SmallResNet
from course_utils.models.fast_rcnn import FastRCNN, RegionHead, head_loss
from course_utils.models.faster_rcnn import FasterRCNN
from course_utils.models.localizer import LocalizeHead, Localizer
from course_utils.models.rcnn import RCNN, RegionNet
from course_utils.models.rpn import RPN, ProposalNet, rpn_loss
from course_utils.models.single_shot import SingleShot, shot_loss
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.batches import collate
from course_utils.ops.boxes import (
    box_iou,
    check_boxes,
    decode_boxes,
    encode_boxes,
    xywh_to_xyxy,
)
from course_utils.ops.nms import batched_nms, nms
from course_utils.ops.postprocess import filter_proposals, postprocess_detections
from course_utils.ops.targets import check_targets
from course_utils.proposals.segmentation import felzenszwalb
from course_utils.proposals.selective_search import (
    count_votes,
    dataset_proposals,
    selective_search,
    sliding_windows,
)
from course_utils.training import rcnn_stages
from course_utils.training.loop import fit
from course_utils.training.rcnn_stages import known_regions
from tests.helpers import explorers
from tests.helpers.labels import OBJECT, write_data
from tests.helpers.lessons import REPORT, run_nbval, small_lesson

ROWS = """
boxes: box without area or with swapped corners
boxes: half precision
boxes: plus one
boxes: IoU equal to the threshold
boxes: gradient at a box without area
boxes: bad input of NMS
boxes: equal scores and input order
boxes: no box or a NaN score
roi: halves when rounding
roi: regions without their image
roi: the last cell is included
roi: regions off the map
roi: no region
anchors: whole-number sizes and ratios
anchors: objects that share their best anchor
anchors: wild size delta
anchors: what divides the box loss
anchors: nothing to sample
selective search: elongated image
selective search: range of the texture histogram
selective search: segments below min_size
selective search: x, y, w, h taken as corners
svm: class without positives
svm: unscaled features
svm: margin read as a probability
training: no positive sample
training: image without objects
training: targets changed in place
training: label out of range or of wrong type
training: learning rate too high
evaluation: method and last recall point
evaluation: second hit on an object
evaluation: no detections or no objects
evaluation: difficult objects
evaluation: stale cache of annotations
evaluation: order of equal scores
evaluation: crowds
evaluation: most detections of an image
evaluation: bad input
data loading: decimal coordinate
data loading: missing tag
data loading: one object, none, and parts
data loading: images with different numbers of boxes
data loading: data set server down
data loading: workers and classes in a cell
widgets: Lab and kernel in two environments
widgets: plot vanishes and page jumps
widgets: slow callback
widgets: a handler that raises
notebooks: object addresses and semicolons
notebooks: random widget ids
notebooks: slow cell and failures that go on
notebooks: kernel name of the author
notebooks: progress bars in outputs
notebooks: a cell in the middle that dies
environment: size of torch
environment: missing libGL and OpenCV clash
environment: versions without bounds
environment: float64 and other devices
environment: segmentation fault in training
environment: threads beyond a container's quota
environment: threads that spin
environment: cache of compiled code
environment: parallel code in several threads
labels: words in a flag
labels: encodings and byte order marks
labels: from which number VOC XML counts
labels: size and rotation in VOCDataset
labels: names and ids in COCO
labels: crowds
labels: results file for pycocotools
labels: data.yaml
labels: known layouts
labels: the same picture twice
images: unusual pictures
images: an error without the file's name
transforms: forms of targets
grading: a class graded from the start again
grading: a name that a spreadsheet takes for a formula
grading: a notebook that cheats, hangs or eats memory
grading: a notebook that patches the checks
""".strip().splitlines()
NOTEBOOKS = sorted(notebooks.NOTEBOOKS.rglob("[0-9]*.ipynb"))
SIZE = (48, 64)


def test_every_row_has_a_test():
    found = set()
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        found |= set(re.findall(r"^ +# pitfall: (.+)$", path.read_text(), re.M))
    assert sorted(set(ROWS) - found) == [], "rows without a test"
    assert sorted(found - set(ROWS)) == [], "tests of no row"


def every_model():
    """{name: network} of all that train on images with boxes, for two classes."""
    torch.manual_seed(0)
    backbone, head = SmallResNet((4, 8, 8)), RegionHead(8, 3, pool_size=3, hidden=8)
    rpn = RPN(8, AnchorGrid((16, 40)))
    models = {
        "Localizer": Localizer(backbone, LocalizeHead(8, 3), SIZE),
        "FastRCNN": FastRCNN(backbone, head),
        "ProposalNet": ProposalNet(backbone, rpn),
        "FasterRCNN": FasterRCNN(backbone, rpn, head),
        "SingleShot": SingleShot(backbone, 3),
    }
    return {name: model.train() for name, model in models.items()}


MODELS = ("Localizer", "FastRCNN", "ProposalNet", "FasterRCNN", "SingleShot")


def target(*corners, **more):
    """One image's target, with two proposals for Fast R-CNN."""
    return {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(corners), dtype=torch.int64),
        "proposals": torch.tensor([[4.0, 4, 20, 20], [10, 10, 50, 38]]),
        "image_id": "dog7",
    } | more


def losses_of(name, *targets):
    """Losses of a model, after a check that they and all gradients are finite."""
    model = every_model()[name]
    losses = model([torch.rand(3, *SIZE) for _ in targets], list(targets))
    total = sum(losses.values())
    assert total.requires_grad and total.isfinite()
    total.backward()
    for weight in model.parameters():
        assert weight.grad is None or weight.grad.isfinite().all()
    return {key: value.item() for key, value in losses.items()}


# --- boxes ------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "corners",
    [(5, 5, 5, 9), (5, 5, 9, 5), (30, 30, 10, 10), (5, 5, float("nan"), 29)],
)
def test_every_network_names_image_and_box_before_any_loss(name, corners):
    # pitfall: boxes: box without area or with swapped corners
    with pytest.raises(ValueError, match=r"image dog7: box 0 = .*not a box"):
        losses_of(name, target(corners))


def test_one_convention_in_all_modules():
    # pitfall: boxes: plus one
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[2.0, 2, 6, 6]])
    wanted, pair = 4 / 28, torch.cat([a, b])  # with + 1 it would be 9 / 41
    assert box_iou(a, b).item() == pytest.approx(wanted)
    arrays = a.double().numpy(), b.double().numpy()
    yes, easy = np.array([wanted - 1e-6, wanted + 1e-6]), np.zeros(1, bool)
    verdicts = match_to_objects(*arrays, easy, easy, yes, False)
    assert verdicts.tolist() == [[1], [0]]
    for threshold, kept in (wanted - 1e-6, 1), (wanted + 1e-6, 2):
        assert len(nms(pair, torch.tensor([0.9, 0.8]), threshold)) == kept
    votes = count_votes(pair.numpy(), np.array([0, 1]), 0.1)
    assert votes.tolist() == pytest.approx([1 + wanted] * 2)


def test_a_tie_on_paper_only():
    # pitfall: boxes: IoU equal to the threshold
    pair = torch.tensor([[1.0, 1, 2, 3], [0, 0, 2, 2]])  # 1 / 5 on paper
    scores = torch.tensor([1.0, 0.9])
    assert box_iou(*pair.split(1)).item() == pytest.approx(0.2)
    for order in [0, 1], [1, 0]:
        kept = nms(pair[order], scores[order], 0.2).tolist()
        assert kept == [0, 1][:: 1 if order[0] == 0 else -1]


def test_equal_objectness_goes_to_the_lowest_index():
    # pitfall: boxes: equal scores and input order
    copies = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]]).repeat(700, 1)
    kept, _ = filter_proposals(torch.zeros(1400), copies, (40, 40))
    assert kept.tolist() == [[0, 0, 10, 10]]


def test_equal_scores_of_a_detector_go_to_the_lowest_index():
    # pitfall: boxes: equal scores and input order
    copies = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]]).repeat(700, 1)
    detected = postprocess_detections(
        torch.ones(1400, 1), copies[:, None], (40, 40), 0.5
    )
    assert detected["boxes"].tolist() == [[0, 0, 10, 10]]
    apart = 20.0 * torch.arange(300)[:, None] + torch.tensor([0.0, 0, 10, 10])
    detected = postprocess_detections(
        torch.ones(300, 1), apart[:, None], (9999, 9999), 0.5
    )
    assert torch.equal(detected["boxes"], apart[:100]), "the first of equal ones"


def test_a_nan_score_beside_a_good_copy():
    # pitfall: boxes: no box or a NaN score
    same = torch.tensor([[0.0, 0, 10, 10]] * 2)
    for function in (
        lambda s: nms(same, s),
        lambda s: batched_nms(same, s, torch.ones(2)),
        lambda s: filter_proposals(s, same, (40, 40)),
    ):
        with pytest.raises(ValueError, match=r"scores\[\d\] = nan"):
            function(torch.tensor([0.9, float("nan")]))


# --- RoI layers, anchors ----------------------------------------------------------


def test_regions_off_the_image_in_a_whole_detector():
    # pitfall: roi: regions off the map
    off = torch.tensor([[-4.0, -4, 3, 3], [200, 200, 300, 300], [5, 5, 2, 2]])
    model = every_model()["FastRCNN"].eval()
    model.min_score = 0
    detected = model.detections([torch.rand(3, *SIZE)], [off])[0]
    size = detected["boxes"][:, 2:] - detected["boxes"][:, :2]
    assert (size > 0).all() and detected["scores"].isfinite().all()
    kept, _ = filter_proposals(torch.zeros(3), off, SIZE)
    assert kept.tolist() == [[0, 0, 3, 3]], "clipped, and empty ones dropped"


def test_an_image_without_regions_in_a_whole_detector():
    # pitfall: roi: no region
    empty = target(proposals=torch.zeros(0, 4))
    assert losses_of("FastRCNN", empty) == {"class": 0, "box": 0}
    assert losses_of("FastRCNN", empty, target((4, 4, 20, 20)))["class"] > 0


# --- selective search, SVM --------------------------------------------------------


def test_a_segmentation_of_an_image_below_min_size():
    # pitfall: selective search: segments below min_size
    noise = np.random.default_rng(0).random((5, 9, 3)).astype(np.float32)
    assert felzenszwalb(noise, 1, 0, min_size=80).unique().tolist() == [0]


class OneDog:
    classes, ids = ("dog",), ["x"]

    def __len__(self):
        return 1

    def target(self, _):
        hard = torch.tensor([False, True])
        return target((40, 40, 60, 60), (5, 5, 9, 9), difficult=hard)


def test_true_boxes_are_positives_when_no_proposal_is_near(monkeypatch):
    # pitfall: svm: class without positives
    far = torch.tensor([[0.0, 0, 10, 10]])
    monkeypatch.setattr(rcnn_stages, "dataset_proposals", lambda _: [far])
    regions, facts = known_regions(OneDog(), 10, 2)
    assert regions[0].tolist() == [[40, 40, 60, 60], [0, 0, 10, 10]]
    assert facts[0]["labels"].tolist() == [1, 0]
    assert facts[0]["iou"][0] == 1 and facts[0]["overlap"][:, 0].tolist()[0] == 1


def test_the_scale_of_features_goes_with_the_detector():
    # pitfall: svm: unscaled features
    def new():
        return RCNN(RegionNet(SmallResNet((4, 8, 8)), 3), 3, side=24)

    torch.manual_seed(0)
    model, regions = new(), torch.tensor([[0.0, 0, 10, 10]] * 5)
    features = 1e3 * torch.rand(5, model.net.size).numpy()
    weight, bias = torch.randn(model.net.size, 2), torch.randn(2)
    regression = torch.zeros(2, model.net.size, 4), torch.zeros(2, 4)
    model.set_svms_and_regressors(250.0, (weight, bias), regression)
    twin = new()
    twin.load_state_dict(model.state_dict())
    for detector in model, twin:
        values, _ = detector.score_features(features, regions)
        wanted = rcnn.decision_function(features / 250, weight, bias)
        torch.testing.assert_close(values, wanted, rtol=1e-4, atol=1e-4)


def test_margins_are_kept_raw_and_not_called_probabilities():
    # pitfall: svm: margin read as a probability
    far = torch.tensor([[10.0, 10, 30, 30], [50, 50, 60, 60]])[:, None]
    detected = postprocess_detections(torch.tensor([[2.3], [-0.7]]), far, (90, 90), 0.0)
    assert detected["scores"].tolist() == pytest.approx([2.3])


# --- training ---------------------------------------------------------------------


def test_all_labels_ignored_is_a_loss_of_zero_with_a_graph():
    # pitfall: training: no positive sample
    given, ignored = torch.rand(6, 4), torch.full((6,), -1)
    given[:, 2:] += 5
    scores = torch.randn(6, 2, requires_grad=True)
    deltas = torch.randn(6, 4, requires_grad=True)
    losses = shot_loss(scores, deltas, given, ignored, given)
    none = torch.zeros(0, dtype=torch.int64)
    three, two = torch.cat([scores, scores[:, :1]], 1), deltas[:, None].expand(6, 2, 4)
    for found in (
        losses,
        rpn_loss(*(part[none] for part in (scores[:, 0], deltas, given, none, given))),
        head_loss(*(part[none] for part in (three, two, given, none, given))),
    ):
        total = sum(found.values())
        assert total.item() == 0 and total.requires_grad
        total.backward(retain_graph=True)
    background = torch.zeros(6, dtype=torch.int64)
    assert head_loss(three, two, given, background, given)["box"].item() == 0
    assert rpn_loss(scores[:, 0], deltas, given, background, given)["rpn_box"] == 0
    assert shot_loss(scores, deltas, given, background, given)["box"].item() == 0


@pytest.mark.parametrize("name", [name for name in MODELS if name != "Localizer"])
def test_images_without_objects_train_every_detector(name):
    # pitfall: training: image without objects
    for no_boxes, no_labels in (
        (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)),
        (torch.tensor([]), torch.tensor([])),
    ):
        empty = target(boxes=no_boxes, labels=no_labels)
        losses = losses_of(name, empty)
        assert losses.get("box", 0) == losses.get("rpn_box", 0) == 0
        losses_of(name, empty, target((4, 4, 20, 20)))


def test_an_image_without_objects_from_file_to_loss(tmp_path):
    # pitfall: training: image without objects
    # pitfall: data loading: images with different numbers of boxes
    both = {"a": OBJECT.format("") * 2, "b": OBJECT.format(""), "c": ""}
    dataset = VOCDataset(write_data(tmp_path, both, (72, 80)), "train")
    loader = torch.utils.data.DataLoader(dataset, 3, collate_fn=collate)
    ((images, targets),) = loader
    assert [len(t["boxes"]) for t in targets] == [2, 1, 0]
    assert targets[2]["boxes"].shape == (0, 4)
    assert targets[2]["boxes"].dtype == torch.float32
    assert targets[2]["labels"].dtype == torch.int64
    for name in "ProposalNet", "FasterRCNN", "SingleShot":
        losses = every_model()[name](images, targets)
        assert sum(losses.values()).isfinite(), name


@pytest.mark.parametrize("name", MODELS)
def test_two_forwards_leave_targets_alone(name):
    # pitfall: training: targets changed in place
    one = target((4, 4, 20, 20), difficult=torch.tensor([False]))
    before = {k: v.clone() for k, v in one.items() if torch.is_tensor(v)}
    model, images = every_model()[name], [torch.rand(3, *SIZE)]
    same = images[0].clone()
    for _ in range(2):
        model(images, [one])
    assert torch.equal(images[0], same)
    for key, value in before.items():
        assert torch.equal(one[key], value) and one[key].dtype == value.dtype


def test_epochs_of_mirrored_scenes_leave_targets_alone():
    # pitfall: training: targets changed in place
    scenes = Scenes(VOCDataset(find_data("tabletop"), "val", first=2), augment=True)
    before = [t["boxes"].clone() for t in scenes.targets]
    torch.manual_seed(0)
    for _ in range(8):  # about half of them mirrored
        scenes[0], scenes[1]
    assert all(torch.equal(a, t["boxes"]) for a, t in zip(before, scenes.targets))
    given = {"boxes": torch.tensor([[256.0, 275, 267, 293]])}
    image = torch.zeros(3, 400, 512)
    for _ in range(2):
        assert flip(image, given)[1]["boxes"].tolist() == [[245, 275, 256, 293]]
    twice = flip(*flip(image, given))[1]
    assert torch.equal(twice["boxes"], given["boxes"])


@pytest.mark.parametrize("name", [name for name in MODELS if name != "ProposalNet"])
def test_labels_of_every_network(name):
    # pitfall: training: label out of range or of wrong type
    for labels, words in (
        (
            torch.tensor([3]),
            r"image dog7: label 0 is 3.*labels 1\.\.2, 0 is background",
        ),
        (torch.tensor([0]), r"labels 1\.\.2, 0 is background"),
        (torch.tensor([1.0]), "labels are torch.float32, they must be integers"),
    ):
        with pytest.raises(ValueError, match=words):
            losses_of(name, target((4, 4, 20, 20)) | {"labels": labels})
    for kind in torch.int32, torch.uint8:
        whole = torch.tensor([2], dtype=kind)
        losses_of(name, target((4, 4, 20, 20)) | {"labels": whole})


# --- evaluation, data loading -----------------------------------------------------


def test_every_score_names_its_method():
    # pitfall: evaluation: method and last recall point
    easy = torch.tensor([False] * 10)
    corners = [(20 * i, 0, 20 * i + 10, 10) for i in range(10)]
    true = target(*corners, difficult=easy)
    three = {k: true[k][:3] for k in ("boxes", "labels")} | {"scores": torch.ones(3)}
    for method, wanted in ("all-point", 0.3), ("11-point", 4 / 11), ("coco", 31 / 101):
        result = evaluate([three], [true], ("dog",), method)
        assert result["method"] == method
        assert result["map50"] == pytest.approx(wanted)


def test_an_image_added_between_two_scores_counts(tmp_path, monkeypatch):
    # pitfall: evaluation: stale cache of annotations
    def score():
        dataset = VOCDataset(tmp_path / "d", "train")
        targets = [dataset.target(i) for i in range(len(dataset))]
        first = {k: targets[0][k] for k in ("boxes", "labels")}
        nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}
        detections = [first] + [nothing] * (len(targets) - 1)
        detections = [a | {"scores": torch.ones(len(a["boxes"]))} for a in detections]
        return evaluate(detections, targets, dataset.classes)["ap50"]["dog"]

    write_data(tmp_path / "d", {"a": OBJECT.format("")})
    assert score() == 1
    write_data(tmp_path / "e", {"b": OBJECT.format("")})
    for file in "Annotations/b.xml", "JPEGImages/b.jpg":
        (tmp_path / "e" / file).rename(tmp_path / "d" / file)
    listed = tmp_path / "d" / "ImageSets" / "Main" / "train.txt"
    listed.write_text("a\nb\n")
    assert score() == pytest.approx(51 / 101)


def test_a_lone_object_is_a_list_and_parts_are_none(tmp_path):
    # pitfall: data loading: one object, none, and parts
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax>"
    part += "<ymax>5</ymax></bndbox></part>"
    bodies = {"a": OBJECT.format(""), "b": "", "c": OBJECT.format(part)}
    dataset = VOCDataset(write_data(tmp_path, bodies), "train")
    assert [len(objects) for objects in dataset.objects] == [1, 0, 1]
    assert all(isinstance(objects, list) for objects in dataset.objects)
    assert dataset.classes == ("dog",) and dataset[1][1]["boxes"].shape == (0, 4)


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def test_no_workers_and_no_data_set_class_in_a_cell():
    # pitfall: data loading: workers and classes in a cell
    package = REPOSITORY / "course_utils"
    sources = {p.name: p.read_text() for p in package.rglob("*.py")}
    for path in NOTEBOOKS:
        for cell in code_cells(path):
            sources[path.name] = sources.get(path.name, "") + cell.source + "\n"
            assert not re.search(r"class \w+\(.*Dataset\)", cell.source) or (
                notebooks.taught_name(cell)
            ), path.name
    for name, source in sources.items():
        assert not re.search(r"num_workers\s*=\s*[1-9]", source), name
    dataset = VOCDataset(find_data("tabletop"), "val", first=2)
    again = pickle.loads(pickle.dumps(dataset))  # so that a learner may use workers
    assert torch.equal(again[1][0], dataset[1][0])


# --- widgets, notebooks -----------------------------------------------------------


@pytest.mark.parametrize("make", ["small_rcnn", "all_stages"])
def test_a_move_runs_no_network(make):
    # pitfall: widgets: slow callback
    explorer = getattr(explorers, make)()
    moves = []
    for name, control in explorer.controls.items():
        if name != "picture":
            ends = getattr(control, "options", None) or (control.min, control.max)
            moves += [(name, value) for value in ends]
    assert len(moves) >= 8
    calls = []
    hook = register_module_forward_hook(lambda module, *_: calls.append(module))
    try:
        for name, value in moves:
            explorer.set(**{name: value})
    finally:
        hook.remove()
    assert calls == []


def test_a_setting_seen_before_runs_no_network():
    # pitfall: widgets: slow callback
    explorer = explorers.two_detectors().set(num_proposals=20).set(num_proposals=200)
    calls = []
    hook = register_module_forward_hook(lambda module, *_: calls.append(module))
    try:
        explorer.set(num_proposals=20).set(num_proposals=200, best=3)
    finally:
        hook.remove()
    assert calls == []


def test_a_picture_is_replaced_in_place():
    # pitfall: widgets: plot vanishes and page jumps
    explorer = explorers.film()
    image = explorer.image
    seen = []
    image.observe(lambda change: seen.append(change["new"]), ["value", "height"])
    height = image.height
    explorer.set(epoch=0)
    assert explorer.box.children[-1] is image and image.height == height
    assert seen == [explorer.png], "one change, from picture to picture"


def test_checked_cells_can_be_compared():
    # pitfall: notebooks: object addresses and semicolons
    # pitfall: notebooks: random widget ids
    checked = 0
    for path in NOTEBOOKS:
        for cell in code_cells(path):
            outputs = json.dumps(cell.outputs)
            assert "widget-view" not in outputs, path.name
            if "nbval-check-output" in notebooks.tags(cell):
                checked += 1
                assert not cell.source.rstrip().endswith(";"), path.name
                assert not re.search(r" at 0x[0-9a-f]+|model_id", outputs), path.name
                assert not re.search(r"widgets\.|interact", cell.source), path.name
    assert checked > 10


@pytest.mark.slow
def test_only_chosen_cells_are_compared_and_slow_ones_may_run(tmp_path):
    # pitfall: notebooks: random widget ids
    # pitfall: notebooks: object addresses and semicolons
    # pitfall: notebooks: slow cell and failures that go on
    sources = {
        "import ipywidgets\nipywidgets.IntSlider()": "IntSlider(value=7)",
        "ipywidgets.interact(lambda x: x, x=(0, 9));": "old",
        "1+1;": "3",
        "object()": "<object object at 0x7f>",
        "import time\ntime.sleep(6)": None,  # nbval waits 5 s for late outputs
    }
    path = small_lesson(tmp_path / "x.ipynb", *sources, REPORT)
    notebook = nbformat.read(path, 4)
    for cell, text in zip(notebook.cells, sources.values()):
        kind = {"output_type": "execute_result", "execution_count": 1}
        if text:
            cell.outputs = [new_output(**kind, data={"text/plain": text})]
    nbformat.write(notebook, path)
    passed, output = run_nbval(path, tmp_path)
    assert passed, output


def test_kernels_are_called_python3():
    # pitfall: notebooks: kernel name of the author
    assert len(NOTEBOOKS) >= 20
    for path in NOTEBOOKS:
        kernel = nbformat.read(path, 4).metadata["kernelspec"]
        assert kernel["name"] == "python3", path.name
        assert kernel["display_name"] == "Python 3", path.name


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images, targets):
        return {"loss": (self.weight**2).sum()}


def test_bars_are_off_in_ci_and_on_for_people(monkeypatch, capfd):
    # pitfall: notebooks: progress bars in outputs
    dataset = VOCDataset(find_data("tabletop"), "val", first=1)

    def work(num_proposals):
        fit(Small(), [([], [])] * 3, 2, name="Training")
        dataset_proposals(dataset, num_proposals)

    monkeypatch.setenv("CI", "true")
    work(7)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("CI", "")
    work(8)
    shown = capfd.readouterr().err
    assert "Training" in shown and "selective search" in shown
    for path in NOTEBOOKS:
        for cell in code_cells(path):
            for output in cell.outputs:
                assert output.get("name") != "stderr", path.name
                said = {k: v for k, v in output.items() if k != "data"}
                data = output.get("data", {})  # a picture's letters may say anything
                said["data"] = {k: v for k, v in data.items() if "image" not in k}
                assert not re.search(r"it/s|\d%\|", json.dumps(said)), path.name


# --- environment ------------------------------------------------------------------

# Its reading of versions and requirements has not changed in years.
WITHOUT_UPPER_BOUND = {"packaging"}


def requirements():
    lines = (REPOSITORY / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def test_every_version_is_bounded():
    # pitfall: environment: versions without bounds
    for need in requirements():
        signs = {part.operator for part in need.specifier}
        assert signs & {">=", "=="}, f"{need} has no lower bound"
        if need.name not in WITHOUT_UPPER_BOUND:
            assert signs & {"<", "<=", "=="}, f"{need} has no upper bound"
    binder = (REPOSITORY / "binder" / "requirements.txt").read_text()
    assert "-r ../requirements.txt" in binder
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert 'dependencies = { file = ["requirements.txt"] }' in project


def test_opencv_has_one_wheel_and_a_bare_container_is_named(monkeypatch):
    # pitfall: environment: missing libGL and OpenCV clash
    wheels = [need.name for need in requirements() if need.name.startswith("opencv")]
    assert wheels == ["opencv-contrib-python"]
    apt = (REPOSITORY / "binder" / "apt.txt").read_text().split()
    assert {"libgl1", "libglib2.0-0"} <= set(apt)

    class Bare:
        @property
        def ximgproc(self):
            raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setitem(sys.modules, "cv2", Bare())
    ((problem, mend),) = find_broken_libraries()
    assert "libGL.so.1" in problem and mend == "apt-get install libgl1 libglib2.0-0"


def test_boxes_are_float32_everywhere():
    # pitfall: environment: float64 and other devices
    wide = torch.tensor([[0.0, 0, 10, 10], [5, 5, 30, 30]], dtype=torch.float64)
    checked = check_boxes(wide.numpy())
    given = check_targets([{"boxes": wide, "labels": torch.tensor([1, 1])}], 2)
    dataset = VOCDataset(find_data("tabletop"), "val", first=1)
    found = [
        checked,
        given[0]["boxes"],
        dataset[0][1]["boxes"],
        encode_boxes(wide, wide.flip(0)),
        decode_boxes(wide / 100, wide),
        box_iou(wide, wide),
        xywh_to_xyxy(wide.numpy()),
        AnchorGrid()(2, 2),
        sliding_windows((40, 50), (16,)),
        selective_search(dataset[0][0].double(), 10),
    ]
    assert {value.dtype for value in found} == {torch.float32}
