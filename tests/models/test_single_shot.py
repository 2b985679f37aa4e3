"""The single shot detector against torchvision's losses, and by hand."""

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from course_utils.models.backbone import SmallResNet
from course_utils.models.single_shot import (
    SingleShot,
    focal_loss,
    hard_negative_loss,
    shot_loss,
)
from course_utils.training.loop import fit


def target_of(boxes, labels, **more):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.tensor(labels, dtype=torch.int64)} | more


def test_focal_loss_is_torchvisions():
    torch.manual_seed(0)
    logits, wanted = 5 * torch.randn(500, 8), (torch.rand(500, 8) < 0.1).float()
    for alpha, gamma in (0.25, 2.0), (0.5, 0.0), (0.9, 5.0):
        theirs = sigmoid_focal_loss(logits, wanted, alpha, gamma)
        ours = focal_loss(logits, wanted, alpha, gamma)
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_hard_negatives_are_the_worst_ones():
    logits = torch.tensor([[-1.0], [-4.0], [2.0], [-2.0], [0.0], [-5.0]])
    wanted = torch.tensor([[1.0], [0], [0], [0], [0], [0]])
    kept = hard_negative_loss(logits, wanted, ratio=3) > 0
    assert kept.flatten().tolist() == [True, False, True, True, True, False]


def test_hard_negatives_without_a_positive_or_a_negative():
    wanted = torch.zeros(6, 2)
    loss = hard_negative_loss(torch.randn(6, 2), wanted, ratio=3)
    assert int((loss.sum(1) > 0).sum()) == 3  # the worst three
    wanted[:, 0] = 1
    assert (hard_negative_loss(torch.randn(6, 2), wanted) > 0).all()
    assert hard_negative_loss(torch.zeros(0, 2), torch.zeros(0, 2)).sum() == 0


def test_loss_is_divided_by_positives_and_ignores_minus_one():
    boxes = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 8, 8, 16], [8, 8, 16, 16]])
    labels, logits = torch.tensor([2, 2, 0, -1]), torch.zeros(4, 3)
    logits[3] = 50  # would cost much, were it not ignored
    deltas = torch.zeros(4, 4)
    losses = shot_loss(logits, deltas, boxes, labels, boxes, focal_loss)
    wanted = torch.zeros(3, 3)
    wanted[:2, 1] = 1
    expected = sigmoid_focal_loss(torch.zeros(3, 3), wanted, reduction="sum") / 2
    assert float(losses["class"]) == pytest.approx(float(expected), rel=1e-5)
    assert float(losses["box"]) == 0
    none = torch.tensor([0, 0, 0, -1])
    losses = shot_loss(logits.requires_grad_(), deltas, boxes, none, boxes)
    assert losses["box"] == 0 and losses["class"].isfinite()
    losses["class"].backward()


@pytest.mark.parametrize("classify", [focal_loss, hard_negative_loss])
def test_images_of_any_size_and_without_objects(classify):
    torch.manual_seed(0)
    model = SingleShot(SmallResNet(), 4, classify=classify)
    images = [torch.rand(3, 50, 70), torch.rand(3, 33, 20)]
    targets = [
        target_of([], []),
        target_of([[3, 3, 9, 9]], [3], difficult=torch.tensor([True])),
    ]
    losses = model.train()(images, targets)
    assert all(value.isfinite() for value in losses.values()) and losses["box"] == 0
    with pytest.raises(ValueError, match="1..3"):
        model(images, [target_of([[0, 0, 5, 5]], [4]), targets[0]])
    for detected, image in zip(model.eval()(images), images):
        assert set(detected) == {"boxes", "labels", "scores"}
        assert (detected["boxes"][:, 2] <= image.shape[2]).all()


def test_it_learns_two_images_by_heart():
    torch.manual_seed(0)
    model = SingleShot(SmallResNet((16, 16, 32)), 3)
    images = [torch.full((3, 64, 64), 0.3) for _ in range(2)]
    images[0][:, 10:30, 10:30] = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    images[1][:, 0:56, 4:60] = torch.tensor([0, 1.0, 0]).view(3, 1, 1)
    targets = [target_of([[10, 10, 30, 30]], [1]), target_of([[4, 0, 60, 56]], [2])]
    fit(model, [(images, targets)] * 10, 10, lr=5e-3)
    for detected, target in zip(model.eval()(images), targets):
        assert detected["labels"][0] == target["labels"][0]
        assert detected["scores"][0] > 0.5
        assert (detected["boxes"][0] - target["boxes"][0]).abs().max() < 4


def test_large_objects_train_the_coarse_map():
    model = SingleShot(SmallResNet((16, 16, 32)), 3).train()
    for box, map_number in ([2, 2, 16, 16], 0), ([0, 0, 100, 100], 1):
        model.zero_grad()
        losses = model([torch.rand(3, 112, 112)], [target_of([box], [1])])
        losses["box"].backward()
        sizes = [float(head.deltas.weight.grad.norm()) for head in model.heads]
        assert sizes[map_number] > 0 and sizes[1 - map_number] == 0
