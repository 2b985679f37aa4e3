"""The marker: a process that runs one notebook and judges its answers.

    python -m course_utils.lessons.grading.marking

reads a job, a line of JSON, from its input and writes lines of JSON: {"lesson": its
number}, {"mark": [exercise, right, sentence]}, {"note": what went wrong}, and at the
end {"done": true}, or {"note": why, "stopped": true}.
"""

import ast
import ctypes
import json
import os
import re
import sys
import time
import traceback
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from course_utils.lessons import checks
from course_utils.lessons.grading import sandbox
from course_utils.lessons.grading.remote import ask
from course_utils.lessons.notebooks import lessons

LARGEST_REPLY = 200_000_000  # bytes
SUBREAPER = 36
REPLY = "__import__('course_utils.lessons.grading.exchange', fromlist=['x']).reply"


def judge(exercise, answer, seed):
    """(right?, sentence) by the course's check, with the random inputs of `seed`."""
    return checks.judge(exercise, answer, seed)


def checked(source):
    """{exercise: source of its answer} for the calls of `check` in a cell."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError):
        return {}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if name == "check" and len(given) == 2:
                exercise = getattr(given[0], "value", None)
                if isinstance(exercise, str) and exercise in checks.CHECKS:
                    found[exercise] = ast.unparse(given[1])
    return found


def code_cells(notebook):
    """[(position, cell)] of a notebook's code cells that are not empty."""
    cells = enumerate(notebook.cells)
    return [(n, c) for n, c in cells if c.cell_type == "code" and c.source.strip()]


def lesson_of(notebook, name):
    """A lesson's number, as "03", by its exercises, else by the file's name.

    The exercises are those that are checked, else those whose usual names stand there.
    Raises ValueError if nothing tells.
    """
    sources = [cell.source for _, cell in code_cells(notebook)]
    numbers = [exercise[:2] for source in sources for exercise in checked(source)]
    known = sorted({exercise[:2] for exercise in checks.CHECKS})
    if not numbers and name[:2] in known:
        return name[:2]
    if not numbers:
        words = set(re.findall(r"^(?:def )?(\w+)(?=\(| =)", "\n".join(sources), re.M))
        numbers = [
            n for n in known for answer in expected(n).values() if answer in words
        ]
    if numbers:
        return max(sorted(set(numbers)), key=numbers.count)
    raise ValueError(
        "no exercise of the course is in it; let its name begin with the lesson's"
        " number, as 03_ann.ipynb"
    )


def expected(lesson):
    """{exercise: source of its answer} of a lesson, as the course's notebook has it."""
    found = {e: None for e in sorted(checks.CHECKS) if e[:2] == lesson}
    for path in lessons():
        if path.name.startswith(lesson):
            for _, cell in code_cells(nbformat.read(path, 4)):
                found |= checked(cell.source)
    return found


class Client(NotebookClient):
    """Runs cells and keeps only their errors, so that no output fills the memory."""

    def output(self, outs, msg, display_id, cell_index):
        if msg["msg_type"] == "error":
            return super().output(outs, msg, display_id, cell_index)


