"""RoI layers against torchvision, and the pitfalls of their area."""

import pytest
import torch
import torchvision

from course_utils.ops import roi, roi_sparse
from course_utils.ops.roi import roi_align, roi_pool, round_half_away

MAP = torch.arange(1.0, 65).view(1, 1, 8, 8)


def random_case(seed):
    """A map, regions (R, 5) of every kind, an output size and a scale."""
    torch.manual_seed(seed)
    b, c = 1 + seed % 3, 1 + seed % 5
    h, w = torch.randint(4, 20, (2,)).tolist()
    scale = (1.0, 0.5, 0.125, 0.3)[seed % 4]
    n = 0 if seed % 20 == 0 else 12
    room = torch.tensor([w, h, w, h]) / scale
    boxes = torch.rand(n, 4) * room
    boxes = torch.cat([boxes[:, :2].minimum(boxes[:, 2:]), boxes.max(1)[0][:, None]], 1)
    boxes = torch.cat([boxes, boxes[:, 1:2] + torch.rand(n, 1) * room[1]], 1)
    if n:
        boxes[0] = room * torch.tensor([-0.5, -0.5, 0.5, 0.5])  # over the border
        boxes[1] = room * torch.tensor([1.5, 1.5, 2.0, 2.0])  # outside
        boxes[2, 2:] = boxes[2, :2]  # empty
        boxes[3] = (boxes[3] * scale).floor() / scale + 0.5 / scale  # halves
        boxes[4] = -((boxes[4] * scale).floor() + 0.5) / scale  # negative halves
        boxes[4] = boxes[4][[2, 3, 0, 1]]
    image = torch.randint(0, b, (n, 1)).float()
    size = [(1, 1), (2, 3), (7, 7), (5, 2)][seed // 4 % 4]
    return torch.randn(b, c, h, w), torch.cat([image, boxes], 1), size, scale


def value_and_gradient(layer, features, *rest, **settings):
    features = features.clone().requires_grad_()
    out = layer(features, *rest, **settings)
    torch.manual_seed(0)
    (out * torch.randn(out.shape)).sum().backward()
    return out.detach(), features.grad


def close(a, b):
    for mine, theirs in zip(a, b):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(200))
def test_equal_to_torchvision(seed):
    case = random_case(seed)
    close(
        value_and_gradient(roi_pool, *case),
        value_and_gradient(torchvision.ops.roi_pool, *case),
    )
    no_gradient = roi_pool(*case), torchvision.ops.roi_pool(*case)
    torch.testing.assert_close(*no_gradient)
    settings = {
        "sampling_ratio": (2, -1, 1, 3)[seed % 4],
        "aligned": seed % 3 != 0,
    }
    close(
        value_and_gradient(roi_align, *case, **settings),
        value_and_gradient(torchvision.ops.roi_align, *case, **settings),
    )


@pytest.mark.parametrize("layer", [roi_pool, roi_align])
def test_list_and_table_agree_in_any_order(layer):
    features = torch.randn(2, 3, 9, 9)
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[1.0, 2, 6, 5], [0, 0, 9, 9]])
    listed = layer(features, [a, b], 3)
    table = torch.tensor([[1.0, 1, 2, 6, 5], [0, 0, 0, 4, 4], [1, 0, 0, 9, 9]])
    torch.testing.assert_close(layer(features, table, 3), listed[[1, 0, 2]])


def test_pitfall_halves_round_away_from_zero():
    # pitfall: roi: halves when rounding
    got = roi_pool(MAP, [torch.tensor([[1.0, 1, 5, 5]])], 2, 0.5)
    assert got.flatten().tolist() == [19, 20, 27, 28]
    halves = torch.tensor([0.5, 1.5, 2.5, -0.5, -2.5, 0.49999997, 1.2, -1.7])
    assert round_half_away(halves).tolist() == [1, 2, 3, -1, -3, 0, 1, -2]


@pytest.mark.parametrize("layer", [roi_pool, roi_align])
def test_pitfall_regions_without_their_image(layer):
    # pitfall: roi: regions without their image
    bare = torch.tensor([[0.0, 0, 3, 3]])
    with pytest.raises(ValueError, match=r"list of \(N, 4\).*\(R, 5\)"):
        layer(MAP, bare, 2)
    with pytest.raises(ValueError, match=r"regions\[0\] is of image 3.0.*1 images"):
        layer(MAP, torch.tensor([[0.0, 0, 3, 3, 3]]).flip(1), 2)
    with pytest.raises(ValueError, match="2 region lists for 1 images"):
        layer(MAP, [bare, bare], 2)
    with pytest.raises(ValueError, match="region 0 of image 0.*not finite"):
        layer(MAP, [bare / 0], 2)
    with pytest.raises(ValueError, match="output size"):
        layer(MAP, [bare], 0)
    assert roi_pool(MAP, [bare], 2).flatten().tolist() == [10, 12, 26, 28]


