"""detect.py: the command line, with a detector that finds bright pixels."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from course_utils import detect
from course_utils.core.settings import REPOSITORY
from course_utils.data.images import read_pixels
from course_utils.data.voc import read_voc_xml
from course_utils.lessons.plot import color_of


def find_bright(images):
    """One box around all bright pixels, and a weak and an empty one beside it."""
    detections = []
    for image in images:
        assert image.dtype == torch.float32 and image.max() <= 1
        y, x = (image[0] > 0.5).nonzero().unbind(1)
        box = [x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0] * 4
        boxes = torch.tensor([box, [0, 0, 9, 9], [4, 4, 4, 9]], dtype=torch.float32)
        labels, scores = torch.tensor([2, 1, 1]), torch.tensor([0.9, 0.3, 0.8])
        detections.append({"boxes": boxes, "labels": labels, "scores": scores})
    return detections


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    """A stand-in for models.photo_detector; returns the names it was asked for."""
    asked = []

    def load_detector(model):
        asked.append(model)
        return find_bright, ("dog", "cat")

    fake = SimpleNamespace(load_detector=load_detector)
    monkeypatch.setitem(sys.modules, "course_utils.models.photo_detector", fake)
    return asked


def save(path, box=(10, 5, 40, 30), size=(64, 48), **more):
    """A dark picture with one bright box."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(pixels).save(path, **more)
    return path


def run(*words):
    return detect.main(["voc2007", *map(str, words)])


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_best_lies_on_top_and_names_stay_inside():
    detected = {
        "boxes": torch.tensor([[80.0, 0, 98, 80], [80, 30, 98, 80]]),
        "labels": torch.tensor([2, 1]),
        "scores": torch.tensor([0.9, 0.6]),
    }
    drawn = detect.draw_detections(
        torch.zeros(3, 120, 100, dtype=torch.uint8), detected, "ab"
    )
    best, other = (tuple(ImageColor.getrgb(color_of(k))) for k in (2, 1))
    assert drawn.size == (100, 120)
    assert drawn.getpixel((97, 60)) == best and drawn.getpixel((98, 60)) == (0, 0, 0)
    assert drawn.getpixel((90, 79)) == best and drawn.getpixel((90, 80)) == (0, 0, 0)
    assert drawn.getpixel((90, 31)) == other
    left = min(x for x in range(100) if drawn.getpixel((x, 2)) == best)
    assert left < 70, "the name moves to the left, so that all of it is seen"


