"""Killed kernels, two kernels at once, a full or read-only disk, no network: nothing
broken is used, nothing is left to clean up, no training is lost.
"""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from course_utils.core import files, weights
from course_utils.core.cache import cached_array
from course_utils.core.files import unfinished
from course_utils.core.weights import load_weights, save_weights, train_or_load


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache for each test, also for the processes that it starts."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def start(program, *arguments):
    """A lesson-like process."""
    words = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def kill_when_it_says(word, program, *arguments):
    process = start(program, *arguments)
    assert process.stdout.readline() == f"{word}\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()


def names_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def train_to_half(model):
    nn.init.constant_(model[0].weight, 0.5)


# --- killed -----------------------------------------------------------------------

CACHING = """
import sys, time
import numpy as np
from course_utils.core.cache import cached_array

def fill(array):
    array[:500] = 1
    array.flush()
    print("half", flush=True)
    time.sleep(600)

cached_array("killed", (1000, 64), np.float32, fill)
"""


@pytest.mark.slow
def test_killed_while_caching(cache):
    kill_when_it_says("half", CACHING)
    (left,) = names_in(cache)
    assert left.startswith(".killed.npy.")
    for _ in range(2):
        array = cached_array("killed", (1000, 64), np.float32, lambda a: a.fill(2))
        assert array.min() == 2
    assert names_in(cache) == ["killed.npy"], "what the killed one left is gone"


SAVING = """
import os, sys, time
from pathlib import Path
from torch import nn
from course_utils.core.weights import train_or_load

def half_a_file(path, content):
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
    print("saving", flush=True)
    time.sleep(600)

def train(model):
    nn.init.constant_(model[0].weight, 0.25)
    if sys.argv[1] == "training":
        print("training", flush=True)
        time.sleep(600)

if sys.argv[1] == "saving":
    Path.write_bytes = half_a_file
train_or_load("x", nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), train)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["training", "saving"])
def test_killed_while_training_or_saving(cache, moment):
    kill_when_it_says(moment, SAVING, moment)
    assert not list(cache.rglob("*.safetensors")), "nothing that looks whole"
    assert len(names_in(cache)) == (moment == "saving")
    model = network()
    assert train_or_load("x", model, train_to_half) == "trained"
    assert train_or_load("x", network(), train_to_half) == "cache"
    assert (model[0].weight == 0.5).all()
    assert [name[:2] for name in names_in(cache)] == ["x-"], "the half file is gone"


def test_a_failure_or_an_interrupt_leaves_nothing(cache, monkeypatch):
    def stop(given):
        given[:1] = 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_array("y", (9, 2), np.float32, stop)
    with pytest.raises(TypeError):  # stop takes no network
        train_or_load("y", network(), lambda model: stop(None))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", lambda *_: stop(np.zeros(3)))
        save_weights(network().state_dict(), cache / "y.safetensors")
    assert names_in(cache) == []


def test_an_error_of_fill_is_not_taken_for_one_of_the_disk(cache):
    def fill(array):
        raise OSError("image 7 is broken")

    with pytest.raises(OSError, match="^image 7 is broken$"):
        cached_array("y", (9, 2), np.float32, fill)


def test_a_cut_off_or_foreign_array_is_made_again(cache):
    calls = []

    def fill(array):
        calls.append(1)
        array[:] = 7

    for _ in range(2):
        array = cached_array("x", (50, 8), np.float16, fill)
        assert array.sum() == 2800 and not array.flags.writeable
    assert len(calls) == 1
    path = cache / "arrays" / "x.npy"
    whole = path.read_bytes()
    for broken in (whole[:300], whole[:-1], b"", b"something else", b"PK\3\4 a zip"):
        path.write_bytes(broken)
        assert cached_array("x", (50, 8), np.float16, fill).sum() == 2800
    assert len(calls) == 6
    assert cached_array("x", (50, 9), np.float16, fill).shape == (50, 9)
    assert len(calls) == 7, "another shape is another array"


def test_cut_off_or_foreign_weights_are_not_used(cache):
    path = cache / "w.safetensors"
    save_weights(network().state_dict(), path)
    whole = path.read_bytes()
    model = network()
    before = model[0].weight.clone()
    for broken in (whole[:50], whole[:-1], b"", b"something else", bytes(200)):
        path.write_bytes(broken)
        assert load_weights(model, path) is False
    path.unlink()
    path.mkdir()
    assert load_weights(model, path) is False
    assert load_weights(model, path / "x" / "y") is False
    assert torch.equal(model[0].weight, before)


# --- unfinished files -------------------------------------------------------------


def leave(path, machine, number, age=0.0):
    """A file that a process left, `age` seconds ago."""
    left = path.with_name(f".{path.name}.{machine}.{number}")
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("half")
    os.utime(left, (time.time() - age,) * 2)
    return left


def gone_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_what_no_process_writes_any_more_is_removed(cache):
    path, here = cache / "x.npy", platform.node()
    own = unfinished(path)
    assert own.parent == cache and own != path
    kept = [
        leave(path, here, os.getppid()),
        leave(path, "another.machine", 1),
        leave(cache / "x.npy.txt", here, gone_process()),
        leave(cache / "other.npy", here, gone_process()),
        leave(path, here, "no number"),
    ]
    gone = [
        leave(path, here, gone_process()),
        leave(path, "another.machine", 2, age=90_000),
        # Numbers come back: an old file is not of a process that started later.
        leave(path, here, os.getpid(), age=80_000),
    ]
    folder = cache / f".x.npy.{here}.{gone_process()}"
    (folder / "inside").mkdir(parents=True)
    assert unfinished(path) == own
    assert all(left.exists() for left in kept)
    assert not any(left.exists() for left in [*gone, folder])


def test_two_paths_have_two_names(cache):
    assert unfinished(cache / "a") != unfinished(cache / "b")


# --- two kernels ------------------------------------------------------------------

TWO = """
import sys, time
from pathlib import Path
import numpy as np
from torch import nn
from course_utils.core.cache import cached_array
from course_utils.core.weights import train_or_load

