"""R-CNN's parts by hand, its faults, and the whole detector on a small run."""

import time
import warnings

import numpy as np
import pytest
import torch

from course_utils.core.settings import seed_everything
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.data.transforms import flip
from course_utils.models.backbone import SmallResNet
from course_utils.models.rcnn import (
    RCNN,
    RegionNet,
    decision_function,
    region_features,
    warp_regions,
)
from course_utils.ops.boxes import decode_boxes
from course_utils.ops.matching import match_boxes
from course_utils.ops.nms import batched_nms
from course_utils.ops.postprocess import postprocess_detections
from course_utils.proposals.selective_search import dataset_proposals
from course_utils.training import rcnn_stages
from course_utils.training.loop import fit
from course_utils.training.rcnn_stages import (
    MIRROR,
    RegionBatches,
    cached_features,
    join_facts,
    known_regions,
    mirrored_features,
    region_targets,
    regression_pairs,
)
from course_utils.training.svm import (
    fit_svm,
    ridge,
    train_box_regression,
    train_svm,
    train_svms,
)


def gradient_image(height=40, width=60):
    """Channel 0 is x, channel 1 is y, in pixels of the image's size."""
    y, x = torch.meshgrid(
        torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij"
    )
    return torch.stack([x / width, y / height, torch.zeros_like(x)])


@pytest.mark.parametrize("context", [0, 4, 6])
def test_warp_puts_the_box_into_the_inner_square(context):
    side = 24
    box = torch.tensor([[12.0, 10, 36, 22]])
    crop = warp_regions(gradient_image(), box, side, context)[0]
    inner = crop[:, context : side - context, context : side - context]
    n = side - 2 * context
    x = 12 + (torch.arange(n) + 0.5) * 24 / n
    y = 10 + (torch.arange(n) + 0.5) * 12 / n
    assert torch.allclose(inner[0], (x / 60).expand(n, n), atol=1e-5)
    assert torch.allclose(inner[1], (y / 40)[:, None].expand(n, n), atol=1e-5)


def test_warp_beyond_the_border_is_the_mean_colour():
    image = torch.zeros(3, 20, 20)
    image[:, :, 10:] = 1
    crop = warp_regions(image, torch.tensor([[-40.0, -40, -20, -20]]), 12, 4)
    assert torch.allclose(crop, torch.full_like(crop, 0.5))
    assert warp_regions(image, torch.zeros(0, 4), 12, 4).shape == (0, 3, 12, 12)
    with pytest.raises(ValueError, match="side 8 leaves no room"):
        warp_regions(image, torch.zeros(0, 4), 8, 4)


def test_match_boxes_three_ways():
    objects = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 5], [0, 0, 10, 4], [20, 0, 30, 1]])
    match, iou = match_boxes(boxes, objects, positive=0.5, negative=0.3)
    assert match.tolist() == [0, -2, -1]
    assert iou.tolist() == pytest.approx([0.5, 0.4, 0.1])
    match, iou = match_boxes(boxes, torch.zeros(0, 4))
    assert match.tolist() == [-1, -1, -1] and iou.tolist() == [0, 0, 0]
    assert match_boxes(torch.zeros(0, 4), objects)[0].shape == (0,)
    with pytest.raises(ValueError, match="must not exceed"):
        match_boxes(boxes, objects, 0.3, 0.5)


def test_region_targets_by_hand():
    target = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]]),
        "labels": torch.tensor([2, 1]),
        "difficult": torch.tensor([False, True]),
    }
    regions = torch.tensor([[0.0, 0, 10, 8], [20, 0, 30, 9], [0, 0, 10, 4]])
    found = region_targets(regions, target, num_classes=4)
    assert found["labels"].tolist() == [2, -1, 0]
    assert found["overlap"][:, 1].tolist() == pytest.approx([0.8, 0, 0.4])
    assert found["overlap"][:, 2].tolist() == [0, 0, 0]
    back = decode_boxes(found["deltas"][:2], regions[:2])
    assert torch.allclose(back, target["boxes"], atol=1e-4)
    nothing = {k: v[:0] for k, v in target.items()}
    found = region_targets(regions, nothing, 4)
    assert found["labels"].tolist() == [0, 0, 0] and not found["overlap"].any()


