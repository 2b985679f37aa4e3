"""What goes wrong in hand-drawn labels: each fault with its file, object and mend."""

import difflib
import math
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch

from course_utils.data.frame import (
    box_text,
    frame_of,
    reaches_out,
    size_text,
    wrong_size,
)
from course_utils.data.images import look_at
from course_utils.data.labels.twins import find_twins
from course_utils.ops.boxes import box_iou

MIN_SIDE = 4  # pixels; a smaller box is a slip of the mouse
DUPLICATE_IOU = 0.95
# Kinds that are only to be looked at: they spoil nothing.
DOUBTS = ("rotated", "counting")


class Fault(NamedTuple):
    """One fault. `object` is its place in the record's objects, None for the file's."""

    file: Path  # of the image
    kind: str
    object: int | None
    message: str


def check_labels(records, classes=None):
    """All faults in `records`, as `read.read_labels` gives them: a list of `Fault`.

    classes: the right names; by default those that occur, and a rare name that is like
    a frequent one counts as misspelled. Kinds of a file's fault: "missing image",
    "unreadable image", "unreadable labels", "no labels", "wrong size" (the labels are
    for an image of another size), "twin" (the same picture is there once more, with
    other labels), and two that are only to be looked at: "rotated" (the picture has a
    camera's EXIF turn) and "counting" (nothing says from which number VOC XML counts;
    given once, for the first such file). Kinds of an object's: "NaN", "swapped"
    corners, "outside" the image by more than 1 pixel, "tiny" (under 4 pixels a side),
    "duplicate" (same class, IoU over 0.95) and "class". Every message names the file,
    the object and the mend. Reads all image files whole. Lesson 13.
    """
    wrong, faults, pictures = wrong_names(records, classes), [], []
    counting = counting_fault(records)
    for record in records:
        found, size, picture = image_faults(record)
        pictures.append(picture)
        if counting and counting[0] is record:
            found.append(("counting", None, counting[1]))
        for number, thing in enumerate(record["objects"]):
            found += object_faults(number, thing["box"], size)
            if thing["name"] in wrong:
                message = spelling_fault(thing["name"], wrong[thing["name"]], classes)
                found.append(("class", number, message))
        found += find_duplicates(record)
        labels = record.get("labels") or "its label file"
        for kind, number, message in found:
            where = str(record["file"])
            if number is not None:  # such messages end with what to do
                where += f": object {number} ({record['objects'][number]['name']})"
                message += f" in {labels}"
            faults.append(Fault(record["file"], kind, number, f"{where}: {message}"))
    return faults + twin_faults(records, pictures)


def counting_fault(records):
    """(the first record whose first pixel is only assumed, message) or None."""
    some = [r for r in records if r.get("first_pixel_from") == "assumed"]
    if not some:
        return None
    rest = f" and {len(some) - 1} more" if len(some) > 1 else ""
    return some[0], (
        f"nothing says from which number the boxes in {some[0]['labels']}{rest} count;"
        " VOC's rule is taken, from 1, but most label tools count from 0: look at"
        " their boxes, or call read_voc_labels with first_pixel=0 or 1"
    )


def twin_faults(records, pictures):
    """Faults of equal pictures whose labels differ, as a list of `Fault`."""
    faults = []
    for group in find_twins(records, pictures):
        labels = [
            sorted((o["name"], *o["box"]) for o in records[i]["objects"]) for i in group
        ]
        for i, own in zip(group, labels):
            other = [records[j]["file"] for j, has in zip(group, labels) if has != own]
            if other:
                file = records[i]["file"]
                message = (
                    f"{file}: shows the same picture as {other[0]}, with other labels;"
                    " delete one of the two, or label both alike"
                )
                faults.append(Fault(file, "twin", None, message))
    return faults


