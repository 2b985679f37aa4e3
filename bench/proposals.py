"""Recall and MABO of selective search beside OpenCV's: `python -m bench proposals`."""

import time

import cv2

from bench.references import opencv_search
from course_utils.data.catalog import find_data
from course_utils.data.datasets import VOCDataset
from course_utils.evaluation.proposal_recall import proposal_recall
from course_utils.proposals.selective_search import selective_search


def image_sets(scenes, photos):
    """{name: data set}: tabletop, and photographs of VOC 2007 where they are."""
    sets = {"tabletop": VOCDataset(find_data("tabletop"), "test", first=scenes)}
    try:
        sets["VOC 2007"] = VOCDataset(find_data("voc2007"), "test", first=photos)
    except FileNotFoundError as error:
        print(error)
    return sets


def proposal_table():
    """Recall at IoU 0.5 and 0.7, and MABO, against the number of proposals."""
    searches = {
        "ours": selective_search,
        "OpenCV Fast": opencv_search,
        "OpenCV Quality": lambda image: opencv_search(image, True),
    }
    cv2.setRNGSeed(0)
    for name, dataset in image_sets(300, 100).items():
        images = [dataset[i][0] for i in range(len(dataset))]
        targets = [dataset.target(i) for i in range(len(dataset))]
        print(f"{name}, {len(images)} images: recall@0.5 / recall@0.7 / MABO")
        for kind, search in searches.items():
            search(images[0])
            start = time.perf_counter()
            found = [search(image) for image in images]
            passed = 1000 * (time.perf_counter() - start) / len(images)
            rows = [proposal_recall(found, targets, n) for n in (50, 100, 200, 500)]
            text = "  ".join(
                " / ".join(f"{value:.3f}" for value in row.values()) for row in rows
            )
            print(f"{kind:15} {passed:5.0f} ms  {text}", flush=True)
