"""Everything on a second device: a GPU where there is one, else `stand_in`.

The same numbers as on the CPU, on the device of the inputs; pictures moved by `fit` and
`predict`; one clear line from a bare call.
"""

import importlib
import inspect
import math
import pkgutil
import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from course_utils import evaluation, models, ops, proposals, training
from course_utils.core import timing
from course_utils.core.devices import device_of, to_device
from course_utils.core.precision import mixed_precision
from course_utils.core.settings import REPOSITORY
from course_utils.core.timing import Timer
from course_utils.core.weights import load_weights
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.data.feature_maps import (
    SHAPES,
    frozen_maps,
    keep_features,
    split_maps,
    to_square,
)
from course_utils.data.transforms import (
    crop,
    cut_square,
    flip,
    move_masks,
    random_change,
    random_erase,
    random_tint,
    random_zoom,
    zoom_and_shift,
)
from course_utils.detect import detect_objects
from course_utils.evaluation.average_precision import (
    evaluate,
    ignored_objects,
    score_class,
)
from course_utils.evaluation.compare import (
    images_per_second,
    phase_times,
    run_all,
    score_regions,
)
from course_utils.evaluation.intervals import share_interval
from course_utils.evaluation.mistakes import sort_mistakes
from course_utils.evaluation.predict import localize_scores, predict
from course_utils.evaluation.proposal_recall import proposal_recall
from course_utils.lessons.widgets import fast_rcnn as fast_explorers
from course_utils.lessons.widgets import faster_rcnn as faster_explorers
from course_utils.lessons.widgets import localize as localize_explorers
from course_utils.lessons.widgets import rcnn as rcnn_explorers
from course_utils.lessons.widgets import single_shot as single_explorers
from course_utils.models.backbone import Frozen, SmallResNet, freeze
from course_utils.models.fast_rcnn import (
    FastRCNN,
    RegionHead,
    compress,
    head_loss,
    sample_regions,
    score_boxes,
)
from course_utils.models.faster_rcnn import new_faster_rcnn
from course_utils.models.localizer import (
    Classifier,
    LocalizeHead,
    Localizer,
    box_errors,
    cell_anchors,
    class_errors,
    exactly_k,
    left_to_right,
    localize_loss,
    look_target,
    one_label,
)
from course_utils.models.photo_detector import (
    PhotoFasterRCNN,
    boxes_in_pixels,
    load_detector,
    save_detector,
)
from course_utils.models.rcnn import RCNN, RegionNet, decision_function, warp_regions
from course_utils.models.rpn import RPN, ProposalNet, best_first, rpn_loss
from course_utils.models.single_shot import (
    SingleShot,
    focal_loss,
    hard_negative_loss,
    shot_loss,
)
from course_utils.models.torchvision_reference import LibraryTwin
from course_utils.ops import roi
from course_utils.ops.anchors import AnchorGrid
from course_utils.ops.batches import stack_images
from course_utils.ops.boxes import (
    box_area,
    box_intersection,
    box_iou,
    check_boxes,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    giou,
    to_center,
    xywh_to_xyxy,
)
from course_utils.ops.matching import (
    assign_targets,
    check_finite,
    match_boxes,
    sample_balanced,
)
from course_utils.ops.nms import batched_nms, check_scored, nms
from course_utils.ops.postprocess import filter_proposals, postprocess_detections
from course_utils.ops.targets import (
    as_float,
    check_labels,
    check_targets,
    clip_proposals,
    clip_target,
    difficult_objects,
    keep_objects,
    move_boxes,
    pick_rows,
    read_boxes,
    read_target,
)
from course_utils.proposals.segmentation import felzenszwalb
from course_utils.proposals.selective_search import selective_search
from course_utils.training import loop
from course_utils.training.four_steps import train_in_four_steps
from course_utils.training.loop import fit
from course_utils.training.pretrain import hide_parts, random_view, shake
from course_utils.training.rcnn_stages import (
    RegionBatches,
    cached_features,
    mirrored_features,
    region_targets,
)
from course_utils.training.svm import ridge, train_box_regression
from tests.stand_in import stand_in

pytestmark = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")


