"""A small IPython shell in this process, with live cells on."""

import contextlib
import io
import re
import sys

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from course_utils.lessons import live


class Kernel:
    """`run(cell)` gives what the cell prints; `names` is the lesson's namespace."""

    def __init__(self):
        quiet = Config({"HistoryManager": {"enabled": False}})
        self.shell = InteractiveShell(config=quiet, colors="nocolor")
        self.names = self.shell.user_ns

    def run(self, cell, fails=False):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            result = self.shell.run_cell(cell)
        if not fails:
            result.raise_error()
        return out.getvalue().strip()


@contextlib.contextmanager
def live_kernel():
    main = sys.modules["__main__"]
    try:
        kernel = Kernel()
        live.on(kernel.shell)
        yield kernel
    finally:
        live.off()
        sys.modules["__main__"] = main


def modules():
    """The package's loaded modules, but for those of live cells themselves."""
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name.startswith("course_utils")
        and not re.search(r"\.(live|checks|mutants)", name)
    }
