"""Grading: marks are made outside of the notebook, and nothing is left behind."""

import json
import threading

import nbformat
import numpy as np
import psutil
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from torch import nn

from course_utils import grade
from course_utils.lessons import checks
from course_utils.lessons.grading import sandbox
from course_utils.lessons.grading.marking import checked, expected, lesson_of
from course_utils.lessons.grading.remote import answer_request, ask
from course_utils.lessons.grading.runner import Limits, grade_notebook, remove
from course_utils.lessons.grading.sheet import as_csv, as_html, make_sheet
from course_utils.lessons.grading.submissions import find_submissions, read_points
from course_utils.lessons.grading.wire import pack, unpack
from course_utils.lessons.notebooks import NOTEBOOKS
from tests.helpers import submissions as made

WINDOWS = "03.1 pyramid of windows"
BILINEAR = "06.2 bilinear"


def remote(**names):
    """Stand-ins for some objects, as if they were a notebook's: by their names."""
    send = lambda request: answer_request(request, names)  # noqa: E731
    return {name: ask({"expression": name}, send)["result"] for name in [*names]}


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2**70, -0.5, "é", ..., [1, (2, [3])], {"a": 1, 2: (3,)}, {1, 2}],
)
def test_plain_values_come_back_as_they_were(value):
    assert unpack(pack(value)) == value and type(unpack(pack(value))) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        torch.rand(2, 3),
        torch.rand(3, 2).T,
        torch.zeros(0, 4),
        torch.tensor(True),
        torch.rand(2).bfloat16(),
        torch.rand(2, requires_grad=True),
        nn.Parameter(torch.rand(2)),
        np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::2],
        np.float32(0.5),
    ],
)
def test_tensors_and_arrays_come_back_as_they_were(value):
    back = unpack(pack([value]))[0]
    assert type(back) is type(value) and back.dtype == value.dtype
    assert back.shape == value.shape and bool((back == value).all())
    assert getattr(back, "requires_grad", 0) == getattr(value, "requires_grad", 0)


def test_layers_come_back_with_their_weights_and_settings():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, padding=1), nn.BatchNorm2d(4)).eval()
    net[0].requires_grad_(False)
    back, images = unpack(pack(net)), torch.rand(1, 3, 8, 8)
    assert torch.equal(back(images), net(images)) and not back.training
    flags = [p.requires_grad for p in net.parameters()]
    assert [p.requires_grad for p in back.parameters()] == flags


def test_layers_with_a_method_or_a_hook_put_in_stay_where_they_are():
    held = nn.Sequential(nn.BatchNorm2d(2).eval())
    held.train = lambda mode=True: held
    hooked = nn.Sequential(nn.BatchNorm2d(2))
    hooked.register_forward_pre_hook(lambda net, images: net.eval() and None)
    far, images = remote(held=held, hooked=hooked), torch.rand(2, 2, 3, 3) * 9
    want = nn.BatchNorm2d(2).eval()(images)
    for network in far.values():
        network.train()  # a method is called over there
        assert torch.equal(network(images).detach(), want.detach())
    with pytest.raises(AttributeError):
        far["held"].no_such_method()


@pytest.mark.parametrize(
    "tree",
    [
        ["layer", "os.system", ["dict", []]],
        ["layer", "torch.nn.functional.relu", ["dict", []]],
        ["tensor", 7, False],
        ["nothing", 1],
        [],
    ],
)
def test_bytes_of_others_run_nothing(tree):
    import safetensors.torch

    text = torch.frombuffer(bytearray(json.dumps(tree).encode()), dtype=torch.uint8)
    with pytest.raises(ValueError, match="no packed value"):
        unpack(safetensors.torch.save({"tree": text}))
    with pytest.raises(ValueError, match="no packed value"):
        unpack(b"no tensors")


@pytest.mark.parametrize(
    "path", sorted(NOTEBOOKS.glob("solutions/*.ipynb")), ids=lambda p: p.stem
)
def test_solutions_are_right_from_a_distance(path):
    names = {}
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
            for exercise, source in checked(cell.source).items():
                answer = remote(answer=eval(source, names))["answer"]
                assert checks.judge(exercise, answer) == (True, "right"), exercise


