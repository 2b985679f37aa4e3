"""The environment check and `report`: a mend for each problem, nothing half-written."""

import json
import sys
from pathlib import Path

import psutil
import pytest
import torch
from packaging.requirements import Requirement
from torch import nn

from course_utils.core import environment, settings, weights
from course_utils.core.cache import cache_dir
from course_utils.core.environment import (
    check_environment,
    find_broken_libraries,
    installed_packages,
    lab_folder,
)
from course_utils.core.memory import peak_memory_mb, return_memory
from course_utils.core.settings import in_ci, seed_everything
from course_utils.core.weights import save_weights, train_or_load
from course_utils.lessons.report import report


def healthy():
    """A set of installed packages that the requirements accept."""
    lines = (settings.REPOSITORY / "requirements.txt").read_text().splitlines()
    needs = [Requirement(line) for line in lines if line and not line.startswith("#")]
    lowest = {n.name: min(s.version for s in n.specifier) for n in needs}
    lowest |= {
        n.name: next(s.version for s in n.specifier if s.operator in (">=", "=="))
        for n in needs
    }
    return lowest


def problems_of(**change):
    installed = healthy() | {k.replace("_", "-"): v for k, v in change.items()}
    return environment.find_problems({k: v for k, v in installed.items() if v})


def test_healthy_and_own_installation_have_no_problem():
    assert problems_of() == []
    assert environment.find_problems() == []


@pytest.mark.parametrize(
    "change, words, mend",
    [
        ({"torch": None}, "torch is not installed", 'install "torch'),
        ({"ipywidgets": "7.6.0"}, "ipywidgets is 7.6.0", 'install "ipywidgets'),
        (
            {"opencv_python": "4.10.0"},
            "overwrite each other",
            "uninstall -y opencv-con",
        ),
    ],
)
def test_problem_is_named_with_its_mend(change, words, mend):
    # pitfall: environment: missing libGL and OpenCV clash
    ((problem, advice),) = problems_of(**change)
    assert words in problem and mend in advice


def test_lab_in_another_environment_is_named(tmp_path):
    # pitfall: widgets: Lab and kernel in two environments
    here, there = tmp_path / "a" / "bin", tmp_path / "b" / "bin"
    ((problem, mend),) = environment.find_problems(healthy(), lab=there, python=here)
    assert (
        str(there) in problem and str(here) in problem and "model not found" in problem
    )
    assert "ipywidgets" in mend
    assert environment.find_problems(healthy(), lab=here, python=here) == []


class Parent:
    """A stand-in for psutil.Process: a parent of the kernel."""

    def __init__(self, words, folder):
        self.words, self.folder = words, folder

    def cmdline(self):
        if self.words is None:
            raise psutil.AccessDenied
        return self.words

    def cwd(self):
        return self.folder


@pytest.mark.parametrize("absolute", [True, False])
def test_lab_folder_is_found_however_lab_was_started(monkeypatch, tmp_path, absolute):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "jupyter-lab").touch()
    word = "bin/jupyter-lab"
    lab = Parent(["python", str(tmp_path / word) if absolute else word], str(tmp_path))
    parents = [Parent(None, "/"), Parent(["sh", "-c", "jupyter lab"], "/"), lab]
    fake = type("Fake", (), {"parents": lambda self: parents})
    monkeypatch.setattr(environment.psutil, "Process", fake)
    assert lab_folder() == tmp_path / "bin"
    parents.pop()
    assert lab_folder() is None


def test_broken_opencv_and_torchvision_are_named(monkeypatch):
    # pitfall: environment: missing libGL and OpenCV clash
    import cv2
    import torchvision

    assert find_broken_libraries() == []
    monkeypatch.delattr(cv2, "ximgproc")
    ((problem, mend),) = find_broken_libraries()
    assert "ximgproc" in problem and "opencv-contrib-python" in mend

    def missing(*_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", missing)
    assert "does not fit torch" in find_broken_libraries()[1][0]


def test_check_environment_prints_versions(capsys, monkeypatch):
    # pitfall: environment: versions without bounds
    check_environment()
    printed = capsys.readouterr().out
    assert f"torch {installed_packages()['torch']}" in printed
    assert "All is well" in printed
    monkeypatch.setattr(
        environment, "find_problems", lambda: [("it is broken", "mend it")]
    )
    check_environment()
    printed = capsys.readouterr().out
    assert "it is broken" in printed and "mend it" in printed and "well" not in printed


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_train_or_load_trains_once(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    calls = []

    def train(model):
        calls.append(1)
        nn.init.constant_(model[0].weight, 0.5)

    assert train_or_load("x", network(), train) == "trained"
    model = network()
    assert train_or_load("x", model, train) == "cache"
    assert (model[0].weight == 0.5).all() and len(calls) == 1
    wider = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    assert train_or_load("x", wider, train) == "trained"
    assert [p.suffix for p in (tmp_path / "weights").iterdir()] == [".safetensors"] * 2


def test_broken_cache_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    train_or_load("x", network(), lambda model: None)
    (file,) = (tmp_path / "weights").iterdir()
    file.write_bytes(file.read_bytes()[:50])
    assert train_or_load("x", network(), lambda model: None) == "trained"
    assert train_or_load("x", network(), lambda model: None) == "cache"


def test_shipped_weights_are_found(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "REPOSITORY", tmp_path)
    model = network()
    save_weights(model.state_dict(), tmp_path / "data/weights/x.safetensors", True)
    other = network()
    assert train_or_load("x", other, None) == "shipped"
    assert other[0].weight.dtype == torch.float32
    torch.testing.assert_close(other[0].weight, model[0].weight, rtol=0, atol=1e-3)


def test_seed_and_paths(monkeypatch):
    seed_everything(3)
    a = torch.rand(2)
    seed_everything(3)
    assert torch.equal(a, torch.rand(2))
    monkeypatch.setenv("COURSE_CACHE", "here")
    assert cache_dir() == Path("here")
    for value, on in ("true", True), ("1", True), ("", False), ("false", False):
        monkeypatch.setenv("CI", value)
        assert in_ci() is on
    assert 50 < peak_memory_mb() < 50_000


def test_report_is_written_whole(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_RESULTS", str(tmp_path))
    report("05_rcnn", map50=0.91234567, note="x", count=3)
    written = json.loads((tmp_path / "05_rcnn.json").read_text())
    assert written["map50"] == 0.9123 and written["count"] == 3
    assert written["peak_mb"] > 50 and written["written"] > 1e9
    with pytest.raises(ValueError, match="map50 = nan"):
        report("05_rcnn", map50=float("nan"))
    with pytest.raises(ValueError, match="boxes = tensor"):
        report("05_rcnn", boxes=torch.zeros(2))
    assert [p.name for p in tmp_path.iterdir()] == ["05_rcnn.json"]


def test_report_without_a_place_to_write(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_RESULTS", str(tmp_path / "file"))
    assert report("05_rcnn", count=3)["count"] == 3
    (line,) = capsys.readouterr().out.splitlines()
    assert "cannot write" in line and "$COURSE_RESULTS" in line


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator alone is asked")
def test_freed_memory_goes_back_to_the_system():
    blocks = [bytearray(4000) for _ in range(50_000)]
    blocks = blocks[::500]  # what is left between the holes keeps them from being freed
    process = psutil.Process()
    before = process.memory_info().rss
    return_memory()
    assert before - process.memory_info().rss > 100e6, len(blocks)
