"""Textures of table tops and walls, square, all drawn by (rng, texels in a cm)."""

import cv2
import numpy as np

from .draws import contrast_color, draw_rgb, object_color, rgb, surface_color
from .textures import mix, noise, plain, step, wood

SIZE = 768  # texels of a side
SHAPE = (SIZE, SIZE)


def surface_texture(kind, seed, texel):
    """Texture (SIZE, SIZE, 3) of a kind of surface; texel: its size in metres."""
    image = DRAW[kind](np.random.default_rng(seed), 0.01 / texel)
    return np.clip(image, 0, 1)


def texels():
    """Row and column of each texel, float32."""
    return np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def planks(rng, cm):
    rows, cols = texels()
    wide = max(16, rng.uniform(7, 18) * cm)
    image = wood(rng, SHAPE, min(400, SIZE / cm / 0.5))
    plank = np.floor(rows / wide).astype(int)
    tone = rng.uniform(0.84, 1.08, plank.max() + 1)[plank].astype(np.float32)
    shift = rng.integers(0, SIZE, plank.max() + 1)[plank]
    image = image[rows.astype(int), (cols.astype(int) + shift) % SIZE]
    y = rows % wide
    edge = np.minimum(y, wide - y)
    return mix(image * tone[..., None], image * 0.3, 0.8 * step(1.3 - edge, 1.5))


def one_board(rng, cm):
    return wood(rng, SHAPE, min(300, SIZE / cm / 1.2))


def cloth(rng, cm):
    rows, cols = texels()
    a = surface_color(rng) if rng.random() < 0.5 else rgb(0.1, 0.08, 0.9)
    b = contrast_color(rng, a, object_color if rng.random() < 0.25 else surface_color)
    pitch = rng.uniform(1.5, 6) * cm
    style = rng.integers(5)
    image = np.broadcast_to(a, (*SHAPE, 3))
    line_r, line_c = np.sin(np.pi * rows / pitch), np.sin(np.pi * cols / pitch)
    if style == 0:  # gingham
        image = mix(a, b, 0.5 * step(line_r, 0.3) + 0.5 * step(line_c, 0.3))
    elif style == 1:  # stripes
        image = mix(a, b, step(line_r - rng.uniform(-0.3, 0.8), 0.3))
    elif style == 2:  # dots
        image = mix(a, b, step(line_r * line_c - rng.uniform(0.6, 0.85), 0.15))
    elif style == 3:  # fine double lines
        lines = [step(np.abs(line) - 0.93, 0.1) for line in (line_r, line_c)]
        image = mix(a, b, np.maximum(*lines))
    threads = np.sin(2 * np.pi * rows / 3.1) + np.sin(2 * np.pi * cols / 3.3)
    weave, folds = 0.5 + 0.25 * threads, noise(rng, SHAPE, (4, 4), 2)
    return image * mix(0.82, 1.06, 0.5 * weave + 0.5 * folds)


def tiles(rng, cm):
    size = max(rng.uniform(4, 16) * cm, 14)
    size = (size, size * rng.choice([1.0, 1.0, 2.0]))
    color = surface_color(rng)
    return masonry(rng, size, color, offset=0)


def bricks(rng, cm):
    size = max(rng.uniform(4, 16) * cm, 14)
    size = (size, size * rng.uniform(2, 3.2))
    color = surface_color(rng)
    if rng.random() < 0.5:
        color = draw_rgb(rng, (0.01, 0.07), (0.3, 0.6), (0.4, 0.7))
    return masonry(rng, size, color, offset=0.5)