def test_what_a_function_changes_and_raises_is_seen_outside():
    def change(tensor, array, things, net):
        tensor += 1
        array[0] = 7
        things["a"].append(3)
        net.requires_grad_(False)

    def fail():
        return [1][2]

    far = remote(change=change, fail=fail)
    tensor, array, things = torch.zeros(2), np.zeros(2), {"a": [1], "b": 2}
    net = nn.Linear(1, 1)
    assert far["change"](tensor, array, things, net=net) is None
    assert tensor.tolist() == [1, 1] and array.tolist() == [7, 0]
    assert things == {"a": [1, 3], "b": 2} and not net.weight.requires_grad
    with pytest.raises(IndexError, match="out of range"):
        far["fail"]()


def test_a_function_in_the_kernel_never_sees_the_verdict():
    # pitfall: grading: a notebook that patches the checks
    answer = remote(f=lambda *sizes: 35)["f"]
    assert checks.judge(WINDOWS, answer)[0] is False
    odd = remote(f=lambda *sizes: object())["f"]
    assert checks.judge(WINDOWS, odd)[0] is False


def test_stubs_and_mistakes_are_known_from_a_distance():
    far = remote(stub=lambda *a: None, none=lambda *a: [None][0], nearest=nearest_cell)
    assert checks.judge(BILINEAR, far["stub"]) == (False, "not attempted yet")
    assert "is the `return` missing?" in checks.judge(BILINEAR, far["none"], 3)[1]
    assert "that is the nearest cell" in checks.judge(BILINEAR, far["nearest"], 7)[1]


def nearest_cell(grid, y, x):
    return grid[round(y), round(x)]


def test_checks_are_found_in_cells_however_they_are_called():
    source = f"%time 1\nf = 1\ncheck('{WINDOWS}', answer=lambda *v: 1)"
    assert checked(source) == {WINDOWS: "lambda *v: 1"}
    assert checked("checks.check('99.1 none', f)") == {} == checked("def f(:")