def test_pictures_and_json(tmp_path, detector, capsys, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    one, out = save(tmp_path / "in" / "a.png"), tmp_path / "out"
    exif = Image.Exif()
    exif[0x0112] = 6  # a phone's picture, upright 48 x 64
    two = save(tmp_path / "in" / "b.jpg", exif=exif, quality=95)
    before = one.read_bytes(), two.read_bytes()
    assert run(tmp_path / "in", one, "--out", out) == 0
    assert detector == ["voc2007"] and names(out) == [
        "a.png",
        "b.jpg",
        "detections.json",
    ]
    a, b = json.loads((out / "detections.json").read_text())
    assert a == {
        "file": str(one),
        "size": [64, 48],
        "detections": [{"class": "cat", "score": 0.9, "box": [10, 5, 40, 30]}],
    }
    assert b["size"] == [48, 64] and b["detections"][0]["box"] == [18, 10, 43, 40]
    assert (one.read_bytes(), two.read_bytes()) == before
    drawn, source = read_pixels(out / "a.png"), read_pixels(one)
    assert drawn.shape == source.shape
    assert (drawn[:, 29, 12] != source[:, 29, 12]).any()  # the box's lower edge
    assert torch.equal(drawn[:, 20, 20], source[:, 20, 20])  # and its inside
    assert "2/2" in capsys.readouterr().err


def test_voc_and_min_score(tmp_path):
    save(tmp_path / "in" / "a.jpg", quality=95)
    out = tmp_path / "new" / "out"
    assert (
        run(tmp_path / "in", "--out", out, "--format", "voc", "--min-score", 0.2) == 0
    )
    assert names(out) == ["a.jpg", "a.xml"]
    cat, dog = read_voc_xml(out / "a.xml")
    assert (cat["name"], cat["box"]) == ("cat", (10, 5, 40, 30))
    assert (dog["name"], dog["box"]) == ("dog", (0, 0, 9, 9))
    again = tmp_path / "again"
    assert run(tmp_path / "in", "--out", again, "--min-score", 0.95) == 0
    assert json.loads((again / "detections.json").read_text())[0]["detections"] == []


def test_bad_files_get_a_line_each_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CI", "1")
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "good.png")
    whole = save(folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("hello")
    (folder / "notes.txt").write_text("no image, so not asked for")
    (tmp_path / "empty").mkdir()
    inputs = (folder, tmp_path / "empty", tmp_path / "gone.jpg")
    assert run(*inputs, "--out", out) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and not any("Traceback" in line for line in lines)
    for name, words in {
        "empty": "no image in this folder",
        "gone.jpg": "no such file or folder",
        "cut.jpg": "unreadable or cut off",
        "text.png": "unreadable or cut off",
    }.items():
        (line,) = [text for text in lines if str(tmp_path) in text and name in text]
        assert words in line
    assert names(out) == ["detections.json", "good.png"]
    assert len(json.loads((out / "detections.json").read_text())) == 1


def test_a_failing_detector_names_the_image(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CI", "1")

    def fail(images):
        raise RuntimeError("kernel larger than input\nmore of it")

    fake = SimpleNamespace(load_detector=lambda model: (fail, ["dog"]))
    monkeypatch.setitem(sys.modules, "course_utils.models.photo_detector", fake)
    path = save(tmp_path / "in" / "a.png")
    assert run(path, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"{path}: kernel larger than input\n"


def test_equal_stems_do_not_collide(tmp_path):
    for name in ("in/a.png", "in/a.bmp", "in/b/a.png"):
        save(tmp_path / name)
    out = tmp_path / "out"
    inputs = (tmp_path / "in" / "b", tmp_path / "in", tmp_path / "in" / "a.png")
    assert run(*inputs, "--out", out, "--format", "voc") == 0
    assert names(out) == [
        *("a.png", "a.xml", "a_2.jpg", "a_2.xml", "a_3.png", "a_3.xml")
    ]
    assert "<filename>a.bmp</filename>" in (out / "a_2.xml").read_text()


def test_nothing_is_written_over(tmp_path, capsys):
    path, out = save(tmp_path / "in" / "a.png"), tmp_path / "out"
    before = path.read_bytes()
    for words in ((), ("--overwrite",)):
        with pytest.raises(SystemExit) as end:
            run(path, "--out", tmp_path / "in" / ".." / "in", *words)
        assert end.value.code == 2
        assert "is the folder of" in capsys.readouterr().err
    assert path.read_bytes() == before and names(tmp_path / "in") == ["a.png"]
    assert run(path, "--out", out) == 0
    for gone in ("a.png", "detections.json"):
        (out / gone).unlink()
        kept = next(out.iterdir())
        kept.write_text("earlier")
        with pytest.raises(SystemExit) as end:
            run(path, "--out", out)
        assert end.value.code == 2 and kept.read_text() == "earlier"
        assert f"{kept} exists; choose" in capsys.readouterr().err
        assert run(path, "--out", out, "--overwrite") == 0
        assert names(out) == ["a.png", "detections.json"]
        assert kept.read_bytes() != b"earlier"


def test_a_link_to_an_image_is_replaced_not_followed(tmp_path):
    path, out = save(tmp_path / "in" / "a.png"), tmp_path / "out"
    before = path.read_bytes()
    out.mkdir()
    os.symlink(path, out / "a.png")
    assert run(path, "--out", out, "--overwrite") == 0
    assert path.read_bytes() == before and not (out / "a.png").is_symlink()


@pytest.mark.parametrize(
    "words, line",
    [
        (["voc2007", "a.png"], "required: --out"),
        (["voc2007", "--out", "o"], "required: IMAGE"),
        (
            ["mine.safetensors", "a.png", "--out", "o"],
            "neither a .safetensors file nor",
        ),
        (["a.png", "a.png", "--out", "o"], "neither a .safetensors file nor voc2007"),
        (
            ["voc2007", "a.png", "--out", "o", "--min-score", "50"],
            "50 is not in 0 to 1",
        ),
        (["voc2007", "a.png", "--out", "o", "--min-score", "nan"], "is not in 0 to 1"),
        (["voc2007", "a.png", "--out", "o", "--format", "csv"], "invalid choice"),
        (["voc2007", "a.png", "--out", "a.png"], "--out a.png is no folder"),
    ],
)
def test_bad_usage_is_2_with_a_line(tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.png")
    with pytest.raises(SystemExit) as end:
        detect.main(words)
    assert end.value.code == 2 and line in capsys.readouterr().err
    assert names(tmp_path) == ["a.png"]


def test_an_unfit_model_is_bad_usage(tmp_path, monkeypatch, capsys):
    def load_detector(model):
        raise ValueError(f"{model} holds no detector")

    fake = SimpleNamespace(load_detector=load_detector)
    monkeypatch.setitem(sys.modules, "course_utils.models.photo_detector", fake)
    (tmp_path / "other.safetensors").write_bytes(b"")
    with pytest.raises(SystemExit) as end:
        words = [str(tmp_path / "other.safetensors"), str(save(tmp_path / "a.png"))]
        detect.main([*words, "--out", str(tmp_path / "out")])
    assert end.value.code == 2
    assert "other.safetensors holds no detector" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_as_a_program(capsys):
    command = [sys.executable, "-m", "course_utils.detect"]
    done = subprocess.run(command, capture_output=True, cwd=REPOSITORY)
    assert done.returncode == 2 and b"required: MODEL" in done.stderr
    with pytest.raises(SystemExit) as end:
        detect.main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0 and "MODEL IMAGE [IMAGE ...]" in text
    assert "python -m course_utils.detect" in text
