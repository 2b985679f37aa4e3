"""`mystery`: a fault that package and lesson feel, and of which nothing is said."""

import inspect
import re

import pytest
import torch

from course_utils.core import files, weights
from course_utils.lessons import checks, live
from course_utils.lessons.grading.remote import answer_request, ask
from course_utils.lessons.mutants import KINDS, MUTANTS, broken, mystery
from course_utils.lessons.mutants.verdict import verdict
from course_utils.lessons.notebooks import source_of
from course_utils.ops import boxes, matching, nms
from course_utils.proposals import grouping, segmentation, selective_search
from tests.helpers.kernel import live_kernel

IOU = source_of("course_utils.ops.boxes.box_iou")
PAIR = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])


@pytest.fixture
def kernel():
    with live_kernel() as kernel:
        kernel.run("import torch\nfrom torch import Tensor, nn")
        yield kernel
        mystery.give_back()


@pytest.fixture(autouse=True)
def over():
    yield
    mystery.give_back()
    live.off()


def own_iou():
    return float(matching.box_iou(PAIR, PAIR)[0, 0])


def test_a_mystery_outside_of_ipython(capsys):
    course = boxes.box_iou
    mystery("01.2")
    assert boxes.box_iou is matching.box_iou is not course and own_iou() == 0.5
    assert live.changed() == [] and mystery.name == "01.2"
    mystery.end()
    assert boxes.box_iou is matching.box_iou is course and mystery.name is None
    mystery.end()
    mystery(None)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("Mystery 01.2: one function of the package is broken")
    assert "mystery.end()" in first and "iou" not in first
    assert rest == ["Mystery 01.2 is over.", "No mystery is on.", "No mystery is on."]


def test_in_a_lesson_its_names_feel_it_and_tell_nothing(kernel):
    kernel.run("from course_utils.ops.boxes import box_iou, box_iou as mine")
    kernel.run("from course_utils.lessons.mutants import mystery")
    course, before = boxes.box_iou, dict(kernel.names)
    kernel.run("mystery('01.2')")
    assert kernel.names["box_iou"] is boxes.box_iou is not course
    assert kernel.names["mine"] is course
    assert kernel.names.keys() - before.keys() <= {"_i", "_ii", "_iii"} | {
        name for name in kernel.names if name.startswith("_i")
    }
    assert inspect.getsource(boxes.box_iou) == inspect.getsource(course)
    assert kernel.run("live = 1") == "" and live.changed() == []
    with pytest.raises(ValueError, match="yours is: nothing"):
        live.restore("box_iou")
    live.restore()
    assert own_iou() == 0.5
    kernel.run("mystery.end()")
    assert kernel.names["box_iou"] is boxes.box_iou is course


def test_a_name_that_the_lesson_did_not_import_does_not_come(kernel):
    mystery("01.1")
    assert "nms" not in kernel.names
    mystery.end()
    assert "nms" not in kernel.names
    kernel.names["nms"] = 3
    mystery("01.1")
    with live.paused():
        pass
    mystery.end()
    assert kernel.names["nms"] == 3


def test_a_second_mystery_replaces_the_first():
    course = boxes.box_iou, nms.nms
    mystery("01.2")
    mystery("01.1")
    assert boxes.box_iou is course[0] and nms.nms is not course[1]
    with pytest.raises(ValueError, match="no mystery '01.99': there are 01.1, 01.2"):
        mystery("01.99")
    mystery.end()
    assert (boxes.box_iou, nms.nms) == course


def test_a_learners_changes_are_set_aside_and_come_again(kernel, capsys):
    kernel.run("from course_utils.ops.boxes import box_iou")
    kernel.run("def box_iou(a, b):\n    return 7")
    mystery("01.2")
    assert capsys.readouterr().out.splitlines()[1] == (
        "Until then yours is set aside: `box_iou`."
    )
    assert own_iou() == 0.5 and live.changed() == []
    mystery("01.1")
    mystery.end()
    assert matching.box_iou(1, 1) == kernel.names["box_iou"](1, 1) == 7
    assert live.changed() == ["box_iou"]


def test_the_courses_own_text_changes_nothing_and_the_mend_does(kernel):
    kernel.run("from course_utils.ops.boxes import box_area, box_intersection")
    course = boxes.box_iou
    mystery("01.2")
    assert kernel.run(IOU) == "" and own_iou() == 0.5
    assert kernel.names["box_iou"] is boxes.box_iou
    line = kernel.run(IOU.replace("- intersection", "- 1 * intersection"))
    assert line.startswith("`box_iou` is yours from now on") and own_iou() == 1
    assert live.changed() == ["box_iou"]
    live.restore("box_iou")
    assert own_iou() == 0.5 and live.changed() == []
    kernel.run("def box_iou(a, b):\n    return 7")
    mystery.end()  # the learner's stays, over the course's own
    assert matching.box_iou(1, 1) == 7
    live.restore()
    assert boxes.box_iou is kernel.names["box_iou"] is course