def masonry(rng, size, color, offset):
    """Tiles or bricks of `size` (rows, cols) texels, with grout between.

    offset: how far each second row is moved, in bricks; tiles, which have none, may be
    a chess board of two colours.
    """
    rows, cols = texels()
    r = np.floor(rows / size[0])
    cols = cols + offset * size[1] * (r % 2)
    c = np.floor(cols / size[1])
    tone = rng.uniform(0.85, 1.08, (400, 400)).astype(np.float32)
    tone = tone[r.astype(int) % 400, c.astype(int) % 400]
    if not offset and rng.random() < 0.3:
        image = mix(color, contrast_color(rng, color, surface_color), (r + c) % 2)
    else:
        image = np.broadcast_to(color, (*SHAPE, 3))
    image = image * tone[..., None] * mix(0.9, 1.05, noise(rng, SHAPE, (40, 40)))
    gap = max(1.5, 0.03 * min(size))
    y, x = rows % size[0], cols % size[1]
    edge = np.minimum(np.minimum(y, size[0] - y), np.minimum(x, size[1] - x))
    grout = draw_rgb(rng, 0.1, (0, 0.15), (0.25, 0.9))
    return mix(image, grout, step(gap / 2 - edge, 1.5))


def marble(rng, cm):
    base = draw_rgb(rng, (0.05, 0.65), (0, 0.15), (0.12, 0.92))
    other = base * 0.5 if base.mean() > 0.45 else base * 0.5 + 0.42
    image = mix(base, base * 0.8, noise(rng, SHAPE, (5, 5), 4))
    for width in (0.03, 0.015):
        vein = np.abs(noise(rng, SHAPE, (4, 4), 5) - rng.uniform(0.4, 0.6))
        image = mix(image, other, 0.7 * np.clip(1 - vein / width, 0, 1))
    return image


def terrazzo(rng, cm):
    base = draw_rgb(rng, (0, 1), (0, 0.15), (0.35, 0.9))
    image = plain(base, SHAPE)
    colors = [contrast_color(rng, base) for _ in range(4)]
    for _ in range(1100):
        at = rng.uniform(0, SIZE, 2)
        chip = at + rng.normal(size=(5, 2)) * max(1.5, rng.uniform(0.15, 0.6) * cm)
        chip = cv2.convexHull(chip.astype(np.float32)).astype(np.int32)
        cv2.fillConvexPoly(image, chip, colors[rng.integers(4)].tolist())
    return image


def speckle(rng, cm):
    """Granite or laminate."""
    base = draw_rgb(rng, (0.04, 0.65), (0, 0.16), (0.2, 0.85))
    grain = noise(rng, SHAPE, (SIZE / 3, SIZE / 3), 1)
    patch = noise(rng, SHAPE, (SIZE / 20, SIZE / 20), 2)
    return mix(base * 0.75, np.minimum(base * 1.2, 1), 0.7 * grain + 0.3 * patch)


def wallpaper(rng, cm):
    """Stripes, now and then cut into bars."""
    rows, cols = texels()
    a = draw_rgb(rng, (0, 1), (0.05, 0.4), (0.5, 0.92))
    b = contrast_color(rng, a) * 0.4 + a * 0.6
    pitch = rng.uniform(2, 8) * cm
    t = step(np.sin(np.pi * cols / pitch) - rng.uniform(-0.3, 0.6), 0.3)
    if rng.random() < 0.35:
        t = t * step(np.sin(np.pi * rows / pitch) - 0.2, 0.3)
    return mix(a, b, t)


def painted(rng, cm):
    base = surface_color(rng)
    return base * mix(0.9, 1.05, noise(rng, SHAPE, (5, 5), 4))


DRAW = {
    "planks": planks,
    "wood": one_board,
    "cloth": cloth,
    "tile": tiles,
    "brick": bricks,
    "marble": marble,
    "terrazzo": terrazzo,
    "speckle": speckle,
    "stripes": wallpaper,
    "painted": painted,
}
TABLES = {  # kind: share
    "planks": 0.1,
    "wood": 0.21,
    "cloth": 0.13,
    "tile": 0.09,
    "marble": 0.11,
    "terrazzo": 0.05,
    "speckle": 0.13,
    "painted": 0.18,
}
WALLS = ("painted", "tile", "brick", "stripes", "planks", "painted")
