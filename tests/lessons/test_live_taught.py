"""Every taught cell of every lesson is live: changed, and the package feels it."""

import ast
import gc
import importlib
import inspect
import re
import types

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation import (
    average_precision,
    compare,
    intervals,
    predict,
    proposal_recall,
)
from course_utils.lessons import live
from course_utils.lessons.notebooks import TAUGHT, lessons, taught_name
from course_utils.lessons.widgets import compare as compare_widgets
from course_utils.models import (
    fast_rcnn,
    faster_rcnn,
    localizer,
    photo_detector,
    rcnn,
    single_shot,
)
from course_utils.models.backbone import SmallResNet
from course_utils.ops import boxes as box_functions
from course_utils.ops import matching, postprocess, roi
from course_utils.proposals import segmentation, selective_search
from course_utils.training import loop, rcnn_stages, recipes, svm
from tests.helpers.kernel import live_kernel, modules

BOXES = torch.tensor([[0.0, 0, 20, 20], [8, 8, 40, 40]])
TARGET = {"boxes": BOXES, "labels": torch.tensor([1, 2])}
DIFFICULT = TARGET | {"difficult": torch.tensor([False, False])}
IMAGE = torch.rand(3, 64, 64)


def small():
    return SmallResNet((4, 8, 8))


def faster(hidden=8):
    return faster_rcnn.new_faster_rcnn(small(), 3, hidden=hidden)


# Built before anything is changed: what exists must follow.
FASTER, SHOT = faster(), single_shot.SingleShot(small(), 3)


def fast():
    head = fast_rcnn.RegionHead(8, 3, hidden=8)
    return fast_rcnn.FastRCNN(small(), head, pool=roi.roi_align, num_proposals=9)


FAST = fast()
FAST_BY_POOLING = fast_rcnn.FastRCNN(
    small(), fast_rcnn.RegionHead(8, 3, hidden=8), pool=roi.roi_pool
)
FAST_BY_POOLING.eval()
LOCALIZER = localizer.Localizer(small(), localizer.LocalizeHead(8, 3), (64, 64))


def detect():
    FASTER.eval()([IMAGE])


def fast_detect():
    FAST.eval().detections([IMAGE], [BOXES])


def fast_train():
    FAST.train()([IMAGE], [TARGET | {"proposals": BOXES}])


def train():
    FASTER.train()([IMAGE], [TARGET])


def localize():
    one = {key: value[:1] for key, value in TARGET.items()}
    LOCALIZER.train()([IMAGE, IMAGE], [one, one])


def twice():
    data = VOCDataset(find_data("tabletop"), "single_test", first=2)
    classifier = localizer.Classifier(small(), 8, 3).eval()
    predict.look_twice(LOCALIZER.eval(), classifier, data, (64, 64))


def teach():
    one = {key: value[:1] for key, value in TARGET.items()}
    loop.fit(LOCALIZER, [([IMAGE, IMAGE], [one, one])], 1)


def pool():
    features = torch.rand(1, 2, 8, 8, requires_grad=True)
    roi.roi_pool(features, [BOXES], 2, 1 / 8).sum().backward()


def shoot():
    SHOT.train()([IMAGE], [TARGET])


def photos():
    photo_detector.PhotoFasterRCNN(nn.Identity(), 3)


FOUND = {**TARGET, "scores": torch.tensor([0.9, 0.8])}
EASY = {**TARGET, "difficult": torch.zeros(2, dtype=torch.bool)}


class OneScene(list):
    """Stands for a `datasets.Scenes` with one scene."""

    targets, classes = [EASY], ["a", "b"]


def on_all_settings():
    compare.settings_table(
        {"one": SHOT}, OneScene([(IMAGE, EASY)]), {"one": (5,)}, (0.5,)
    )


def score(**settings):
    average_precision.evaluate([FOUND], [TARGET], ["a", "b"], **settings)


def between():
    intervals.map_intervals([FOUND], [TARGET], ["a", "b"], rounds=3)


def regions():
    data = VOCDataset(find_data("tabletop"), "val")
    data.ids = data.ids[:2]
    rcnn_stages.known_regions(data, 5, 9)