def test_a_proposal_on_an_object_is_no_ground_truth_box(monkeypatch):
    dataset = VOCDataset(find_data("tabletop"), "train", first=3)
    targets = [dataset.target(i) for i in range(3)]
    targets[1]["difficult"][0] = True
    monkeypatch.setattr(dataset, "target", lambda i: targets[i])
    copies = [torch.cat([t["boxes"], t["boxes"] + 3]) for t in targets]
    monkeypatch.setattr(rcnn_stages, "dataset_proposals", lambda _: copies)
    regions, facts = known_regions(dataset, 3, 9)
    for found, fact, target, boxes in zip(regions, facts, targets, copies):
        sure = ~target["difficult"]
        own, rest = target["labels"][sure].tolist(), len(boxes[:3])
        assert fact["truth"].tolist() == own + [0] * rest
        assert torch.equal(found, torch.cat([target["boxes"][sure], boxes[:3]]))
        assert fact["iou"][len(own)] > 0.999, "the first proposal is an object's copy"
    table = join_facts(facts)
    assert table["deltas"].shape == (sum(map(len, regions)), 4)


def test_an_svm_minimises_the_squared_hinge():
    features, positive = blobs()
    rows = np.flatnonzero(positive), np.flatnonzero(~positive)
    sign = torch.from_numpy(np.where(positive, 1.0, -1.0))

    def objective(weight, bias, cost):
        values = decision_function(features, weight, bias)[:, 0]
        loss = (1 - sign * values).clamp(min=0).square().sum()
        return float((weight.square().sum() + bias.square().sum()) / 2 + cost * loss)

    for cost in 0.01, 1.0:
        best = fit_svm(features, *rows, cost=cost)
        least = objective(*best, cost)
        torch.manual_seed(0)
        for size in 1e-2, 0.3:
            others = [[p + size * torch.randn_like(p) for p in best] for _ in range(20)]
            assert all(objective(*other, cost) > least for other in others)


def blobs(count=400, size=6, seed=0, scale=1.0):
    """Two classes of points that a line nearly parts: features, is positive."""
    random = np.random.default_rng(seed)
    positive = np.arange(count) < count // 8
    features = random.normal(size=(count, size)) + 2.2 * positive[:, None]
    return (scale * features).astype(np.float32), positive


def test_svm_seeks_the_hard_negatives():
    features, positive = blobs(4000)
    rows = np.flatnonzero(positive), np.flatnonzero(~positive)
    weight, bias, counts = train_svm(features, *rows, most=50, cost=1.0)
    assert counts[0] == 50 and counts == sorted(counts) and len(counts) == 3
    few = train_svm(features, *rows, rounds=0, most=50, cost=1.0)
    assert few[2] == [50]

    def false_alarms(svm):
        return (decision_function(features, *svm[:2])[~positive, 0] > 0).sum()

    assert false_alarms((weight, bias)) < false_alarms(few)


def test_an_empty_round_of_hard_negatives_stops():
    features = np.full((60, 2), -20, np.float32)
    features[:20] = 5
    first = np.random.default_rng(0).permutation(np.arange(20, 60))[:10]
    features[first] = 0  # those drawn first are near, all others far away
    rows = np.arange(20), np.arange(20, 60)
    *_, counts = train_svm(features, *rows, most=10, cost=10.0)
    assert counts == [10], "no other negative is within the margin: nothing to add"
    *_, counts = train_svm(features, *rows, most=100)
    assert counts == [40], "all are in use from the start"


def test_no_positives_is_said_with_the_class():
    # pitfall: svm: class without positives
    features, _ = blobs()
    truth = np.ones(400, int)
    overlap = np.zeros((400, 2), np.float32)
    with pytest.raises(ValueError, match="class dog: 0 positives"):
        train_svms(features, truth, overlap, ["cat", "dog"])
    with pytest.raises(ValueError, match="0 negatives"):
        train_svm(features, [1, 2], [])


def test_svm_on_unscaled_features_gives_no_warning():
    # pitfall: svm: unscaled features
    features, positive = blobs(scale=400.0)
    rows = np.flatnonzero(positive), np.flatnonzero(~positive)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a = train_svm(features, *rows)
        b = train_svm(features, *rows)
    assert torch.equal(a[0], b[0]), "a fixed seed repeats"


