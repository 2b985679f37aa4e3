"""What kind of mistake each detection is."""

import torch

from course_utils.core.devices import to_device
from course_utils.evaluation.average_precision import ignored_objects
from course_utils.ops.boxes import box_iou
from course_utils.ops.targets import Detections, Target


def sort_mistakes(
    detected: Detections, target: Target, min_score: float = 0.5
) -> dict[str, list[int]]:
    """What each detection in one image is, and which objects are missed.

    Detections from `min_score` on are taken, the surest first; each object can be found
    once. Returns {kind: row numbers}, rows of the detections for ``right`` (class and
    IoU >= 0.5), ``twice`` (so, but the object was found already), ``class`` (IoU >= 0.5
    with an object of another class), ``place`` (the class, IoU 0.1 to 0.5) and
    ``background`` (all else), and rows of the target for ``missed``. Detections that
    hit a difficult object or a crowd best are in none. Computed on the CPU.
    Source: after Hoiem et al. 2012. Lesson 04.
    """
    detected, target = to_device(detected, "cpu"), to_device(target, "cpu")
    kinds: dict[str, list[int]] = {
        k: [] for k in ("right", "twice", "class", "place", "background")
    }
    free = torch.ones(len(target["boxes"]), dtype=torch.bool)
    ignored = torch.from_numpy(ignored_objects(target)[0])
    ious = box_iou(detected["boxes"], target["boxes"])
    same = detected["labels"][:, None] == target["labels"]
    for row in detected["scores"].argsort(descending=True, stable=True).tolist():
        if detected["scores"][row] < min_score:
            break
        own, other = ious[row] * same[row], ious[row] * ~same[row]
        best, place = own.max(0) if len(own) else (torch.tensor(0.0), None)
        if best >= 0.5 and ignored[place]:
            continue
        if best >= 0.5:
            hits = (own >= 0.5) & free & ~ignored
            kinds["right" if hits.any() else "twice"].append(row)
            if hits.any():
                free[(own * hits).argmax()] = False
        elif len(other) and other.max() >= 0.5:
            kinds["class"].append(row)
        else:
            kinds["place" if best >= 0.1 else "background"].append(row)
    kinds["missed"] = (free & ~ignored).nonzero().flatten().tolist()
    return kinds
