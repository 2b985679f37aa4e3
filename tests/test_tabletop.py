"""The embedded data set: complete, tight boxes, true to its generator."""

import importlib.util
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.authoring import REPOSITORY
from course_utils.data import VOCDataset, find_data
from course_utils.voc import read_voc_xml

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


@pytest.fixture(scope="module")
def generator():
    pytest.importorskip("mitsuba", reason="pip install mitsuba to render scenes again")
    path = REPOSITORY / "data" / "make_tabletop.py"
    spec = importlib.util.spec_from_file_location("make_tabletop", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("split, index", [("test", 3), ("single_train", 11)])
def test_generator_makes_a_committed_scene_again(root, generator, split, index):
    image, mask, objects = generator.render_scene(generator.sample_scene(split, index))
    name = f"{split}_{index:04d}"
    committed = read_voc_xml(root / "Annotations" / f"{name}.xml")
    assert [o["name"] for o in objects] == [o["name"] for o in committed]
    assert [tuple(o["box"]) for o in objects] == [o["box"] for o in committed]
    for flag in ("difficult", "truncated", "occluded"):
        assert [bool(o[flag]) for o in objects] == [o[flag] for o in committed]
    with Image.open(root / "SegmentationObject" / f"{name}.png") as file:
        assert (np.array(file) == mask).all()
    with Image.open(root / "JPEGImages" / f"{name}.jpg") as file:
        difference = np.abs(np.array(file).astype(float) - image)
    assert difference.mean() < 4, "JPEG and render noise only"
