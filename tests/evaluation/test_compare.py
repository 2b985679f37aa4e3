"""The comparison: its numbers are the detectors' own."""

import pytest
import torch

from course_utils.core.timing import Timer
from course_utils.core.weights import train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation.average_precision import evaluate
from course_utils.evaluation.compare import (
    detections_from,
    images_per_second,
    model_megabytes,
    pareto_front,
    phase_medians,
    phase_times,
    run_all,
    run_timed,
    score_regions,
    settings_table,
)
from course_utils.models.backbone import SmallResNet
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.faster_rcnn import FasterRCNN, new_faster_rcnn
from course_utils.models.rcnn import RCNN, RegionNet
from course_utils.models.rpn import RPN
from course_utils.models.single_shot import SingleShot
from course_utils.models.torchvision_reference import LibraryTwin
from course_utils.ops.anchors import AnchorGrid


class Few:
    """Two random scenes with one object each."""

    classes = ("a", "b")

    def __init__(self):
        torch.manual_seed(0)
        self.images = [torch.rand(3, 40, 56) for _ in range(2)]
        box, no = torch.tensor([[4.0, 4, 20, 20]]), torch.tensor([False])
        one = torch.tensor([1])
        self.targets = [{"boxes": box, "labels": one, "difficult": no}] * 2

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return self.images[i], self.targets[i]


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    backbone = SmallResNet((8, 8, 8))
    slow = RCNN(RegionNet(backbone, 3), 3, side=24)
    slow.set_svms_and_regressors(
        1.0,
        (torch.randn(slow.net.size, 2), torch.zeros(2)),
        (0.01 * torch.randn(2, slow.net.size, 4), torch.zeros(2, 4)),
    )
    head = RegionHead(8, 3, pool_size=3, hidden=16)
    faster = FasterRCNN(backbone, RPN(8, AnchorGrid()), head)
    return {
        "slow": slow,
        "fast": FastRCNN(backbone, head),
        "faster": faster,
        "single shot": SingleShot(backbone, 3, min_score=0.0, nms_iou=0.3),
        "torchvision": LibraryTwin(faster, (40, 56)),
    }


def test_every_detector_keeps_to_one_protocol(models):
    image = Few().images[0]
    for name, model in models.items():
        model.eval().num_proposals = 7
        assert model.num_proposals == 7, name
        scores, boxes = model.score_regions(image)
        assert len(scores) <= 7 and scores.shape[1] == 2, name
        assert boxes.shape == (*scores.shape, 4), name
        model.timer = Timer()
        (found,) = model([image])
        assert set(found) == {"boxes", "labels", "scores"}, name
        assert "regions" in model.timer.seconds, name


def test_detections_from_kept_scores_are_the_detectors_own(models):
    image = Few().images[0]
    for name, model in models.items():
        model.eval().num_proposals = 20
        own = model([image])[0]
        numbers = score_regions(model, image, 30)
        again = detections_from(numbers, model, (40, 56), 20, 0.3)
        assert len(own["scores"]), name
        for key in own:
            torch.testing.assert_close(again[key], own[key])


def test_run_all_counts_every_phase(models):
    for name in "fast", "faster":
        found, few = run_all(models[name], Few(), 20), Few()
        assert set(found["ms"]) == {"backbone", "proposals", "regions", "nms"}
        assert all(ms > 0 for ms in found["ms"].values())
        again = evaluate(found["found"], few.targets, few.classes)
        assert found["map"] == again["map"] and found["map50"] == again["map50"]


class Ticking(torch.nn.Module):
    """Each call takes one second more than the last, by its own clock."""

    def __init__(self):
        super().__init__()
        self.timer, self.images = Timer(), []

    def forward(self, images):
        self.images += images
        before = self.timer.seconds.get("regions", 0)
        self.timer.seconds["regions"] = before + len(self.images)
        return [{"calls": len(self.images)} for _ in images]


