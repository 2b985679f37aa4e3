"""Live cells: what a learner changes takes the package's place in this kernel."""

import functools
import sys

import pytest
import torch
from torch import nn

from course_utils.core import files, weights
from course_utils.core.cache import cache_dir
from course_utils.data import feature_maps
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation import average_precision
from course_utils.lessons import live, live_source, live_swap
from course_utils.lessons.notebooks import source_of
from course_utils.models import fast_rcnn, faster_rcnn, photo_detector, single_shot
from course_utils.models.backbone import SmallResNet
from course_utils.ops import boxes, matching, nms, roi, targets
from course_utils.proposals import grouping, segmentation, selective_search
from tests.helpers.kernel import live_kernel, modules

YOURS = "`{}` is yours from now on; restart the kernel for the course's own."
BACK = "`{}` is the course's own again."
IOU = source_of("course_utils.ops.boxes.box_iou")
SEVEN = "def box_iou(a, b):\n    return 7"
PAIR = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])


class Halves(nn.Module):
    """A backbone for `frozen_maps`."""

    def forward(self, images):
        return [torch.zeros(len(images), *shape) for shape in feature_maps.SHAPES]


@pytest.fixture
def kernel():
    with live_kernel() as kernel:
        kernel.run("import torch, numpy as np\nfrom torch import Tensor, nn")
        yield kernel


def test_an_unchanged_definition_stays_the_packages_object(kernel):
    course = boxes.box_iou
    assert kernel.run(IOU) == ""
    assert kernel.names["box_iou"] is course is matching.box_iou
    assert live.changed() == []


def test_docstrings_comments_and_formatting_do_not_count(kernel):
    course = boxes.box_area
    source = source_of("course_utils.ops.boxes.box_area")
    other = source.replace("Areas of", "The area of").replace(" * ", "*  ") + "  # so"
    assert other != source
    assert kernel.run(other) == "" and kernel.names["box_area"] is course


def test_a_changed_function_is_the_packages_too(kernel):
    course = boxes.box_iou
    assert kernel.run(SEVEN) == YOURS.format("box_iou")
    assert matching.box_iou is boxes.box_iou is kernel.names["box_iou"] is not course
    assert live.changed() == ["box_iou"]


def test_the_same_change_again_says_nothing_and_holds(kernel):
    kernel.run(SEVEN)
    assert kernel.run(SEVEN) == ""
    assert matching.box_iou is kernel.names["box_iou"]


def test_a_second_change_replaces_the_first(kernel):
    kernel.run(SEVEN)
    assert kernel.run(SEVEN.replace("7", "8")) == YOURS.format("box_iou")
    assert matching.box_iou(1, 1) == 8 and live.changed() == ["box_iou"]


def test_the_courses_text_brings_the_courses_own_back(kernel):
    course = boxes.box_iou
    kernel.run(SEVEN)
    assert kernel.run(IOU) == BACK.format("box_iou")
    assert matching.box_iou is kernel.names["box_iou"] is course


def test_restore_one_and_all(kernel, capsys):
    course = boxes.box_iou, nms.nms
    kernel.run(SEVEN + "\ndef nms(*args):\n    return 3")
    assert live.changed() == ["box_iou", "nms"]
    live.restore("nms")
    assert live.changed() == ["box_iou"] and kernel.names["nms"] is course[1]
    live.restore()
    assert (matching.box_iou, nms.nms) == course
    assert kernel.names["box_iou"] is course[0]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [BACK.format("nms"), BACK.format("box_iou")]
    with pytest.raises(ValueError, match="'nms' is not changed; yours is: nothing"):
        live.restore("nms")


def test_a_cell_that_fails_changes_nothing(kernel):
    course = boxes.box_iou
    kernel.run(SEVEN + "\n1 / 0", fails=True)
    assert boxes.box_iou is matching.box_iou is course and live.changed() == []
    kernel.run("def box_iou(a, b:", fails=True)
    assert live.changed() == []


def test_cells_with_magics(kernel):
    assert kernel.run("%%time\n" + SEVEN).endswith(YOURS.format("box_iou"))
    line = kernel.run("%pwd\n" + SEVEN.replace("7", "8"))
    assert line.endswith(YOURS.format("box_iou")) and matching.box_iou(1, 1) == 8


