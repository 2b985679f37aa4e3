"""compiled.py: no cache file, no folder and no second thread stops a compiled loop."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from numba.core.caching import IndexDataCacheFile, NullCache

from course_utils.core import compiled
from course_utils.core.settings import REPOSITORY

pytestmark = pytest.mark.slow

MODULE = """
from course_utils.core.compiled import njit


@njit
def total(x):
    s = x[0] * 0
    for v in x:
        s += v
    return s
"""


def run_python(source, folder, **environment):
    """Run a script in a process of its own, in `folder`; returns what it prints."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


def damage(path, how):
    data = path.read_bytes()
    hole = data[: len(data) // 3] + bytes(64) + data[len(data) // 3 + 64 :]
    pieces = {"emptied": b"", "cut off": data[: len(data) // 2], "hole": hole}
    path.write_bytes(pieces.get(how, b"garbage" * 99))


IMPORT = "import sys; sys.path.insert(0, '.'); from loops import total\n"
CALL = """
import sys
import numpy as np
print(total(np.arange(5.0)), *total.stats.cache_hits.values())
"""


@pytest.mark.parametrize("how", ["emptied", "cut off", "hole", "garbage"])
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_broken_cache_files_are_compiled_again(tmp_path, ending, how):
    # pitfall: environment: cache of compiled code
    (tmp_path / "loops.py").write_text(MODULE)
    cache = tmp_path / "cache"
    place = {"NUMBA_CACHE_DIR": str(cache)}
    assert run_python(IMPORT + CALL, tmp_path, **place) == ["10.0"]
    (file,) = cache.rglob(f"*.{ending}")
    damage(file, how)
    assert run_python(IMPORT + CALL, tmp_path, **place) == ["10.0"], "compiled again"
    assert run_python(IMPORT + CALL, tmp_path, **place) == ["10.0", "1"], "and kept"


def test_a_file_that_is_a_folder_stops_nobody(tmp_path):
    (tmp_path / "loops.py").write_text(MODULE)
    place = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    run_python(IMPORT + CALL, tmp_path, **place)
    (index,) = (tmp_path / "cache").rglob("*.nbi")
    index.unlink()
    index.mkdir()
    assert run_python(IMPORT + CALL, tmp_path, **place) == ["10.0"]


def test_where_nothing_can_be_written_the_package_compiles_in_memory(tmp_path):
    # pitfall: environment: cache of compiled code
    package = tmp_path / "course_utils"
    shutil.copytree(
        REPOSITORY / "course_utils",
        package,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (package / "__pycache__").write_text("a file where numba wants a folder")
    closed = str(package / "__pycache__" / "below")
    source = """
        import torch
        from course_utils.evaluation import average_precision
        from course_utils.ops import nms, roi
        from course_utils.proposals.selective_search import selective_search
        print(nms.__file__.startswith(PLACE))
        some = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
        print(nms.nms(some, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist())
        print(roi.roi_pool(torch.rand(1, 2, 8, 8), [some[:1]], 2).shape[0])
        print(len(selective_search(torch.rand(3, 40, 50))) > 1)
    """.replace("PLACE", repr(str(tmp_path)))
    places = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA")
    closed_places = dict.fromkeys(places, closed)
    said = run_python(source, tmp_path, PYTHONPATH=str(tmp_path), **closed_places)
    assert "".join(said) == "True[0,2]1True"


def test_a_full_disk_keeps_the_code_in_memory(monkeypatch, tmp_path):
    def full(self, path):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(IndexDataCacheFile, "_open_for_write", full)

    @compiled.njit
    def twice(x):
        return 2 * x

    assert twice(21) == 42 and twice(0.5) == 1


def test_an_entry_that_another_process_overwrote_is_not_taken(tmp_path):
    files = compiled.CheckedFiles(str(tmp_path), "loop", "stamp")
    files.save("float32", "its code")
    files._save_index({"float64": files._data_name(1), "float32": files._data_name(1)})
    assert files.load("float32") == "its code" and files.load("float64") is None


def test_processes_that_compile_at_once_agree(tmp_path):
    (tmp_path / "loops.py").write_text(MODULE)
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    kinds = ["float32", "float64", "int32", "int64"]
    source = IMPORT + CALL.replace("np.arange(5.0)", "np.arange(5).astype(sys.argv[1])")
    for _ in range(2):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", source, kind],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            for kind in kinds
        ]
        said = [process.communicate()[0].split()[0] for process in running]
        assert [float(number) for number in said] == [10] * 4
        assert not any(process.returncode for process in running)


def run_cells(folder, environment):
    """What the last of two cells prints that compile a loop and call it."""
    notebook = new_notebook(cells=[new_code_cell(MODULE), new_code_cell(CALL)])
    client = NotebookClient(notebook, kernel_name="python3")
    client.execute(cwd=str(folder), env=os.environ | environment)
    return notebook.cells[-1].outputs[0].text.split()


def test_lesson_cells_outlive_broken_files_and_closed_folders(tmp_path):
    (tmp_path / "closed").write_text("")
    home = {
        "PYTHONPATH": str(REPOSITORY),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "XDG_CACHE_HOME": str(tmp_path / "none"),
    }
    assert run_cells(tmp_path, home) == ["10.0"]
    for ending in "nbi", "nbc":
        (file,) = (tmp_path / "ipython").rglob(f"*.{ending}")
        damage(file, "cut off")
        assert run_cells(tmp_path, home) == ["10.0"], "compiled again"
    assert run_cells(tmp_path, home) == ["10.0", "1"], "and kept"
    shutil.rmtree(tmp_path / "ipython" / "numba_cache")
    (tmp_path / "ipython" / "numba_cache").write_text("")
    assert run_cells(tmp_path, home) == ["10.0"]


THREADS = """
    import threading
    import numba, torch
    from course_utils.ops.roi import roi_pool

    def once(seed):
        numbers = torch.Generator().manual_seed(seed)
        features = torch.rand(1, 8, 24, 32, generator=numbers).requires_grad_()
        boxes = torch.tensor([[0.0, 0, 20, 20], [3, 4, 30, 22]]).repeat(20, 1)
        out = roi_pool(features, [boxes], 7)
        out.sum().backward()
        return out.detach(), features.grad

    wanted = [once(seed) for seed in range(4)]
    wrong = []

    def many(seed):
        for _ in range(60):
            if not all(map(torch.equal, once(seed), wanted[seed])):
                wrong.append(seed)

    threads = [threading.Thread(target=many, args=(n,)) for n in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
    print(numba.threading_layer(), len(wrong))
"""


@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_parallel_code_may_be_called_from_many_threads(tmp_path, layer):
    # pitfall: environment: parallel code in several threads
    # numba's layer workqueue ends the process: "Concurrent access has been detected"
    settings = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    used, wrong = run_python(THREADS, tmp_path, **settings)
    assert wrong == "0" and layer in (used, "default")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on Windows")
def test_a_fork_amid_parallel_code_leaves_the_child_free(tmp_path):
    source = """
        import os, threading, time
        from course_utils.core.compiled import ONE_AT_A_TIME

        def busy():
            while True:
                with ONE_AT_A_TIME:
                    time.sleep(0.001)

        threading.Thread(target=busy, daemon=True).start()
        codes = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                found = []
                take = lambda: found.append(ONE_AT_A_TIME.acquire(timeout=5))
                thread = threading.Thread(target=take)
                thread.start(), thread.join()
                os._exit(0 if found[0] else 1)
            codes.append(os.waitpid(child, 0)[1])
        print(sum(codes))

    """
    assert run_python(source, tmp_path) == ["0"]


@pytest.mark.parametrize("options", [{}, {"nogil": True}, {"parallel": True}])
def test_the_plain_function_is_kept(options):
    @compiled.njit(**options)
    def twice(x):
        """Twice x."""
        return 2 * x

    assert twice(21) == twice.py_func(21) == 42
    assert twice.__doc__ == "Twice x." and twice.__name__ == "twice"


def test_code_without_a_source_file_compiles_in_memory():
    names = {}
    exec("def twice(x):\n    return 2 * x", names)
    loop = compiled.njit(names["twice"])
    assert isinstance(loop._cache, NullCache)
    assert loop(np.float32(21)) == 42
