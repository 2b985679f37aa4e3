"""Views of scenes for pretraining, and training in bfloat16."""

import pytest
import torch
from torch import nn

from course_utils.core.precision import mixed_precision
from course_utils.core.weights import train_or_load
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.models.backbone import ResidualBlock, SmallResNet
from course_utils.models.fast_rcnn import FastRCNN, RegionHead
from course_utils.models.faster_rcnn import new_faster_rcnn
from course_utils.models.imagenet import imagenet_backbone
from course_utils.models.localizer import LocalizeHead, Localizer
from course_utils.models.photo_detector import PhotoFasterRCNN
from course_utils.models.single_shot import SingleShot
from course_utils.ops.batches import collate
from course_utils.ops.boxes import box_iou
from course_utils.ops.roi import roi_align
from course_utils.training.pretrain import (
    Views,
    boxes_anywhere,
    hide_parts,
    random_view,
    shake,
)


def one_square(box, size=(60, 80)):
    """A black image with a white square, and its target."""
    image = torch.zeros(3, *size)
    x1, y1, x2, y2 = box
    image[:, y1:y2, x1:x2] = 1
    boxes = torch.tensor([box], dtype=torch.float32)
    target = {"boxes": boxes, "labels": torch.tensor([2]), "image_id": "a"}
    return image, target | {"difficult": torch.tensor([False])}


def test_a_view_moves_pixels_and_boxes_together():
    torch.manual_seed(0)
    seen = 0
    for _ in range(40):
        image, target = random_view(*one_square((30, 20, 50, 40)))
        assert image.shape == (3, 60, 80)
        for box in target["boxes"]:
            seen += 1
            white = (image[0] > 0.75).nonzero().flip(1).float()
            found = torch.cat([white.amin(0), white.amax(0) + 1])
            assert (found - box).abs().max() < 1.5
    assert seen > 30


def test_a_view_keeps_no_object_out_of_sight_and_marks_cut_ones():
    torch.manual_seed(1)
    difficult = 0
    for _ in range(60):
        image, target = random_view(*one_square((2, 2, 22, 22)))
        boxes = target["boxes"]
        assert len(target["labels"]) == len(target["difficult"]) == len(boxes)
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes >= 0).all()
        difficult += int(target["difficult"].sum())
    assert difficult > 5


def test_beyond_the_border_a_view_is_grey():
    torch.manual_seed(2)
    image, _ = random_view(*one_square((30, 20, 50, 40)), least=0.5, most=0.5)
    assert image[:, 0, 0].tolist() == [0.5, 0.5, 0.5]


def test_shaken_boxes_stay_near():
    torch.manual_seed(0)
    boxes = torch.tensor([[10.0, 10, 50, 30]]).repeat(200, 1)
    shaken = shake(boxes)
    most = torch.tensor([8.81, 4.41, 8.81, 4.41])
    assert ((shaken - boxes).abs() < most).all()
    assert (shaken[:, 2:] > shaken[:, :2]).all()
    assert box_iou(boxes[:1], shaken).min() > 0.3


def test_boxes_anywhere_lie_inside():
    torch.manual_seed(0)
    boxes = boxes_anywhere(500, (60, 80))
    assert len(boxes) > 300
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 80 and boxes[:, 3].max() <= 60
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 8


def test_hidden_parts_lie_on_objects():
    torch.manual_seed(0)
    image, target = one_square((30, 20, 50, 40))
    hidden = hide_parts(image, target["boxes"], chance=1.0)
    changed = (hidden != image).any(0)
    assert changed[20:40, 30:50].sum() == changed.sum() > 0
    assert (hide_parts(image, target["boxes"], chance=0.0) == image).all()


def test_the_backbone_comes_with_the_course():
    def never(_):
        pytest.fail("trained although the weights are shipped")

    assert train_or_load("scenes", SmallResNet(), never) in ("shipped", "cache")


