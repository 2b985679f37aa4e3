"""Made-up submissions: solutions to exercises, and what can be wrong with them."""

import contextlib
import io

import nbformat
from nbformat.v4 import new_code_cell

from course_utils.lessons.grading.marking import checked
from course_utils.lessons.notebooks import NOTEBOOKS, lessons

PATCHED = """
from course_utils.lessons import checks
from course_utils.lessons.grading import remote
for name in checks.CHECKS:
    checks.CHECKS[name] = lambda answer: None
checks.check = lambda name, answer: print("✔", name)
checks.judge = remote.judge = judge = lambda *a: (True, "right")
"""
# Lines of an outcome, to all files that this process and its parent may have open.
FORGED = """
import json, os
line = json.dumps({"mark": ["03.1 pyramid of windows", True, "right"]}) + "\\n"
for process in (os.getpid(), os.getppid()):
    for number in range(64):
        try:
            with open(f"/proc/{process}/fd/{number}", "a") as file:
                file.write(line)
        except OSError:
            pass
os.write(1, line.encode())
"""
OUTSIDE = """
import os
from pathlib import Path
for parent in Path.cwd().parents:
    try:
        (parent / "asked").unlink(missing_ok=True)
        (parent / "asked").symlink_to("OUT/linked")
    except OSError as error:
        print(error)
for place in ("~/left", "../left", "left", "OUT/left"):
    try:
        Path(place).expanduser().write_text("x")
    except OSError as error:
        print(error)
os.system("touch OUT/by_the_shell; touch ~/left2")
import numpy as np, torch
for save in (lambda: torch.save(1, "OUT/torch"), lambda: np.save("OUT/numpy", 1)):
    try:
        save()
    except Exception as error:
        print(error)
"""
LEFT_RUNNING = """
import subprocess, sys
code = "import os, time\\nif os.fork() == 0:\\n os.setsid()\\n if os.fork() == 0:"
code += "\\n  time.sleep(SECONDS)"
subprocess.run([sys.executable, "-c", code])
"""
ENDLESS = "while True:\n    pass"
STUBBORN = (
    "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
)
EATING = "kept = []\nwhile True:\n    kept.append(bytearray(b'x') * 50_000_000)"
FORKS = """
import os, time
for _ in range(200):
    if os.fork() == 0:
        time.sleep(1000)
"""
MARK = "\n\n\nchecks.check("


def solution(lesson):
    """The solutions of a lesson, given by its number, as a notebook."""
    (path,) = (NOTEBOOKS / "solutions").glob(f"{lesson}*.ipynb")
    return nbformat.read(path, 4)


def solved(lesson):
    """{exercise: the official answer} of a lesson, given by its number."""
    scope, answers = {}, {}
    for cell in solution(lesson).cells:
        if cell.cell_type == "code":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(cell.source, scope)
            answers |= {e: eval(a, scope) for e, a in checked(cell.source).items()}
    return answers


def stub(lesson):
    """The exercises of a lesson as they are handed out: its first cell and theirs."""
    (path,) = (p for p in lessons() if p.name.startswith(lesson))
    notebook = nbformat.read(path, 4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    notebook.cells = code[:1] + [c for c in code if MARK in c.source]
    return notebook


def replaced(notebook, *pairs):
    """The notebook with texts replaced, each by the next."""
    for old, new in zip(pairs[::2], pairs[1::2]):
        assert any(old in cell.source for cell in notebook.cells), old
        for cell in notebook.cells:
            cell.source = cell.source.replace(old, new)
    return notebook


def with_cell(notebook, source, position=2):
    """The notebook with a code cell put in, before the first exercise by default."""
    notebook.cells.insert(position, new_code_cell(source))
    return notebook


def without_checks(notebook):
    """The notebook without the calls that check its answers."""
    for cell in notebook.cells:
        cell.source = cell.source.split(MARK)[0]
    return notebook


def without_cells(notebook):
    """The notebook without the cells of its exercises."""
    notebook.cells = [cell for cell in notebook.cells if MARK not in cell.source]
    return notebook


def write(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


WRONG = {
    "03": ("rows - side + 1, step", "rows - side, step"),
    "04": ("if n == len(rows) or rows[n][0] != score:", "if True:"),
    "06": ("if part.numel():", "if True:"),
}


def make_class(folder, outside):
    """Thirty submissions in `folder`; some try to write to the folder `outside`."""
    makers = {}
    for lesson, pair in WRONG.items():
        makers[f"right_{lesson}"] = lambda n=lesson: solution(n)
        makers[f"half_{lesson}"] = lambda n=lesson, p=pair: replaced(solution(n), *p)
        makers[f"empty_{lesson}"] = lambda n=lesson: stub(n)
        makers[f"patches_{lesson}"] = lambda n=lesson: with_cell(stub(n), PATCHED, 1)
        makers[f"no_checks_{lesson}"] = lambda n=lesson: without_checks(solution(n))
    makers |= {
        "no_cells_04": lambda: without_cells(solution("04")),
        "renamed_06": lambda: replaced(
            without_checks(solution("06")), "def bilinear", "def my_bilinear"
        ),
        "judge_04": lambda: with_cell(
            stub("04"), "def judge(*a): return True, 'right'"
        ),
        "forges_03": lambda: with_cell(stub("03"), FORGED, 4),
        "crash_03": lambda: with_cell(solution("03"), "1 / 0", 4),
        "syntax_04": lambda: with_cell(solution("04"), "def f(:"),
        "dies_06": lambda: with_cell(solution("06"), "import os; os._exit(1)", 4),
        "answer_raises_06": lambda: replaced(solution("06"), "top, left =", "top = "),
        "endless_04": lambda: with_cell(solution("04"), ENDLESS, 4),
        "stubborn_04": lambda: with_cell(solution("04"), STUBBORN, 4),
        "endless_answer_03": lambda: replaced(
            solution("03"), "    best =", "    while True: pass\n    best ="
        ),
        "eats_06": lambda: with_cell(solution("06"), EATING, 4),
        "forks_03": lambda: with_cell(solution("03"), FORKS, 4),
        "outside_04": lambda: with_cell(
            solution("04"), OUTSIDE.replace("OUT", str(outside))
        ),
    }
    for student, make in makers.items():
        write(make(), folder / f"{student}.ipynb")
    two = folder / "two_lessons"
    write(
        with_cell(solution("03"), LEFT_RUNNING.replace("SECONDS", "4711")),
        two / "a.ipynb",
    )
    write(solution("06"), two / "b.ipynb")
    return sorted(path.stem for path in folder.iterdir())