def fit_svms():
    rows = np.random.rand(8, 3).astype(np.float32)
    svm.train_svms(rows, np.array([1] * 4 + [0] * 4), np.zeros((8, 1)), ["a"])


def rcnn_detector():
    return rcnn.RCNN(rcnn.RegionNet(small(), 3), 3, 24, 5).eval()


RCNN = rcnn_detector()


def detect_regions():
    RCNN([IMAGE])


def fine_tune():
    labels = [torch.tensor([1, 0])]
    next(iter(rcnn_stages.RegionBatches([IMAGE], [BOXES], labels, 24, 1, 2)))


def stages_on_features():
    """All that follows fine-tuning, on one image."""
    facts = rcnn_stages.region_targets(BOXES, DIFFICULT, 3)
    facts["truth"] = TARGET["labels"]
    given = RCNN, [IMAGE], [BOXES], [facts], ["a", "b"]
    rcnn_stages.fit_svms_and_regressors(*given)


# Taught parts of selective search, of the scorer, and of the intervals.
SEARCH = (
    *("grid_edges", "ascending", "sorted_edges", "find_root"),
    *("number_regions", "color_space", "color_codes", "texture_codes"),
    *("slope_codes", "region_histograms", "region_shapes", "describe_regions"),
    *("join_regions", "group_regions", "search_one_space", "all_runs"),
    *("count_votes", "spread_out", "rank_boxes"),
)
SCORER = (
    *("overlaps", "ignored_objects", "score_image", "score_class"),
    *("mean_of_known", "class_result"),
)
INTERVALS = (
    *("draw_images", "matched_once", "resampled_ap", "resampled_maps"),
    *("interval_of", "map_differences"),
)


def first_batch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "VOCDataset", lambda *a: VOCDataset(*a, first=4))
        return next(iter(recipes.all_scenes()))


