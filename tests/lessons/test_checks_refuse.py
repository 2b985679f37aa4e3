"""What the checks refuse and accept: mistakes, generated wrong answers, right forms."""

import pytest
import torch

from course_utils.lessons import checks
from course_utils.ops.boxes import clip_boxes, decode_boxes
from tests.helpers.answer_mutants import (
    SAME,
    WRITTEN,
    Trial,
    formed,
    refuse_table,
    right_forms,
    wrong_answers,
)
from tests.helpers.wrong_answers import WRONG

# Mistakes that give the same results as another one of their table get its sentence:
# (exercise, sentence): the other's.
EQUAL = {}
NAMES = list(WRITTEN)


@pytest.mark.parametrize("name", NAMES)
def test_each_mistake_is_refused_with_its_own_sentence(name):
    table = WRITTEN[name].mistakes
    assert len(table) >= 5
    for wrong, sentence in table:
        for seed in (0, 1):
            right, said = checks.judge(name, wrong, seed)
            wanted = EQUAL.get((name, sentence), sentence)
            assert not right and wanted in said, (wanted, said)


@pytest.mark.parametrize("name", NAMES)
def test_generated_wrong_answers_are_refused(name):
    trial = Trial(name)
    accepted = {k for k, a in wrong_answers(trial).items() if not trial.refuses(a)}
    assert accepted == {kind for exercise, kind in SAME if exercise == name}


def test_the_answers_that_are_right_all_the_same_belong_to_exercises():
    assert {name for name, _ in SAME} | {name for name, _ in EQUAL} <= set(WRITTEN)
    assert all(SAME.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_right_form_is_accepted(name):
    right = WRITTEN[name].right
    for kind, form in right_forms(Trial(name).wanted).items():
        verdict = checks.judge(name, formed(right, form))
        assert verdict == (True, "right"), (kind, verdict)


@pytest.mark.parametrize("name", NAMES)
def test_other_inputs_judge_alike(name):
    for seed in range(1, 31):
        trial = Trial(name, seed)
        assert not trial.refuses(trial.check.right), seed
        for wrong, sentence in trial.check.mistakes:
            assert trial.refuses(wrong), (seed, sentence)


@pytest.mark.parametrize("name", NAMES)
def test_random_inputs_refuse_what_no_edge_shows(name):
    trial = Trial(name)
    edges = len(trial.check.edges)
    trial.cases, trial.wanted = trial.cases[edges:], trial.wanted[edges:]
    assert len(trial.cases) >= 20
    mistakes = [wrong for wrong, _ in trial.check.mistakes]
    assert 2 * sum(map(trial.refuses, mistakes)) > len(mistakes)


def test_a_check_with_fixed_inputs_only_is_found_out():
    class Fixed(Trial):
        def __init__(self, name):
            super().__init__(name)
            self.cases, self.wanted = self.cases[:1], self.wanted[:1]

    trial = Fixed("06.2 bilinear")
    assert not trial.refuses(wrong_answers(trial)["constant"])


def test_the_refuse_table_counts_everything():
    rows = refuse_table()
    assert [row[0] for row in rows] == NAMES
    for name, mistakes, told, mutants, refused, as_right, forms, taken in rows:
        assert (told, refused, taken) == (mistakes, mutants - as_right, forms), name


def regions(d, a, gt, size, moved=lambda boxes: boxes):
    boxes = clip_boxes(moved(decode_boxes(d, a)), size)
    return torch.cat([boxes[(boxes[:, 2:] - boxes[:, :2] >= 1).all(1)], gt])


def own(change):
    """A wrong answer: the right one on changed deltas, without gradient."""
    return lambda d, a, gt, size: change(d.detach(), a, gt, size)


STOP, LIMIT = "09.1 stop the gradient", "08.4 decide the limit of NMS"
COUNT = "09.4 decide the number of proposals"
OTHERS = [
    (STOP, regions, "still carry"),
    (STOP, lambda d, a, gt, size: regions(d.detach_(), a, gt, size), "lost"),
    (STOP, lambda d, a, gt, size: torch.cat([a, gt]), "decode_boxes|anchors"),
    (STOP, own(lambda d, a, gt, size: regions(d, a, gt, size)[: len(d)]), "join|clip"),
    (STOP, own(lambda d, a, gt, size: regions(d, a, gt, size).flip(0)), "wrong|last"),
    (STOP, own(lambda d, a, gt, size: torch.cat([decode_boxes(d, a), gt])), "clip"),
    (STOP, own(lambda d, a, gt, size: regions(d, a, gt, size[::-1])), "clip|wrong"),
    (STOP, own(lambda d, a, gt, size: regions(d, a, gt, size, lambda b: b + 1)),
     "the boxes are wrong"),
    (STOP, own(lambda d, a, gt, size: torch.cat([clip_boxes(decode_boxes(d, a), size),
     gt])), "one pixel"),
    (STOP, lambda *given: print(end=""), "return"),
    (LIMIT, 0.5, "too often not the one that fits"),
    (LIMIT, 0.6, "near"),
    (LIMIT, 0.9, "copies"),
    (LIMIT, 70, "give one of"),
    (LIMIT, [0.7, 0.8], "give one number"),
    (COUNT, 10, "0.005"),
    (COUNT, 20, "0.005"),
    (COUNT, 100, "a smaller number"),
    (COUNT, 300, "a smaller number"),
    (COUNT, 60, "give one of"),
]  # fmt: skip
ROWS = [row for row in WRONG if row[0] in set(checks.CHECKS) - set(WRITTEN)] + OTHERS


@pytest.mark.parametrize("name, answer, words", ROWS)
def test_wrong_answers_to_other_exercises_get_their_sentence(name, answer, words):
    for seed in (0, 1):
        right, sentence = checks.judge(name, answer, seed)
        assert not right
        assert any(w in sentence for w in words.split("|")), sentence


@pytest.mark.parametrize(
    "form",
    [lambda b: b, lambda b: b.tolist(), lambda b: b.numpy(), tuple],
    ids=["tensor", "lists", "array", "tuple"],
)
def test_the_boxes_of_detached_deltas_come_in_any_form(form):
    def answer(deltas, anchors, gt_boxes, size):
        return form(regions(deltas.detach(), anchors, gt_boxes, size))

    assert checks.judge(STOP, answer) == (True, "right")
