"""What the checks refuse and accept: mistakes, generated wrong answers, right forms."""

import pytest

from course_utils.lessons import checks
from course_utils.lessons.checks.lesson_09 import decode_boxes
from course_utils.models.backbone import Frozen
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


def thawing(network):
    return network.requires_grad_(False).eval()


def stays_in_evaluation_mode(network):
    network.eval()
    network.train = lambda mode=True: network
    return network


def held(network):
    return stays_in_evaluation_mode(network).requires_grad_(False)


def emptied(network):
    frozen = held(network)
    frozen[0].weight.data.zero_()
    return frozen


def short_of_its_end(network):
    return held(network[:-2])


def moves(d, a):
    return decode_boxes(d.detach(), a) + 1


OTHERS = [
    ("09.1 stop the gradient", decode_boxes, "still carry"),
    ("09.1 stop the gradient", lambda d, a: decode_boxes(d.detach_(), a), "lost"),
    ("09.1 stop the gradient", lambda d, a: d.detach(), "decode_boxes"),
    ("09.1 stop the gradient", lambda d, a: a, "the boxes are wrong"),
    ("09.1 stop the gradient", moves, "decode_boxes"),
    ("09.1 stop the gradient", lambda d, a: decode_boxes(d.detach(), a)[:1],
     "for 7 anchors"),
    ("09.1 stop the gradient", lambda d, a: decode_boxes(d.data.mul_(1.5), a),
     "wrong|changed"),
    ("09.1 stop the gradient", lambda d, a: print(end=""), "return"),
    ("09.3 freeze the backbone", lambda net: net.requires_grad_(False), "batch stat"),
    ("09.3 freeze the backbone", lambda net: net.eval(), "ask for gradients"),
    ("09.3 freeze the backbone", lambda net: net, "ask for gradients"),
    ("09.3 freeze the backbone", thawing, "the detector's train"),
    ("09.3 freeze the backbone", stays_in_evaluation_mode, "ask for gradients"),
    ("09.3 freeze the backbone", emptied, "it has"),
    ("09.3 freeze the backbone", short_of_its_end, "batch stat"),
    ("09.3 freeze the backbone", lambda net: net.eval() and None, "return"),
    ("09.3 freeze the backbone", lambda net: [net], "return a network"),
]  # fmt: skip
ROWS = [row for row in WRONG if row[0] in set(checks.CHECKS) - set(WRITTEN)] + OTHERS


@pytest.mark.parametrize("name, answer, words", ROWS)
def test_wrong_answers_to_other_exercises_get_their_sentence(name, answer, words):
    for seed in (0, 1):
        right, sentence = checks.judge(name, answer, seed)
        assert not right
        assert any(w in sentence for w in words.split("|")), sentence


@pytest.mark.parametrize("answer", [Frozen, held], ids=["the course's", "by hand"])
def test_a_backbone_may_be_frozen_in_several_ways(answer):
    for seed in range(10):
        verdict = checks.judge("09.3 freeze the backbone", answer, seed)
        assert verdict == (True, "right")


@pytest.mark.parametrize(
    "form",
    [lambda b: b, lambda b: b.tolist(), lambda b: b.numpy(), tuple],
    ids=["tensor", "lists", "array", "tuple"],
)
def test_the_boxes_of_detached_deltas_come_in_any_form(form):
    def answer(deltas, anchors):
        return form(decode_boxes(deltas.detach(), anchors))

    assert checks.judge("09.1 stop the gradient", answer) == (True, "right")
