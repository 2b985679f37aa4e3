"""PASCAL VOC XML: the one reader of such files, and from which number they count.

VOC's own rule counts pixels from 1 and includes the last one: a box of the upper left
10 x 10 pixels is 1, 1, 10, 10. Most label tools count from 0 and write 0, 0, 10, 10.
`first_pixel` is 1 for the first rule and 0 for the second.
"""

import codecs
import re
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as PlainTree

import defusedxml.ElementTree as SafeTree

from course_utils.ops.boxes import check_boxes

FLAGS = ("difficult", "truncated", "occluded", "iscrowd")
YES = ("1", "true", "yes", "y", "t", "on")
NO = ("", "0", "false", "no", "n", "f", "off", "none", "null", "unspecified", "unknown")
MARKS = (  # at the start of a file; a longer one before the shorter that it begins with
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DECLARED = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)")
COUNTED_FROM_1 = re.compile(r"The VOC\d{4} Database|tabletop \(Mitsuba 3\)")


class VOCFile(NamedTuple):
    """What one XML file says. `objects` are dicts of ``name``, ``corners`` (texts of
    xmin, ymin, xmax, ymax) and the flags; ``iscrowd`` only if the file has it.
    """

    path: Path
    filename: str  # of the image, without folders; "" if it is not said
    size: tuple | None  # width, height
    objects: list
    declared: int | None  # the first pixel that the file itself states
    tool: int | None  # the first pixel of the tool that wrote it, if it left its name


def read_xml(path):
    """The root element of an XML file in any encoding; ValueError names the file.

    Only a document type can define entities, so files without one take the faster
    parser; the others are left to defusedxml, which refuses entities.
    """
    data = Path(path).read_bytes().lstrip()
    try:
        text = decode_xml(data)
        tree = SafeTree if "<!DOCTYPE" in text else PlainTree
        return tree.fromstring(text)
    except (PlainTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"{path}: not a readable XML file ({error})") from None


