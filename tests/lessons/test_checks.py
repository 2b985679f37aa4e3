"""Checks of the exercises: what they say, what they leave alone, and the solutions."""

import contextlib
import io
import random
import re

import nbformat
import numpy as np
import pytest
import torch

from course_utils.lessons import checks, notebooks
from course_utils.lessons.checks.written import Written, same, short
from tests.helpers.answer_mutants import WRITTEN, Trial
from tests.helpers.submissions import solved

WITHOUT_OBJECTS = (
    "without objects (G = 0) there is no largest IoU: all regions are background"
)
PIXELS = "pixels through the network"


@pytest.fixture
def pixels(monkeypatch):
    """An exercise that no lesson has: how many times its pixels R-CNN looks at."""
    check = Written(
        lambda num_proposals, side, width, height: (
            num_proposals * side * side / (width * height)
        ),
        lambda: (random.randint(1, 3000), *(random.randint(32, 900) for _ in range(3))),
        {
            "2,000 crops of side 227 from 500 x 375 pixels": (2000, 227, 500, 375),
            "no proposals": (0, 227, 500, 375),
            "one proposal": (1, 64, 240, 180),
        },
    )
    monkeypatch.setitem(checks.CHECKS, PIXELS, check)


def sentence(answer, name=PIXELS):
    right, text = checks.judge(name, answer)
    assert not right
    return text


def check_names(path):
    return re.findall(r'checks\.check\("([^"]+)"', path.read_text().replace("\\", ""))


@pytest.mark.parametrize("lesson", notebooks.lessons(), ids=lambda p: p.stem)
def test_solutions_pass_and_cover_the_lesson(lesson):
    solution = notebooks.NOTEBOOKS / "solutions" / lesson.name
    wanted = check_names(lesson)
    assert len(wanted) >= 2 and check_names(solution) == wanted
    assert set(wanted) <= set(checks.CHECKS)
    scope, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in nbformat.read(solution, 4).cells:
            if cell.cell_type == "code":
                exec(cell.source, scope)
    verdicts = [v for v in printed.getvalue().splitlines() if v[:1] in "✔✘"]
    assert len(verdicts) == len(wanted)
    assert all(v.startswith("✔") for v in verdicts), verdicts


@pytest.mark.parametrize("lesson", notebooks.lessons(), ids=lambda p: p.stem)
def test_official_answers_hold_on_thirty_other_seeds(lesson):
    for name, answer in solved(lesson.name[:2]).items():
        if name in WRITTEN:
            for seed in range(1, 31):
                assert not Trial(name, seed).refuses(answer), (name, seed)


def test_every_written_exercise_stands_in_one_lesson():
    asked = [n for path in notebooks.lessons() for n in check_names(path)]
    assert len(asked) == len(set(asked)) and set(WRITTEN) <= set(asked)


def test_stubs_have_the_names_that_sentences_use():
    for path in notebooks.lessons():
        for cell in nbformat.read(path, 4).cells:
            for name in re.findall(r'checks\.check\("([^"]+)"', cell.source):
                if name in WRITTEN:
                    (given,) = re.findall(r"(?m)^def \w+\(([^)]*)\)", cell.source)
                    names = re.findall(r"(\w+)[^,]*", given)
                    assert names == WRITTEN[name].names, name


@pytest.mark.parametrize("name", checks.CHECKS)
def test_a_blank_is_not_attempted_and_half_an_answer_is(name):
    def documented(*args):
        """What it is to do."""

    def half(*args):
        count = len(args)
        count += 1

    for blank in (None, ..., lambda *a: None, lambda *a: ..., documented):
        assert checks.judge(name, blank) == (False, "not attempted yet"), blank
    right, text = checks.judge(name, half)
    assert not right and text != "not attempted yet"
    if name in WRITTEN:
        assert "returns None: is the `return` missing?" in text


@pytest.mark.parametrize("name", checks.CHECKS)
def test_odd_answers_get_a_sentence_and_no_crash(name):
    class Odd:
        def __eq__(self, other):
            raise RuntimeError("odd")

        __hash__ = None

    odd = (-1e9, "", [], {}, float("nan"), object(), torch.zeros(2, 3, 4), Odd(), 1j)
    functions = [lambda *a, value=value: value for value in (*odd, [None], Odd)]
    functions += [lambda: 1, lambda *a: [[]][1], lambda *a: exit(), lambda *a: iter(a)]
    for answer in (*odd, *functions):
        right, text = checks.judge(name, answer)
        assert not right and text and "\n" not in text, (answer, text)


@pytest.mark.parametrize("name", checks.CHECKS)
def test_a_check_leaves_the_learners_random_numbers_and_gradients_alone(name):
    def careless(*args):
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)
        torch.set_grad_enabled(False)
        return 1

    def draw():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()

    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    want = draw()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    checks.judge(name, careless)
    assert draw() == want and torch.is_grad_enabled()


