"""The small set that every label tool writes: four pictures, two classes, no library.

Boxes are (x1, y1, x2, y2), half-open, in pixels. The classes are not in the order of
the alphabet, so that a tool that sorts them is seen.
"""

from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"
CLASSES = ["zebra", "apple"]
SIZE = 100, 80  # width, height of every picture
PLAIN = {"difficult": False, "iscrowd": False}
OBJECTS = {
    "border.jpg": [
        {"name": "apple", "box": (60, 50, 100, 80)} | PLAIN,
        {"name": "zebra", "box": (12.5, 7.25, 40.75, 33.5)} | PLAIN,
    ],
    "empty.jpg": [],
    "flags.jpg": [
        {"name": "zebra", "box": (10, 20, 31, 41)} | PLAIN,
        {"name": "apple", "box": (50, 10, 70, 30)} | PLAIN | {"difficult": True},
        {"name": "apple", "box": (5, 45, 45, 75)} | PLAIN | {"iscrowd": True},
    ],
    "full.jpg": [{"name": "apple", "box": (0, 0, 100, 80)} | PLAIN],
}


def coco():
    """The set as a COCO JSON's content, for tools that only read files."""
    numbers = {name: number for number, name in enumerate(CLASSES, 1)}
    content = {"images": [], "annotations": [], "categories": []}
    for name, number in numbers.items():
        content["categories"].append({"id": number, "name": name})
    for image_id, (name, objects) in enumerate(OBJECTS.items(), 1):
        entry = {"id": image_id, "file_name": name}
        content["images"].append(entry | {"width": SIZE[0], "height": SIZE[1]})
        for thing in objects:
            x1, y1, x2, y2 = thing["box"]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": numbers[thing["name"]],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(thing["iscrowd"]),
                }
            )
    return content
