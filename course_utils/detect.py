"""Find objects in image files, from the command line.

    python -m course_utils.detect MODEL IMAGE... --out DIR

MODEL is a .safetensors file of lesson 13, or voc2007 for the detector that comes with
the course. Each IMAGE is a file or a folder. DIR gets a copy of each image with its
boxes drawn, and the boxes as detections.json or as VOC XML files.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from tqdm import tqdm

from course_utils.core.devices import predict_one
from course_utils.core.files import write_text, write_whole
from course_utils.core.settings import in_ci
from course_utils.data.images import read_pixels
from course_utils.data.labels.export import unique_names, write_voc_xml
from course_utils.data.labels.files import SUFFIXES, find_files
from course_utils.lessons.plot import draw_on
from course_utils.ops.boxes import clip_boxes
from course_utils.ops.targets import as_float


def list_images(names):
    """Image files of the given files and folders, each once, and lines on the rest."""
    files, faults = {}, []
    for name in map(Path, names):
        if name.is_dir():
            inside = find_files(name, SUFFIXES)
            files |= {path.resolve(): path for path in inside}
            faults += [] if inside else [f"{name}: no image in this folder"]
        elif name.is_file():
            files.setdefault(name.resolve(), name)
        else:
            faults.append(f"{name}: no such file or folder")
    return list(files.values()), faults


def detect_objects(model, pixels, min_score=0.5):
    """The detections of a detector to one image, without weak and without empty boxes.

    pixels: uint8 (3, H, W), on any device, where the boxes (N, 4), labels (N,) and
    scores (N,) come back. Lesson 13.
    """
    with torch.no_grad():
        detected = predict_one(model, as_float(pixels))
    boxes = clip_boxes(detected["boxes"], pixels.shape[1:])
    keep = (detected["scores"] >= min_score) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    return {
        "boxes": boxes[keep],
        "labels": detected["labels"][keep],
        "scores": detected["scores"][keep],
    }


def draw_detections(pixels, detected, classes):
    """A picture with boxes, names and scores drawn: uint8 (3, H, W) -> PIL image."""
    image = Image.fromarray(pixels.cpu().permute(1, 2, 0).numpy())
    longest = max(image.size)
    draw_on(image, detected, classes, max(10, longest // 50), max(2, longest // 300))
    return image


def parse_arguments(arguments):
    """The command line as (parser, options); bad usage exits with 2."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.detect",
        description="Find objects in image files; see also lesson 13.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .safetensors file of lesson 13, or voc2007")
    add("images", metavar="IMAGE", nargs="+", help="image files and folders")
    add("--out", metavar="DIR", type=Path, required=True, help="folder of the results")
    add("--format", choices=("json", "voc"), default="json", help="default: json")
    help_score = "leave out what scores less, 0 to 1; default: 0.5"
    add("--min-score", metavar="S", type=float, default=0.5, help=help_score)
    add("--overwrite", action="store_true", help="write over earlier results")
    options = parser.parse_args(arguments)
    path = Path(options.model)
    if options.model != "voc2007" and not (
        path.is_file() and path.suffix == ".safetensors"
    ):
        parser.error(f"MODEL {path} is neither a .safetensors file nor voc2007")
    if not 0 <= options.min_score <= 1:
        parser.error(f"--min-score {options.min_score:g} is not in 0 to 1")
    if options.out.exists() and not options.out.is_dir():
        parser.error(f"--out {options.out} is no folder")
    return parser, options


def plan_results(files, options):
    """The result files, [(picture, XML or None) for each image]; raises ValueError.

    No result may be written over an image, nor over an earlier one if not asked to.
    """
    out, pairs = options.out, []
    for path in files:
        if out.resolve() in (path.parent.resolve(), path.resolve().parent):
            raise ValueError(f"--out {out} is the folder of {path}; choose another")
    for path, name in zip(files, unique_names(files)):
        suffix = ".png" if path.suffix.lower() == ".png" else ".jpg"
        xml = out / f"{name}.xml" if options.format == "voc" else None
        pairs.append((out / (name + suffix), xml))
    results = [path for pair in pairs for path in pair if path]
    results += [out / "detections.json"] if options.format == "json" else []
    there = [str(path) for path in results if path.exists()]
    if there and not options.overwrite:
        raise ValueError(f"{there[0]} exists; choose another --out or --overwrite")
    return pairs


def main(arguments=None):
    """The command line; returns the exit code: 0, or 1 if an image failed.

    Bad usage exits with 2 before anything is written. Lesson 13.
    """
    parser, options = parse_arguments(arguments)
    files, faults = list_images(options.images)
    try:
        results = plan_results(files, options)
        from course_utils.models.photo_detector import load_detector  # seconds

        model, classes = load_detector(options.model)
    except (ValueError, OSError, SafetensorError) as error:
        parser.error(str(error))
    for fault in faults:
        print(fault, file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    found = []
    bar = tqdm(zip(files, results), total=len(files), unit="image", disable=in_ci())
    for path, (picture, xml) in bar:
        try:
            pixels = read_pixels(path)
            detected = detect_objects(model, pixels, options.min_score)
            size = (pixels.shape[2], pixels.shape[1])
            if xml:
                write_voc_xml(xml, size, detected, classes, path.name)
            save_picture(draw_detections(pixels, detected, classes), picture)
        except (ValueError, OSError, RuntimeError, Image.DecompressionBombError) as e:
            text = str(e).strip().split("\n")[0]
            fault = text if str(path) in text else f"{path}: {text}"
            faults.append(fault)
            tqdm.write(fault, file=sys.stderr)
            continue
        marks = list_objects(detected, classes)
        found.append({"file": str(path), "size": size, "detections": marks})
    if files and options.format == "json":
        lines = ",\n".join(map(json.dumps, found))  # one for each image
        write_text(options.out / "detections.json", f"[\n{lines}\n]\n")
    return 1 if faults else 0


def save_picture(image, path):
    """Save as PNG or JPEG under a temporary name, renamed when whole."""
    with write_whole(path) as place:
        image.save(place, "PNG" if path.suffix == ".png" else "JPEG", quality=95)


def list_objects(detected, classes):
    """Detections as [{"class", "score", "box": [x1, y1, x2, y2] in pixels}]."""
    rows = zip(*(detected[key].tolist() for key in ("labels", "scores", "boxes")))
    return [
        {
            "class": classes[label - 1],
            "score": round(score, 4),
            "box": [round(v, 2) for v in box],
        }
        for label, score, box in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
