"""Draw the four pictures of the small set, a few hundred bytes each."""

from PIL import Image, ImageDraw
from small_set import CLASSES, OBJECTS, PICTURES, SIZE

PICTURES.mkdir(exist_ok=True)
for number, (name, objects) in enumerate(OBJECTS.items()):
    picture = Image.new("RGB", SIZE, (210, 200 + 10 * number, 190))
    for thing in objects:
        x1, y1, x2, y2 = thing["box"]
        colour = ((60, 60, 60), (200, 40, 40))[CLASSES.index(thing["name"])]
        ImageDraw.Draw(picture).rectangle((x1, y1, x2 - 1, y2 - 1), fill=colour)
    picture.save(PICTURES / name, quality=40, optimize=True)