# A function or class of the package that uses the taught one.
CALLERS = {
    "collate": first_batch,
    "box_intersection": lambda: box_functions.giou(BOXES, BOXES),
    "to_center": train,
    "box_area": lambda: box_functions.box_iou(BOXES, BOXES),
    "box_iou": lambda: matching.match_boxes(BOXES, BOXES),
    "clip_boxes": detect,
    "encode_boxes": train,
    "decode_boxes": detect,
    "greedy_nms": detect,
    "nms": detect,
    "batched_nms": lambda: postprocess.postprocess_detections(
        torch.ones(2, 2), BOXES[:, None].expand(2, 2, 4), (64, 64), 0.1, 0.5
    ),
    "ResidualBlock": lambda: single_shot.SingleShot(small(), 3),
    "conv_bn": small,
    "Layers": localize,
    "left_to_right": localize,
    "class_errors": localize,
    "box_errors": localize,
    "close_ups": twice,
    "look_twice": twice,
    "average_by_look": lambda: LOCALIZER.eval()([IMAGE, IMAGE]),
    "train_step": teach,
    "stop_if_not_finite": teach,
    "cosine_schedule": teach,
    "adamw": teach,
    "cell_anchors": localize,
    "look_target": localize,
    "localize_loss": localize,
    **dict.fromkeys(SEARCH, lambda: selective_search.selective_search(IMAGE)),
    **dict.fromkeys(SCORER, score),
    **dict.fromkeys(INTERVALS, between),
    "outside": lambda: score(areas=(0, 9)),
    "best_overlaps": lambda: proposal_recall.proposal_recall([BOXES], [EASY], 1),
    "join_pixels": lambda: segmentation.felzenszwalb(IMAGE),
    "similarity": lambda: selective_search.selective_search(IMAGE),
    "match_to_objects": score,
    "precision_recall": score,
    "average_precision": score,
    "warp_regions": lambda: rcnn.region_features(
        rcnn.RegionNet(small(), 3), IMAGE, BOXES, 24
    ),
    "region_targets": regions,
    "fit_svm": fit_svms,
    "decision_function": detect_regions,
    "train_svm": fit_svms,
    "train_svms": stages_on_features,
    "mean_length": stages_on_features,
    "join_facts": stages_on_features,
    "cached_features": stages_on_features,
    "mirrored_features": stages_on_features,
    "regression_pairs": stages_on_features,
    "region_features": detect_regions,
    "train_box_regression": stages_on_features,
    "RegionBatches.__iter__": fine_tune,
    "RegionBatches.sample": fine_tune,
    "RCNN.__init__": rcnn_detector,
    "RCNN.set_svms_and_regressors": stages_on_features,
    "RCNN.score_features": detect_regions,
    "RCNN.score_regions": detect_regions,
    "RCNN.forward": detect_regions,
    "ridge": lambda: svm.train_box_regression(
        torch.rand(2, 3), torch.tensor([1, 1]), torch.rand(2, 4), 3
    ),
    "postprocess_detections": lambda: compare.detections_from(
        (torch.ones(2, 2), BOXES[:, None].expand(2, 2, 4)), SHOT, (64, 64), 2, 0.5
    ),
    "round_half_away": pool,
    "bin_edges": pool,
    "pool_bins": pool,
    "scatter_bins": pool,
    "MaxOverBins": pool,
    "roi_pool": lambda: FAST_BY_POOLING.detections([IMAGE], [BOXES]),
    "sample_points": train,
    "sampling_matrix": train,
    "weighing_cells": fast_detect,
    "gather_cells": fast_detect,
    "roi_align": train,
    "RegionHead": photos,
    "match_boxes": train,
    "assign_targets": train,
    "sample_balanced": train,
    "sample_regions": train,
    "head_loss": train,
    "score_boxes": fast_detect,
    "FastRCNN.__init__": fast,
    "FastRCNN.forward": fast_train,
    "FastRCNN.losses": fast_train,
    "FastRCNN.region_losses": fast_train,
    "FastRCNN.pooled": fast_detect,
    "FastRCNN.detections": fast_detect,
    "FastRCNN.propose": lambda: FAST.eval()([IMAGE]),
    "FastRCNN.score_regions": lambda: FAST.eval().score_regions(IMAGE),
    "stack_images": fast_detect,
    "freeze": lambda: recipes.train_faster_rcnn(faster()),
    "AnchorGrid": faster,
    "RPNHead": faster,
    "rpn_loss": train,
    "filter_proposals": detect,
    "best_first": detect,
    "RPN.__init__": faster,
    "RPN.forward": detect,
    "RPN.losses": train,
    "RPN.proposals": detect,
    "FasterRCNN": photos,
    "ShotHead": lambda: single_shot.SingleShot(small(), 3),
    "hard_negative_loss": shoot,
    "focal_loss": lambda: single_shot.shot_loss(
        torch.rand(2, 2), torch.rand(2, 4), BOXES, *[torch.tensor([1, 0])], BOXES
    ),
    "shot_loss": shoot,
    "run_timed": lambda: compare.run_all(SHOT, OneScene([(IMAGE, EASY)]), 5),
    "phase_medians": lambda: compare.phase_times(
        {"one": SHOT}, OneScene([(IMAGE, EASY)]), {"one": (5,)}
    ),
    "score_regions": on_all_settings,
    "detections_from": on_all_settings,
    "pareto_front": lambda: compare_widgets.draw_pareto(
        {"one": (20, 0.5)}, Figure().subplots(), (0, 1)
    ),
    "Neck": photos,
    "PhotoHead": photos,
}


def marked(source):
    """The definition with an exception at the start of each of its functions."""
    tree = ast.parse(source)
    (top,) = tree.body
    # Compiled code needs a way past it, or it would not know what type it returns.
    compiled = "njit" in "".join(map(ast.unparse, top.decorator_list))
    condition = "np.random.random() >= 0" if compiled else "True"
    mark = f'if {condition}:\n    raise RuntimeError("MARK {top.name}")'
    functions = [top] if isinstance(top, ast.FunctionDef) else top.body
    for function in functions:
        if isinstance(function, ast.FunctionDef):
            function.body[:0] = ast.parse(mark).body
    return ast.unparse(tree)


def state():
    """Which object stands at each name, default and base of the package."""
    found = {}
    for name, module in modules().items():
        for key, value in vars(module).items():
            found[name, key] = value
    for thing in gc.get_objects():
        kind = type(thing)
        if kind is types.FunctionType and of_the_package(thing):
            defaults = thing.__defaults__ or (), (thing.__kwdefaults__ or {}).values()
            found[id(thing)] = [thing, *defaults[0], *defaults[1]]
        elif issubclass(kind, type) and of_the_package(thing):
            found[id(thing)] = [thing, *thing.__bases__]
    return found


