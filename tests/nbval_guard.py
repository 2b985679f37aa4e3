"""A pytest plugin for nbval: what it lets pass, and what it would wait for.

nbval reads a cell's outputs and not the kernel's reply, so that a cell which ends in
a bad magic passes, with all of its later lines not run; and it waits out the cell's
limit when the kernel has died. Used by tests/lessons/test_lessons.py.
"""

import time
from queue import Empty

import nbval.plugin
import pytest
from nbval.kernel import RunningKernel

# What a cell's shell command (!false) left as its exit code.
SHELL = "globals().get('_exit_code', 0)"


class WatchedKernel(RunningKernel):
    """Keeps the reply to each cell, and notices at once when the kernel dies."""

    def execute_cell_input(self, source, allow_stdin=None):
        asked = {"store_history": False, "stop_on_error": False}
        asked |= {"allow_stdin": allow_stdin, "user_expressions": {"shell": SHELL}}
        return self.kc.execute(source, **asked)

    def await_reply(self, msg_id, timeout=None):
        end = time.monotonic() + max(timeout or 0, 60)  # nbval waits 10 s for the first
        while True:
            try:
                reply = self.get_message("shell", timeout=1)
            except Empty:
                if not self.is_alive():
                    raise RuntimeError("the kernel died in this cell") from None
                if time.monotonic() > end:
                    raise
                continue
            if reply["parent_header"].get("msg_id") == msg_id:
                self.reply = reply["content"]
                return


nbval.plugin.RunningKernel = WatchedKernel


def fault_of(reply, outputs):
    """What is wrong with a cell that nbval lets pass, in words; None if nothing is."""
    if reply["status"] != "ok":
        return f"it ended with {reply.get('ename')}: {reply.get('evalue')}"
    if any(part.get("source") == "ask_exit" for part in reply.get("payload", ())):
        return "it stops the kernel"
    code = reply["user_expressions"]["shell"].get("data", {}).get("text/plain", "0")
    if code != "0":
        return f"a shell command of it ended with exit code {code}"
    said = "".join(o.text for o in outputs if o.get("name") == "stderr")
    return next((x for x in said.splitlines() if x.startswith("UsageError:")), None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if not isinstance(item, nbval.plugin.IPyNbCell):
        return (yield)
    item.output_timeout = 60  # nbval's 5 s are too few on a busy machine
    try:
        result = yield
    except RuntimeError as error:
        item.raise_cell_error(str(error))
    fault = fault_of(item.parent.kernel.reply, item.test_outputs)
    if fault and not item.options["check_exception"]:
        item.raise_cell_error(fault)
    return result