def test_svms_read_negatives_by_class_and_iou():
    features, _ = blobs(40)
    truth = np.zeros(40, int)
    truth[:3], truth[3:5] = 1, 2
    overlap = np.zeros((40, 2), np.float32)
    overlap[:3, 0] = overlap[3:5, 1] = 1
    overlap[5:15, 0] = 0.4
    for limit, wanted in (0.3, 27), (0.5, 37), (0, 27):
        counts = train_svms(features, truth, overlap, "ab", limit)[2]
        assert counts["a"][0] == wanted, "objects of class b are negatives of a"


def test_ridge_is_the_least_squares_solution():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(200, 5, generator=random)
    true = torch.randn(5, 4, generator=random)
    y = x @ true + 3
    weight, bias = ridge(x, y, strength=1e-4)
    assert torch.allclose(weight, true, atol=1e-3)
    assert torch.allclose(bias, torch.full((4,), 3.0), atol=1e-3)
    shrunk, bias = ridge(x, y, strength=1e6)
    assert shrunk.abs().max() < 0.01 and torch.allclose(bias, y.mean(0), atol=0.02)


def test_a_class_without_regions_leaves_boxes_alone():
    x, y = torch.randn(30, 5), torch.randn(30, 4)
    weight, bias = train_box_regression(x, torch.ones(30), y, num_classes=3)
    assert weight.shape == (2, 5, 4) and weight[0].any() and not weight[1].any()
    assert not bias[1].any()


def test_pick_answers_thresholds_margins_and_runs_nms_by_class():
    # pitfall: svm: margin read as a probability
    scores = torch.tensor([[2.3, -0.7], [1.1, 0.4], [-0.7, -2.0]])
    boxes = torch.tensor([[10.0, 10, 30, 30], [11, 10, 31, 30], [50, 50, 60, 60]])
    boxes = boxes[:, None].expand(-1, 2, 4)
    detected = postprocess_detections(scores, boxes, (40, 28), min_score=0.0)
    assert detected["labels"].tolist() == [1, 2], "one of each class survives"
    assert detected["scores"].tolist() == pytest.approx([2.3, 0.4])
    assert detected["boxes"].tolist() == [[10, 10, 28, 30], [11, 10, 28, 30]]
    empty = postprocess_detections(scores[:0], boxes[:0], (40, 28), 0.0)
    assert empty["boxes"].shape == (0, 4) and empty["labels"].dtype == torch.int64


@pytest.fixture(scope="module")
def trained():
    """R-CNN on 24 scenes, trained for a few steps: enough to run all stages."""
    seed_everything(0)
    dataset = VOCDataset(find_data("tabletop"), "train", first=24)
    images = [(dataset[i][0] * 255).byte() for i in range(24)]
    targets = [dataset.target(i) for i in range(24)]
    proposals = dataset_proposals(dataset, 60)
    regions = [torch.cat([t["boxes"], p]) for t, p in zip(targets, proposals)]
    facts = [region_targets(r, t, 9) for r, t in zip(regions, targets)]
    net = RegionNet(SmallResNet((8, 16, 32)), 9)
    batches = RegionBatches(images, regions, [f["labels"] for f in facts], 32)
    history = fit(net, batches, 6, lr=3e-3)
    return dataset, images, targets, regions, facts, net, history


def test_fine_tuning_learns_and_batches_are_a_quarter_positive(trained):
    *_, images, targets, regions, facts, net, history = trained
    loss = [row["class"] for row in history]
    assert np.mean(loss[-3:]) < 0.8 * np.mean(loss[:3])
    labels = [f["labels"] for f in facts]
    batches = RegionBatches(images, regions, labels, 32, 8, 12)
    assert len(batches) == 3
    for crops, detected in batches:
        assert crops.shape[1:] == (3, 32, 32) and crops.min() >= 0 and crops.max() <= 1
        positive = (detected["labels"] > 0).sum()
        assert 0 < positive <= len(detected["labels"]) / 4 + 1
        assert (detected["labels"] >= 0).all()


