"""The embedded data set: complete, tight boxes, true to its generator."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.core.settings import REPOSITORY
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset

pytestmark = pytest.mark.slow

SPLITS = {
    "train": 1000,
    "val": 200,
    "test": 300,
    "single_train": 600,
    "single_test": 150,
}


@pytest.fixture(scope="module")
def root():
    return find_data("tabletop")


@pytest.mark.parametrize("split, count", SPLITS.items())
def test_split_is_complete(root, split, count):
    dataset = VOCDataset(root, split)
    assert len(dataset) == len(set(dataset.ids)) == count and len(dataset.classes) >= 8
    numbers = Counter(len(objects) for objects in dataset.objects)
    assert set(numbers) == ({1} if split.startswith("single") else set(range(1, 8)))
    names = Counter(o["name"] for objects in dataset.objects for o in objects)
    assert set(names) == set(dataset.classes)
    assert max(names.values()) < 1.6 * min(names.values()), "classes about balanced"


@pytest.mark.parametrize("split", SPLITS)
def test_every_box_is_tight_to_its_mask(root, split):
    dataset = VOCDataset(root, split)
    for image_id, objects in zip(dataset.ids, dataset.objects):
        with Image.open(root / "SegmentationObject" / f"{image_id}.png") as file:
            assert file.mode == "P"
            mask = np.array(file)
        assert set(np.unique(mask)) - {0} == set(range(1, len(objects) + 1)), image_id
        for number, o in enumerate(objects, 1):
            y, x = np.nonzero(mask == number)
            tight = (x.min(), y.min(), x.max() + 1, y.max() + 1)
            assert o["box"] == tight, image_id
            if len(x) < 60:
                assert o["difficult"], image_id


def test_images_have_one_size_and_little_weight(root):
    dataset = VOCDataset(root, "test", first=30)
    shapes = {dataset[i][0].shape for i in range(30)}
    assert shapes == {torch.Size([3, 180, 240])}
    weight = sum(p.stat().st_size for p in root.rglob("*") if p.is_file())
    assert weight < 40e6
    assert len(list((root / "JPEGImages").iterdir())) == sum(SPLITS.values())


def make_tabletop(*options):
    """Run the generator's command with these options."""
    command = [sys.executable, REPOSITORY / "data" / "make_tabletop.py", *options]
    return subprocess.run([str(word) for word in command], stderr=subprocess.PIPE)


@pytest.mark.parametrize("option, value", [("--start", -1), ("--jobs", 0)])
def test_generator_refuses_numbers_that_are_too_small(tmp_path, option, value):
    run = make_tabletop("--out", tmp_path, option, value)
    assert run.returncode == 2 and b"error: --start" in run.stderr
    assert not list(tmp_path.iterdir()), "nothing was written"


@pytest.mark.parametrize("split, index", [("test", 3), ("single_train", 11)])
def test_generator_makes_a_committed_scene_again(root, tmp_path, split, index):
    pytest.importorskip("mitsuba", reason="pip install mitsuba to render scenes again")
    which = ("--split", split, "--start", index, "--count", 1, "--jobs", 1)
    run = make_tabletop("--out", tmp_path, *which)
    assert run.returncode == 0, run.stderr.decode()
    name = f"{split}_{index:04d}"
    assert (tmp_path / "ImageSets" / "Main" / f"{split}.txt").read_text() == f"{name}\n"
    for file in ("classes.txt", f"Annotations/{name}.xml"):
        assert (tmp_path / file).read_text() == (root / file).read_text()
    for folder, ending in (("SegmentationObject", "png"), ("JPEGImages", "jpg")):
        files = [r / folder / f"{name}.{ending}" for r in (root, tmp_path)]
        committed, made = map(Image.open, files)
        assert committed.getpalette() == made.getpalette()
        difference = np.abs(np.array(committed).astype(float) - np.array(made))
        assert difference.mean() <= (0 if ending == "png" else 4), "render noise only"
