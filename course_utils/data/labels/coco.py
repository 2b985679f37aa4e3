"""COCO JSON labels: which picture an entry means, and its boxes."""

import json
from pathlib import Path

from course_utils.core.files import read_text
from course_utils.data.labels.files import SUFFIXES, find_files, new_record, split_of

PARTS = (b"images", b"annotations", b"categories")


def coco_files(folder):
    """The COCO JSON files of a folder; instances_*.json alone where there are such."""

    def parts(path):  # captions_*.json, for example, have no categories
        content = path.read_bytes()
        return [key for key in PARTS if b'"%s"' % key in content]

    found = {path: parts(path) for path in find_files(folder, (".json",))}
    found = {path: has for path, has in found.items() if {*PARTS[:2]} <= {*has}}
    whole = [path for path, has in found.items() if len(has) == 3] or list(found)
    return [path for path in whole if path.name.startswith("instances")] or whole


def read_coco_labels(json_files, images):
    """Records from a COCO JSON file, or from several, such as those of all splits.

    images: the folder with the images, or with JPEGImages/, images/, or folders of
    splits such as train2017/. An image there that no file lists has ``labels`` None.

    An entry means the picture whose path ends with its file_name. Of several it is the
    one beside the JSON file, else the one in the folder of the split that the JSON's
    name or folder tells (instances_train.json: images/train/ or train2017/), else the
    one directly in `images`. Where none of that decides, and for ids that occur twice,
    the record has a ``problem``. Objects have ``iscrowd``; crowds are ``difficult``,
    too. An annotation without a bbox takes that of its segmentation. Lesson 13.
    """
    if isinstance(json_files, (str, Path)):
        json_files = [json_files]
    json_files, images = [Path(file) for file in json_files], Path(images)
    files = find_files(images, SUFFIXES)
    by_name = {}
    for file in files:
        by_name.setdefault(file.name, []).append(file)
    found = []
    for json_file in json_files:
        found += read_coco_file(json_file, images, by_name)
    seen = {}
    for record in found:
        first = seen.setdefault(record["file"], record)
        if first is not record and record["file"] != record["labels"]:
            first["problem"] = record["problem"] = (
                f"it is listed twice, in {first['labels'].name} and"
                f" {record['labels'].name}"
            )
    rest = sorted(set(files) - {record["file"] for record in found})
    whole = [record for record in found if record["file"] == record["labels"]]
    found = [record for record in found if record["file"] != record["labels"]]
    return [*found, *(new_record(file, None) for file in rest), *whole]


def read_coco_file(json_file, images, by_name):
    """The records of a JSON file, and one of the file itself if it has a problem."""
    whole = new_record(json_file, json_file)
    try:
        content = json.loads(read_text(json_file))
        if not isinstance(content, dict):
            raise ValueError("it holds no images, annotations and categories")
        names = category_names(content["categories"])
        records, twice = {}, set()
        for entry in content["images"]:
            key = plain_id(entry["id"])
            twice |= {key} & records.keys()
            record = image_record(entry, json_file, images, by_name)
            records.setdefault(key, []).append(record)
        add_annotations(content["annotations"], records, names, whole)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        text = str(error).removeprefix(f"{json_file}: ")
        text = f"{text} is missing" if isinstance(error, KeyError) else text
        return [whole | {"problem": f"not a whole COCO file ({text})"}]
    for key in twice:
        for record in records[key]:
            record["problem"] = f"image id {key} occurs {len(records[key])} times"
    found = [record for same in records.values() for record in same]
    return [*found, whole] if whole["problem"] else found


def category_names(categories):
    """{id: name}; raises ValueError for an id that occurs twice or has no name."""
    names = {}
    for category in categories:
        key = plain_id(category["id"])
        if key in names:
            raise ValueError(f"category id {key} occurs twice")
        if not str(category.get("name") or "").strip():
            raise ValueError(f"category {key} has no name")
        names[key] = str(category["name"])
    return names