def test_a_helper_of_the_learners_own_is_left_alone(kernel):
    assert kernel.run("def my_iou(a, b):\n    return 7\nSIDE = 5\npredict = [1]") == ""
    assert live.changed() == []
    assert kernel.names["SIDE"] == 5 and kernel.names["predict"] == [1]


def test_names_of_data_count_where_the_lesson_imports_them(kernel):
    assert kernel.run("def flip(image, target):\n    return 1") == ""
    kernel.run("from course_utils.data.transforms import flip")
    line = kernel.run("def flip(image, target):\n    return 1")
    assert line == YOURS.format("flip")


def test_of_two_modules_with_one_name_the_import_says_which(kernel, monkeypatch):
    course = targets.check_labels
    kernel.run("from course_utils.data.labels.faults import check_labels")
    kernel.run("def check_labels(labels):\n    return 1")
    assert sys.modules["course_utils.data.labels.faults"].check_labels(0) == 1
    assert targets.check_labels is course
    twice = {"box_other": ["course_utils.ops.boxes", "course_utils.models.rpn"]}
    syntax = live_source.syntax("course_utils.ops.boxes")["giou"]
    monkeypatch.setattr(live, "modules_with", lambda: twice)
    monkeypatch.setattr(live, "syntax", lambda module: {"box_other": syntax})
    line = kernel.run("def box_other(a):\n    return 1")
    assert line.endswith(
        "course_utils.ops.boxes and course_utils.models.rpn have one; import the one"
        " meant"
    )


def test_an_assigned_function_counts(kernel):
    kernel.run("import torchvision\nbox_iou = torchvision.ops.box_iou")
    assert matching.box_iou is sys.modules["torchvision"].ops.box_iou


def test_a_changed_function_may_call_the_courses_own(kernel):
    kernel.run("from course_utils.ops.boxes import box_iou\ncourse_iou = box_iou")
    kernel.run("def box_iou(a, b):\n    return course_iou(a, b) / 2")
    kernel.run("def box_iou(a, b, before=box_iou):\n    return before(a, b) / 2")
    assert matching.box_iou(PAIR, PAIR)[0, 0] == 0.25


def test_defaults_partials_and_objects_follow(kernel):
    head = fast_rcnn.RegionHead(8, 3, hidden=8)
    model = fast_rcnn.FastRCNN(SmallResNet((4, 8, 8)), head, pool=roi.roi_align)
    kernel.run("from functools import partial")
    kernel.run("from course_utils.ops.roi import roi_align\npart = partial(roi_align)")
    kernel.run("def mine(x, pool=roi_align):\n    return pool")
    course = roi.roi_align
    partial = functools.partial(course, 1, also=course)
    kernel.run("def roi_align(*args):\n    return 7")
    new = kernel.names["roi_align"]
    defaults = faster_rcnn.FasterRCNN.__init__.__defaults__
    assert new in defaults and course not in defaults
    assert model.pool is new and kernel.names["part"].func is new
    assert kernel.names["mine"](1) is new
    assert partial.func is partial.keywords["also"] is new
    kernel.run("def focal_loss(*args):\n    return 7")
    kernel.run("def hard_negative_loss(*args):\n    return 7")
    assert single_shot.shot_loss.__defaults__[0] is kernel.names["focal_loss"]
    live.restore()
    assert model.pool is partial.func is course
    assert faster_rcnn.FasterRCNN.__init__.__defaults__ == defaults[:0] + (course,)


HEAD = source_of("course_utils.models.fast_rcnn.RegionHead")


def test_a_changed_class_with_super_and_its_subclasses(kernel):
    course, old = fast_rcnn.RegionHead, fast_rcnn.RegionHead(8, 3, hidden=8)
    photo = photo_detector.PhotoHead(8, 3, hidden=8)
    longer = HEAD.replace(
        "super().__init__()", "super().__init__()\n        self.x = 5"
    )
    kernel.run(longer)
    new = kernel.names["RegionHead"]
    assert fast_rcnn.RegionHead is faster_rcnn.RegionHead is new is not course
    assert photo_detector.PhotoHead.__bases__ == (new,)
    assert new(8, 3).x == 5 and photo_detector.PhotoHead(8, 3, hidden=8).x == 5
    # Another __init__: what exists lacks what it sets, so it stays of its class.
    assert type(old) is course and isinstance(photo, new)
    live.restore()
    assert photo_detector.PhotoHead.__bases__ == (course,)