def test_each_scene_has_a_clock_of_its_own_after_a_warm_up():
    model, scenes = Ticking(), [(torch.full((3, 4, 4), n), {}) for n in range(5)]
    found, seconds = run_timed(model, scenes, 7, warm_up=3)
    assert [row["regions"] for row in seconds] == [4, 5, 6, 7, 8]
    assert [detected["calls"] for detected in found] == [4, 5, 6, 7, 8]
    assert [int(i[0, 0, 0]) for i in model.images] == [0, 1, 2, 0, 1, 2, 3, 4]
    assert model.num_proposals == 7 and not model.training
    model = Ticking()
    run_timed(model, scenes[:2], 7, warm_up=3)  # fewer scenes than the warm-up asks for
    assert len(model.images) == 4


def test_medians_by_hand():
    rows = [{"a": 0.01, "b": 3.0}, {"a": 0.012, "b": 1.0}, {"a": 0.2, "b": 2.0}]
    assert phase_medians(rows) == pytest.approx({"a": 12, "b": 2000})
    assert phase_medians(rows[:2]) == pytest.approx({"a": 11, "b": 2000})


def test_images_a_second_of_whole_and_broken_batches():
    sizes = []

    class Sizes(torch.nn.Module):
        def forward(self, images):
            sizes.append(len(images))

    rates = images_per_second(Sizes(), [torch.zeros(3, 4, 4)] * 7, 3, repeats=2)
    assert sizes == [3] + 2 * [3, 3, 1]
    assert len(rates) == 2 and all(rate > 0 for rate in rates)


def test_tables_hold_every_setting(models):
    counts = dict.fromkeys(models, (5, 20)) | {"single shot": (30,)}
    table, numbers = settings_table(models, Few(), counts, (0.3, 0.7))
    times = phase_times(models, Few(), counts)
    assert set(table) == {
        (m, n, i) for m in models for n in counts[m] for i in (0.3, 0.7)
    }
    assert set(times) == {(m, n) for m in models for n in counts[m]}
    assert [len(part) for part in numbers.values()] == [2] * len(models)


def test_the_library_finds_the_same_boxes_with_our_weights():
    model = new_faster_rcnn(SmallResNet(), 9)
    train_or_load("faster_rcnn", model.eval(), None)
    scenes = VOCDataset(find_data("tabletop"), "test", first=4)
    # Whole cells, because ours fills an image up with grey and torchvision with black.
    images = [scenes[i][0][:, :176] for i in range(4)]
    twin = LibraryTwin(model, (176, 240)).eval()
    for image in images:
        ours, theirs = model([image])[0], twin([image])[0]
        assert len(ours["boxes"]) == len(theirs["boxes"]) > 0
        for mine in range(len(ours["boxes"])):
            same = theirs["labels"] == ours["labels"][mine]
            apart = (theirs["boxes"] - ours["boxes"][mine]).abs().amax(1)
            score = (theirs["scores"] - ours["scores"][mine]).abs()
            assert (same & (apart < 0.01) & (score < 1e-4)).sum() == 1
    assert set(twin.timer.seconds) == {"backbone", "proposals", "regions"}
    twin.num_proposals = 1
    assert len(twin.net.rpn(*with_maps(twin, images[0]))[0][0]) == 1


def with_maps(twin, image):
    batch, _ = twin.net.transform([image])
    return batch, {"0": twin.net.backbone(batch.tensors)}


def test_pareto_front_by_hand():
    points = {"a": (10, 0.5), "b": (20, 0.8), "c": (30, 0.7), "d": (20, 0.8)}
    points |= {"as fast, worse": (20, 0.7), "as good, slower": (25, 0.8)}
    assert pareto_front(points) == ["a", "b", "d"]
    assert pareto_front({"only": (1, 0.0)}) == ["only"]
    assert pareto_front({}) == []


def test_megabytes_counts_all_numbers():
    assert model_megabytes(torch.nn.Linear(10, 5)) == 55 * 4 / 1e6
