"""files.py: files that are whole or not there, and keys that tell contents apart."""

import nbformat
import numpy as np
import pytest
import torch
from torch import nn

from course_utils.core.files import content_key, file_state, write_text, write_whole
from course_utils.lessons import authoring
from course_utils.models.onnx import export_onnx
from tests.helpers.lessons import small_lesson


def test_a_failed_block_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "labels.txt"
    write_text(path, "old ü")
    with pytest.raises(OSError, match="disk"), write_whole(path) as place:
        place.write_text("ha")
        raise OSError("disk full")
    assert path.read_bytes() == "old ü".encode() and list(tmp_path.iterdir()) == [path]
    with write_whole(path) as place:
        place.write_text("new")
        assert path.read_text(encoding="utf-8") == "old ü"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_whole_or_not_there(tmp_path):
    path = tmp_path / "set"
    with pytest.raises(ValueError), write_whole(path) as place:
        (place / "inside").mkdir(parents=True)
        raise ValueError
    assert list(tmp_path.iterdir()) == []
    with write_whole(path) as place:
        (place / "inside").mkdir(parents=True)
    assert (path / "inside").is_dir() and list(tmp_path.iterdir()) == [path]


def test_a_lesson_is_not_cut_off_by_a_full_disk(tmp_path, monkeypatch):
    path = small_lesson(tmp_path / "01_one.ipynb", "old")
    cell = nbformat.read(path, 4)
    cell.cells[0].metadata["tags"] = ["same-as:course_utils.ops.boxes.box_area"]
    nbformat.write(cell, path)
    before = path.read_bytes()

    def half(notebook, place):
        place.write_text("{")
        raise OSError("disk full")

    monkeypatch.setattr(authoring, "navigation", lambda _: "")
    monkeypatch.setattr(authoring.nbformat, "write", half)
    with pytest.raises(OSError, match="disk full"):
        authoring.sync(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_failed_export_leaves_no_half_model(tmp_path, monkeypatch):
    import onnx

    class Program:
        model_proto = onnx.ModelProto()

    class Model(nn.Module):
        min_score = nms_iou = 0.5

    def half(proto, place):
        place.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr("course_utils.models.onnx.OneGraph", lambda model: model)
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: Program)
    monkeypatch.setattr(onnx, "save", half)
    with pytest.raises(OSError, match="disk full"):
        export_onnx(Model(), tmp_path / "a.onnx", ["dog"])
    assert list(tmp_path.iterdir()) == []


def test_a_key_tells_contents_apart():
    rows = torch.arange(20.0).view(5, 4)
    equal = [content_key(rows), content_key(rows.numpy()), content_key(rows.clone())]
    assert len(set(equal)) == 1 and len(equal[0]) == 12
    assert content_key(rows.T) == content_key(rows.T.contiguous())
    different = [
        (rows,),
        (rows.T,),
        (rows.view(4, 5),),
        (rows.int(),),
        (rows.view(torch.int32),),
        rows.split([2, 3]),  # the regions of two images, divided otherwise
        rows.split([3, 2]),
        (rows, rows[:0]),
        (rows, "1"),
        (rows, 1, 1),
        (rows, 11),
        (True, rows),
        (np.float64(1),),
    ]
    assert len({content_key(*parts) for parts in different}) == len(different)


def test_the_state_of_a_file_changes_with_its_bytes(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("1")
    state = file_state(path)
    assert state == file_state(str(path)) and state.startswith("a.jpg 1 ")
    path.write_text("12")
    assert file_state(path) != state