def test_objects_that_exist_follow_a_class_with_the_same_init(kernel):
    course, old = fast_rcnn.RegionHead, fast_rcnn.RegionHead(8, 3, 1, hidden=8)
    kernel.run(HEAD[: HEAD.index("    def forward")] + "    def forward(self, x):\n"
               "        return 7")  # fmt: skip
    assert old(None) == 7
    live.restore()
    assert type(old) is course and old(torch.zeros(1, 8, 1, 1))[0].shape == (1, 3)


def test_a_class_may_be_built_on_the_courses_own(kernel):
    course = fast_rcnn.RegionHead
    kernel.run("from course_utils.models.fast_rcnn import RegionHead")
    kernel.run("class RegionHead(RegionHead):\n    more = 1")
    new = kernel.names["RegionHead"]
    assert new.__bases__ == (course,)
    assert photo_detector.PhotoHead.__mro__[1:3] == (new, course)
    live.restore()
    assert photo_detector.PhotoHead.__mro__[1] is course


def test_what_python_refuses_is_said_in_a_line_and_half_of_nothing_is_done(kernel):
    course, photo = fast_rcnn.RegionHead, photo_detector.PhotoHead.__bases__
    line = kernel.run("def RegionHead(*args):\n    return 7")
    assert line.startswith("NOTE  the package cannot use your `RegionHead`: ")
    assert len(line.splitlines()) == 1
    assert fast_rcnn.RegionHead is faster_rcnn.RegionHead is course
    assert photo_detector.PhotoHead.__bases__ == photo and live.changed() == []


def test_a_swap_that_breaks_off_is_undone(monkeypatch):
    first, second = boxes.box_iou, boxes.giou
    real = live_swap.places

    def breaking(pairs, kernel):
        yield from real(pairs, kernel)
        yield (lambda value: 1 / 0), pairs[0]

    monkeypatch.setattr(live_swap, "places", breaking)
    with pytest.raises(ZeroDivisionError):
        live_swap.swap([live_swap.Pair(first, second, "box_iou")], {})
    assert boxes.box_iou is matching.box_iou is first


def test_an_error_of_the_hook_breaks_no_lesson(kernel, monkeypatch):
    monkeypatch.setattr(live.Live, "put", lambda *args: 1 / 0)
    assert kernel.run(SEVEN) == (
        "NOTE  the package cannot use your `box_iou`: division by zero"
    )
    monkeypatch.setattr(live, "read_cell", lambda *args: 1 / 0)
    assert kernel.run(SEVEN) == ""


def test_constants(kernel):
    names = "from course_utils.ops.boxes import BOX_DELTA_STDS\n"
    names += "from course_utils.evaluation.average_precision import COCO_IOUS"
    kernel.run(names)
    course = boxes.BOX_DELTA_STDS
    assert kernel.run("BOX_DELTA_STDS = (0.1, 0.1, 0.2, 0.2)") == ""
    assert kernel.names["BOX_DELTA_STDS"] is course
    line = kernel.run("BOX_DELTA_STDS, COCO_IOUS = (1, 1, 1, 1), (0.5,)")
    assert line.splitlines() == [
        YOURS.format("BOX_DELTA_STDS"),
        YOURS.format("COCO_IOUS"),
    ]
    assert fast_rcnn.BOX_DELTA_STDS == single_shot.BOX_DELTA_STDS == (1, 1, 1, 1)
    assert average_precision.COCO_IOUS == (0.5,)
    live.restore()
    assert fast_rcnn.BOX_DELTA_STDS is course