def of_the_package(thing):
    module = str(getattr(thing, "__module__", ""))
    return module.startswith("course_utils") and not re.search(
        r"\.(live|checks|mutants)", module
    )


def holders(value):
    """The places of `state` that hold an object."""
    return [
        where
        for where, held in state().items()
        if held is value
        or (isinstance(held, list) and any(h is value for h in held[1:]))
    ]


def same(a, b):
    if isinstance(a, list):
        return isinstance(b, list) and all(x is y for x, y in zip(a, b, strict=True))
    return a is b


def test_scenes_come_without_proposals_where_none_are_asked_for():
    images, targets = first_batch()
    assert len(images) == len(targets) == 4
    assert all("proposals" not in target for target in targets)


def cells():
    for path in lessons():
        code = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        taught = [(taught_name(c), c.source) for c in code if taught_name(c)]
        if taught:
            yield path.stem, code[0].source, taught


@pytest.mark.slow
def test_every_taught_cell_is_live(monkeypatch, capsys):
    """Each as it stands changes nothing; changed, it is everywhere; then it is not."""
    monkeypatch.chdir(lessons()[0].parent)
    count = {
        "taught": 0,
        "changed": 0,
        "raised in the package": 0,
        "by a later cell": 0,
    }
    with live_kernel() as kernel:
        for _lesson, first, taught in cells():
            kernel.run(first)
            for name, source in taught:
                one_cell(kernel, name, source, count)
    with capsys.disabled():
        print(f"\nlive cells: {count}")
    assert count["changed"] == count["taught"] == sum(map(len, TAUGHT.values()))
    assert count["raised in the package"] == len(CALLERS)


def one_method(kernel, name, source, count):
    """A method of a class that is shown in parts, as `one_cell` does it."""
    module, kind, short = name.rsplit(".", 2)
    kernel.run(f"from course_utils.lessons import live\nfrom {module} import {kind}")
    owner = getattr(importlib.import_module(module), kind)
    course, called = vars(owner)[short], f"{kind}.{short}"
    assert kernel.run(source) == "" and vars(owner)[short] is course, name
    count["taught"] += 1
    line = f"`{called}` is yours from now on; restart the kernel for the course's own."
    assert kernel.run(marked(source)) == line
    assert vars(owner)[short] is not course, name
    count["changed"] += 1
    with pytest.raises(RuntimeError, match=f"MARK {short}$"):
        CALLERS[called]()
    count["raised in the package"] += 1
    assert kernel.run(source) == f"`{called}` is the course's own again."
    assert vars(owner)[short] is course, name


def one_cell(kernel, name, source, count):
    if source.startswith("@live.part_of"):
        return one_method(kernel, name, source, count)
    module, _, short = name.rpartition(".")
    module = importlib.import_module(module)
    course = getattr(module, short)
    assert kernel.run(source) == "", name
    assert kernel.names[short] is course is getattr(module, short), name
    count["taught"] += 1

    live.import_users(short)
    live.import_users("content_key")
    before = state()
    line = f"`{short}` is yours from now on; restart the kernel for the course's own."
    assert kernel.run(marked(source)) == line
    mine = kernel.names[short]
    assert mine is not course and getattr(module, short) is mine, name
    assert holders(course) == [], name
    count["changed"] += 1

    with pytest.raises(RuntimeError, match=f"MARK {short}$"):
        if short in CALLERS:
            CALLERS[short]()
        else:
            needs = inspect.signature(getattr(mine, "py_func", mine)).parameters
            kernel.names["needs"] = [None] * len(
                [n for n in needs.values() if n.kind < 2]
            )  # by place
            kernel.run(f"{short}(*needs)")
    count["raised in the package" if short in CALLERS else "by a later cell"] += 1

    assert kernel.run(source) == f"`{short}` is the course's own again."
    assert kernel.names[short] is course, name
    after = state()
    wrong = [k for k, v in before.items() if not same(v, after.get(k))]
    assert wrong == [], name