def test_features_are_cached_and_made_again_for_other_weights(trained, monkeypatch):
    _, images, _, regions, _, net, _ = trained
    first = cached_features("t", net, images, regions, 32)
    assert first.shape == (sum(map(len, regions)), net.size)
    assert first.dtype == np.float16
    row = len(regions[0])
    live = region_features(net, images[1].float() / 255, regions[1], 32)
    assert np.allclose(first[row : row + len(live)], live, atol=2e-2, rtol=1e-2)
    calls = []
    monkeypatch.setattr(
        rcnn_stages,
        "region_features",
        lambda *a: calls.append(1) or torch.zeros(1, net.size),
    )
    again = cached_features("t", net, images, regions, 32)
    assert not calls and np.array_equal(first, again)
    with torch.no_grad():
        next(net.backbone.parameters()).mul_(2)
    cached_features("t", net, images, regions, 32)
    assert calls, "other weights, other features"
    with torch.no_grad():
        next(net.backbone.parameters()).div_(2)


def test_mirrored_pairs_are_those_of_the_mirrored_scene(trained):
    _, images, targets, regions, facts, net, _ = trained
    picks = [(fact["labels"] > 0) & (fact["iou"] >= 0.6) for fact in facts]
    features = mirrored_features(net, images, regions, picks, 32)
    assert features.shape == (sum(int(pick.sum()) for pick in picks), net.size)
    image, mirrored = flip(
        images[0].float() / 255, targets[0] | {"proposals": regions[0]}
    )
    fact = region_targets(mirrored["proposals"], mirrored, 9)
    pick = (fact["labels"] > 0) & (fact["iou"] >= 0.6)
    assert torch.equal(pick, picks[0])
    wanted = region_features(net, image, mirrored["proposals"][pick], 32)
    assert torch.allclose(features[: len(wanted)], wanted, atol=1e-5)
    table = join_facts(facts)
    x = cached_features("p", net, images, regions, 32)
    rows, labels, moves = regression_pairs(x, net, images, regions, facts, 32)
    half, chosen = len(rows) // 2, torch.cat(picks)
    assert torch.equal(rows[half:], features)
    assert np.array_equal(rows[:half], x[chosen.numpy()].astype(np.float32))
    assert torch.equal(labels, table["labels"][chosen].repeat(2))
    assert torch.equal(moves[half:], table["deltas"][chosen] * MIRROR)
    deltas = facts[0]["deltas"][pick] * MIRROR
    assert torch.allclose(deltas, fact["deltas"][pick], atol=1e-5)
    none = mirrored_features(net, images[:1], regions[:1], [pick & False], 32)
    assert none.shape == (0, net.size)


def test_the_whole_detector(trained):
    dataset, images, targets, regions, facts, net, _ = trained
    features = cached_features("d", net, images, regions, 32)
    truth = np.concatenate(
        [
            [*t["labels"], *[0] * (len(r) - len(t["labels"]))]
            for t, r in zip(targets, regions)
        ]
    )
    parts = {k: torch.cat([f[k] for f in facts]) for k in facts[0]}
    svm = train_svms(features, truth, parts["overlap"].numpy(), dataset.classes)
    good = ((parts["iou"] >= 0.6) & (parts["labels"] > 0)).nonzero().flatten()
    regression = train_box_regression(
        torch.from_numpy(features[good.numpy()].astype(np.float32)),
        parts["labels"][good],
        parts["deltas"][good],
        9,
    )
    model = RCNN(net, 9, side=32, num_proposals=60)
    with pytest.raises(RuntimeError, match="trained in stages"):
        model([images[0].float() / 255])
    model.set_svms_and_regressors(1.0, svm[:2], regression)
    model.eval()
    start = time.perf_counter()
    detections = model([image.float() / 255 for image in images[:3]])
    wall = time.perf_counter() - start
    assert set(model.timer.seconds) == {"proposals", "regions", "nms"}
    assert 0.5 * wall < sum(model.timer.seconds.values()) < wall
    for detected in detections:
        assert detected["boxes"].shape == (len(detected["scores"]), 4)
        assert (detected["scores"] >= model.min_score).all()
        kept = batched_nms(
            detected["boxes"], detected["scores"], detected["labels"], 0.3
        )
        assert len(kept) == len(detected["scores"]), "no two of a class overlap"
    # The weights travel as one state dict, readers included.
    twin = RCNN(RegionNet(SmallResNet((8, 16, 32)), 9), 9, 32, 60).eval()
    twin.load_state_dict(model.state_dict())
    again = twin([images[0].float() / 255])[0]
    assert torch.equal(again["boxes"], detections[0]["boxes"])
