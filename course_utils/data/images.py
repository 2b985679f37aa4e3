"""Image files: what Pillow opens, upright and in 8 bits, or a line that names it."""

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from course_utils.ops.targets import as_float

# How a picture is turned upright, by the camera's EXIF tag; 1 is upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
EIGHT_BITS = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")  # at most, a channel
# Formats whose header tells size and orientation; others tell it once unpacked.
TRUE_HEADERS = ("JPEG", "MPO", "WEBP", "BMP", "GIF")


def read_pixels(path):
    """An image file as uint8 (3, H, W), turned upright as its EXIF tag says.

    Grey, palette, CMYK and 16-bit files become three channels, fractions from 0 to 1
    are scaled, and of an animation the first picture is taken. Alpha is left out: a
    transparent pixel has the colour stored for it. Raises ValueError that names a file
    which is no image, ends too early, or holds numbers of unknown range. Lesson 00.
    """
    with open_image(path) as file:
        pixels, turn = eight_bits(file), TURNS.get(orientation_of(file))
    if turn is not None:
        pixels = np.array(Image.fromarray(pixels).transpose(turn))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def read_image(path):
    """The same as float32 in 0..1, as all networks of the course take it. Lesson 00."""
    return as_float(read_pixels(path))


class Picture(NamedTuple):
    """What an image file says of itself; sizes are (width, height) in pixels."""

    stored: tuple  # of the pixels as they lie in the file
    upright: tuple  # after turning as the camera's EXIF tag asks
    orientation: int  # that tag, 1..8; 1 is upright
    format: str  # Pillow's name, such as "JPEG"
    sample: bytes = b""  # 16 x 16 of its upright pixels, if they were unpacked


class UnknownPixels(ValueError):
    """A readable file whose numbers cannot be turned into colours."""


@contextmanager
def open_image(path):
    """A file opened by Pillow; what goes wrong inside is a ValueError that names it.

    Raises FileNotFoundError where there is none. Pictures of more than twice
    PIL.Image.MAX_IMAGE_PIXELS, 179 million pixels, are refused, as Pillow does; its
    warning from half of that on is not shown, since phones take such pictures.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise UnknownPixels("is a folder or a device, not an image file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's name no file
            with Image.open(path) as file:
                yield file
    except Exception as error:  # Pillow's readers raise nearly every kind
        if isinstance(error, FileNotFoundError) and not path.exists():
            raise
        raise ValueError(f"{path}: {what_is_wrong(path, error)}") from None


def what_is_wrong(path, error):
    """One line on an image file that could not be read, with the mend."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, UnknownPixels):
        return text
    if isinstance(error, PermissionError):
        return "you have no permission to read it; change the file's permissions"
    if isinstance(error, Image.DecompressionBombError):
        return (
            f"unreadable, too many pixels ({text}); scale it down, or raise"
            " PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
        )
    if isinstance(error, MemoryError):
        return "unreadable, too large for this machine's memory; scale it down"
    if path.stat().st_size == 0:
        text = "the file is empty, 0 bytes"
    heic = path.suffix.lower() in (".heic", ".heif")
    mend = "export it as JPEG" if heic else "copy or export it again"
    return f"unreadable or cut off image ({text}); {mend}"


def orientation_of(file):
    """The EXIF orientation of an opened file, 1..8; 1 where there is none that counts.

    Pillow turns TIFF files itself, when they are loaded.
    """
    try:
        tag = file.getexif().get(0x0112, 1)
    except Exception:  # damaged metadata; viewers show such a picture as it is stored
        tag = 1
    return int(tag) if tag in range(1, 9) and file.format != "TIFF" else 1


def eight_bits(file):
    """The pixels of an opened file as uint8 (H, W, 3), not turned.

    Raises UnknownPixels for a mode without a known range or without a way to RGB.
    """
    file.load()
    if file.mode in ("I", "F") or file.mode.startswith("I;16"):
        values = np.asarray(file)
        white, inverted = white_of(file, values)
        if file.mode == "F":
            grey = (values.astype(np.float64) * 255).round()
        else:
            grey = values.astype(np.int64) * 255 // white
        grey = (255 - grey if inverted else grey).astype(np.uint8)
        return np.repeat(grey[..., None], 3, 2)
    file.info.pop("transparency", None)  # Pillow would warn of it; alpha is left out
    try:
        return np.array(file.convert("RGB"))
    except ValueError as error:
        raise UnknownPixels(
            f"mode {file.mode} ({error}); export it as RGB or grey"
        ) from None


def white_of(file, values):
    """The number that means white in a grey file of more than 8 bits, and is 0 white?

    Known are 12 and 16 bits without a sign, and fractions from 0 to 1. Whole numbers
    up to 65,535 of a longer type are taken to be 16-bit ones, if they exceed 8 bits.
    """
    tags = getattr(file, "tag_v2", {})  # of TIFF
    inverted = tags.get(262) == 0  # PhotometricInterpretation: WhiteIsZero
    if file.mode.startswith("I;16"):
        return 2 ** tags.get(258, (16,))[0] - 1, inverted  # BitsPerSample
    low, high = values.min(), values.max()
    sixteen = high > 255 or file.format in ("PNG", "PPM")
    most = 1 if file.mode == "F" else 65535 if sixteen else 0
    if low >= 0 and high <= most:
        return max(most, 1), inverted
    raise UnknownPixels(
        f"mode {file.mode}, values from {low:g} to {high:g}: nothing says which number"
        " is white; save it with 8 or 16 bits, or as fractions from 0 to 1"
    )


def look_at(path, decode=False):
    """The `Picture` of an image file, as `images.read_pixels` sees it.

    decode: also unpack all pixels, which finds a file that was cut off. Raises
    FileNotFoundError, and ValueError for a file that is no image. Lesson 13.
    """
    with open_image(path) as file:
        image = file
        if file.mode not in EIGHT_BITS:
            image = Image.fromarray(eight_bits(file))
        elif decode or file.format not in TRUE_HEADERS:
            file.load()
        tag, (width, height) = orientation_of(file), file.size
        upright = (height, width) if tag > 4 else (width, height)
        sample = sample_of(image, tag) if decode else b""
        return Picture((width, height), upright, tag, file.format, sample)


def sample_of(image, tag):
    """16 x 16 pixels of a picture as bytes: equal pictures have equal ones.

    image: of at most 8 bits, not yet turned as the EXIF `tag` says.
    """
    upright = image if tag == 1 else image.transpose(TURNS[tag])
    small = upright.resize((16, 16), Image.Resampling.NEAREST)
    return small.convert("RGB").tobytes()
