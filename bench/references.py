"""Detections of other libraries in the forms of the course, for benches and tests."""

import contextlib
import io

import cv2
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from course_utils.ops.boxes import xywh_to_xyxy


def opencv_search(image, quality=False):
    """OpenCV's selective search on a (3, H, W) image: boxes (N, 4), best first."""
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage((image.permute(1, 2, 0).numpy()[..., ::-1] * 255).astype("u1"))
    if quality:
        search.switchToSelectiveSearchQuality()
    else:
        search.switchToSelectiveSearchFast()
    return xywh_to_xyxy(search.process()[:2000])


def to_coco(detections, targets, classes):
    """The same in pycocotools' form: an evaluator after its accumulate step."""
    truth, results = COCO(), []
    truth.dataset = {
        "images": [{"id": i} for i in range(len(targets))],
        "categories": [{"id": k} for k in range(1, classes + 1)],
        "annotations": [],
    }
    for i, (detected, target) in enumerate(zip(detections, targets)):
        crowds = target.get("iscrowd", [False] * len(target["boxes"]))
        rows = zip(target["boxes"].double(), target["labels"], crowds)
        for box, label, crowd in rows:
            w, h = (box[2:] - box[:2]).tolist()
            truth.dataset["annotations"].append(
                {"id": len(truth.dataset["annotations"]) + 1, "image_id": i}
                | {"bbox": [*box[:2].tolist(), w, h], "area": w * h}
                | {"category_id": int(label), "iscrowd": int(crowd)}
            )
        rows = zip(detected["boxes"].double(), detected["labels"], detected["scores"])
        for box, label, score in rows:
            xywh = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
            results.append(
                {"image_id": i, "category_id": int(label), "bbox": xywh}
                | {"score": float(score)}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator
