"""What pascal_voc_writer was asked to do: VOC XML, the corners as they are.

It has no reader, so there is no way back from the course.
"""

import sys
from pathlib import Path

from pascal_voc_writer import Writer
from small_set import OBJECTS, PICTURES, SIZE


def write(out):
    (out / "voc").mkdir(parents=True)
    for name, objects in OBJECTS.items():
        writer = Writer(str(PICTURES / name), *SIZE)
        for thing in objects:
            difficult = int(thing["difficult"])
            writer.addObject(thing["name"], *thing["box"], difficult=difficult)
        writer.save(str(out / "voc" / Path(name).with_suffix(".xml")))


if __name__ == "__main__":
    if sys.argv[1] == "again":
        sys.exit("it has no reader")
    write(Path(sys.argv[2]))