def test_pitfall_the_last_cell_is_included():
    # pitfall: roi: the last cell is included
    six, seven = torch.tensor([[0.0, 0, 6, 6]]), torch.tensor([[0.0, 0, 7, 7]])
    assert torch.equal(roi_pool(MAP, [six], 7)[0], MAP[0, :, :7, :7])
    assert not torch.equal(roi_pool(MAP, [seven], 7)[0], MAP[0, :, :7, :7])


@pytest.mark.parametrize("layer", [roi_pool, roi_align])
def test_pitfall_regions_off_the_map(layer):
    # pitfall: roi: regions off the map
    off = torch.tensor([[-4.0, -4, 3, 3], [20, 20, 30, 30], [5, 5, 2, 2]])
    for value in value_and_gradient(layer, MAP, [off], 2):
        assert value.isfinite().all()
    assert layer(MAP, [off], 2)[1].abs().max() == 0


@pytest.mark.parametrize("layer", [roi_pool, roi_align])
@pytest.mark.parametrize("regions", [[torch.zeros(0, 4)], torch.zeros(0, 5)])
def test_pitfall_no_region(layer, regions):
    # pitfall: roi: no region
    out, gradient = value_and_gradient(layer, MAP, regions, 2)
    assert out.shape == (0, 1, 2, 2)
    assert torch.equal(gradient, torch.zeros_like(MAP))


def test_pooling_takes_the_first_of_equal_cells():
    features = torch.zeros(1, 1, 4, 4, requires_grad=True)
    roi_pool(features, [torch.tensor([[0.0, 0, 3, 3]])], 1).sum().backward()
    assert features.grad.nonzero().tolist() == [[0, 0, 0, 0]]


def test_pooling_passes_on_numbers_that_are_not_finite():
    broken = MAP.clone()
    broken[0, 0, 0, 0] = -torch.inf
    got = roi_pool(broken, [torch.tensor([[0.0, 0, 0, 0]])], 1)
    assert got.item() == -torch.inf


# --- RoIAlign in two forms: by matrices and by cells ------------------------------


def by_matrices(monkeypatch, *case, **settings):
    """`roi_align` in its dense form, that of other devices."""
    with monkeypatch.context() as patch:
        patch.setattr(roi, "align_by_cells", roi.align_by_matrices)
        return value_and_gradient(roi_align, *case, **settings)


@pytest.mark.parametrize("copied", [roi_sparse.COPIED, 0])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_both_forms_of_roi_align_are_equal(monkeypatch, layout, copied):
    monkeypatch.setattr(roi_sparse, "COPIED", copied)  # 0: maps are read as they lie
    for seed in range(24):
        features, *rest = random_case(seed)
        features = features.double().contiguous(memory_format=layout)
        settings = {"sampling_ratio": (2, -1, 3)[seed % 3], "aligned": seed % 2 == 0}
        sparse = value_and_gradient(roi_align, features, *rest, **settings)
        dense = by_matrices(monkeypatch, features, *rest, **settings)
        for mine, theirs in zip(sparse, dense):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
        assert sparse[1].is_contiguous(memory_format=layout) or copied


def test_roi_align_on_the_processor_multiplies_no_matrices(monkeypatch):
    monkeypatch.setattr(roi, "align_by_matrices", None)
    features = torch.randn(1, 3, 150, 250)
    regions = [torch.tensor([[20.0, 8, 90, 70], [300, 9, 900, 500]])]
    settings = {"sampling_ratio": 2, "aligned": True}
    close(
        value_and_gradient(roi_align, features, regions, 7, 1 / 4),
        value_and_gradient(
            torchvision.ops.roi_align, features, regions, 7, 1 / 4, **settings
        ),
    )


def test_gradients_of_roi_align_are_exact_twice():
    features = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    regions = [torch.tensor([[0.3, 0.7, 4.1, 3.9], [-2, 1, 2, 9]]), torch.zeros(0, 4)]

    def layer(maps):
        return roi_align(maps, regions, (2, 3)) ** 2

    assert torch.autograd.gradcheck(layer, features)
    assert torch.autograd.gradgradcheck(layer, features)


def test_regions_of_roi_align_still_have_a_gradient():
    features = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    box = torch.tensor([[1.2, 0.7, 6.1, 5.3]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b: roi_align(features, [b], 2), box)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_roi_align_of_half_precision_is_rounded_once(kind):
    features, *rest = random_case(7)
    half = features.to(kind)
    value, gradient = value_and_gradient(roi_align, half, *rest)
    exact = value_and_gradient(roi_align, half.float(), *rest)[0]
    assert value.dtype == gradient.dtype == kind
    assert torch.equal(value, exact.to(kind))


def test_images_without_regions_have_no_gradient():
    features = torch.randn(3, 2, 6, 6)
    none, one = torch.zeros(0, 4), torch.tensor([[1.0, 1, 5, 4]])
    value, gradient = value_and_gradient(roi_align, features, [none, one, none], 2)
    assert torch.equal(value, roi_align(features[1:2], [one], 2))
    assert gradient[[0, 2]].abs().max() == 0 and gradient[1].abs().max() > 0