@pytest.fixture
def device(monkeypatch):
    """A second device, on which everything is float32, as it then is on the CPU."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    if torch.cuda.is_available():
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
        yield torch.device("cuda:0")
    elif torch.backends.mps.is_available():
        yield torch.device("mps:0")
    else:
        adamw = torch.optim.AdamW  # its fused form knows real devices only
        monkeypatch.setattr(
            torch.optim, "AdamW", lambda *args, fused, **more: adamw(*args, **more)
        )
        with stand_in() as far:
            yield far


def same(near, far, device, rtol=1e-4, where="result"):
    """Both results are alike, and the tensors of the second lie on `device`."""
    if torch.is_tensor(near):
        assert far.device == device, f"{where} is on {far.device}"
        assert far.dtype == near.dtype, where
        limits = {"rtol": rtol, "atol": rtol, "msg": lambda m: f"{where}: {m}"}
        torch.testing.assert_close(far.detach().cpu(), near.detach(), **limits)
    elif isinstance(near, dict):
        assert near.keys() == far.keys(), where
        for key in near:
            same(near[key], far[key], device, rtol, f"{where}[{key!r}]")
    elif isinstance(near, (list, tuple)):
        assert len(near) == len(far), where
        for i, (a, b) in enumerate(zip(near, far)):
            same(a, b, device, rtol, f"{where}[{i}]")
    elif isinstance(near, (float, np.ndarray)):
        np.testing.assert_allclose(far, near, rtol, rtol, err_msg=where)
    else:
        assert near == far, where


def seeded(function, args):
    torch.manual_seed(0)
    return function(*args)


# Inputs: whole numbers and halves, so that half precision holds them exactly.
A = torch.tensor([[4.0, 6, 30, 40], [8, 2, 60, 50], [10, 10, 50, 30], [5, 5, 29, 38]])
B = torch.tensor([[6.0, 6, 34, 44], [12, 4, 58, 46]])
N = torch.Generator().manual_seed(0)
SCORES = torch.tensor([0.5, 0.75, 0.25, 0.625])
LABELS = torch.tensor([1, 2, 1, 0])
IMAGE = (torch.rand(3, 56, 64, generator=N) * 64).round() / 64
MAPS = (torch.randn(2, 4, 7, 8, generator=N) * 8).round() / 8
LOGITS = (torch.randn(4, 3, generator=N) * 8).round() / 8
DELTAS = (torch.randn(4, 2, 4, generator=N) * 4).round() / 8
MASKS = torch.zeros(2, 56, 64, dtype=torch.bool)
MASKS[0, 6:44, 6:34] = MASKS[1, 4:46, 12:58] = True
TARGET = {
    "boxes": B,
    "labels": torch.tensor([1, 2]),
    "difficult": torch.tensor([False, False]),
    "proposals": A,
    "image_id": "a",
}
MASKED = TARGET | {"masks": MASKS, "area": torch.tensor([1064.0, 1932.0])}
ANSWER = {"boxes": A, "labels": torch.tensor([1, 2, 1, 2]), "scores": SCORES}
LISTS = [A[:3], A[1:]]
ROW = sum(map(math.prod, SHAPES))  # numbers of a row of frozen maps
WITH_IMAGE = torch.cat([torch.tensor([[1.0], [0], [1], [0]]), A], 1)
BOX_DELTA_STDS = (0.1, 0.1, 0.2, 1)
SQUARE = torch.tensor([-4.0, -4, 20, 20])


def roi_layer(layer, regions):
    """Output and gradient of a RoI layer on MAPS."""

    def call(maps, regions):
        maps = maps.detach().requires_grad_()
        out = layer(maps, regions, (2, 3), 1 / 8)
        (out * out).sum().backward()
        return out, maps.grad

    return call, MAPS, regions


OPS = {
    "check_boxes": (check_boxes, A),
    "check_scored": (check_scored, A, SCORES),
    "box_area": (box_area, A),
    "box_intersection": (box_intersection, A, B),
    "box_iou": (box_iou, A, B),
    "giou": (giou, A, B),
    "clip_boxes": (lambda b: clip_boxes(b, (20, 30)), A),
    "xywh_to_xyxy": (xywh_to_xyxy, A),
    "to_center": (to_center, A),
    "encode_boxes": (lambda a, b: encode_boxes(a, b, BOX_DELTA_STDS), A[:2], B),
    "decode_boxes": (lambda d, b: decode_boxes(d, b, BOX_DELTA_STDS), DELTAS[:2, 0], B),
    "nms": (lambda b, s: nms(b, s, 0.375), A, SCORES),
    "batched_nms": (
        lambda b, s, k: batched_nms(b, s, k, 0.25), A, SCORES, LABELS),
    "match_boxes": (lambda a, b: match_boxes(a, b, 0.625, 0.25, True), A, B),
    "match_boxes, no object": (match_boxes, A, B[:0]),
    "check_finite": (lambda a: check_finite(a, "a"), A),
    "assign_targets": (assign_targets, A, TARGET),
    "sample_balanced": (lambda k: sample_balanced(k, 3), LABELS),
    "round_half_away": (roi.round_half_away, MAPS),
    "bin_edges": (lambda a, b: roi.bin_edges(a, b, 3, 8), A[:, 0].floor(), A[:, 2]),
    "split_regions": (lambda r: roi.split_regions(r, 2), WITH_IMAGE),
    "reorder": (roi.reorder, A, torch.tensor([2, 0, 3, 1])),
    "at_least_float32": (roi.at_least_float32, A),
    "sample_points": (lambda a, b: roi.sample_points(a, b, 3, -1), A[:, 0], A[:, 2]),
    "sampling_matrix": (
        lambda a, b: roi.sampling_matrix(a, b, 3, 9, -1), A[:, 0], A[:, 2]),
    "align_by_matrices": (
        lambda maps, rows, columns: roi.align_by_matrices(maps, rows, columns, [1, 2]),
        MAPS, torch.ones(3, 2, 7) / 8, torch.ones(3, 2, 8) / 8),
    "roi_pool": roi_layer(roi.roi_pool, LISTS),
    "roi_pool, (R, 5)": roi_layer(roi.roi_pool, WITH_IMAGE),
    "roi_align": roi_layer(roi.roi_align, LISTS),
    "roi_align, (R, 5)": roi_layer(roi.roi_align, WITH_IMAGE),
    "read_boxes": (lambda t: read_boxes(t, "proposals", "here"), TARGET),
    "read_target": (lambda t: read_target(t, (56, 64)), MASKED),
    "check_labels": (lambda t: check_labels(t, 3), TARGET),
    "difficult_objects": (
        lambda t: difficult_objects(t, 2, t["boxes"].device), TARGET),
    "move_boxes": (lambda t: move_boxes(t, (-2, 1), (64, 8)), MASKED),
    "clip_target": (lambda t: clip_target(t, (24, 32)), MASKED),
    "clip_proposals": (lambda t: clip_proposals(t, (24, 32)), MASKED),
    "keep_objects": (keep_objects, MASKED, torch.tensor([False, True])),
    "pick_rows": (pick_rows, A, torch.tensor([False, True, True, False])),
    "as_float": (as_float, (IMAGE * 255).byte()),
    "check_targets": (lambda t: check_targets([t], 3), TARGET),
    "flip": (flip, IMAGE, MASKED),
    "crop": (lambda i, t: crop(i, t, (8, 8, 60, 50)), IMAGE, MASKED),
    "cut_square": (lambda i, s: cut_square(i, s, 12), IMAGE, SQUARE),
    "random_change": (random_change, IMAGE, MASKED),
    "zoom_and_shift": (
        lambda i: zoom_and_shift(i, torch.tensor([2.0, 1]), torch.ones(2)),
        IMAGE),
    "move_masks": (
        lambda m: move_masks(m, torch.tensor([2.0, 1]), torch.ones(2)), MASKS),
    "random_tint": (random_tint, IMAGE),
    "random_zoom": (lambda i: random_zoom(i, 24), IMAGE[:, :, :56]),
    "random_erase": (random_erase, IMAGE[:, :, :56]),
    "random_view": (random_view, IMAGE, MASKED),
    "hide_parts": (lambda i, b: hide_parts(i, b, 1), IMAGE, B),
    "shake": (shake, A),
    "warp_regions": (lambda i, b: warp_regions(i, b, 24, 3), IMAGE, A),
    "region_targets": (lambda r, t: region_targets(r, t, 3), A, TARGET),
    "postprocess_detections": (
        lambda s, b: postprocess_detections(s, b, (56, 64), 0.25),
        SCORES[:, None].repeat(1, 2), A[:, None].repeat(1, 2, 1)),
    "decision_function": (decision_function, LOGITS, LOGITS[:3, :2], LOGITS[0, :2]),
    "ridge": (ridge, LOGITS, A),
    "train_box_regression": (
        lambda x, k, d: train_box_regression(x, k, d, 4), LOGITS, LABELS, A),
    "sample_regions": (lambda p, t: sample_regions(p, t, 4), A, TARGET),
    "head_loss": (head_loss, LOGITS, DELTAS, A, LABELS, A.flip(0)),
    "score_boxes": (score_boxes, LOGITS, DELTAS, A),
    "stack_images": (stack_images, [IMAGE, IMAGE[:, :40]]),
    "best_first": (lambda s: best_first(s, 2), SCORES),
    "rpn_loss": (rpn_loss, SCORES, DELTAS[:, 0], A, LABELS, A.flip(0)),
    "filter_proposals": (lambda s, b: filter_proposals(s, b, (56, 64)), SCORES, A),
    "focal_loss": (focal_loss, LOGITS, (LOGITS > 0).float()),
    "hard_negative_loss": (
        lambda x, w: hard_negative_loss(x, w, 1), LOGITS,
        torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]])),
    "shot_loss": (shot_loss, LOGITS, DELTAS[:, 0], A, LABELS, A.flip(0)),
    "look_target": (look_target, A[:2, None], B),
    "left_to_right": (left_to_right, TARGET),
    "class_errors": (class_errors, LOGITS[None], torch.tensor([[2]])),
    "box_errors": (box_errors, DELTAS[None, :, 0], B[None, :1], A),
    "exactly_k": (lambda t: exactly_k([t], len(t["boxes"]), 9), TARGET),
    "one_label": (lambda t: one_label([{"labels": t}], 9), torch.tensor([2])),
    "localize_loss": (
        localize_loss, LOGITS[None, :, :1], LOGITS[None], DELTAS[None, :, 0],
        B[None, :1], torch.tensor([[2]]), A),
    "localize_scores": (
        lambda a, t: localize_scores([a], [(None, t)]),
        TARGET | {"boxes": A[:2]}, TARGET),
    "selective_search": (lambda i: selective_search(i, 20), IMAGE),
    "felzenszwalb": (felzenszwalb, IMAGE),
    "proposal_recall": (
        lambda p, t: proposal_recall([p], [t], 3), A, TARGET),
    "share_interval": (share_interval, SCORES, LABELS),
    "evaluate": (lambda a, t: evaluate([a], [t], ("x", "y")), ANSWER, TARGET),
    "score_class": (
        lambda a, t: score_class([a], [t], 1, (0.5,), "coco"), ANSWER, TARGET),
    "ignored_objects": (ignored_objects, TARGET),
    "sort_mistakes": (lambda a, t: sort_mistakes(a, t, 0.25), ANSWER, TARGET),
    "to_square": (to_square, IMAGE),
    "boxes_in_pixels": (boxes_in_pixels, A, IMAGE),
    "split_maps": (lambda m: split_maps(m.expand(1, ROW)), A[:1, :1]),
}  # fmt: skip

# Their inputs are no tensors of a picture or a network, or they build something else.
NO_OPS = {
    *("greedy_nms", "count_votes", "spread_out", "search_one_space", "sliding_windows"),
    *("pool_bins", "scatter_bins", "as_pair", "image_name", "count_rows", "as_image"),
    "image_of_each",
    *("number_regions", "region_shapes", "region_histograms", "join_regions"),
    *("all_runs", "rank_boxes", "overlaps", "outside", "score_image", "class_result"),
    *("checked_settings", "draw_images", "interval_of", "resampled_ap"),
    "best_overlaps",  # always on the CPU; as part of proposal_recall above
    *("matched_once", "resampled_maps", "map_intervals", "map_differences"),
    *("grid_edges", "ascending", "find_root", "join_pixels", "sorted_edges"),
    *("match_to_objects", "precision_recall", "average_precision", "mean_of_known"),
    *(
        "report",
        "cpu_array",
        "mean_length",
        "fit_svm",
        "train_svm",
        "train_svms",
        "boxes_anywhere",
    ),
    "dataset_proposals",  # reads files
    *("region_features", "cached_features", "mirrored_features", "known_regions"),
    *("regression_pairs", "join_facts"),
    *(
        "train_rcnn",
        "fit_svms_and_regressors",
        "compress",
        "all_scenes",
        "train_fast_rcnn",
    ),
    *("train_on_crops", "train_on_scenes", "train_single_shot", "keep_features"),
    *("predict", "cell_anchors", "average_by_look"),  # below
    *("close_ups", "look_twice"),  # of pictures in memory, by predict
    *("positive_numbers", "collate", "as_array", "arrays_of", "scorer_input"),
    *("color_codes", "color_space", "texture_codes", "slope_codes", "similarity"),
    *("describe_regions", "group_regions"),  # loops over arrays of one picture
    *("conv_bn", "freeze", "fold_norms", "imagenet_backbone", "imagenet_weights"),
    *("new_faster_rcnn", "library_faster_rcnn", "start_from", "in_pixels"),
    *("load_detector", "save_detector", "export_onnx", "model_megabytes"),
    *("fit", "adamw", "cosine_schedule", "stop_if_not_finite", "train_faster_rcnn"),
    *("train_step", "progress", "hint"),
    "train_in_four_steps",
    *("align_by_cells", "by_cells", "gather_cells", "scatter_cells", "weighing_cells"),
    *(
        "run_all",
        "score_regions",
        "detections_from",
    ),
    *("settings_table", "phase_times", "pareto_front"),
    *("run_timed", "phase_medians", "images_per_second"),
}
ROOMS = [
    importlib.import_module(module.name)
    for room in (ops, proposals, models, training, evaluation)
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
]


def test_every_op_is_in_the_table():
    for room in ROOMS:
        own = {
            name
            for name, value in vars(room).items()
            if getattr(value, "__module__", "") == room.__name__
            and not inspect.isclass(value)
        }
        assert not own - {name.split(",")[0] for name in OPS} - NO_OPS, room.__name__


@pytest.mark.parametrize("name", OPS)
def test_op_on_the_second_device(name, device):
    # pitfall: environment: float64 and other devices
    function, *args = OPS[name]
    near = seeded(function, args)
    same(near, seeded(function, to_device(args, device)), device)


def halved(value):
    """float32 tensors in float16, those of a list or a dict too."""
    if torch.is_tensor(value):
        return value.half() if value.dtype == torch.float32 else value
    if isinstance(value, dict):
        return {key: halved(part) for key, part in value.items()}
    return [halved(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", OPS)
def test_op_in_half_precision(name):
    function, *args = OPS[name]
    near, half = seeded(function, args), seeded(function, halved(args))

    def close(a, b):
        if torch.is_tensor(a):
            torch.testing.assert_close(b.to(a.dtype), a, rtol=0.01, atol=0.02)
        elif isinstance(a, (dict, list, tuple)):
            assert len(a) == len(b)
            for key in a if isinstance(a, dict) else range(len(a)):
                close(a[key], b[key])
        elif isinstance(a, (float, np.ndarray)):
            np.testing.assert_allclose(b, a, 0.01, 0.02)
        else:
            assert a == b

    close(near, half)


def test_anchors_on_the_second_device(device):
    grid = AnchorGrid()
    same(grid(3, 4), grid(3, 4, device), device)
    near = cell_anchors((3, 4), (56, 64))
    same(near, cell_anchors((3, 4), (56, 64), device), device)
    layer = nn.Linear(6, 4)
    near = compress(layer, 3)(LOGITS.repeat(1, 2)).detach()
    far = compress(layer.to(device), 3)(LOGITS.repeat(1, 2).to(device))
    same(near, far, device)


class TwoMaps(nn.Module):
    """Stands for the ImageNet backbone: two maps of its sizes."""

    def __init__(self):
        super().__init__()
        (fine, side, _), (coarse, small, _) = SHAPES
        self.fine, self.coarse = nn.Conv2d(3, fine, 1), nn.Conv2d(3, coarse, 1)
        self.sides = side, small
        self.requires_grad_(False)

    def forward(self, images):
        pool = nn.functional.adaptive_avg_pool2d
        fine, coarse = (pool(images, side) for side in self.sides)
        return [self.fine(fine), self.coarse(coarse)]


WIDTHS = (8, 16, 16)
PICTURES = [(IMAGE, TARGET), (IMAGE.flip(2), flip(IMAGE, TARGET)[1])]


def one_object(target):
    return {key: target[key][:1] for key in ("boxes", "labels", "difficult")}


def build(name):
    """A small detector and the (image, target) pairs that it learns from."""
    torch.manual_seed(0)
    backbone = SmallResNet(WIDTHS)
    if name == "Classifier":
        pairs = [(i, {"labels": t["labels"][:1]}) for i, t in PICTURES]
        return Classifier(backbone, 16, 3), pairs
    if name == "Localizer":
        pairs = [(i, one_object(t)) for i, t in PICTURES]
        return Localizer(backbone, LocalizeHead(16, 3), (56, 64)), pairs
    if name == "FastRCNN":
        return FastRCNN(backbone, RegionHead(16, 3, 3, 16), num_proposals=20), PICTURES
    if name == "ProposalNet":
        return ProposalNet(backbone, RPN(16, AnchorGrid((16, 32)))), PICTURES
    if name == "FasterRCNN":
        return new_faster_rcnn(freeze(backbone), 3, (16, 32), 16), PICTURES
    if name == "SingleShot":
        return SingleShot(backbone, 3, ((12, 20), (32, 48)), min_score=0.001), PICTURES
    if name == "PhotoFasterRCNN":
        model = PhotoFasterRCNN(Frozen(TwoMaps()), 3, 32, 16)
        model.head.dropout.p = 0.0  # every device draws its own
        return model, [(torch.randn(ROW).half(), target) for _, target in PICTURES]
    model = RCNN(RegionNet(backbone, 3, 1), 3, 24, 20)
    g = torch.Generator().manual_seed(0)
    size = model.net.size
    svm = torch.randn(size, 2, generator=g), torch.zeros(2)
    model.set_svms_and_regressors(
        1.0, svm, (torch.zeros(2, size, 4), torch.zeros(2, 4))
    )
    return model, PICTURES


def sgd(model):
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.01)


DETECTORS = (
    *("Classifier", "Localizer", "FastRCNN", "ProposalNet", "FasterRCNN"),
    *("SingleShot", "PhotoFasterRCNN", "RCNN"),
)


def rows_of(detected):
    """Boxes, labels and scores of detections side by side, what there is of them."""
    return torch.cat([v.view(len(v), -1).float() for v in detected.values()], 1)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_trains_and_predicts_on_the_second_device(name, device):
    # pitfall: environment: float64 and other devices
    results = []
    for where in torch.device("cpu"), device:
        model, pairs = build(name)
        model.to(where)
        found = predict(model, pairs, 2)
        pictures_too = predict(model, PICTURES, 2)
        history = [{}]
        if name != "RCNN":  # it trains in stages
            torch.manual_seed(0)
            history = fit(model, [tuple(zip(*pairs))], 1, optimizer=sgd(model))
        places = {v.device for v in [*model.parameters(), *model.buffers()]}
        assert places == {where}
        row = {k: v for k, v in history[0].items() if k != "seconds"}
        state = to_device(dict(model.state_dict()), "cpu")
        results.append((found, pictures_too, row, state))
    near, far = results
    for some in 0, 1:
        for a, b in zip(near[some], far[some]):
            assert len(a["scores"]) == len(b["scores"]) > 0
            assert {value.device.type for value in b.values()} == {"cpu"}
            same(a["scores"], b["scores"], torch.device("cpu"))
            # devices may order scores that are equal but for rounding in their own way
            one, two = (rows_of(detected) for detected in (a, b))
            assert (one[:, None] - two).abs().amax(2).amin(1).max() < 0.01
    same(near[2], far[2], torch.device("cpu"))
    same(near[3], far[3], torch.device("cpu"))


@pytest.mark.parametrize("name", DETECTORS)
def test_bare_call_names_both_devices(name, device):
    model, pairs = build(name)
    images, truth = map(list, zip(*pairs))
    model.to(device).eval()
    there = re.escape(str(device))
    line = f"images are on cpu, the model is on {there}: move them with image.to"
    with pytest.raises(ValueError, match=line) as error:
        model(images)
    assert "\n" not in str(error.value)
    if name != "RCNN":
        with pytest.raises(ValueError, match=line):
            model.train()(images, truth)
        losses = model(to_device(images, device), truth)  # targets are moved
        assert all(value.device == device for value in losses.values())


def test_targets_of_any_form_go_to_the_device(device):
    model = build("FasterRCNN")[0].to(device)
    image = IMAGE.to(device)
    torch.manual_seed(0)
    near = model([image], [TARGET])
    listed = {"boxes": B.tolist(), "labels": np.array([1, 2])}
    torch.manual_seed(0)
    same(to_device(near, "cpu"), model([image], [listed]), device)


def test_region_net_trains_on_batches_of_regions(device):
    net = build("RCNN")[0].net.to(device)
    batches = RegionBatches([IMAGE] * 2, [A, A], [LABELS, LABELS], 24, 2, 4)
    history = fit(net, batches, 1, optimizer=sgd(net))
    assert math.isfinite(history[0]["class"])
    with pytest.raises(ValueError, match="images are on cpu, the model is on"):
        net(IMAGE[None], {"labels": LABELS[:1]})


def test_features_of_r_cnn_on_the_second_device(device):
    results = []
    for where in torch.device("cpu"), device:
        net = build("RCNN")[0].net.to(where)
        args = net, [IMAGE, IMAGE], [A, B], 24
        kept = cached_features(f"device-{where.type}", *args)
        picks = [torch.tensor([True, False, True, False]), torch.tensor([False, True])]
        mirrored = mirrored_features(*args[:3], picks, 24)
        results.append((np.array(kept), mirrored))
    same(*results, torch.device("cpu"), 1e-3)


def test_frozen_maps_on_the_second_device(device):
    dataset = VOCDataset(find_data("tabletop"), "val", first=2)
    results, kept = [], []
    for where in torch.device("cpu"), device:
        torch.manual_seed(0)
        backbone = TwoMaps().to(where)
        name = f"maps-{where.type}"
        results.append(np.array(frozen_maps(name, backbone, dataset, mirror=True)))
        kept.append(keep_features([PICTURES[0]], backbone)[0][0])
    same(*results, torch.device("cpu"), 1e-3)
    same(*kept, torch.device("cpu"), 1e-3)


@pytest.mark.parametrize("name", ["RCNN", "FastRCNN", "FasterRCNN", "SingleShot"])
def test_comparisons_on_the_second_device(name, device):
    classes = ("x", "y")
    results = []
    for where in torch.device("cpu"), device:
        model = build(name)[0].to(where).eval()
        scenes = Scenes(classes)
        numbers = score_regions(model, IMAGE, 10)
        found = run_all(model, scenes, 10)
        assert phase_times({name: model}, scenes, {name: (5,)})
        assert images_per_second(model, [IMAGE, IMAGE], 2, 1)[0] > 0
        results.append((numbers, found["map"], found["detections"]))
    same(*results, torch.device("cpu"))


class Scenes(list):
    """Stands for a `datasets.Scenes`."""

    def __init__(self, classes):
        super().__init__(PICTURES)
        self.classes, self.targets = classes, [target for _, target in PICTURES]


def test_explorers_on_the_second_device(device):
    images, classes = [IMAGE, IMAGE.flip(2)], ["x", "y"]
    truth = [target for _, target in PICTURES]
    models = {n: build(n)[0].to(device).eval() for n in DETECTORS[2:] if "Net" not in n}
    viewer = rcnn_explorers.stage_viewer(models["RCNN"], images, classes)
    for stage in rcnn_explorers.STAGES:
        viewer.set(stage=stage)
    every = faster_explorers.every_stage(models["FasterRCNN"], images, truth, classes)
    for stage in faster_explorers.STAGES:
        every.set(stage=stage)
    pair = {name: models[name] for name in ("RCNN", "FastRCNN")}
    fast_explorers.side_by_side(pair, images, classes)
    single = models["SingleShot"]
    single_explorers.what_cells_say(single, images, classes)
    far_images = to_device(images, device)
    single_explorers.one_or_two_stages({"single": single}, far_images, classes)
    localizer, pairs = build("Localizer")
    with torch.no_grad():
        detections = localizer.to(device).eval()(far_images)
    localize_explorers.guesses(pairs[:1], detections, classes)
    plt.close("all")


def test_library_twin_and_command_line_on_the_second_device(device):
    model = build("FasterRCNN")[0].to(device).eval()
    found = predict(LibraryTwin(model, (56, 64)), PICTURES, 1)
    wanted = predict(model, PICTURES, 1)
    assert len(found) == len(wanted) == 2
    detected = detect_objects(model, (IMAGE * 255).byte(), 0.1)
    assert detected["boxes"].device.type == "cpu"


def test_four_steps_on_the_second_device(device):
    model = build("FasterRCNN")[0].to(device)
    loader = [([image], [target]) for image, target in PICTURES]
    history = train_in_four_steps(model, loader, 1)
    assert all(math.isfinite(h["loss"]) for part in history.values() for h in part)


def test_timer_waits_for_the_device(monkeypatch):
    said = []
    clock = SimpleNamespace(perf_counter=lambda: said.append("clock") or len(said))
    monkeypatch.setattr(timing, "time", clock)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: said.append("wait"))
    timer = Timer()
    with timer("a"):
        said.append("work")
    assert said == ["wait", "clock", "work", "wait", "clock"]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: said.append("mps"))
    with timer("a"):
        pass
    assert said[5:] == ["mps", "clock", "mps", "clock"]


def test_bfloat16_on_the_processor_alone(monkeypatch):
    able = {"amx_bf16": True, "avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    seen = {}
    for where in ("cpu", "cuda:0", "mps", torch.device("meta")):
        with mixed_precision(True, where):
            seen[str(where)] = torch.is_autocast_enabled("cpu")
    assert seen == {"cpu": True, "cuda:0": False, "mps": False, "meta": False}


def test_images_and_weights_in_half_precision():
    torch.manual_seed(0)
    for name in DETECTORS:
        model, pairs = build(name)
        model.eval()
        image = IMAGE if name != "RCNN" else (IMAGE * 16).round() / 16
        near = model([image])[0]["scores"]
        torch.testing.assert_close(model([image.half()])[0]["scores"], near)
        with pytest.raises(ValueError, match="weights are torch.float16.*model.float"):
            model.half()([image])
    with pytest.raises(ValueError, match="images of torch.uint8: give floats in 0..1"):
        build("FasterRCNN")[0].eval()([(IMAGE * 255).byte()])


def test_backbone_moves_along_and_is_not_saved(device, tmp_path):
    model = PhotoFasterRCNN(Frozen(TwoMaps()), 3, 32, 16)
    frozen = {id(p) for p in model.prepare.backbone.parameters()}
    assert frozen < {id(p) for p in model.parameters()}
    assert not any(key.startswith("prepare") for key in model.state_dict())
    save_detector(model, tmp_path / "a.safetensors", ["x", "y"])
    model.to(device)
    assert device_of(model.prepare) == device
    before = model.prepare.backbone.net.fine.weight.detach().cpu().clone()
    assert load_weights(model, tmp_path / "a.safetensors")
    model.load_state_dict(model.state_dict())
    assert torch.equal(model.prepare.backbone.net.fine.weight.detach().cpu(), before)
    with pytest.raises(RuntimeError, match="backbone.whole.bias"):
        model.load_state_dict({k: v for k, v in model.state_dict().items()
                               if k != "backbone.whole.bias"})  # fmt: skip
    save_detector(model, tmp_path / "b.safetensors", ["x", "y"])
    assert_same_file(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


def assert_same_file(first, second):
    """Equal tensors and texts; their order in the file changes from run to run."""
    files = [safe_open(path, "pt") for path in (first, second)]
    a, b = ({key: f.get_tensor(key) for key in f.keys()} for f in files)  # noqa: SIM118
    assert a.keys() == b.keys() and files[0].metadata() == files[1].metadata()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_shipped_detector_loads_and_saves_as_it_is(tmp_path):
    model, classes = load_detector("voc2007")
    save_detector(model, tmp_path / "new.safetensors", classes)
    shipped = REPOSITORY / "data" / "weights" / "voc2007.safetensors"
    assert_same_file(tmp_path / "new.safetensors", shipped)


# Three classic faults: each must fail on the stand-in, or it would hold nothing.
FAULTS = {
    "arange without a device": lambda x: x + torch.arange(len(x)),
    "zeros without a device": lambda x: torch.cat([x, torch.zeros(1)]),
    "numpy without cpu": lambda x: torch.from_numpy(x.numpy()),
    "a mask of the CPU": lambda x: x[torch.ones(len(x)) > 0],
    "a result of the CPU": lambda x: torch.maximum(x, x.cpu()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_stand_in_finds(fault):
    FAULTS[fault](torch.ones(3))
    with stand_in() as far:
        x = torch.ones(3, device=far)
        assert (x + torch.tensor(1.0)).cpu().tolist() == [2, 2, 2]  # a number may mix
        with pytest.raises(RuntimeError):
            FAULTS[fault](x)


def test_stand_in_finds_a_fault_in_a_detector():
    class Forgetful(AnchorGrid):
        def __call__(self, height, width, device=None):
            return super().__call__(height, width)

    model, pairs = build("FasterRCNN")
    model.rpn.grid = Forgetful((16, 32))
    said = pytest.raises(RuntimeError, match="on the cpu meets .* on the stand-in")
    with stand_in() as far, said:
        predict(model.to(far), pairs)


def test_to_device_keeps_what_is_there():
    given = [{"boxes": A, "names": ["x"], "n": 3}, (B, None)]
    moved = to_device(given, torch.device("cpu"))
    assert moved[0]["boxes"] is A and moved[1][0] is B and moved[0]["names"] == ["x"]
    assert device_of(nn.Identity()) == torch.device("cpu")
    assert loop.device_of is device_of
