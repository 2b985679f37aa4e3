"""images.py, read_pixels and look_at: right pixels, or one line that names the file."""

import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from course_utils.data.images import Picture, look_at, read_pixels

RAMP = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (8, 1))
GREY = (RAMP * 255).round().astype(np.uint8)


def write_tiff(path, rows, bits, white=1, sample=1):
    """A grey TIFF of 16 x 8 pixels, uncompressed, from the bytes of its rows."""
    tags = [(256, 16), (257, 8), (258, bits), (259, 1), (262, white), (273, 8)]
    tags += [(277, 1), (278, 8), (279, len(rows)), (339, sample)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in tags)
    start = struct.pack("<I", 8 + len(rows))
    path.write_bytes(
        b"II*\0" + start + rows + struct.pack("<H", len(tags)) + entries + bytes(4)
    )
    return path


def both_fail(path, words):
    """look_at and read_pixels raise the same single line, which names the file."""
    said = []
    for read in (read_pixels, lambda p: look_at(p, decode=True)):
        with pytest.raises(ValueError, match=words) as error:
            read(path)
        said.append(str(error.value))
    assert said[0] == said[1] and "\n" not in said[0]
    assert said[0].startswith(f"{path}: ")


def saved(tmp_path, image, name, **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_fractions_are_scaled_and_other_floats_named(tmp_path):
    # pitfall: images: unusual pictures
    good = saved(tmp_path, Image.fromarray(RAMP), "good.tif")
    assert read_pixels(good)[1].tolist() == GREY.tolist()
    white_is_zero = write_tiff(tmp_path / "w.tif", RAMP.tobytes(), 32, 0, 3)
    assert read_pixels(white_is_zero)[0].tolist() == (255 - GREY).tolist()
    for values in (255 * RAMP, RAMP - 0.5, RAMP + np.nan, RAMP + np.inf):
        bad = saved(tmp_path, Image.fromarray(values), "bad.tif")
        both_fail(bad, "mode F, values from .* nothing says which number is white; sav")
        with pytest.raises(ValueError, match=r"bad\.tif: mode F"):
            look_at(bad)


def test_grey_of_12_16_and_32_bits(tmp_path):
    # pitfall: images: unusual pictures
    long = (RAMP * 65535).round().astype(np.uint16)
    want = (long // 257).tolist()
    for name in ("a.png", "a.tif", "a.jp2"):
        path = saved(tmp_path, Image.fromarray(long), name)
        assert read_pixels(path)[2].tolist() == want, name
    big_endian = Image.frombytes("I;16B", (16, 8), long.astype(">u2").tobytes())
    assert read_pixels(saved(tmp_path, big_endian, "b.tif"))[0].tolist() == want
    zero = write_tiff(tmp_path / "zero.tif", long.tobytes(), 16, white=0)
    assert read_pixels(zero)[0, 0, [0, -1]].tolist() == [255, 0]
    pgm = tmp_path / "a.pgm"
    pgm.write_bytes(b"P5 16 8 65535\n" + long.astype(">u2").tobytes())
    assert read_pixels(pgm)[0].tolist() == want
    twelve = write_tiff(tmp_path / "12.tif", bytes([0x00, 0x0F, 0xFF]) * 64, 12)
    assert read_pixels(twelve)[0, 0, :2].tolist() == [0, 255]
    whole = saved(tmp_path, Image.fromarray(long.astype(np.int32)), "c.tif")
    assert read_pixels(whole)[0].tolist() == want


@pytest.mark.parametrize("factor, least", [(70_000, 0), (100, -50), (200, 0)])
def test_whole_numbers_of_unknown_range_are_named(tmp_path, factor, least):
    # pitfall: images: unusual pictures
    values = (RAMP * factor + least).astype(np.int32)
    path = saved(tmp_path, Image.fromarray(values), "a.tif")
    both_fail(path, f"a.tif: mode I, values from {least} to")
    signed = np.full((8, 16), -3, np.int16).tobytes()
    both_fail(write_tiff(tmp_path / "s.tif", signed, 16, sample=2), "mode I, values")


def test_every_mode_becomes_three_channels_and_nothing_warns(tmp_path):
    # pitfall: images: unusual pictures
    grey = Image.fromarray(GREY)
    alpha = Image.fromarray(255 - GREY)
    palette = grey.convert("P")
    bare = {
        "l.png": grey,
        "la.png": Image.merge("LA", (grey, alpha)),
        "rgba.png": Image.merge("RGBA", (grey, grey, grey, alpha)),
        "rgba.webp": Image.merge("RGBA", (grey, grey, grey, alpha)),
        "p.png": palette,
        "p.gif": palette,
        "cmyk.tif": grey.convert("CMYK"),
        "lab.tif": ImageCms.profileToProfile(
            grey.convert("RGB"),
            ImageCms.createProfile("sRGB"),
            ImageCms.createProfile("LAB"),
            outputMode="LAB",
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, image in bare.items():
            how = {"lossless": True, "exact": True} if name[-4:] == "webp" else {}
            pixels = read_pixels(saved(tmp_path, image, name, **how))
            assert pixels.dtype == torch.uint8, name
            spread = (pixels.int() - torch.from_numpy(GREY).int()).abs().max()
            assert spread <= (2 if name == "lab.tif" else 0), name
        see_through = saved(tmp_path, palette, "t.png", transparency=bytes(range(99)))
        assert read_pixels(see_through)[0].tolist() == GREY.tolist()
    black = saved(tmp_path, Image.fromarray(GREY > 100), "1.png")
    assert set(read_pixels(black).unique().tolist()) == {0, 255}


def test_of_an_animation_the_first_picture_is_taken(tmp_path):
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue", "lime")]
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        options = {"lossless": True} if name == "a.webp" else {}
        path = saved(
            *(tmp_path, frames[0], name),
            **{"save_all": True, "append_images": frames[1:], **options},
        )
        assert read_pixels(path)[:, 5, 5].tolist() == [255, 0, 0], name
        assert look_at(path).upright == (20, 10)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.mpo"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_look_at_and_read_pixels_agree(tmp_path, name, orientation):
    # pitfall: images: unusual pictures
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:12, :18] = 255  # white in a corner
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(pixels)
    options = {"save_all": True, "append_images": [image]} if name == "a.mpo" else {}
    path = saved(tmp_path, image, name, exif=exif, **options)
    upright, picture = read_pixels(path), look_at(path)
    assert picture == look_at(path, decode=True)._replace(sample=b"")
    assert upright.shape[1:] == picture.upright[::-1]
    assert picture.upright == ((40, 60) if orientation > 4 else (60, 40))
    corners = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0)}
    corners |= {5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    y, x = corners[orientation]
    assert upright[0, y, x] > 200 and upright[0, -1 - y, x] < 50
    assert upright[0, y, -1 - x] < 50


def test_damaged_metadata_leave_the_picture_as_it_is_stored(tmp_path):
    # pitfall: images: unusual pictures
    image = Image.fromarray(GREY)
    for number, exif in enumerate((b"Exif\0\0rubbish", b"Exif\0\0II*\0\x08\0\0\0\xff")):
        path = saved(tmp_path, image, f"{number}.jpg", exif=exif)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_pixels(path).shape == (3, 8, 16)
            assert look_at(path) == Picture((16, 8), (16, 8), 1, "JPEG")


KINDS = {
    "a.jpg": {},
    "p.jpg": {"progressive": True},
    **{f"a.{kind}": {} for kind in ("png", "gif", "webp", "bmp", "ppm", "jp2", "ico")},
    **{f"a.{kind}": {} for kind in ("tif", "tga", "qoi", "pcx", "sgi", "dds", "avif")},
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_cut_off_anywhere_is_named(tmp_path, name):
    # pitfall: images: an error without the file's name
    noise = np.random.default_rng(0).integers(0, 255, (24, 20, 3), dtype=np.uint8)
    try:
        path = saved(tmp_path, Image.fromarray(noise), name, **KINDS[name])
    except (OSError, ValueError, KeyError):  # a Pillow without that format
        pytest.skip(f"this Pillow does not write {name}")
    whole, size = path.read_bytes(), look_at(path).upright
    for part in np.linspace(0, len(whole) - 1, 30).astype(int):
        path.write_bytes(whole[:part])
        try:  # a few formats end in bytes that no pixel needs
            assert read_pixels(path).shape[1:] == size[::-1]
            assert look_at(path, decode=True).upright == size
        except ValueError:
            both_fail(path, "unreadable|mode")


def test_what_is_no_image_file_at_all_is_named(tmp_path, monkeypatch):
    # pitfall: images: an error without the file's name
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "phone.heic").write_bytes(b"ftypheic")
    both_fail(tmp_path / "folder.jpg", "is a folder or a device, not an image file")
    both_fail(tmp_path / "empty.jpg", r"the file is empty, 0 bytes\); copy or export")
    both_fail(tmp_path / "phone.heic", "export it as JPEG")
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        read_pixels(tmp_path / "none.jpg")
    path = saved(tmp_path, Image.fromarray(GREY), "a.png")

    def refuse(kind, text):
        def fail(*_, **__):
            raise kind(text)

        monkeypatch.setattr(Image, "open", fail)

    refuse(PermissionError, "[Errno 13] Permission denied")
    both_fail(path, "you have no permission to read it; change the file's permissions")
    refuse(MemoryError, "")
    both_fail(path, "too large for this machine's memory; scale it down")
    for kind in (struct.error, EOFError, IndexError, KeyError, SyntaxError, TypeError):
        refuse(kind, "two\nlines")
        both_fail(path, r"a\.png: unreadable or cut off image")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may")
def test_a_file_without_permission_is_named(tmp_path):
    path = saved(tmp_path, Image.fromarray(GREY), "a.png")
    path.chmod(0)
    both_fail(path, "you have no permission to read it")


def test_very_large_pictures_are_read_up_to_a_limit_and_then_named(
    tmp_path, monkeypatch
):
    # pitfall: images: an error without the file's name
    for name in ("a.png", "a.tif", "a.bmp"):
        path = saved(tmp_path, Image.fromarray(GREY), name)  # 128 pixels
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow warns
            assert read_pixels(path).shape == (3, 8, 16)
            assert look_at(path).upright == (16, 8)
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # Pillow refuses
            both_fail(path, "too many pixels .* raise PIL.Image.MAX_IMAGE_PIXELS if")
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
            assert read_pixels(path).shape == (3, 8, 16)


def test_the_command_line_names_each_image_it_cannot_read(
    tmp_path, monkeypatch, capsys
):
    # pitfall: images: an error without the file's name
    from course_utils import detect
    from course_utils.models import photo_detector

    nothing = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "scores": torch.zeros(0),
    }
    monkeypatch.setattr(
        photo_detector, "load_detector", lambda _: (lambda x: [nothing], [])
    )
    monkeypatch.setenv("CI", "true")  # no progress bar
    (tmp_path / "in").mkdir()
    (tmp_path / "m.safetensors").touch()
    saved(tmp_path / "in", Image.fromarray(255 * RAMP), "a.tif")
    saved(tmp_path / "in", Image.fromarray(RAMP), "b.tif")
    (tmp_path / "in" / "c.jpg").write_bytes(b"")
    folders = [str(tmp_path / name) for name in ("m.safetensors", "in", "out")]
    assert detect.main([*folders[:2], "--out", folders[2]]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert [Path(line.split(": ")[0]).name for line in lines] == ["a.tif", "c.jpg"]
    assert (tmp_path / "out" / "b.jpg").is_file()


def test_the_annotator_leaves_out_images_it_cannot_show(tmp_path):
    from course_utils.lessons.widgets.album import Album
    from course_utils.lessons.widgets.annotate import browser_bytes

    saved(tmp_path, Image.fromarray(255 * RAMP), "a.tif")
    saved(tmp_path, Image.fromarray(RAMP), "b.tif")
    album = Album(tmp_path, ["dog"])
    assert [path.name for path in album.images] == ["b.tif"]
    assert "a.tif: mode F" in album.unreadable[0]
    with Image.open(io.BytesIO(browser_bytes(album.image))) as shown:
        assert shown.size == (16, 8)
