"""The lesson notebooks: where they lie, and what each of them teaches."""

import importlib
import inspect
import re
import textwrap

import nbformat

from course_utils.core.settings import REPOSITORY

NOTEBOOKS = REPOSITORY / "notebooks"

TAUGHT = {
    "00_start_here": ["ops.batches.collate"],
    "01_boxes": [
        f"ops.{name}"
        for name in (
            "boxes.xywh_to_xyxy",
            "boxes.box_area",
            "boxes.box_intersection",
            "boxes.box_iou",
            "boxes.giou",
            "boxes.clip_boxes",
            "boxes.to_center",
            "boxes.encode_boxes",
            "boxes.decode_boxes",
            "nms.greedy_nms",
            "nms.nms",
            "nms.batched_nms",
        )
    ],
    "02_classify_and_localize": [
        "models.backbone.conv_bn",
        "models.backbone.ResidualBlock",
        "models.backbone.Layers",
        "models.backbone.SmallResNet",
        "models.localizer.Classifier",
        "training.loop.train_step",
        "training.loop.stop_if_not_finite",
        "training.loop.cosine_schedule",
        "training.loop.adamw",
        "training.loop.fit",
        "evaluation.predict.predict",
        "models.backbone.Frozen",
        "models.localizer.left_to_right",
        "evaluation.predict.localize_scores",
        "models.localizer.LocalizeHead",
        "models.localizer.cell_anchors",
        "models.localizer.look_target",
        "models.localizer.class_errors",
        "models.localizer.box_errors",
        "models.localizer.localize_loss",
        "models.localizer.average_by_look",
        "models.localizer.Localizer",
    ],
    "03_region_proposals": [
        "proposals.selective_search.sliding_windows",
        "evaluation.proposal_recall.best_overlaps",
        "evaluation.proposal_recall.proposal_recall",
        "proposals.segmentation.grid_edges",
        "proposals.segmentation.ascending",
        "proposals.segmentation.sorted_edges",
        "proposals.segmentation.find_root",
        "proposals.segmentation.number_regions",
        "proposals.segmentation.join_pixels",
        "proposals.segmentation.felzenszwalb",
        "proposals.grouping.color_space",
        "proposals.grouping.color_codes",
        "proposals.grouping.texture_codes",
        "proposals.grouping.slope_codes",
        "proposals.grouping.region_histograms",
        "proposals.grouping.region_shapes",
        "proposals.grouping.describe_regions",
        "proposals.grouping.similarity",
        "proposals.grouping.join_regions",
        "proposals.grouping.group_regions",
        "proposals.selective_search.search_one_space",
        "proposals.selective_search.all_runs",
        "proposals.selective_search.count_votes",
        "proposals.selective_search.spread_out",
        "proposals.selective_search.rank_boxes",
        "proposals.selective_search.selective_search",
    ],
    "04_measuring_detectors": [
        "evaluation.average_precision.overlaps",
        "evaluation.average_precision.match_to_objects",
        "evaluation.average_precision.precision_recall",
        "evaluation.average_precision.average_precision",
        "evaluation.average_precision.ignored_objects",
        "evaluation.average_precision.outside",
        "evaluation.average_precision.score_image",
        "evaluation.average_precision.score_class",
        "evaluation.average_precision.mean_of_known",
        "evaluation.average_precision.class_result",
        "evaluation.average_precision.evaluate",
        "evaluation.intervals.draw_images",
        "evaluation.intervals.matched_once",
        "evaluation.intervals.resampled_ap",
        "evaluation.intervals.resampled_maps",
        "evaluation.intervals.interval_of",
        "evaluation.intervals.map_differences",
        "evaluation.intervals.map_intervals",
        "evaluation.intervals.share_interval",
        "evaluation.mistakes.sort_mistakes",
    ],
    "05_rcnn": [
        "models.rcnn.warp_regions",
        "training.rcnn_stages.region_targets",
        "models.rcnn.RegionNet",
        "training.svm.train_svm",
        "training.svm.ridge",
        "ops.postprocess.postprocess_detections",
    ],
    "06_roi_pooling": [
        "ops.roi.round_half_away",
        "ops.roi.bin_edges",
        "ops.roi.pool_bins",
        "ops.roi.MaxOverBins",
        "ops.roi.sampling_matrix",
        "ops.roi.align_by_matrices",
        "ops.roi.roi_align",
    ],
    "07_fast_rcnn": [
        "models.fast_rcnn.RegionHead",
        "ops.matching.sample_balanced",
        "models.fast_rcnn.sample_regions",
        "models.fast_rcnn.head_loss",
        "models.fast_rcnn.compress",
    ],
    "08_region_proposal_network": [
        "ops.anchors.AnchorGrid",
        "models.rpn.RPNHead",
        "models.rpn.rpn_loss",
        "ops.postprocess.filter_proposals",
    ],
    "09_faster_rcnn": [
        "models.faster_rcnn.FasterRCNN",
        "training.four_steps.train_in_four_steps",
    ],
    "10_speed_and_accuracy": [
        "evaluation.compare.pareto_front",
    ],
    "11_single_shot": [
        "models.single_shot.ShotHead",
        "models.single_shot.hard_negative_loss",
        "models.single_shot.focal_loss",
        "models.single_shot.shot_loss",
    ],
    "12_real_photos": [
        "models.photo_detector.Neck",
        "models.photo_detector.PhotoHead",
    ],
    "13_your_own_images": [],
}


def lessons():
    """The lesson notebooks, in order."""
    return sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def tags(cell):
    return cell.metadata.get("tags", [])


def taught_name(cell):
    """The package name after ``same-as:``, or None."""
    names = [t.removeprefix("same-as:") for t in tags(cell) if t.startswith("same-as:")]
    return names[0] if names else None


def source_of(name):
    """Source text of a package function or class, by its full dotted name.

    Of a method it is what a lesson shows: a function that is ``live.part_of`` its
    class. Raises ValueError if the package has no such name.
    """
    owner, _, attribute = name.rpartition(".")
    try:
        found = importlib.import_module(owner)
    except ImportError:
        found = None
    try:
        if found is None:
            module, _, kind = owner.rpartition(".")
            found = vars(getattr(importlib.import_module(module), kind))[attribute]
        else:
            found, kind = getattr(found, attribute), None
    except (ImportError, AttributeError, KeyError):
        raise ValueError(f"same-as:{name}: the package has no such name") from None
    text = inspect.getsource(getattr(found, "py_func", found)).rstrip()
    return f"@live.part_of({kind})\n{textwrap.dedent(text)}" if kind else text


def title_of(path):
    """A lesson's title: its first level-one heading."""
    for cell in nbformat.read(path, 4).cells:
        found = re.search(r"^# (.+)$", cell.source, re.M)
        if cell.cell_type == "markdown" and found:
            return found[1]
    raise ValueError(f"{path.name}: no '# title' in any text cell")