def test_views_train_a_detector_one_step():
    torch.manual_seed(0)
    views = Views(VOCDataset(find_data("tabletop"), "train", first=4))
    assert len(views) == 4
    images, targets = collate([views[i] for i in range(4)])
    for target in targets:
        assert len(target["proposals"]) >= 3 * len(target["boxes"])
    model = FastRCNN(SmallResNet((8, 8, 8)), RegionHead(8, 9, 3, 16), pool=roi_align)
    losses = model.train()(images, targets)
    sum(losses.values()).backward()
    assert all(w.grad.isfinite().all() for w in model.parameters())


def test_no_network_trains_a_strided_1x1_convolution():
    # pitfall: environment: segmentation fault in training
    # On processors with AVX-512 and without AMX the gradient of such a layer, with few
    # channels, takes the whole process down (torch 2.14.1).
    thin = SmallResNet((8, 8, 8))
    networks = [
        thin,
        SingleShot(thin, 3),
        new_faster_rcnn(thin, 3),
        imagenet_backbone(),
    ]
    networks += [
        PhotoFasterRCNN(None, 3),
        Localizer(thin, LocalizeHead(8, 3), (60, 80)),
    ]
    layers = [m for net in networks for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) > 60
    for layer in layers:
        assert layer.kernel_size != (1, 1) or layer.stride == (1, 1), layer


def test_a_shortcut_gives_what_a_strided_convolution_gives():
    torch.manual_seed(0)
    block = ResidualBlock(16, 24, stride=2).eval()
    for size in (12, 20), (13, 21):
        x = torch.rand(2, 16, *size)
        conv, norm = block.shortcut
        y = block.conv2(torch.relu(block.conv1(x)))
        strided = norm(nn.functional.conv2d(x, conv.weight, stride=2))
        assert torch.equal(block(x), torch.relu(y + strided))


@pytest.mark.parametrize("feature", ["amx_bf16", "avx512_bf16", "avx512_f"])
def test_only_training_runs_in_bfloat16(monkeypatch, feature):
    known = lambda: {feature: True}  # noqa: E731
    monkeypatch.setattr(torch.cpu, "get_capabilities", known, raising=False)
    fast, layer = feature.endswith("bf16"), torch.nn.Linear(4, 4)
    for training, kind in (True, torch.bfloat16), (False, torch.float32):
        with mixed_precision(training):
            assert layer(torch.rand(2, 4)).dtype == (kind if fast else torch.float32)


def test_detectors_train_in_bfloat16_but_for_photographs(monkeypatch):
    known = lambda: {"amx_bf16": True}  # noqa: E731
    monkeypatch.setattr(torch.cpu, "get_capabilities", known, raising=False)
    small = new_faster_rcnn(SmallResNet((8, 8, 16)), 3, hidden=8)
    photo = PhotoFasterRCNN(None, 3, channels=16, hidden=8)
    for model, kind in (small, torch.bfloat16), (photo, torch.float32):
        seen = []
        for layer in model.rpn.head.conv, model.head.logits:
            layer.register_forward_hook(lambda _, __, y, s=seen: s.append(y.dtype))
        features = torch.rand(1, 16, 16, 16)
        model.train().rpn(features)
        target = {
            "boxes": torch.tensor([[8.0, 8, 60, 60]]),
            "labels": torch.tensor([1]),
        }
        model.region_losses(features, [torch.tensor([[0.0, 0, 64, 64]])], [target])
        assert seen == [kind, kind]


def test_a_backbone_gives_float32_in_both_modes(monkeypatch):
    known = lambda: {"amx_bf16": True}  # noqa: E731
    monkeypatch.setattr(torch.cpu, "get_capabilities", known, raising=False)
    torch.manual_seed(0)
    backbone, images = SmallResNet((8, 8, 8)), torch.rand(2, 3, 32, 40)
    rough = backbone.train()(images)
    monkeypatch.setattr(
        "course_utils.models.backbone.mixed_precision", lambda *_: mixed_precision(0)
    )
    exact = backbone(images)
    assert rough.dtype == exact.dtype == torch.float32
    difference = (rough - exact).abs().max()
    assert 0 < difference < 0.1 * exact.abs().max()
    exact.sum().backward()
    assert all(w.grad.dtype == torch.float32 for w in backbone.parameters())
