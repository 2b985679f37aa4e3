"""The picture that labels are for: its size, its EXIF turn, boxes inside it."""

SLACK = 1  # pixels that a box may reach out: programs round differently


def frame_of(stated, picture):
    """Which pixels labels are for, by the size (width, height) that they state.

    Returns "upright"; "stored", those before the camera's turn; "doubtful", where the
    picture is turned and the size does not tell (then upright is taken); or None: they
    are for a picture of another size. stated: None if they state no size. Lesson 13.
    """
    if stated and stated not in (picture.stored, picture.upright):
        return None
    if picture.orientation == 1:
        return "upright"
    if not stated or picture.stored == picture.upright:
        return "doubtful"
    return "upright" if stated == picture.upright else "stored"


def wrong_size(stated, picture):
    """The message for labels of a picture of another size."""
    return (
        f"labels are for {size_text(stated)} pixels, the file has"
        f" {size_text(picture.upright)}; put the labelled image back or label again"
    )


def size_text(size):
    return f"{size[0]} x {size[1]}"


def box_text(box):
    return f"box ({', '.join(f'{v:g}' for v in box)})"


def reaches_out(box, size):
    """What to say of a box more than `SLACK` outside of (width, height), else None.

    Without a size only the left and upper edge can be told.
    """
    x1, x2, y1, y2 = *sorted(box[::2]), *sorted(box[1::2])
    over = (x2 - size[0], y2 - size[1]) if size else ()
    if max(-x1, -y1, *over) <= SLACK:
        return None
    room = f" of {size_text(size)} pixels" if size else ""
    return f"{box_text(box)} reaches out of the image{room}; draw it again"


def turn_box(box, orientation, size):
    """A box in the stored pixels, moved to the upright picture.

    box: x1, y1, x2, y2; orientation: the EXIF number, 1..8; size: (width, height) of
    the stored pixels. Returns x1, y1, x2, y2. Source: EXIF 2.3, tag 274. Lesson 13.
    """
    (x1, y1, x2, y2), (width, height) = box, size
    if orientation in (2, 3, 7, 8):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 6, 7):
        y1, y2 = height - y2, height - y1
    return (y1, x1, y2, x2) if orientation > 4 else (x1, y1, x2, y2)


def upright_boxes(record, picture):
    """The boxes of a record in the upright picture, a list of x1, y1, x2, y2.

    They are turned along if the label file states the size of the stored pixels and the
    upright picture has another; else they are for the upright picture. Lesson 13.
    """
    boxes = [o["box"] for o in record["objects"]]
    if frame_of(record["size"], picture) == "stored":
        return [turn_box(b, picture.orientation, picture.stored) for b in boxes]
    return boxes
