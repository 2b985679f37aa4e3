"""What goes wrong in hand-drawn labels: each fault with its file, object and mend."""

import difflib
import math
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch

from course_utils.boxes import box_iou
from course_utils.labels import look_at

MIN_SIDE = 4  # pixels; a smaller box is a slip of the mouse
SLACK = 1  # pixels that a box may reach out: programs round differently
DUPLICATE_IOU = 0.95


class Fault(NamedTuple):
    """One fault. `object` is its place in the record's objects, None for the file's."""

    file: Path  # of the image
    kind: str
    object: int | None
    message: str


def check_labels(records, classes=None):
    """All faults in `records`, as `labels.read_labels` gives them: a list of `Fault`.

    classes: the right names; by default those that occur, and a rare name that is like
    a frequent one counts as misspelled. Kinds of a file's fault: "missing image",
    "unreadable image", "unreadable labels", "no labels", "wrong size" (the labels are
    for an image of another size) and "rotated" (only to be looked at: the picture has a
    camera's EXIF turn). Kinds of an object's: "NaN", "swapped" corners, "outside" the
    image by more than 1 pixel, "tiny" (under 4 pixels a side), "duplicate" (same class,
    IoU over 0.95) and "class". Every message names the file, the object and the mend.
    Reads all image files whole. Lesson 13.
    """
    wrong, faults = wrong_names(records, classes), []
    for record in records:
        found, size = image_faults(record)
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
    return faults


def image_faults(record):
    """Faults of one file as [(kind, None, message)], and the size its boxes are for."""
    found, labels, stated = [], record.get("labels"), record["size"]
    if record.get("problem"):
        mend = "mend or draw the labels again"
        text = f"labels in {labels} are unreadable: {record['problem']}; {mend}"
        found.append(("unreadable labels", None, text))
    if labels == record["file"]:  # a label file that tells of no image
        return found, stated
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
        return found, stated
    except ValueError as error:
        text = str(error).removeprefix(f"{record['file']}: ")
        found.append(("unreadable image", None, text))
        return found, stated
    size = stated or picture.upright
    if size not in (picture.stored, picture.upright):
        text = f"labels are for {size_text(size)} pixels, the file has"
        text += (
            f" {size_text(picture.upright)}; put the labelled image back or label again"
        )
        found.append(("wrong size", None, text))
    elif record["objects"] and picture.orientation != 1:
        if stated and stated != picture.upright:
            text = (
                f"labels are for the unturned {size_text(stated)} pixels, shown upright"
            )
            text += (
                f" it has {size_text(picture.upright)}; make_dataset turns the boxes"
            )
            found.append(("rotated", None, text))
        elif not stated or picture.stored == picture.upright:
            text = f"the camera's EXIF tag {picture.orientation} turns this picture and"
            text += " its labels do not say which way they see it; they are taken to be"
            text += " for the upright one: look at its boxes"
            found.append(("rotated", None, text))
    return found, size


def size_text(size):
    return f"{size[0]} x {size[1]}"


def object_faults(number, box, size):
    """Faults of one box as [(kind, number, message)]; size: (width, height) or None."""
    text = f"box ({', '.join(f'{v:g}' for v in box)})"
    if not all(math.isfinite(v) for v in box):
        return [("NaN", number, f"{text} holds a number that is none; draw it again")]
    found = []
    x1, x2, y1, y2 = *sorted(box[::2]), *sorted(box[1::2])
    if (x1, y1, x2, y2) != tuple(box):
        message = f"{text} has swapped corners; write the smaller number first"
        found.append(("swapped", number, message))
    over = (x2 - size[0], y2 - size[1]) if size else ()
    if max(-x1, -y1, *over) > SLACK:
        room = f" of {size_text(size)} pixels" if size else ""
        message = f"{text} reaches out of the image{room}; draw it again"
        found.append(("outside", number, message))
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
