"""Everything that a detector is made of stands in a lesson."""

import ast
import collections
import importlib
import inspect

import pytest

from course_utils.core.settings import REPOSITORY
from course_utils.lessons.notebooks import TAUGHT

PACKAGE = REPOSITORY / "course_utils"
# What must be shown: these rooms and files.
LOOKED_AT = ("ops", "proposals", "models", "training/loop.py")
LOOKED_AT += ("evaluation/average_precision.py", "evaluation/proposal_recall.py")
LOOKED_AT += ("evaluation/compare.py",)

# By kind: adapters to libraries, files and formats, and checks of what is given.
ADAPTERS = {
    "models.onnx": "the ONNX format",
    "models.torchvision_reference": "torchvision's detector",
    "models.imagenet": "timm's network",
    "ops.targets": "reads and checks targets as they come",
    "ops.nms.check_scored": "checks what is given",
    "ops.boxes.check_boxes": "checks what is given",
    "ops.anchors.positive_numbers": "checks what is given",
    "ops.roi.split_regions": "checks what is given",
    "ops.matching.check_finite": "checks what is given",
    "ops.roi.as_pair": "checks what is given",
    "proposals.segmentation.as_image": "checks what is given",
    "evaluation.average_precision.cpu_array": "checks what is given",
    "evaluation.average_precision.checked_settings": "checks what is given",
    "models.localizer.exactly_k": "checks what is given",
    "models.localizer.one_label": "checks what is given",
    "proposals.selective_search.dataset_proposals": "the files of kept proposals",
    "models.photo_detector.save_detector": "the file of a detector",
    "models.photo_detector.load_detector": "the file of a detector",
}
# Hidden for another reason.
EXCEPTIONS = {
    "models.detector.Detector": "a type annotation; its protocol is lesson 10's text",
    "ops.roi.image_of_each": "an index for each row",
    "ops.roi.reorder": "which axes lie together in memory",
    "ops.roi.at_least_float32": "half precision in and out",
    "ops.roi_sparse.by_cells": "a cache's key",
    "ops.roi_sparse.scatter_cells": "the gradient of `gather_cells`",
    "ops.roi_sparse.GatherCells": "makes `gather_cells` a function with a gradient",
    "ops.roi_sparse.ScatterCells": "makes `scatter_cells` one with a gradient",
    "ops.roi_sparse.align_by_cells": "lesson 06's `align_by_matrices`, faster",
    "training.loop.NonFiniteLoss": "the name of an error",
    "training.loop.progress": "the progress bar",
    "training.loop.hint": "the text of an error",
}
# Still hidden; the lessons that they belong to are to show them.
LATER = {
    "11_single_shot": ["models.single_shot.SingleShot"],
    "12_real_photos": [
        f"models.photo_detector.{name}"
        for name in (
            "Prepare",
            "in_pixels",
            "boxes_in_pixels",
            "PhotoFasterRCNN",
            "PhotoFastRCNN",
            "start_from",
        )
    ],
}


def public_names():
    """Dotted names of what must be shown."""
    for place in LOOKED_AT:
        path = PACKAGE / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
            for node in ast.parse(file.read_text()).body:
                public = not getattr(node, "name", "_").startswith("_")
                if public and isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    yield f"{module}.{node.name}"


def shown_names():
    """All that stands in a lesson; a class does, too, if each of its methods does."""
    shown = {name for names in TAUGHT.values() for name in names}
    for owner in {name.rpartition(".")[0] for name in shown}:
        module, _, kind = owner.rpartition(".")
        if kind[:1].isupper():
            found = getattr(importlib.import_module(f"course_utils.{module}"), kind)
            own = (n for n, v in vars(found).items() if inspect.isfunction(v))
            if all(f"{owner}.{method}" in shown for method in own):
                shown.add(owner)
    return shown


def test_everything_public_is_shown_or_has_a_reason():
    names, shown = set(public_names()), shown_names()
    later = {name for names in LATER.values() for name in names}
    adapters = {
        name
        for name in names
        if name in ADAPTERS or name.rpartition(".")[0] in ADAPTERS
    }
    assert len(EXCEPTIONS) < 20
    groups = {"shown": shown, "adapter": adapters, "later": later}
    groups["exception"] = set(EXCEPTIONS)
    for name in sorted(names):
        found = [group for group, members in groups.items() if name in members]
        assert len(found) == 1, f"{name}: {found or 'neither shown nor excepted'}"
    for group in ("later", "exception"):
        assert groups[group] <= names, groups[group] - names


def test_each_is_shown_in_one_lesson():
    count = collections.Counter(name for names in TAUGHT.values() for name in names)
    assert not [name for name, times in count.items() if times > 1]


@pytest.mark.parametrize("lesson", LATER)
def test_the_first_lessons_hide_nothing(lesson):
    assert int(lesson[:2]) > 9