class Marker:
    """One notebook, its kernel, and the time that is left to it.

    job: {"notebook": path, "folder": where its kernel may write, "seed", "seconds",
    "memory_mb", "variables" of its kernel}. say: function that takes each line of the
    outcome, as a dictionary.
    """

    def __init__(self, job, say):
        self.job, self.say = job, say
        self.folder = Path(job["folder"])
        self.notebook = nbformat.read(job["notebook"], 4)
        self.lesson = lesson_of(self.notebook, job["name"])
        self.client = Client(
            self.notebook,
            km=self.kernel_manager(),
            allow_errors=True,
            interrupt_on_timeout=True,
            error_on_timeout={"ename": "TimeoutError", "evalue": "", "traceback": []},
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(Path(job["notebook"]).parent)}},
        )
        self.ended = None

    def kernel_manager(self):
        """A kernel in the sandbox; it talks through files in its folder on Linux."""
        kernel = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        if sys.platform != "win32":
            limits = [str(self.folder), str(self.job["memory_mb"])]
            kernel = [sys.executable, sandbox.__file__, *limits, *kernel]
        manager = AsyncKernelManager(kernel_name="python3")
        manager._kernel_spec = KernelSpec(argv=kernel, language="python")
        if sys.platform == "linux":
            manager.transport, manager.ip = "ipc", str(self.folder / "kernel")
        return manager

    def left(self):
        """Seconds that the notebook still has."""
        return self.start + self.job["seconds"] - time.monotonic()

    def run(self):
        """Run all cells; mark each answer after the cell that checks it."""
        self.say({"lesson": self.lesson})
        wanted = expected(self.lesson)
        with self.client.setup_kernel(env=os.environ | self.job["variables"]):
            self.client.reset_execution_trackers()
            self.start = time.monotonic()
            for position, cell in code_cells(self.notebook):
                self.run_cell(cell, self.job["seconds"] / 2, f"cell {position + 1}")
                for exercise, source in checked(cell.source).items():
                    wanted.pop(exercise, None)
                    self.mark(exercise, source)
            for exercise, source in wanted.items():
                self.mark_unchecked(exercise, source)

    def run_cell(self, cell, seconds, name):
        """Run a cell for so many seconds at most; note what went wrong."""
        if self.left() <= 0:
            raise TimeoutError(f"the notebook's time was up before {name}")
        self.client.timeout = max(1, int(min(seconds, self.left())))
        began = time.monotonic()
        try:
            self.client.execute_cell(cell, 0)
        except DeadKernelError:
            raise self.end(name) from None
        if time.monotonic() - began >= self.client.timeout:
            self.say({"note": f"{name} was stopped after {self.client.timeout} s"})
        for output in cell.outputs:
            if output.output_type == "error" and output.ename != "KeyboardInterrupt":
                self.say({"note": f"{name}: {output.ename}: {output.evalue}"})

    def end(self, place):
        """The error for a kernel that ended; later ones name the first place too."""
        self.ended = self.ended or f"the kernel ended in {place}"
        return DeadKernelError(self.ended)

    def mark(self, exercise, source):
        """Judge an answer, given by its source in the notebook."""
        self.exercise = exercise
        self.until = time.monotonic() + self.job["seconds"] / 3
        try:
            answer = ask({"expression": source}, self.send)["result"]
        except (DeadKernelError, TimeoutError):
            raise
        except Exception as error:  # a name that no cell has defined
            sentence = f"{source} stopped with {type(error).__name__}: {error}"
            return self.say({"mark": [exercise, False, sentence]})
        right, sentence = judge(exercise, answer, self.job["seed"])
        self.say({"mark": [exercise, bool(right), str(sentence)]})

    def mark_unchecked(self, exercise, source):
        """Judge an exercise whose check is not in the notebook, by its usual name."""
        gone = "its check was taken out of the notebook"
        if source is None:
            return self.say({"mark": [exercise, False, gone]})
        self.exercise = exercise
        self.until = time.monotonic() + self.job["seconds"] / 3
        try:
            ask({"expression": source}, self.send)
        except NameError:
            sentence = f"{gone}, and there is no {source}"
            return self.say({"mark": [exercise, False, sentence]})
        self.say({"note": f"{exercise}: {gone}; {source} was marked"})
        self.mark(exercise, source)

    def send(self, request):
        """The kernel's reply to a packed request. An answer has limited time.

        Raises TimeoutError, or ValueError for a reply that is none.
        """
        asked, reply = self.folder / "asked", self.folder / "reply"
        reply.unlink(missing_ok=True)
        asked.unlink(missing_ok=True)
        with asked.open("xb") as file:  # new: no link of the notebook's is followed
            file.write(request)
        seconds = min(20, self.job["seconds"] / 6, self.until - time.monotonic())
        if seconds <= 0 or self.left() <= 0:
            raise TimeoutError(f"the time for the answer to {self.exercise} was up")
        self.client.timeout = max(1, int(seconds))
        cell = nbformat.v4.new_code_cell(f"{REPLY}({str(self.folder)!r})")
        try:
            self.client.execute_cell(cell, 0, store_history=False)
        except DeadKernelError:
            raise self.end(f"the answer to {self.exercise}") from None
        for error in cell.outputs:
            if error.ename != "KeyboardInterrupt":
                raise ValueError(f"no answer: {error.ename}: {error.evalue}")
        if not reply.is_file() or reply.is_symlink():
            raise TimeoutError(f"no answer within {self.client.timeout} s")
        if reply.stat().st_size > LARGEST_REPLY:
            raise ValueError("the answer is too large")
        return reply.read_bytes()


def main():
    """Mark the notebook of the job on the standard input."""
    if sys.platform == "linux":  # what a notebook leaves running becomes our child
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    # The kernel inherits 1 and 2: it must not be able to write lines of the outcome.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line):
        print(json.dumps(line), file=out, flush=True)

    try:
        Marker(json.loads(sys.stdin.readline()), say).run()
        say({"done": True})
    except (DeadKernelError, TimeoutError, ValueError) as error:
        say({"note": str(error), "stopped": True})
    except Exception as error:
        traceback.print_exc()
        say({"note": f"{type(error).__name__}: {error}", "stopped": True})


if __name__ == "__main__":
    main()