me, other = Path(sys.argv[1]), Path(sys.argv[2])

def wait():
    me.touch()
    for _ in range(6000):
        if other.exists():
            return
        time.sleep(0.05)

def fill(array):
    array[:500] = 3
    wait()
    array[500:] = 3

def train(model):
    nn.init.constant_(model[0].weight, 0.25)

for _ in range(3):
    array = cached_array("both", (1000, 64), np.float32, fill)
    assert array.min() == array.max() == 3
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    train_or_load("both", model, train)
    assert (model[0].weight == 0.25).all()
print("good")
"""


@pytest.mark.slow
def test_two_kernels_write_the_same_at_once(cache, tmp_path):
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    processes = [start(TWO, a, b), start(TWO, b, a)]
    for process in processes:
        assert process.communicate(timeout=300)[0] == "good\n"
    names = names_in(cache)
    assert names[1] == "both.npy" or names[0] == "both.npy"
    assert len(names) == 2, "no half file"


def test_a_file_that_another_kernel_holds_open_is_used(cache, monkeypatch):
    """As on Windows, where no file can be replaced while another kernel maps it."""
    ready = np.full((5, 2), 4, np.float32)

    def refuse(source, target):
        np.save(target, ready)
        raise PermissionError(errno.EACCES, "used by another process")

    monkeypatch.setattr("os.replace", refuse)
    assert cached_array("z", (5, 2), np.float32, lambda a: a.fill(4)).sum() == 40
    assert names_in(cache) == ["z.npy"]


# --- a full or read-only disk -----------------------------------------------------


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(*_, **__):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def small_disk(path):
    return files.shutil._ntuple_diskusage(10**9, 10**9, 100)


def file_in_place(cache):
    cache.write_text("a file where the folder should be")


BAD_DISKS = {
    "No space left": lambda m, _: m.setattr(files.os, "posix_fallocate", full),
    "Read-only": lambda m, _: m.setattr(Path, "mkdir", read_only),
    "Not a directory": lambda _, cache: file_in_place(cache),
    "MB are needed": lambda m, _: m.setattr(files.shutil, "disk_usage", small_disk),
}


@pytest.mark.parametrize("words", BAD_DISKS)
def test_a_small_array_stays_in_memory(cache, monkeypatch, capsys, words):
    BAD_DISKS[words](monkeypatch, cache)
    array = cached_array("m", (300, 200), np.float32, lambda a: a.fill(2))
    assert array.sum() == 120_000 and not array.flags.writeable
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"NOTE  kept in memory only, m: cannot write {cache}")
    assert words in line and "another folder in $COURSE_CACHE" in line
    assert not cache.is_dir() or names_in(cache) == []


@pytest.mark.parametrize("words", BAD_DISKS)
def test_a_large_array_says_what_is_missing(cache, monkeypatch, capsys, words):
    BAD_DISKS[words](monkeypatch, cache)
    monkeypatch.setattr("course_utils.core.cache.IN_MEMORY", 200_000)
    with pytest.raises(OSError, match=words) as error:
        cached_array("m", (300, 200), np.float32, lambda a: pytest.fail("filled"))
    line = str(error.value)
    assert f"m: cannot write {cache / 'arrays'} (" in line and "\n" not in line
    assert "make room there, or name another folder in $COURSE_CACHE" in line
    assert capsys.readouterr().out == ""


def test_all_of_the_disk_is_taken_before_the_work(cache):
    """Else a disk that gets full behind a mapped file kills the kernel."""
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("no posix_fallocate on this system")

    def fill(array):
        (path,) = (cache / "arrays").iterdir()
        taken.append(path.stat().st_blocks * 512)

    taken = []
    cached_array("big", (1000, 1000), np.float32, fill)
    assert taken[0] >= 4_000_000


LIMITED = """
import resource, sys
import numpy as np
from course_utils.core.cache import cached_array

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
array = cached_array("limited", (1000, 1000), np.float32, lambda a: a.fill(1))
print(int(array.sum()))
"""


@pytest.mark.slow
def test_a_quota_that_really_refuses(cache):
    """Python ignores the signal of a file above its limit, so that errors come."""
    process = start(LIMITED)
    note, total = process.communicate(timeout=300)[0].splitlines()
    assert process.returncode == 0 and total == "1000000"
    assert "File too large" in note and "$COURSE_CACHE" in note


@pytest.mark.parametrize("words", ["Read-only", "Not a directory", "No space left"])
def test_no_training_is_lost(cache, monkeypatch, capsys, words):
    if words == "No space left":
        monkeypatch.setattr(Path, "write_bytes", full)
    else:
        BAD_DISKS[words](monkeypatch, cache)
    model = network()
    assert train_or_load("t", model, train_to_half) == "trained"
    assert (model[0].weight == 0.5).all()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"NOTE  not kept, t: cannot write {cache / 'weights'} (")
    assert words in line and "another folder in $COURSE_CACHE" in line
    assert not cache.is_dir() or names_in(cache) == []


def test_a_cache_that_can_not_be_read_is_made_again(cache, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    cached_array("p", (3, 2), np.float32, lambda a: a.fill(1))
    with monkeypatch.context() as patch:
        patch.setattr(weights, "load_file", denied)
        assert load_weights(network(), cache / "x") is False
        patch.setattr(files.np.lib.format, "open_memmap", denied)
        assert files.load_array(cache / "arrays" / "p.npy", (3, 2), np.float32) is None


def test_saved_weights_keep_what_is_said_of_them(cache):
    path = cache / "a.safetensors"
    save_weights({"w": torch.ones(3)}, path, half=True, about={"classes": "a"})
    assert load_file(path)["w"].dtype == torch.float16
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    assert header["__metadata__"] == {"classes": "a"}


# --- no network -------------------------------------------------------------------

IMPORTS = """
import importlib, pkgutil, socket

def refuse(*_, **__):
    raise AssertionError("the network was tried")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse

import course_utils

found = list(pkgutil.walk_packages(course_utils.__path__, "course_utils."))
for module in found:
    importlib.import_module(module.name)
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.models.imagenet import imagenet_backbone

imagenet_backbone()
VOCDataset(find_data("tabletop"), "val", first=2)[0]
print(len(found))
"""


@pytest.mark.slow
def test_nothing_tries_the_network_but_a_download(monkeypatch):
    monkeypatch.delenv("COURSE_OFFLINE", raising=False)
    process = start(IMPORTS)
    assert int(process.communicate(timeout=300)[0]) > 30
    assert process.returncode == 0