def image_faults(record):
    """([(kind, None, message)] of one file, the size its boxes are for, its `Picture`).

    The picture is None if it cannot be read, and the size what the labels state.
    """
    found, labels, stated = [], record.get("labels"), record["size"]
    if record.get("problem"):
        mend = "mend or draw the labels again"
        text = f"labels in {labels} are unreadable: {record['problem']}; {mend}"
        found.append(("unreadable labels", None, text))
    if labels == record["file"]:  # a label file that tells of no image
        return found, stated, None
    if "labels" in record and labels is None:
        text = (
            "has no label file; draw its boxes, or save an empty one if it shows none"
        )
        found.append(("no labels", None, text))
    try:
        picture = look_at(record["file"], decode=True)
    except FileNotFoundError:
        text = f"is missing, though {labels or 'a label file'} is for it; put it there"
        found.append(("missing image", None, f"{text} or delete its labels"))
        return found, stated, None
    except ValueError as error:
        text = str(error).removeprefix(f"{record['file']}: ")
        found.append(("unreadable image", None, text))
        return found, stated, None
    frame = frame_of(stated, picture)
    if frame is None:
        found.append(("wrong size", None, wrong_size(stated, picture)))
    elif record["objects"] and frame == "stored":
        text = (
            f"labels are for the unturned {size_text(stated)} pixels, shown upright it"
            f" has {size_text(picture.upright)}; make_dataset turns the boxes"
        )
        found.append(("rotated", None, text))
    elif record["objects"] and frame == "doubtful":
        text = (
            f"the camera's EXIF tag {picture.orientation} turns this picture and its"
            " labels do not say which way they see it; they are taken to be for the"
            " upright one: look at its boxes"
        )
        found.append(("rotated", None, text))
    return found, stated or picture.upright, picture


def object_faults(number, box, size):
    """Faults of one box as [(kind, number, message)]; size: (width, height) or None."""
    text = box_text(box)
    if not all(math.isfinite(v) for v in box):
        return [("NaN", number, f"{text} holds a number that is none; draw it again")]
    found = []
    x1, x2, y1, y2 = *sorted(box[::2]), *sorted(box[1::2])
    if (x1, y1, x2, y2) != tuple(box):
        message = f"{text} has swapped corners; write the smaller number first"
        found.append(("swapped", number, message))
    outside = reaches_out(box, size)
    if outside:
        found.append(("outside", number, outside))
    if min(x2 - x1, y2 - y1) < MIN_SIDE:
        message = f"{text} is {x2 - x1:g} x {y2 - y1:g} pixels, under {MIN_SIDE} a side"
        found.append(("tiny", number, f"{message}; delete it or draw it again"))
    return found


def find_duplicates(record):
    """Objects of the same class drawn twice, as [(kind, number, message)]."""
    found, objects = [], record["objects"]
    if len(objects) < 2:
        return found
    overlap = box_iou(*[torch.tensor([o["box"] for o in objects])] * 2)
    for number, thing in enumerate(objects):
        for first in range(number):
            same = objects[first]["name"] == thing["name"]
            if same and overlap[first, number] > DUPLICATE_IOU:
                message = f"is drawn twice, see object {first}; delete one of the two"
                found.append(("duplicate", number, message))
                break
    return found


def wrong_names(records, classes=None):
    """{misspelled name: the name that is meant, or None if none is like it}.

    Without classes, the more frequent of two spellings is right: they may differ in
    case, spaces, - and _, or be alike (difflib: 0.8; or two letters changed places) and
    one at least 4 times as frequent. Names that differ in a digit are two classes.
    """
    count = Counter(o["name"] for record in records for o in record["objects"])
    wrong = {name: None for name in count if not name.strip()}
    if classes is not None:
        plain = {plain_name(name): name for name in classes}
        for name in set(count) - set(classes) - set(wrong):
            near = difflib.get_close_matches(plain_name(name), plain, 1)
            wrong[name] = plain[near[0]] if near else None
        return wrong
    names = [name for name, _ in count.most_common() if name not in wrong]
    for i, name in enumerate(names):
        for right in names[:i]:
            a, b = plain_name(name), plain_name(right)
            rare = 4 * count[name] <= count[right]
            if right not in wrong and (a == b or rare and alike_names(a, b)):
                wrong[name] = right
                break
    return wrong


def plain_name(name):
    return re.sub(r"[\s_-]+", "", name).casefold()


def alike_names(a, b):
    """Whether one of two names may be the other with a slip in it."""
    if re.findall(r"\d+", a) != re.findall(r"\d+", b):
        return False
    return sorted(a) == sorted(b) or difflib.SequenceMatcher(None, a, b).ratio() >= 0.8


def spelling_fault(name, right, classes=None):
    """The message for a wrong class name, but for its last words, the label file."""
    if not name.strip():
        return "has no class name; write one"
    if classes is None:
        return (
            f"class {name!r} looks like a slip for {right!r}; pass classes=[...] with"
            f" both if both are meant, or write {right!r}"
        )
    known, hint = ", ".join(classes), f"write {right!r}" if right else "mend the name"
    return f"class {name!r} is none of {known}; add it to the classes, or {hint}"