def decode_xml(data):
    """The bytes of an XML file as text: by its byte order mark, else as it declares."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    found = DECLARED.match(data)
    encoding = found[1].decode() if found else "utf-8"
    if encoding.lower().startswith(("utf-16", "utf-32", "ucs-")):  # then not in ASCII
        encoding = "utf-8"
    return data.decode(encoding)


def parse_voc(path):
    """Read one VOC XML file, as a `VOCFile`; boxes are checked by whoever needs them.

    Raises ValueError in one line, with the file's name, for broken XML, an object
    without a whole <bndbox>, and a number or flag that is none. Lesson 13.
    """
    path, root = Path(path), read_xml(path)
    if root.tag != "annotation":
        raise ValueError(f"{path}: <{root.tag}> is no VOC file, which is <annotation>")
    objects = []
    for number, node in enumerate(root.findall("object")):
        name = node.findtext("name") or ""
        where = f"{path}: object {number} ({name.strip()})"
        corners, box = {}, node.find("bndbox")
        for tag in ("xmin", "ymin", "xmax", "ymax"):
            text = None if box is None else box.findtext(tag)
            if text is None:
                raise ValueError(f"{where}: <bndbox><{tag}> is missing")
            corners[tag] = number_text(text, where, tag)
        flags = {tag: read_flag(node.findtext(tag), where, tag) for tag in FLAGS[:3]}
        crowd = node.findtext("iscrowd") or crowd_attribute(node)
        if crowd is not None:
            flags["iscrowd"] = read_flag(crowd, where, "iscrowd")
            flags["difficult"] |= flags["iscrowd"]
        objects.append({"name": name, "corners": tuple(corners.values())} | flags)
    name = re.split(r"[/\\]", (root.findtext("filename") or "").strip())[-1]
    size = read_size(root, path)
    return VOCFile(path, name, size, objects, declared(root, path), tool_of(root))


def number_text(text, where, tag):
    """The text of a number, without spaces; ValueError if it is none."""
    text = text.strip()
    try:
        float(text)
    except ValueError:
        raise ValueError(f"{where}: <{tag}> is {text!r}, not a number") from None
    return text


def read_flag(text, where, tag):
    """True or False from the words and numbers that programs write for them.

    A missing flag is False. Raises ValueError for a text that is neither.
    """
    word = (text or "").strip().casefold()
    if word in NO or word in YES:
        return word in YES
    try:
        if float(word) in (0, 1):
            return float(word) == 1
    except ValueError:
        pass
    raise ValueError(f"{where}: <{tag}> is {text.strip()!r}; write 0 or 1")


def crowd_attribute(node):
    """The text of the attribute is_crowd, as datumaro writes it; None without one."""
    for attribute in node.iterfind("attributes/attribute"):
        if attribute.findtext("name") == "is_crowd":
            return attribute.findtext("value") or ""
    return None


def read_size(root, path):
    """(width, height) in whole pixels; None where it is missing or 0."""
    size = []
    for tag in ("width", "height"):
        text = number_text(root.findtext(f"size/{tag}") or "0", str(path), tag)
        if not 0 <= float(text) < 1e9:
            raise ValueError(f"{path}: <size><{tag}> is {text}; write it in pixels")
        size.append(round(float(text)))
    return tuple(size) if all(size) else None


def declared(root, path):
    """The first pixel that a file itself states, 0 or 1, else None.

    The course's files have <source><first_pixel>. VOC's and tabletop count from 1.
    """
    text = root.findtext("source/first_pixel")
    if text is not None:
        if text.strip() not in ("0", "1"):
            raise ValueError(f"{path}: <first_pixel> is {text.strip()!r}; write 0 or 1")
        return int(text)
    database = (root.findtext("source/database") or "").strip()
    return 1 if COUNTED_FROM_1.fullmatch(database) else None


def tool_of(root):
    """The first pixel of the tool that wrote a file, by the traces that tools leave.

    supervision leaves "roboflow.ai" and counts from 1; Label Studio its name as the
    owner, LabelImg and pascal_voc_writer <path> and "Unknown", and count from 0.
    datumaro counts from 0 where it writes 10.0, and from 1 where it writes 11.
    """
    database = (root.findtext("source/database") or "").strip()
    if database == "roboflow.ai":
        return 1
    if (root.findtext("owner/name") or "").strip() == "Label Studio":
        return 0
    if database != "Unknown":
        return None
    if root.findtext("source/annotation") == root.findtext("source/image") == "Unknown":
        corner = root.findtext("object/bndbox/xmin")
        return None if corner is None else int("." not in corner)
    return None if root.find("path") is None else 0


def find_first_pixel(files):
    """From which number the `VOCFile`s of one folder count that do not state it.

    Returns (0 or 1, how it is known): "a corner at 0 in FILE", since a count from 1 has
    none; "the tool that wrote FILE", see `tool_of`; "a box to the width + 1 in FILE";
    or "assumed", with 1, VOC's rule. All files of a folder count alike, so one that
    tells is enough.
    Lesson 13.
    """
    open_files = [file for file in files if file.declared is None and file.objects]
    for file in open_files:
        starts = [v for o in file.objects for v in o["corners"][:2]]
        if any(0 <= float(v) < 1 for v in starts):
            return 0, f"a corner at 0 in {file.path.name}"
    tools = [file for file in open_files if file.tool is not None]
    if len({file.tool for file in tools}) == 1:
        return tools[0].tool, f"the tool that wrote {tools[0].path.name}"
    for file in open_files if not tools else ():
        for thing in file.objects if file.size else ():
            ends = map(float, thing["corners"][2:])
            if any(end == side + 1 for end, side in zip(ends, file.size)):
                return 1, f"a box to the width + 1 in {file.path.name}"
    return 1, "assumed"


def folder_first_pixel(folder, known=()):
    """`find_first_pixel` for all XML files of a folder; broken ones do not count.

    known: files of it that are parsed already.
    """
    known, files = {file.path: file for file in known}, []
    for path in sorted(Path(folder).iterdir()):
        if path.suffix.lower() == ".xml" and path.is_file():
            try:
                files.append(known.get(path) or parse_voc(path))
            except ValueError:
                continue
    return find_first_pixel(files)


def rule_of(file, first_pixel=None, files=()):
    """(0 or 1, how it is known) of one file: as told, as it states, else as `files`.

    files: those to find it out from, or what `find_first_pixel` found in them.
    """
    if first_pixel is not None:
        return first_pixel, "told"
    if file.declared is not None:
        return file.declared, "the file states it"
    return files if isinstance(files, tuple) else find_first_pixel(files)


def check_first_pixel(first_pixel):
    """Raise ValueError if it is none of 0, 1 and None."""
    if first_pixel not in (0, 1, None):
        raise ValueError(
            f"first_pixel {first_pixel!r}: 1 (VOC's rule), 0, or None to find it out"
        )


def voc_objects(file, first_pixel):
    """The objects of a `VOCFile` as records have them: ``name``, ``box`` and flags.

    A box is x1, y1, x2, y2, half-open pixels: with first_pixel 1 xmin and ymin are
    moved by one, with 0 the corners are taken as they are. Nothing is rejected.
    """
    objects = []
    for thing in file.objects:
        x1, y1, x2, y2 = thing["corners"]
        box = [subtract(v, first_pixel) for v in (x1, y1)] + [float(x2), float(y2)]
        flags = {tag: thing[tag] for tag in FLAGS if tag in thing}
        objects.append({"name": thing["name"], "box": tuple(box)} | flags)
    return objects


def subtract(text, first_pixel):
    """A corner's text less the first pixel, exact: 1.4 - 1 is 0.4, as written."""
    value = float(text)
    if not first_pixel or not abs(value) < 1e9:
        return value
    return value - 1 if value.is_integer() else float(Decimal(text) - 1)


def add(value, first_pixel):
    """A float32 corner as text, the first pixel added: what `subtract` undoes."""
    exact = Decimal(str(value)) + first_pixel
    return str(int(exact)) if exact == int(exact) else format(exact, "f")


def read_voc_xml(path, first_pixel=None):
    """The objects of one VOC annotation file, as a list of dicts.

    Each has ``name``, ``box`` (x1, y1, x2, y2 floats, half-open pixels) and the flags
    ``difficult``, ``truncated``, ``occluded`` (False where the tag is missing), and
    ``iscrowd`` where the file has it. Boxes of object parts are left out.

    first_pixel: 1 for VOC's rule, 0 for corners as written, None for what the file
    states, else what `find_first_pixel` finds in it. Raises ValueError, naming the
    file, for broken XML, a missing tag, a number, flag or box that is none. Lesson 00.
    """
    check_first_pixel(first_pixel)
    file = parse_voc(path)
    return strict_objects(file, rule_of(file, first_pixel, [file])[0])


def strict_objects(file, first_pixel):
    """`voc_objects` with names and boxes checked; raises ValueError with the file."""
    objects = voc_objects(file, first_pixel)
    for number, thing in enumerate(objects):
        thing["name"] = thing["name"].strip()
        if not thing["name"]:
            raise ValueError(
                f"{file.path}: object {number} has no <name>; add the class name"
            )
        x1, y1, x2, y2 = thing["box"]
        if not (-1e9 < x1 < x2 < 1e9 and -1e9 < y1 < y2 < 1e9):
            check_boxes([thing["box"]], f"{file.path}: object {number}")
            raise ValueError(f"{file.path}: object {number} is too large to be a box")
    return objects