def test_a_constant_is_told_by_its_name_never_by_its_value(kernel):
    kernel.run(
        "from course_utils.proposals.selective_search import STRATEGIES, VERSION"
    )
    two = [grouping.TEXTURE_BINS, single_shot.focal_loss.__defaults__]
    kernel.run("VERSION = 3")  # it was 2, which is one object in all of Python
    assert selective_search.VERSION == 3
    assert single_shot.focal_loss.__defaults__ == two[1]
    kernel.run("STRATEGIES = ((1, 1, 1, 1),)")
    assert ((1, 1, 1, 1),) in selective_search.all_runs.__defaults__
    live.restore()
    assert ((1, 1, 1, 1),) not in selective_search.all_runs.__defaults__


ROOT = source_of("course_utils.proposals.segmentation.find_root")
NO_ROOT = "def find_root(parent, i):\n    return np.int32(i)"
PICTURE = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))


def pieces():
    return int(segmentation.felzenszwalb(PICTURE, min_size=1).max()) + 1


@pytest.mark.slow
@pytest.mark.parametrize("decorator", ["@njit(nogil=True)\n", ""])
def test_compiled_callers_use_a_changed_compiled_function(kernel, decorator):
    """Also where the learner's is plain Python: then it is compiled for them."""
    kernel.run("from course_utils.core.compiled import njit")
    course, caller, before = segmentation.find_root, segmentation.join_pixels, pieces()
    overloads = len(caller.overloads)
    assert kernel.run(decorator + NO_ROOT) == YOURS.format("find_root")
    again = segmentation.join_pixels
    assert again is selective_search.join_pixels is not caller
    assert type(again._cache).__name__ == "NullCache"  # the disk keeps the course's
    assert pieces() != before
    live.restore()
    assert segmentation.find_root is course and segmentation.join_pixels is caller
    assert selective_search.join_pixels is caller and len(caller.overloads) == overloads
    assert pieces() == before


@pytest.mark.slow
def test_a_caller_in_the_kernel_and_a_caller_of_the_caller(kernel):
    kernel.run("from course_utils.core.compiled import njit")
    kernel.run("from course_utils.proposals.segmentation import find_root")
    kernel.run("@njit\ndef mine(parent):\n    return find_root(parent, 1)")
    kernel.run("@njit\ndef twice(parent):\n    return 2 * mine(parent)")
    assert kernel.run("int(twice(np.zeros(3, np.int64)))").endswith("0")
    kernel.run("@njit\ndef find_root(parent, i):\n    return 5")
    assert kernel.run("int(twice(np.zeros(3, np.int64)))").endswith("10")
    live.restore()
    assert kernel.run("int(twice(np.zeros(3, np.int64)))").endswith("0")


@pytest.mark.slow
def test_inner_and_outer_changed_and_each_given_back(kernel):
    """The course's caller, given back first, still calls the learner's function."""
    kernel.run("from course_utils.core.compiled import njit")
    kernel.run("from course_utils.proposals.segmentation import find_root")
    inner, outer, before = segmentation.find_root, segmentation.join_pixels, pieces()
    kernel.run("@njit\n" + NO_ROOT)
    changed = pieces()
    source = source_of("course_utils.proposals.segmentation.join_pixels")
    assert kernel.run(source) == ""  # the course's text, with the learner's inside
    assert pieces() == changed and live.changed() == ["find_root"]
    plain = "def join_pixels(*args):\n    return np.arange(400)"
    kernel.run(plain)
    assert pieces() == 400
    live.restore("join_pixels")
    assert pieces() == changed
    live.restore("find_root")
    assert segmentation.find_root is inner and segmentation.join_pixels is outer
    assert pieces() == before


def test_a_plain_version_where_only_python_calls(kernel):
    kernel.run(
        "def greedy_nms(boxes, iou_threshold, most):\n    return boxes[:, 0] > 15"
    )
    assert nms.nms(PAIR, torch.ones(2)).tolist() == [1]


@pytest.mark.slow
def test_a_constant_of_compiled_code(kernel):
    caller = grouping.describe_regions
    kernel.run("from course_utils.proposals.grouping import COLOR_BINS")
    kernel.run("COLOR_BINS = 30")
    labels, codes = torch.zeros(2, 2).int().numpy(), torch.zeros(2, 2, 3).byte().numpy()
    assert selective_search.describe_regions(labels, 1, codes, codes)[0].shape[1] == 90
    live.restore()
    assert selective_search.describe_regions is caller


