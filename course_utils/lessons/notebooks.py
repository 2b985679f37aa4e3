"""The lesson notebooks: where they lie, and what each of them teaches."""

import ast
import importlib
import inspect
import re
import textwrap

import nbformat

from course_utils.core.files import content_key
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
        "evaluation.predict.close_ups",
        "evaluation.predict.look_twice",
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
        "training.rcnn_stages.known_regions",
        "training.rcnn_stages.join_facts",
        "models.rcnn.RegionNet",
        "training.rcnn_stages.RegionBatches.__iter__",
        "training.rcnn_stages.RegionBatches.sample",
        "models.rcnn.region_features",
        "training.rcnn_stages.cached_features",
        "training.svm.fit_svm",
        "models.rcnn.decision_function",
        "training.svm.train_svm",
        "training.svm.train_svms",
        "training.svm.mean_length",
        "training.svm.ridge",
        "training.svm.train_box_regression",
        "training.rcnn_stages.mirrored_features",
        "training.rcnn_stages.regression_pairs",
        "models.rcnn.RCNN.set_svms_and_regressors",
        "models.rcnn.RCNN.score_features",
        "ops.postprocess.postprocess_detections",
        "models.rcnn.RCNN.__init__",
        "models.rcnn.RCNN.score_regions",
        "models.rcnn.RCNN.forward",
        "training.rcnn_stages.fit_svms_and_regressors",
    ],
    "06_roi_pooling": [
        "ops.roi.round_half_away",
        "ops.roi.bin_edges",
        "ops.roi.pool_bins",
        "ops.roi.scatter_bins",
        "ops.roi.MaxOverBins",
        "ops.roi.roi_pool",
        "ops.roi.sample_points",
        "ops.roi.sampling_matrix",
        "ops.roi.align_by_matrices",
        "ops.roi_sparse.weighing_cells",
        "ops.roi_sparse.gather_cells",
        "ops.roi.roi_align",
    ],
    "07_fast_rcnn": [
        "models.fast_rcnn.RegionHead",
        "ops.matching.match_boxes",
        "ops.matching.assign_targets",
        "ops.matching.sample_balanced",
        "models.fast_rcnn.sample_regions",
        "models.fast_rcnn.head_loss",
        "models.fast_rcnn.FastRCNN.__init__",
        "models.fast_rcnn.FastRCNN.losses",
        "models.fast_rcnn.FastRCNN.pooled",
        "models.fast_rcnn.FastRCNN.region_losses",
        "models.fast_rcnn.score_boxes",
        "models.fast_rcnn.FastRCNN.detections",
        "models.fast_rcnn.FastRCNN.forward",
        "models.fast_rcnn.FastRCNN.propose",
        "models.fast_rcnn.FastRCNN.score_regions",
        "ops.batches.stack_images",
        "models.backbone.freeze",
        "models.fast_rcnn.compress",
    ],
    "08_region_proposal_network": [
        "ops.anchors.AnchorGrid",
        "models.rpn.RPNHead",
        "models.rpn.rpn_loss",
        "ops.postprocess.filter_proposals",
        "models.rpn.best_first",
        "models.rpn.RPN.__init__",
        "models.rpn.RPN.forward",
        "models.rpn.RPN.losses",
        "models.rpn.RPN.proposals",
        "models.rpn.ProposalNet",
    ],
    "09_faster_rcnn": [
        "models.faster_rcnn.FasterRCNN",
        "models.faster_rcnn.new_faster_rcnn",
        "training.recipes.train_faster_rcnn",
        "training.four_steps.WithProposals",
        "training.four_steps.train_in_four_steps",
    ],
    "10_speed_and_accuracy": [
        "evaluation.compare.run_timed",
        "evaluation.compare.phase_medians",
        "evaluation.compare.run_all",
        "evaluation.compare.model_megabytes",
        "evaluation.compare.images_per_second",
        "evaluation.compare.score_regions",
        "evaluation.compare.detections_from",
        "evaluation.compare.settings_table",
        "evaluation.compare.phase_times",
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


def fingerprint(source):
    """A short hash of a cell's code; docstrings and lines of comment do not count."""
    lines = source.splitlines()
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:  # a magic command
        nodes = []
    for node in nodes:
        defines = isinstance(node, (ast.FunctionDef, ast.ClassDef))
        if defines and ast.get_docstring(node):
            text = node.body[0]
            for row in range(text.lineno - 1, text.end_lineno):
                lines[row] = ""
    code = [line for line in lines if line.strip() and line.lstrip()[0] != "#"]
    return content_key(*code)