def test_paused_sets_a_mystery_aside_and_a_mend_of_it_too(kernel):
    mystery("01.2")
    for _ in range(2):
        with live.paused():
            assert own_iou() == 1
        kernel.run("def box_iou(a, b):\n    return torch.full((2, 2), 0.25)")
    assert own_iou() == 0.25
    live.restore()
    assert own_iou() == 0.5


def test_no_check_is_fooled_and_a_learners_change_is_still_theirs(kernel, monkeypatch):
    seen = {}

    def look(answer):
        seen.update(iou=own_iou(), area=float(boxes.box_area(PAIR[:1])))

    monkeypatch.setitem(checks.CHECKS, "look", look)
    mystery("01.2")
    kernel.run("def box_area(boxes):\n    return torch.full((len(boxes),), 50.0)")
    assert checks.judge("look", 1) == (True, "right")
    assert seen["area"] == 50 and seen["iou"] != 0.5
    assert boxes.box_area(PAIR)[0] == 50 and live.changed() == ["box_area"]
    mystery("01.2")
    assert checks.judge("look", 1)[0] and seen == {"iou": 1, "area": 100}
    assert own_iou() == 0.5


def test_graded_answers_are_called_without_a_mystery():
    names = {"iou": lambda: matching.box_iou(PAIR, PAIR)}

    def send(asked):
        return answer_request(asked, names)

    mystery("01.2")
    answer = ask({"expression": "iou"}, send)["result"]
    assert mystery.name == "01.2" and float(answer()[0, 0]) == 1


def test_what_is_fine_is_so_while_the_mystery_is_on():
    mystery("01.6")
    sentence = verdict("01.6", ("encode_boxes", "off by one"))
    assert sentence.endswith("it gives [0.5, 0.0, 0.0, 0.0], as it should")
    assert "something that it calls" in verdict("01.6", ("giou", "off by one"))


def test_live_off_and_on_again_end_a_mystery(kernel):
    course = boxes.box_iou
    mystery("01.2")
    live.off()
    assert boxes.box_iou is course and mystery.name is None
    mystery("01.2")
    live.on(kernel.shell)
    assert boxes.box_iou is course and mystery.name is None


def test_kept_files_are_kept_apart():
    course = files.content_key("x")
    mystery("03.1")
    assert selective_search.content_key("x") != course != weights.content_key("x")
    mystery.end()
    assert selective_search.content_key("x") == course == weights.content_key("x")


@pytest.mark.slow
def test_compiled_callers_feel_it_and_so_does_the_course_again():
    similarity, caller = grouping.similarity, grouping.group_regions
    picture = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    before = selective_search.selective_search(picture)
    mystery("03.1")
    assert selective_search.group_regions is not caller
    assert not torch.equal(selective_search.selective_search(picture), before)
    mystery.end()
    assert grouping.similarity is similarity
    assert selective_search.group_regions is grouping.group_regions is caller
    assert torch.equal(selective_search.selective_search(picture), before)
    assert segmentation.join_pixels.py_func


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_can_be_made_and_says_what_it_is(name):
    mutant = MUTANTS[name]
    value, _ = broken(mutant)
    source = inspect.getsource(getattr(value, "py_func", value))
    assert source.rstrip() == source_of(f"{mutant.module}.{mutant.name}")
    assert value.__module__ == mutant.module and value.__name__ == mutant.name
    assert mutant.kinds and set(mutant.kinds) <= set(KINDS)
    assert mutant.symptom.endswith(".") and mutant.mend.endswith(".")
    assert verdict(name, (mutant.name, mutant.kinds[0])) is None


@pytest.mark.parametrize("answer, words", [
    ("box_iou", "two texts"),
    (("box_iou", 3), "two texts"),
    (("off by one", "nms"), "the function comes first"),
    (("nmss", "off by one"), "no function 'nmss'"),
    (("box_iou", "wrong order"), r"`box_iou` is fine: on \[0, 0, 4, 4\] .* \[0.333\]"),
    (("batched_nms", "wrong order"), "something that it calls does not"),
    (("collate", "wrong order"), "`collate` is fine: look elsewhere"),
    (("forward", "wrong order"), "`forward` is fine"),
    (("nms", "off by one"), "`nms` it is, but not 'off by one'"),
    (("nms", "silly"), "as the kind give one of: axes swapped, "),
])  # fmt: skip
def test_sentences_of_the_verdict(answer, words):
    right, sentence = checks.judge("01.3 find the fault", answer)
    assert not right and re.search(words, sentence), sentence


def test_right_answers_in_all_forms_and_none():
    for answer in [("nms", "wrong order"), ["ops.nms.nms", "Wrong order"],
                   (nms.nms, "wrong sign"), ("nms()", "wrong order")]:  # fmt: skip
        assert checks.judge("01.3 find the fault", answer) == (True, "right")
    for answer in (None, ..., (..., ...), (None, None)):
        found = checks.judge("01.3 find the fault", answer)
        assert found == (False, "not attempted yet")