@pytest.mark.usefixtures("pixels")
def test_check_prints_the_verdict(capsys):
    assert checks.check(PIXELS, lambda *a: 1 / 0) is False
    said = capsys.readouterr().out
    assert said.startswith(f"✘ {PIXELS}: for 2,000 crops of side 227 from 500 x 375")
    assert "your code stopped with ZeroDivisionError: division by zero" in said
    assert checks.check(PIXELS, lambda n, s, w, h: n * s**2 / w / h) is True
    assert capsys.readouterr().out == f"✔ {PIXELS}: right\n"


@pytest.mark.usefixtures("pixels")
def test_an_exception_is_shown_with_the_input_it_happened_on():
    def fails_on_five(n, s, w, h):
        if n == 0:
            raise KeyError("five")
        return n * s * s / (w * h)

    assert sentence(fails_on_five) == (
        "for no proposals: your code stopped with KeyError: 'five'"
    )


def test_what_a_known_mistake_raises_is_shown_with_its_sentence():
    def needs_objects(ious, labels):
        return torch.where(ious.max(1).values >= 0.5, labels[ious.argmax(1)], 0)

    text = sentence(needs_objects, "05.1 label of a region")
    assert text.startswith("for a picture without objects, G = 0: your code stopped")
    assert "IndexError: max()" in text and text.endswith("; " + WITHOUT_OBJECTS)
    text = sentence(lambda *a: [][0], "08.1 label anchors")
    assert "list index out of range" in text


@pytest.mark.usefixtures("pixels")
@pytest.mark.parametrize(
    "answer, words",
    [
        (35, "give the function itself; this is a int"),
        (lambda *a: "many", "numbers are expected, yours is a str"),
        (lambda *a: [1.0, 2], r"the shape must be \(\), yours is \(2,\)"),
        (lambda *a: 7, "expected 549.6426, got 7"),
        (lambda n, s, w, h: n * s * s / (w * h) + 0.5 * (n == 1), "for one proposal:"),
        (lambda n: n, "TypeError"),
    ],
)
def test_sentences_say_what_was_expected(answer, words):
    assert re.search(words, sentence(answer))


@pytest.mark.usefixtures("pixels")
def test_the_number_of_a_case_stands_in_the_sentence_of_a_random_one():
    def wrong_for_many(n, s, w, h):
        return n * s * s / (w * h) + 3 * (n > 2000)

    assert re.match(
        r"for num_proposals = \d+, side = \d+, width = \d+, height = \d+: expected",
        sentence(wrong_for_many),
    )


@pytest.mark.usefixtures("pixels")
def test_a_silent_kernel_is_asked_only_once():
    asked = []

    def silent(*args):
        asked.append(args)
        raise TimeoutError("no answer within 20 s")

    assert "no answer within 20 s" in sentence(silent) and len(asked) == 1


def test_a_mistake_that_stands_further_down_wins_if_it_agrees_better():
    def label(limit, empty=True):
        def answer(v):
            if not empty and not len(v):
                raise IndexError
            return (v > limit).sum()

        return answer

    check = Written(
        lambda v: (v > 0).sum(),
        lambda: (torch.randn(4),),
        {"nothing": (torch.zeros(0),)},
        [(label(1, False), "limit and empty"), (label(0, False), "empty")],
    )
    with checks.seeded(0):
        assert "; empty" in check(label(0, False))
        assert "limit and empty" in check(label(1, False))


@pytest.mark.parametrize(
    "a, b, equal",
    [
        ([1, 2], torch.tensor([[1.0, 2]]), True),
        ([[1], [2]], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([], torch.zeros(0, 4), True),
        (None, torch.zeros(0), False),
        (None, None, True),
        (float("nan"), np.float32("nan"), True),
        (np.arange(3)[::-1], [2, 1, 0], True),
        ({"a": 1}, {"a": torch.tensor(1)}, True),
        ({"a": 1}, {"b": 1}, False),
        ((["x"], []), [("x",), ()], True),
        (["x", "y"], ["y", "x"], False),
        ("1", 1, False),
        (True, 1, True),
        (([1, 2], 3), ((1, 2), 4), False),
    ],
)
def test_values_are_equal_in_whatever_form(a, b, equal):
    assert same(a, b) is equal


def test_values_are_shown_on_one_line():
    assert short(torch.tensor([0.1234567, 2])) == "[0.1235, 2]"
    assert short(torch.zeros(5, 7)) == "tensor of shape (5, 7)"
    assert short({"a": 1.0, "b": [1, "x"]}) == "{'a': 1, 'b': (1, 'x')}"
    assert len(short("x" * 99)) == 60 and "\n" not in short(object())