def test_the_lesson_is_known_by_its_exercises_or_its_name():
    assert lesson_of(made.solution("04"), "03_ann.ipynb") == "04"
    assert lesson_of(made.without_checks(made.solution("04")), "ann.ipynb") == "04"
    assert lesson_of(new_notebook(), "06_ann.ipynb") == "06"
    with pytest.raises(ValueError, match="no exercise of the course"):
        lesson_of(made.without_cells(made.solution("10")), "ann.ipynb")
    assert None not in expected("03").values()


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("p.csv", "03.9,1", "line 1: no exercise '03.9'; there are 03.1 pyramid"),
        ("p.csv", "exercise,points\n03.1,-1", "line 2: '-1' points; give a number"),
        ("p.csv", "03.1,nan", "'nan' points"),
        (
            "p.csv",
            f"03.1,1\n{WINDOWS},2",
            f"line 2: {WINDOWS} stands there",
        ),
        ("p.csv", "03.1", "line 1: not exercise,points"),
        ("p.csv", "", "is empty"),
        ("p.json", "[1]", "must hold"),
        ("p.json", "{", "is no JSON"),
        ("p.json", '{"03.1": 1, "03.1": 2}', "stands there twice"),
        ("p.json", '{"03.1": true}', "True points"),
    ],
)
def test_points_that_cannot_be_used_are_named(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read_points(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_points_go_by_name_or_number(tmp_path):
    (tmp_path / "p.csv").write_text("exercise,points\n03.2,0.5\n\n" + WINDOWS + ",2\n")
    want = {WINDOWS: 2, "03.2 average recall": 0.5}
    assert read_points(tmp_path / "p.csv") == want


def test_submissions_are_files_or_folders(tmp_path):
    for name in (
        "ann.ipynb",
        "bob/1.ipynb",
        "bob/x/2.ipynb",
        "bob/.ipynb_checkpoints/1",
    ):
        made.write(new_notebook(), tmp_path / f"{name.removesuffix('.ipynb')}.ipynb")
    (tmp_path / "eve").mkdir()
    found, empty = find_submissions(tmp_path)
    assert [s.student for s in found] == ["ann", "bob", "bob"] and empty == ["eve"]
    before = [s.key for s in found]
    (tmp_path / "bob" / "data.txt").write_text("x")
    after = [s.key for s in find_submissions(tmp_path)[0]]
    assert before[0] == after[0] and before[1] != after[1], "files beside it count"
    made.write(new_notebook(), tmp_path / "bob.ipynb")
    with pytest.raises(ValueError, match="are both of 'bob'"):
        find_submissions(tmp_path)


def outcome(student, right, sentence="", **others):
    marks = {WINDOWS: [right, sentence]}
    known = {"notebook": "a.ipynb", "lesson": "03", "notes": [], "seconds": 1}
    return {"student": student, "marks": marks, "peak_mb": 1, **known, **others}


def test_the_better_of_two_notebooks_counts_and_formulas_stay_text():
    # pitfall: grading: a name that a spreadsheet takes for a formula
    outcomes = [
        outcome("=ann", False, "a\nb"),
        outcome("=ann", True),
        outcome("bob", False, "<script>", notes=["=1+1"]),
    ]
    sheet = make_sheet(outcomes, ["eve"], {WINDOWS: 2, "04.2 all-point AP": 1})
    lines = as_csv(sheet).splitlines()
    assert lines[0] == f"student,{WINDOWS},04.2 all-point AP,total,of,what went wrong"
    assert lines[1].startswith("'=ann,2,0,2,3,no notebook of lesson 04")
    assert lines[2].startswith("bob,0,0,0,3,'=1+1; 03.1: <script>;")
    assert lines[3].startswith("eve,0,0,0,3,no notebook in this folder")
    page = as_html(sheet, 5, ["look"])
    assert "<script>" not in page and "&lt;script&gt;" in page and "look" in page


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["none", "--out", "g.csv"], "neither a folder nor a notebook"),
        ([".", "--out", "g.csv"], "has no notebook"),
        (["a", "--out", "g.txt"], "must end with .csv"),
        (["a", "--out", "none/g.csv"], "its folder is not there"),
        (["a", "--out", "g.csv", "--jobs", "0"], "--jobs 0"),
        (["a", "--out", "g.csv", "--minutes", "nan"], "--minutes nan"),
        (["a", "--out", "g.csv", "--memory", "0"], "--memory 0"),
        (["a", "--out", "g.csv", "--seed", "-1"], "--seed -1"),
        (["a", "--out", "g.csv", "--points", "p.csv"], "p.csv"),
    ],
)
def test_bad_usage_is_named_before_anything_runs(
    tmp_path, monkeypatch, capsys, arguments, words
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        grade.main(arguments)
    error = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and words in error and not list(tmp_path.iterdir())


@pytest.fixture
def class_of_two(tmp_path, monkeypatch):
    """Two submissions, and a list of those that were graded, which runs nothing."""
    graded = []

    def fake(submission, seed, limits, stop):
        if "stop" in submission.path.read_text():
            raise KeyboardInterrupt
        graded.append(submission.student)
        return outcome(submission.student, True)

    monkeypatch.setattr(grade, "grade_notebook", fake)
    for student in ("ann", "bob"):
        made.write(new_notebook(), tmp_path / "in" / f"{student}.ipynb")
    return tmp_path, graded


def test_a_second_call_goes_on_where_the_first_stopped(class_of_two):
    # pitfall: grading: a class graded from the start again
    folder, graded = class_of_two
    arguments = [str(folder / "in"), "--out", str(folder / "g.csv")]
    stopping = new_notebook(cells=[new_code_cell("stop")])
    made.write(stopping, folder / "in" / "cid.ipynb")
    assert grade.main(arguments) == 130 and not (folder / "g.csv").exists()
    made.write(new_notebook(), folder / "in" / "cid.ipynb")
    assert grade.main(arguments) == 0 == grade.main(arguments)
    assert sorted(graded) == ["ann", "bob", "cid"], "each once"
    made.write(new_notebook(cells=[new_code_cell("1")]), folder / "in" / "bob.ipynb")
    assert grade.main(arguments) == 0 and graded[3:] == ["bob"], "it was changed"
    assert grade.main([*arguments, "--seed", "7"]) == 0 and len(graded) == 7
    assert (folder / "g.csv").read_text().count("\n") == 4
    left = {path.name for path in folder.iterdir()}
    assert left == {"in", "g.csv", "g.html", "g.json"}


@pytest.mark.parametrize("name", ["g.csv", "g.html", "g.json"])
def test_files_of_others_are_not_written_over(class_of_two, capsys, name):
    folder, _ = class_of_two
    (folder / name).write_text("mine")
    with pytest.raises(SystemExit):
        grade.main([str(folder / "in"), "--out", str(folder / "g.csv")])
    assert "move it away" in capsys.readouterr().err.replace("\n", " ")
    assert (folder / name).read_text() == "mine"


def test_a_table_changed_by_hand_is_not_written_over(class_of_two):
    folder, _ = class_of_two
    arguments = [str(folder / "in"), "--out", str(folder / "g.csv")]
    assert grade.main(arguments) == 0
    (folder / "g.csv").write_text("my comments")
    with pytest.raises(SystemExit):
        grade.main(arguments)
    assert (folder / "g.csv").read_text() == "my comments"


def test_what_is_no_notebook_gets_its_reason(tmp_path):
    for name, content in ("a", b""), ("b", b"\xff\xfe"), ("c", b'{"cells": 3}'):
        (tmp_path / f"{name}.ipynb").write_bytes(content)
    for submission in find_submissions(tmp_path)[0]:
        found = grade_notebook(submission, 0, Limits(9, 999, 1), threading.Event())
        assert "cannot be read as a notebook" in found["notes"][0]


def test_a_folder_made_unreadable_is_removed(tmp_path):
    inner = tmp_path / "out" / "a" / "b"
    inner.mkdir(parents=True)
    inner.parent.chmod(0)
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    remove(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_notebooks_that_cheat_hang_or_eat_memory(tmp_path, monkeypatch):
    # pitfall: grading: a notebook that cheats, hangs or eats memory
    outside, temporary = tmp_path / "outside", tmp_path / "tmp"
    outside.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    wrong = made.replaced(made.solution("03"), *made.WRONG["03"])
    made.with_cell(wrong, made.OUTSIDE.replace("OUT", str(outside)))
    made.with_cell(wrong, made.LEFT_RUNNING.replace("SECONDS", "47110"))
    made.with_cell(wrong, made.FORGED, len(wrong.cells))
    made.with_cell(wrong, made.PATCHED)
    made.write(wrong, tmp_path / "in" / "cheats.ipynb")
    hangs = made.with_cell(made.solution("04"), "1 / 0")
    made.replaced(
        hangs, "    points, hits = [", "    while True: pass\n    points, hits = ["
    )
    made.write(hangs, tmp_path / "in" / "hangs.ipynb")
    eats = made.with_cell(made.solution("06"), made.EATING, 4)
    made.write(eats, tmp_path / "in" / "eats.ipynb")
    arguments = [str(tmp_path / "in"), "--out", str(tmp_path / "g.csv"), "--jobs", "2"]
    assert grade.main([*arguments, "--minutes", "1", "--memory", "1.5"]) == 0

    found = json.loads((tmp_path / "g.json").read_text())["outcomes"].values()
    marks = {o["student"]: [m[0] for m in o["marks"].values()] for o in found}
    notes = {o["student"]: " ".join(o["notes"]) for o in found}
    # Where the imports take long, no time is left for the others of `hangs`.
    assert marks.pop("hangs")[:2] == [True, False]
    # The last of lesson 03 is measured on scenes; a slow machine has no time for it.
    assert marks.pop("cheats")[:3] == [False, True, True]
    assert marks == {"eats": [True]}
    assert "cell 3: ZeroDivisionError" in notes["hangs"]
    assert "no answer within" in (tmp_path / "g.csv").read_text()
    assert "more than 1.5 GB of memory" in notes["eats"]
    assert list(temporary.iterdir()) == [], "nothing is left"
    if sandbox.landlock_version():
        assert list(outside.iterdir()) == [], "nothing is written outside"
    commands = [
        " ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])
    ]
    assert not [c for c in commands if "47110" in c or str(temporary) in c]
