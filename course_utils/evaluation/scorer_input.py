"""What the scorer is given: detections and targets, checked and turned into arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from course_utils.ops.targets import Detections, Target

# Of each key: the type that the scorer works with, the kinds that may be given (f
# float, i and u whole numbers, b bool), and how to say so.
KEYS = {
    "boxes": (np.float64, "fiu", "numbers"),
    "scores": (np.float64, "fiu", "numbers"),
    "labels": (np.int64, "iu", "whole numbers"),
    "difficult": (np.bool_, "biu", "True or False"),
    "iscrowd": (np.bool_, "biu", "True or False"),
}


def as_array(record: Mapping, key: str, where: str) -> np.ndarray:
    """The values of `key` as an array: (N, 4) boxes, (N,) anything else.

    They may be a tensor on any device, an array or a list; none at all may have any
    shape and type. Raises ValueError, naming `where`, for values of another shape or
    type, or none under that key. Lesson 04.
    """
    kind, allowed, words = KEYS[key]
    try:
        value = record[key]
        if torch.is_tensor(value):
            value = value.detach().cpu()  # before float64, which some devices lack
            value = value.float() if value.dtype == torch.bfloat16 else value
        value = np.asarray(value)
    except (KeyError, IndexError):
        raise ValueError(f"{where}: has no {key}") from None
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{where}: {key} are no tensor of {words}") from None
    if value.size == 0:
        return np.zeros((0, 4) if key == "boxes" else 0, kind)
    if value.dtype.kind not in allowed:
        raise ValueError(f"{where}: {key} are {value.dtype}, they must be {words}")
    if value.ndim != 1 + (key == "boxes") or (key == "boxes" and value.shape[1] != 4):
        right = "(N, 4)" if key == "boxes" else "(N,)"
        raise ValueError(f"{where}: {key} have shape {value.shape}, not {right}")
    return value.astype(kind)


def arrays_of(
    record: Mapping, keys: list[str], where: str, num_classes: int
) -> dict[str, np.ndarray]:
    """{key: array} of one image's detections or target; see `scorer_input`."""
    found = {key: as_array(record, key, where) for key in keys}
    sizes = [len(value) for value in found.values()]
    if len(set(sizes)) > 1:
        raise ValueError(f"{where}: {', '.join(keys)} number {sizes}; one each")
    if not all(np.isfinite(found[k]).all() for k in ("boxes", "scores") if k in keys):
        raise ValueError(f"{where}: a box or a score is NaN or infinite")
    labels = found["labels"]
    if sizes[0] and (labels.min() < 1 or labels.max() > num_classes):
        raise ValueError(
            f"{where}: labels {labels.tolist()} are not all in"
            f" 1..{num_classes}; 0 is the background"
        )
    return found


def scorer_input(
    detections: list[Detections], targets: list[Target], classes: Sequence[str]
) -> tuple[list[dict], list[dict]]:
    """Detections and targets as lists of dicts of arrays, for `score_class`.

    Raises ValueError, naming image and fault, where the two lists differ in length, a
    value has the wrong shape or type, a box or score is not finite, or a label is not
    in 1..K. Lesson 04.
    """
    if len(detections) != len(targets):
        raise ValueError(
            f"{len(detections)} detections for {len(targets)} images: one each"
        )
    found: tuple[list[dict], list[dict]] = [], []
    for i, (detected, target) in enumerate(zip(detections, targets)):
        image = f"(image {target.get('image_id', i)})"
        keys = ["boxes", "labels", "scores"]
        where = f"detections {i} {image}"
        found[0].append(arrays_of(detected, keys, where, len(classes)))
        keys = ["boxes", "labels"]
        keys += [key for key in ("difficult", "iscrowd") if key in target]
        where = f"target {i} {image}"
        found[1].append(arrays_of(target, keys, where, len(classes)))
    return found