def plain_id(value):
    """An id in one form: 7, 7.0 and "7" are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def image_record(entry, json_file, images, by_name):
    """The record of one entry of a JSON file's images, without objects."""
    name = str(entry["file_name"]).replace("\\", "/")
    split = split_of(words_of(json_file, images)[::-1])
    found = find_image(name, json_file, images, split, by_name)
    size = entry.get("width"), entry.get("height")
    file = found[0] if found else images / name.lstrip("/")
    record = new_record(file, json_file, size, split=split)
    if len(found) > 1:
        record["file"] = images / name.lstrip("/")
        record["problem"] = (
            f"{name} may be {found[0]} or {found[1]}; write the folder in file_name"
        )
    if split is None and len(found) == 1:
        record["split"] = split_of(file.relative_to(images).parts[:-1])
    return record


def words_of(json_file, images):
    """Folders below `images` and the parts of the name of a JSON file."""
    inside = json_file.is_relative_to(images)
    folders = json_file.relative_to(images).parts[:-1] if inside else ()
    return [*folders, *json_file.stem.replace("-", "_").split("_")]


def find_image(name, json_file, images, split, by_name):
    """The pictures that an entry's file_name may mean: one if it is clear, else []."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    alike = by_name.get(parts[-1], []) if parts else []
    whole = [f for f in alike if f.parts[-len(parts) :] == tuple(parts)]
    if not whole:  # folders of another machine, but not those of another split
        wanted = split_of(parts[-2::-1])
        whole = [f for f in alike if wanted in (None, split_in(f, images))]
    rules = (
        lambda f: f == json_file.parent.joinpath(*parts),
        lambda f: split and split_in(f, images) == split,
        lambda f: f in (images.joinpath(*parts), images.joinpath("images", *parts)),
    )
    for rule in rules:
        if len(whole) > 1:
            whole = [f for f in whole if rule(f)] or whole
    return whole


def split_in(file, images):
    return split_of(file.relative_to(images).parts[:-1])


def add_annotations(annotations, records, names, whole):
    """Put each annotation into its image's record, or what is wrong with it."""
    seen = {}
    for mark in annotations:
        where = f"annotation {mark.get('id')}"
        same = records.get(plain_id(mark.get("image_id")))
        record = same[0] if same else whole
        try:
            first = seen.setdefault(plain_id(mark.get("id", id(mark))), mark)
            if first is not mark and first == mark:  # pylabel writes some twice
                continue
            if first is not mark:
                raise ValueError("its id occurs twice; give each its own")
            key = plain_id(mark.get("category_id"))
            if key not in names:
                raise ValueError(f"category {key} is not in the file")
            x, y, w, h = box_of(mark)
        except (TypeError, ValueError, OverflowError, KeyError) as error:
            record["problem"] = f"{where}: {error}"
            continue
        crowd = bool(mark.get("iscrowd"))
        thing = {"name": names[key], "box": (x, y, x + w, y + h)}
        thing |= {"difficult": crowd or bool(mark.get("difficult")), "iscrowd": crowd}
        record["objects"].append(thing)
    if whole["objects"]:
        whole["problem"] = "it has annotations of images that it does not list"
    whole["objects"] = []


def box_of(mark):
    """x, y, width, height of an annotation, from its segmentation if it has no bbox."""
    box, shape = mark.get("bbox"), mark.get("segmentation")
    if not box and isinstance(shape, list) and shape:
        points = [float(v) for part in shape for v in part]
        x, y = points[::2], points[1::2]
        box = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
    if not box and isinstance(shape, dict):
        from pycocotools import mask

        if isinstance(shape["counts"], list):
            shape = mask.frPyObjects(shape, *shape["size"])
        box = mask.toBbox(shape).tolist()
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        raise ValueError(f"bbox {box!r} is not x, y, width, height")
    return tuple(map(float, box))