def test_modules_imported_later_get_the_learners(kernel):
    kernel.run(SEVEN)
    gone = sys.modules.pop("course_utils.ops.matching")
    try:
        kernel.run("from course_utils.ops.matching import match_boxes")
        assert sys.modules["course_utils.ops.matching"].box_iou(1, 1) == 7
    finally:
        sys.modules["course_utils.ops.matching"] = gone


def test_kept_files_of_changed_code_are_kept_apart(kernel):
    keys = lambda: [  # noqa: E731
        module.content_key("x")
        for module in (selective_search, sys.modules["course_utils.core.weights"])
    ]
    course = files.content_key("x")
    kernel.run("def head_loss(*args):\n    return 7")  # no proposal depends on it
    assert keys()[0] == course != keys()[1]
    kernel.run(SEVEN)
    assert course not in keys()
    live.restore()
    assert keys() == [course, course]
    assert selective_search.content_key is files.content_key


@pytest.mark.parametrize("cell, parts", [
    (SEVEN, {"feature_maps", "selective_search", "rcnn_stages", "weights"}),
    ("from course_utils.data.transforms import flip\ndef flip(image, target):\n"
     "    return 7", {"feature_maps", "selective_search", "rcnn_stages", "weights"}),
    ("def join_pixels(*args):\n    return 7",
     {"feature_maps", "selective_search", "rcnn_stages", "weights"}),
    ("def warp_regions(*args):\n    return 7",
     {"feature_maps", "rcnn_stages", "weights"}),
    ("def train_svm(*args):\n    return 7", {"rcnn_stages", "weights"}),
    ("def precision_recall(*args):\n    return 7", set()),
])  # fmt: skip
def test_a_change_parts_what_is_kept_in_its_room_and_after(kernel, cell, parts):
    """An op parts kept feature maps too, and so does the backbone they are given."""
    live.import_users("content_key")
    course, held = files.content_key("x"), "course_utils.core.files"
    kernel.run(cell)
    found = {
        name.rsplit(".")[-1]
        for name, module in modules().items()
        if name != held and hasattr(module, "content_key")
        if module.content_key("x") != course
    }
    assert found == parts


def test_kept_feature_maps_are_made_again_when_an_op_is_changed(kernel):
    """The file itself: another one, and the first one when the course's is back."""
    data, net = VOCDataset(find_data("tabletop"), "val"), Halves()
    data.ids = data.ids[:1]

    def kept():
        feature_maps.frozen_maps("parted", net, data)
        return {path.name for path in (cache_dir() / "arrays").glob("parted-*")}

    first = kept()
    kernel.run(SEVEN)
    assert len(kept()) == 2 == len(first) + 1
    live.restore()
    assert len(kept()) == 2


def test_shipped_weights_say_that_no_change_trained_them(kernel, capsys, monkeypatch):
    monkeypatch.setattr(
        weights, "load_weights", lambda model, path: "data" in str(path)
    )
    net = nn.Linear(1, 1)
    for cell, said in ("a = 1", ""), (SEVEN, "NOTE  any: these weights were trained"):
        kernel.run(cell)
        assert weights.train_or_load("any", net, None) == "shipped"
        assert capsys.readouterr().out.startswith(said)
    live.restore()
    capsys.readouterr()
    weights.train_or_load("any", net, None)
    assert capsys.readouterr().out == ""


def test_on_twice_and_outside_of_ipython(kernel):
    live.on(kernel.shell)
    assert kernel.run(SEVEN) == YOURS.format("box_iou")
    live.off()
    assert live.changed() == [] and boxes.box_iou is not kernel.run
    live.on(None)  # no shell here
    assert live.LIVE is None
    live.restore()


def test_every_name_of_the_package_is_found():
    """By reading lines that begin with it, as by parsing, which takes longer."""
    for module in live_source.sources():
        for name in live_source.syntax(module):
            if "." in name:  # a method
                continue
            found = live_source.modules_with().get(name, [])
            assert name.startswith("_") or module in found, f"{module}.{name}"
