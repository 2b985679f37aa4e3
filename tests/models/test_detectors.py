"""Fast R-CNN, RPN and Faster R-CNN: their parts by hand, and bad input."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from course_utils.models.backbone import SmallResNet, freeze
from course_utils.models.fast_rcnn import (
    FastRCNN,
    RegionHead,
    compress,
    head_loss,
    sample_regions,
)
from course_utils.models.faster_rcnn import FasterRCNN
from course_utils.models.rpn import RPN, RPNHead, best_first, rpn_loss
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.batches import stack_images
from course_utils.ops.boxes import decode_boxes
from course_utils.ops.matching import assign_targets, match_boxes, sample_balanced
from course_utils.ops.postprocess import filter_proposals
from course_utils.ops.roi import roi_align
from course_utils.training.four_steps import train_in_four_steps
from course_utils.training.loop import NonFiniteLoss, adamw, fit

ANCHORS = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 90, 90]])


def target(boxes, labels=None, **more):
    boxes = torch.tensor(boxes, dtype=torch.float32)
    labels = torch.tensor(labels or [1] * len(boxes), dtype=torch.int64)
    return {"boxes": boxes, "labels": labels, "image_id": "a"} | more


def detectors(seed=0):
    """A small Fast R-CNN and Faster R-CNN for two classes, in training mode."""
    torch.manual_seed(seed)
    backbone = SmallResNet((8, 8, 8))
    head = RegionHead(8, 3, pool_size=3, hidden=16)
    rpn = RPN(8, AnchorGrid(sizes=(16, 200)))
    return FastRCNN(backbone, head), FasterRCNN(backbone, rpn, copy.deepcopy(head))


def losses_of(targets, size=(40, 56)):
    """{name: loss} of both detectors, after a check that gradients are finite."""
    found = {}
    for model in detectors():
        images = [torch.rand(3, *size) for _ in targets]
        losses = model.train()(images, targets)
        sum(losses.values()).backward()
        for weight in model.parameters():
            assert weight.grad is None or weight.grad.isfinite().all()
        found[type(model).__name__] = {k: v.item() for k, v in losses.items()}
    return found


# --- anchors and matching ---------------------------------------------------------


def test_anchors_are_torchvisions_but_for_its_rounding():
    sizes, ratios = (16, 32, 64), (0.5, 1.0, 2.0)
    mine = AnchorGrid(sizes, ratios, stride=8)(5, 7)
    library = AnchorGenerator((sizes,), (ratios,))
    images = ImageList(torch.zeros(1, 3, 40, 56), [(40, 56)])
    theirs = library(images, [torch.zeros(1, 1, 5, 7)])[0]
    # torchvision rounds shapes to pixels, puts them on a cell's corner, and runs
    # through the ratios first.
    theirs = theirs.view(5 * 7, 3, 3, 4).transpose(1, 2).reshape(-1, 4) + 4
    assert len(mine) == 5 * 7 * 9
    assert (mine - theirs).abs().max() <= 0.5


def test_an_anchors_ratio_is_height_over_width():
    (x1, y1, x2, y2) = AnchorGrid((16,), (4.0,), 8)(1, 1)[0].tolist()
    assert (x2 - x1, y2 - y1) == (8, 32)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == (4, 4)


def test_anchors_of_any_kind_of_numbers():
    # pitfall: anchors: whole-number sizes and ratios
    want = AnchorGrid((16.0,), (1.0, 2.0))(2, 3)
    assert want.dtype == torch.float32
    for sizes, ratios in (
        ((16,), (1, 2)),
        ([16], [1, 2.0]),
        (16, torch.tensor([1, 2])),
        (np.array([16]), np.array([1.0, 2.0])),
        (torch.tensor(16), [torch.tensor(1), 2]),
        (range(16, 17), (np.int64(1), torch.tensor(2.0))),
    ):
        grid = AnchorGrid(sizes, ratios)
        assert torch.equal(grid(2, 3), want)
        assert grid.sizes == (16,) and grid.ratios == (1, 2) and len(grid) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"sizes": ()},
        {"sizes": (0,)},
        {"sizes": "big"},
        {"sizes": (16, float("nan"))},
        {"sizes": [(16, 32)]},
        {"ratios": (-1.0,)},
        {"ratios": torch.zeros(0)},
        {"ratios": (None, 1)},
        {"stride": 0},
    ],
)
def test_anchor_settings_are_checked(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} = .*above 0"):
        AnchorGrid(**bad)


def test_pitfall_two_objects_share_their_best_anchor():
    # pitfall: anchors: objects that share their best anchor
    objects = torch.tensor([[0.0, 0, 6, 6], [0, 0, 10, 9]])
    match, iou = match_boxes(ANCHORS, objects, 0.7, 0.3, force_best=True)
    assert match.tolist() == [1, -1, -1]
    assert iou[0] == pytest.approx(0.9)


def test_pitfall_a_lone_object_gets_its_best_anchor():
    # pitfall: anchors: objects that share their best anchor
    small = torch.tensor([[0.0, 0, 3, 3]])
    assert match_boxes(ANCHORS, small, 0.7, 0.3, True)[0].tolist() == [0, -1, -1]
    assert match_boxes(ANCHORS, small, 0.7, 0.3)[0].tolist() == [-1, -1, -1]


def test_an_object_that_no_anchor_touches_forces_none():
    far = torch.tensor([[200.0, 200, 210, 210]])
    assert match_boxes(ANCHORS, far, 0.7, 0.3, True)[0].tolist() == [-1, -1, -1]


def test_all_anchors_that_tie_for_best_are_positive():
    twins = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [40, 40, 50, 50]])
    match, _ = match_boxes(twins, torch.tensor([[0.0, 0, 5, 5]]), 0.7, 0.3, True)
    assert match.tolist() == [0, 0, -1]


def test_label_boxes_leaves_out_what_trains_nothing():
    labels, objects = assign_targets(
        ANCHORS,
        target(
            [[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 80, 80]],
            [2, 1, 2],
            difficult=torch.tensor([False, True, False]),
        ),
        positive=0.7,
        negative=0.3,
    )
    assert labels.tolist() == [2, -1, -1]  # found, difficult, IoU 0.56: neither
    assert torch.equal(objects[0], ANCHORS[0])
    assert torch.equal(objects[2], ANCHORS[2])


def test_sample_balanced():
    labels = torch.tensor([0] * 50 + [3] * 30 + [-1] * 20)
    got = labels[sample_balanced(labels, 32, 0.25)]
    assert ((got > 0).sum(), (got == 0).sum()) == (8, 24)
    assert (got[:8] == 3).all()
    few = labels[sample_balanced(labels[:52], 32, 0.25)]
    assert ((few > 0).sum(), (few == 0).sum()) == (2, 30)
    assert len(sample_balanced(torch.full((9,), -1), 32)) == 0
    assert len(sample_balanced(torch.ones(9, dtype=torch.int64), 8)) == 2


# --- losses -----------------------------------------------------------------------


def test_pitfall_what_divides_the_rpn_box_loss():
    # pitfall: anchors: what divides the box loss
    labels = torch.tensor([1, 0, -1, -1])
    chosen = sample_balanced(labels, 4, 0.5)
    deltas, boxes = torch.full((4, 4), 9.0), ANCHORS[[0, 1, 2, 2]]
    deltas[0] = 1
    given = torch.zeros(4), deltas, boxes, labels, boxes
    losses = rpn_loss(*(part[chosen] for part in given))
    assert losses["rpn_box"] == pytest.approx(4 * 0.5 / 2)  # smooth L1 of 1 is 0.5
    assert losses["rpn_object"] == pytest.approx(torch.log(torch.tensor(2.0)))


def test_head_loss_by_hand():
    boxes = ANCHORS[:2]
    objects = boxes + torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    scores, deltas = torch.zeros(2, 3), torch.full((2, 2, 4), 7.0)
    deltas[0, 1] = 0  # class 2 of the positive: all others must not count
    losses = head_loss(scores, deltas, boxes, torch.tensor([2, 0]), objects)
    # The shift is 0.1 of the width, so 1 after division by its deviation.
    assert losses["box"] == pytest.approx((1 - 1 / 18) / 2)  # smooth L1, bend at 1/9
    assert losses["class"] == pytest.approx(torch.log(torch.tensor(3.0)))


def test_pitfall_no_positive_gives_a_loss_of_zero_with_a_graph():
    # pitfall: training: no positive sample
    scores = torch.zeros(0, 3, requires_grad=True)
    deltas = torch.zeros(0, 2, 4, requires_grad=True)
    none, labels = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    for losses in (
        head_loss(scores, deltas, none, labels, none),
        rpn_loss(scores[:, 0], deltas[:, 0], none, labels, none),
    ):
        total = sum(losses.values())
        assert total == 0
        total.backward()


def test_pitfall_wild_deltas_are_cut_off_and_clipped():
    # pitfall: anchors: wild size delta
    wild = torch.tensor([[0.0, 0, 125, 125]])
    anchor = torch.tensor([[0.0, 0, 16, 16]])
    box = decode_boxes(wild, anchor)
    torch.testing.assert_close(box, torch.tensor([[-492.0, -492, 508, 508]]))
    kept, _ = filter_proposals(torch.zeros(1), box, (40, 56))
    assert kept.tolist() == [[0, 0, 56, 40]]


def test_pitfall_proposals_that_are_neither_or_not_finite():
    # pitfall: anchors: nothing to sample
    far = torch.tensor([[80.0, 80, 90, 90]])
    boxes, labels, _ = sample_regions(far, target([[0, 0, 10, 10]]), 4)
    assert labels.tolist() == [
        1,
        0,
    ]  # the ground-truth box, and the proposal as background
    band = assign_targets(far, target([[0, 0, 10, 10]]), positive=0.5, negative=0.0)[0]
    assert len(sample_balanced(band, 4)) == 0
    with pytest.raises(ValueError, match=r"boxes\[0\].*not finite.*diverged"):
        sample_regions(far / 0, target([[0, 0, 10, 10]]), 4)


# --- whole detectors --------------------------------------------------------------


def with_proposals(*targets):
    boxes = torch.tensor([[4.0, 4, 20, 20], [10, 10, 50, 38]])
    return [t | {"proposals": boxes} for t in targets]


def test_losses_of_odd_images_are_finite():
    # pitfall: training: image without objects
    empty = target([], labels=None)
    empty["labels"] = torch.zeros(0, dtype=torch.int64)
    tiny = target([[0, 0, 1, 1]])  # no anchor overlaps it by much
    odd = [empty], [tiny], [empty, tiny]
    for targets in odd:
        for losses in losses_of(with_proposals(*targets)).values():
            assert all(v == v and v < 1e4 for v in losses.values()), losses
    for losses in losses_of(with_proposals(empty)).values():
        assert losses["box"] == 0 and losses.get("rpn_box", 0) == 0
    losses = losses_of(with_proposals(target([[1, 1, 8, 8]])), size=(9, 11))
    assert all(v < 1e4 for found in losses.values() for v in found.values())


@pytest.mark.parametrize(
    "bad, words",
    [
        (target([[1, 1, 5, float("nan")]]), "image a: box 0.*NaN"),
        (target([[30, 30, 10, 10]]), "image a: box 0.*swap"),
        (target([[1, 1, 5, 5]], [3]), r"label 0 is 3.*labels 1\.\.2"),
        (target([[1, 1, 5, 5]]) | {"labels": torch.tensor([1.0])}, "must be integers"),
    ],
)
def test_faults_in_targets_are_named_before_training(bad, words):
    # pitfall: boxes: box without area or with swapped corners
    for model in detectors():
        with pytest.raises(ValueError, match=words):
            model.train()([torch.rand(3, 40, 56)], with_proposals(bad))


def test_training_without_proposals_says_how_to_add_them():
    fast, _ = detectors()
    with pytest.raises(ValueError, match=r"add target\['proposals'\].*Scenes"):
        fast.train()([torch.rand(3, 40, 56)], [target([[1, 1, 9, 9]])])


def test_no_proposal_at_test_time():
    fast, faster = detectors()
    image = [torch.rand(3, 40, 56)]
    detected = fast.eval().detections(image, [torch.zeros(0, 4)])[0]
    assert detected["boxes"].shape == (0, 4) and detected["labels"].shape == (0,)
    faster.rpn.post_nms_top_n_test = 0
    assert faster.eval()(image)[0]["scores"].shape == (0,)


def test_targets_are_not_changed():
    # pitfall: training: targets changed in place
    given = with_proposals(target([[1, 1, 20, 20], [5, 5, 30, 30]]))
    before = copy.deepcopy(given)
    losses_of(given)
    for key, value in before[0].items():
        assert value == "a" or torch.equal(given[0][key], value)


def test_a_batch_answers_as_its_images_alone():
    torch.manual_seed(1)
    images = [torch.rand(3, 40, 56), torch.rand(3, 32, 48)]
    proposals = [torch.tensor([[4.0, 4, 20, 20]]), torch.tensor([[0.0, 0, 30, 30]])]
    fast, faster = (model.eval() for model in detectors())
    for together, alone in (
        (fast.detections(images[:1] * 2, proposals), None),
        (faster(images), [faster([image])[0] for image in images]),
    ):
        assert len(together) == 2
        if alone:
            for a, b, image in zip(together, alone, images):
                height, width = image.shape[1:]
                limit = torch.tensor([width, height, width, height])
                assert (a["boxes"] <= limit).all() and (b["boxes"] <= limit).all()


def test_images_are_filled_up_to_whole_cells():
    batch, sizes = stack_images([torch.zeros(3, 10, 20), torch.ones(3, 16, 8)], 8)
    assert batch.shape == (2, 3, 16, 24) and sizes == [(10, 20), (16, 8)]
    assert batch[1, :, :, :8].min() == 1 and batch[1, :, :, 8:].unique() == 0.5


def test_the_heads_numbers_stand_in_the_order_of_the_anchors():
    head = RPNHead(8, anchors=3)
    for layer in head.objectness, head.deltas:
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data = torch.arange(len(layer.bias)).float()
    objectness, deltas = head(torch.rand(2, 8, 4, 5))
    assert objectness[1].tolist() == [0, 1, 2] * 20  # cell by cell, as in AnchorGrid
    assert deltas[1, 1].tolist() == [4, 5, 6, 7] and deltas.shape == (2, 60, 4)


def test_the_rpn_starts_undecided_and_moves_no_anchor_far():
    objectness, deltas = RPNHead(128, anchors=3)(torch.rand(1, 128, 9, 9))
    assert objectness.abs().max() < 0.05 and deltas.abs().max() < 0.05


def test_proposals_carry_no_gradient():
    _, faster = detectors()
    outputs = faster.rpn(torch.rand(1, 8, 5, 7))
    assert outputs[0].requires_grad
    boxes, scores = faster.rpn.proposals(*outputs, [(40, 56)])[0]
    assert len(boxes) and not boxes.requires_grad and not scores.requires_grad


@pytest.mark.parametrize("count", [0, 1, 7, 40, 99])
def test_the_best_come_in_the_order_of_a_stable_sort(count):
    torch.manual_seed(0)
    scores, ties = torch.rand(40), torch.randint(4, (40,)).float()
    broken = torch.where(ties == 2, torch.nan, ties)
    for given in scores, ties, broken, torch.zeros(0):
        order = given.argsort(descending=True, stable=True)[:count]
        assert torch.equal(best_first(given, count), order)


@pytest.mark.slow
def test_detectors_learn_one_image():
    """Both find two coloured squares after a few steps on that one image."""
    image = torch.full((3, 48, 64), 0.5)
    image[0, 8:24, 8:24], image[2, 20:44, 36:60] = 1, 1
    true = target([[8, 8, 24, 24], [36, 20, 60, 44]], [1, 2])
    true["proposals"] = torch.tensor(
        [[6.0, 9, 22, 25], [38, 22, 60, 44], [0, 30, 20, 48], [20, 0, 60, 20]]
    )
    for model in detectors():
        fit(model, [([image], [true])] * 10, 20, lr=2e-3)
        model.eval()
        if type(model) is FastRCNN:
            detected = model.detections([image], [true["proposals"]])[0]
        else:
            detected = model([image])[0]
        best = detected["scores"].argsort(descending=True)[:2]
        order = detected["labels"][best].argsort()
        assert detected["labels"][best][order].tolist() == [1, 2], detected
        iou = torchvision.ops.box_iou(detected["boxes"][best][order], true["boxes"])
        assert iou.diag().min() > 0.7, detected


def test_a_learning_rate_too_high_stops_with_a_reason():
    # pitfall: training: learning rate too high
    _, model = detectors()
    images = [torch.rand(3, 40, 56)]
    batches = [(images, [target([[4, 4, 30, 30]])])] * 20
    slow = torch.optim.SGD(model.parameters(), lr=1e6)
    with pytest.raises((NonFiniteLoss, ValueError), match="learning rate"):
        fit(model, batches, 5, optimizer=slow, clip=1e9)


def test_compress_keeps_a_layer_of_full_rank_and_shrinks_it():
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(40, 20), torch.randn(5, 40)
    torch.testing.assert_close(compress(layer, 20)(x), layer(x), atol=1e-5, rtol=0)
    small = compress(layer, 4)
    assert sum(w.numel() for w in small.parameters()) == 4 * (40 + 20) + 20
    u, s, v = torch.linalg.svd(layer.weight.detach())
    best = u[:, :4] * s[:4] @ v[:4]  # no matrix of rank 4 is nearer
    torch.testing.assert_close(small(x), x @ best.T + layer.bias, atol=1e-5, rtol=0)
    for rank in 0, 21:
        with pytest.raises(ValueError, match=f"rank {rank}.*1 to 20"):
            compress(layer, rank)


def test_frozen_layers_keep_their_weights_and_statistics():
    torch.manual_seed(0)
    backbone = SmallResNet((4, 8, 8))
    start = copy.deepcopy(backbone.state_dict())
    assert freeze(backbone) is backbone and backbone.training
    for model in backbone, copy.deepcopy(backbone):
        optimizer = adamw(model.train(), 0.1)
        model(torch.rand(2, 3, 40, 48)).square().sum().backward()
        optimizer.step()
        changed = {
            name.split(".")[1]
            for name, value in model.state_dict().items()
            if not torch.equal(value, start[name])
        }
        assert changed == {"4"}  # the last block alone
    backbone.load_state_dict(start)  # weights of an unfrozen one fit
    assert all(p.requires_grad for p in freeze(backbone, 0).parameters())


def test_four_steps_share_the_backbone_in_the_end():
    _, model = detectors()
    images = [torch.rand(3, 40, 56)]
    batches = [(images, [target([[4, 4, 30, 30]])])] * 2
    start = copy.deepcopy(model.backbone.state_dict())
    history = train_in_four_steps(model, batches, epochs=1)
    assert list(history) == ["rpn", "detector", "rpn again", "detector again"]
    assert set(history["rpn"][0]) >= {"rpn_object", "rpn_box"}
    assert "class" not in history["rpn"][0] and "rpn_box" not in history["detector"][0]
    key = "layers.0.0.weight"
    assert not torch.equal(start[key], model.backbone.state_dict()[key])
    assert all(p.requires_grad for p in model.parameters())
    model.eval()(images)


def test_the_pool_is_interchangeable():
    fast, _ = detectors()
    fast.pool = roi_align
    image, proposals = [torch.rand(3, 40, 56)], [torch.tensor([[4.0, 4, 20, 20]])]
    assert len(fast.eval().detections(image, proposals)) == 1
