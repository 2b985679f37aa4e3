"""Segmentation and selective search: against scikit-image and OpenCV, and bad input."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from skimage.metrics import adapted_rand_error
from skimage.segmentation import felzenszwalb as skimage_felzenszwalb

from bench.references import opencv_search
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation.proposal_recall import proposal_recall
from course_utils.ops.boxes import box_iou, xywh_to_xyxy
from course_utils.proposals import grouping
from course_utils.proposals.segmentation import as_image, ascending, felzenszwalb
from course_utils.proposals.selective_search import (
    STRATEGIES,
    count_votes,
    dataset_proposals,
    selective_search,
    sliding_windows,
    spread_out,
)

PHOTOS = ("coffee", "chelsea", "astronaut", "rocket")


def photo(name):
    return getattr(skimage.data, name)()


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("settings", [(100, 0.8, 20), (50, 0.5, 50), (300, 1.0, 80)])
def test_same_partition_as_skimage(name, settings):
    # Compared by the adapted Rand error: 0 when the same pixels are together. With a
    # smoothed photograph edges hardly ever tie, so that next to nothing may differ.
    scale, sigma, min_size = settings
    ours = felzenszwalb(photo(name), scale, sigma, min_size).numpy()
    theirs = skimage_felzenszwalb(photo(name), scale, sigma, min_size)
    error = adapted_rand_error(theirs, ours, ignore_labels=())[0]
    assert error < 1e-3 and abs(ours.max() - theirs.max()) <= 2


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("min_size", [1, 30, 80, 1000])
def test_no_segment_is_smaller_than_min_size(name, min_size):
    # pitfall: selective search: segments below min_size
    labels = felzenszwalb(photo(name), 20, 0.5, min_size)
    assert labels.shape == photo(name).shape[:2]
    sizes = labels.flatten().bincount()
    assert sizes.min() >= min_size and len(sizes) == int(labels.max()) + 1


def test_an_image_smaller_than_min_size_is_one_segment():
    # pitfall: selective search: segments below min_size
    noise = np.random.default_rng(0).random((7, 9, 3))
    assert felzenszwalb(noise, 1, 0, min_size=80).unique().tolist() == [0]


def test_segments_hang_together():
    labels = felzenszwalb(photo("coffee"), 50, 0.8, 40).numpy()
    for number in range(0, labels.max() + 1, 7):
        parts = cv2.connectedComponents((labels == number).astype(np.uint8))[0]
        assert parts == 2, "background and one part"


def test_negative_setting_is_named():
    for bad in {"scale": -1}, {"sigma": -0.5}, {"min_size": -3}, {"scale": np.nan}:
        with pytest.raises(ValueError, match=next(iter(bad))):
            felzenszwalb(photo("coffee"), **bad)


def test_ascending_is_a_stable_sort():
    values = np.random.default_rng(0).random(5000).astype(np.float32).round(2)
    values[:3] = 0, 1e-30, 3e38
    assert np.array_equal(ascending(values), np.argsort(values, kind="stable"))
    assert len(ascending(np.zeros(0, np.float32))) == 0


def striped(width, angle):
    """Stripes of black and white, a texture without a colour of its own."""
    y, x = np.mgrid[:64, :64]
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / width)
    return np.repeat((wave > 0)[..., None], 3, 2).astype(np.float32)


def regions_of(image, labels):
    codes = grouping.color_codes(image), grouping.texture_codes(image)
    return grouping.describe_regions(labels, int(labels.max()) + 1, *codes)


def texture_only(a, b, regions):
    color, texture, boxes, sizes, _ = regions
    strategy = np.array([0, 1, 0, 0], np.float32)
    total = sizes.sum()
    return grouping.similarity(a, b, color, texture, boxes, sizes, total, strategy)


def test_texture_tells_regions_of_one_colour_apart():
    # pitfall: selective search: range of the texture histogram
    image = np.concatenate([striped(8, 0), striped(8, 0), striped(8, np.pi / 2)], 1)
    labels = np.repeat([[0, 1, 2]], 64, 0).repeat(64, 1).astype(np.int32)
    regions = regions_of(image, labels)
    color, texture, _, sizes, _ = regions
    assert np.allclose(color[0], color[2], atol=0.02), "equal in colour"
    assert texture_only(0, 1, regions) > 0.9
    assert texture_only(0, 2, regions) < 0.6


@pytest.mark.parametrize("factor", [1, 1 / 255, 1 / 65535])
def test_each_channels_histograms_sum_to_the_same_share(factor):
    # pitfall: selective search: range of the texture histogram
    image = as_image(photo("chelsea")[:80, :90]) * np.float32(factor)
    labels = felzenszwalb(as_image(photo("chelsea")[:80, :90]), 50).numpy()
    color, texture, boxes, sizes, touching = regions_of(image, labels)
    assert np.allclose(color.sum(1), 1, atol=1e-4)
    assert np.allclose(texture.reshape(len(sizes), 3, -1).sum(2), 1 / 3, atol=1e-4)
    assert sizes.tolist() == np.bincount(labels.ravel()).tolist()
    assert np.array_equal(touching, touching.T) and not touching.diagonal().any()
    assert texture[:, texture.any(0)].shape[1] > 20, "many bins are in use"


def test_describe_regions_by_hand():
    labels = np.array([[0, 0, 1], [2, 0, 1]], np.int32)
    codes = np.zeros((2, 3, 1), np.uint8)
    _, _, boxes, sizes, touching = grouping.describe_regions(labels, 3, codes, codes)
    assert boxes.tolist() == [[0, 0, 2, 2], [2, 0, 3, 2], [0, 1, 1, 2]]
    assert sizes.tolist() == [3, 2, 1]
    assert touching.tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


def slow_grouping(color, texture, boxes, sizes, touching, strategy):
    """The algorithm without any bookkeeping, to hold the fast one against."""
    total, boxes = sizes.sum(), [*boxes.astype(int)]
    color, texture, sizes = [*color], [*texture], [*sizes]
    near = {(i, j) for i, j in zip(*touching.nonzero())}
    alive = list(range(len(sizes)))
    while len(alive) > 1:
        parts = [np.array(v) for v in (color, texture, boxes, sizes)]
        pairs = [(a, b) for a in alive for b in alive if a < b and (a, b) in near]
        a, b = max(
            pairs, key=lambda p: grouping.similarity(*p, *parts, total, strategy)
        )
        share = np.float32(sizes[a] / (sizes[a] + sizes[b]))
        color.append(share * color[a] + (1 - share) * color[b])
        texture.append(share * texture[a] + (1 - share) * texture[b])
        low = np.minimum(boxes[a][:2], boxes[b][:2])
        boxes.append(np.concatenate([low, np.maximum(boxes[a][2:], boxes[b][2:])]))
        sizes.append(sizes[a] + sizes[b])
        new = len(sizes) - 1
        alive = [r for r in alive if r not in (a, b)] + [new]
        for r in alive[:-1]:
            if (a, r) in near or (b, r) in near:
                near |= {(r, new), (new, r)}
    return np.array(boxes)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", PHOTOS)
def test_fast_grouping_equals_the_slow_one(name, strategy):
    image = as_image(photo(name)[:120, :160])
    labels = felzenszwalb(image, 100, min_size=150).numpy().astype(np.int32)
    regions = regions_of(image, labels)
    strategy = np.array(strategy, np.float32)
    boxes, parent = grouping.group_regions(*regions, strategy)
    assert np.array_equal(boxes, slow_grouping(*regions, strategy))
    count = len(regions[3])
    assert parent[-1] == -1 and (parent[:-1] >= count).all()
    assert boxes[-1].tolist() == [0, 0, 160, 120], "the last region is the image"
    for child, p in enumerate(parent[:-1]):
        assert (boxes[p, :2] <= boxes[child, :2]).all() and p > child


def test_votes_and_spread_by_hand():
    boxes = np.float32([[0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 8], [0, 0, 10, 9]])
    run = np.array([0, 0, 1, 2])
    votes = count_votes(boxes, run)
    assert votes.tolist() == pytest.approx([2.7, 1, 1 + 0.8 + 8 / 9, 1 + 0.9 + 8 / 9])
    order = spread_out(boxes[[0, 3, 2, 1]])
    assert order.tolist() == [0, 3, 2, 1], (
        "copies of the first come last, 0.8 before 0.9"
    )
    same = spread_out(np.float32([[0, 0, 5, 5]] * 2))
    assert same.tolist() == [0, 1]


def check_windows(boxes, height, width):
    assert boxes.dtype == torch.float32 and boxes.ndim == 2 and boxes.shape[1] == 4
    assert len(boxes) >= 1 and len(boxes.unique(dim=0)) == len(boxes), "no duplicates"
    assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.min() >= 0
    assert boxes[:, 2].max() <= width + 1e-3 and boxes[:, 3].max() <= height + 1e-3
    whole = torch.tensor([[0.0, 0, width, height]])
    assert box_iou(boxes, whole).max() > 0.999, "the whole image is a region too"


@pytest.mark.parametrize(
    "shape",
    [(342, 107), (107, 342), (300, 732), (1, 1), (1, 300), (2, 5000), (3, 3)],
    ids=str,
)
def test_any_shape_of_image(shape):
    # pitfall: selective search: elongated image
    noise = np.random.default_rng(0).random((*shape, 3))
    image = cv2.GaussianBlur(noise, (0, 0), 3).reshape(*shape, 3)
    check_windows(selective_search(image), *shape)


def test_any_kind_of_image():
    color = photo("chelsea")[:150, :200]
    gray = color[..., 0]
    kinds = {
        "uint8": color,
        "grey": gray,
        "grey with a channel": gray[..., None],
        "16 bit": color.astype(np.uint16) * 257,
        "float64": color / 255,
        "tensor": torch.from_numpy(color.copy()).permute(2, 0, 1).float() / 255,
        "grey tensor": torch.from_numpy(gray.copy())[None].float() / 255,
        "not contiguous": color[::-1, ::-1],
        "constant": np.full((40, 60, 3), 128, np.uint8),
        "black": np.zeros((40, 60), np.float32),
    }
    found = {name: selective_search(image) for name, image in kinds.items()}
    for name, boxes in found.items():
        height, width = as_image(kinds[name]).shape[:2]
        check_windows(boxes, height, width)
    for name in "16 bit", "float64", "tensor":
        assert torch.equal(found[name], found["uint8"]), name
    assert len(found["constant"]) == len(found["black"]) == 1
    assert torch.equal(found["grey"], found["grey tensor"])


@pytest.mark.parametrize(
    "image, words",
    [
        (np.zeros((5, 5, 4), np.uint8), "alpha"),
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
        (np.zeros(5), r"shape \(5,"),
        (np.zeros((5, 5), np.int32), "int32"),
        (np.full((5, 5, 3), 200.0), "divide by 255"),
        (np.full((5, 5, 3), np.nan), "NaN"),
    ],
)
def test_bad_images_are_named(image, words):
    with pytest.raises(ValueError, match=words):
        selective_search(image)


def test_fewer_windows_are_the_best_of_many_and_repeat():
    many = selective_search(photo("coffee"))
    assert torch.equal(selective_search(photo("coffee"), 50), many[:50])


def test_xywh_becomes_corners_once():
    # pitfall: selective search: x, y, w, h taken as corners
    assert xywh_to_xyxy([[10, 20, 30, 40]]).tolist() == [[10, 20, 40, 60]]
    assert xywh_to_xyxy(np.zeros((0, 4), np.int32)).shape == (0, 4)
    with pytest.raises(ValueError, match="x y w h"):
        xywh_to_xyxy([1, 2, 3, 4])


def test_sliding_windows_by_hand():
    boxes = sliding_windows((10, 14), (8,), (1,), overlap=0.5)
    assert boxes.tolist() == [[0, 0, 8, 8], [4, 0, 12, 8]]
    tall = sliding_windows((20, 10), (10,), (4,), overlap=0)
    assert tall.tolist() == [[0, 0, 5, 20], [5, 0, 10, 20]]
    assert sliding_windows((5, 5), (8,)).shape == (0, 4)


def test_proposal_recall_by_hand():
    target = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [50, 0, 60, 10]]),
        "labels": torch.tensor([1, 1, 2]),
        "difficult": torch.tensor([False, False, False]),
    }
    boxes = torch.tensor([[0.0, 0, 10, 6], [20, 0, 30, 8], [50, 0, 60, 10]])
    found = proposal_recall([boxes], [target], 2)
    assert found[0.5] == pytest.approx(2 / 3) and found[0.7] == pytest.approx(1 / 3)
    assert found["mabo"] == pytest.approx((0.7 + 0) / 2)
    hard = target | {"difficult": torch.tensor([False, False, True])}
    assert proposal_recall([boxes], [hard], None)[0.5] == 1
    assert proposal_recall([torch.zeros(0, 4)], [target], 5)[0.5] == 0
    with pytest.raises(ValueError, match="2 images, 1 targets"):
        proposal_recall([boxes, boxes], [target], 5)
    with pytest.raises(ValueError, match="no object"):
        nothing = {k: v[:0] for k, v in target.items()}
        proposal_recall([boxes], [nothing], 5)


@pytest.mark.slow
def test_recall_is_not_below_opencv_quality():
    dataset = VOCDataset(find_data("tabletop"), "test", first=30)
    images = [dataset[i][0] for i in range(30)]
    targets = [dataset.target(i) for i in range(30)]
    cv2.setRNGSeed(0)
    ours = [selective_search(image) for image in images]
    theirs = [opencv_search(image, True) for image in images]
    for num_proposals in (50, 100, 200, 500):
        a = proposal_recall(ours, targets, num_proposals)
        b = proposal_recall(theirs, targets, num_proposals)
        assert a[0.5] >= b[0.5] - 0.01 and a["mabo"] >= b["mabo"] - 0.01, num_proposals


def test_dataset_proposals_are_kept_and_follow_the_files(monkeypatch):
    # pitfall: evaluation: stale cache of annotations
    dataset = VOCDataset(find_data("tabletop"), "val", first=3)
    first = dataset_proposals(dataset, 40)
    assert all(len(boxes) <= 40 for boxes in first)
    for i, boxes in enumerate(first):
        assert torch.equal(boxes, selective_search(dataset[i][0], 40))

    def never(*_):
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(f"{selective_search.__module__}.selective_search", never)
    again = dataset_proposals(dataset, 40)
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    with pytest.raises(AssertionError, match="not used"):
        dataset_proposals(VOCDataset(dataset.root, "val", first=2), 40)
