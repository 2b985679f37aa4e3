"""Textures: images (rows, cols, 3) of sRGB values in 0..1, computed from noise."""

import cv2
import numpy as np

from .draws import choose, contrast_color, wood_color


def noise(rng, shape, cells, octaves=3):
    """Smooth noise in 0..1 of `shape` with about `cells` (rows, cols) blobs."""
    total = np.zeros(shape, np.float32)
    for o in range(octaves):
        n = [max(2, min(int(c * 2**o) + 1, s)) for c, s in zip(cells, shape)]
        grid = rng.random(n, dtype=np.float32)
        total += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) / 2**o
    low, high = total.min(), total.max()
    return (total - low) / (high - low + 1e-6)


def mix(a, b, t):
    """Blend colours (or images) a and b; t (rows, cols) is the share of b."""
    t = np.asarray(t, np.float32)[..., None]
    return (1 - t) * np.asarray(a, np.float32) + t * np.asarray(b, np.float32)


def step(x, width=0.02):
    """Soft 0 to 1 step at x = 0, so that pattern edges do not alias."""
    return np.clip(x / width + 0.5, 0, 1)


def coords(shape):
    """Texture coordinates u, v in 0..1 of the pixel centres of `shape`."""
    v, u = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return (u + 0.5) / shape[1], (v + 0.5) / shape[0]


def plain(color, shape=(2, 2)):
    """A texture of one colour, (*shape, 3)."""
    return np.full((*shape, 3), color, np.float32)


def pattern(rng, shape, a, b, aspect=1.0):
    """A decorated surface of colours a and b; aspect = width / height in metres."""
    u, v = coords(shape)
    n = int(rng.integers(3, 9))  # repeats over the rows, and over the columns:
    m = max(2, round(n * aspect))
    kinds = "bands", "stripes", "dots", "checks", "zigzag", "fade", "speckle", "belt"
    kind = choose(rng, kinds)
    if kind == "bands":
        t = step(np.sin(2 * np.pi * n * v) - rng.uniform(-0.5, 0.7), 0.4)
    elif kind == "stripes":
        t = step(np.sin(2 * np.pi * m * u) - rng.uniform(-0.5, 0.6), 0.4)
    elif kind == "dots":
        row = np.floor(v * n)
        x, y = (u * m + 0.5 * (row % 2)) % 1 - 0.5, (v * n) % 1 - 0.5
        t = step(rng.uniform(0.2, 0.38) - np.hypot(x, y), 0.1)
    elif kind == "checks":
        t = (np.floor(u * 2 * m) + np.floor(v * 2 * n)) % 2
    elif kind == "zigzag":
        tooth = np.abs((u * max(3, m)) % 1 - 0.5)
        t = step(np.sin(2 * np.pi * (v * n * 0.6 + 0.5 * tooth)), 0.4)
    elif kind == "fade":
        t = np.clip((v - rng.uniform(0.1, 0.5)) / rng.uniform(0.2, 0.5), 0, 1)
    elif kind == "speckle":
        t = step(noise(rng, shape, (30, 30 * aspect), 1) - rng.uniform(0.68, 0.8), 0.1)
    else:
        at, half = rng.uniform(0.3, 0.7), rng.uniform(0.06, 0.25)
        t = step(half - np.abs(v - at))
    return mix(a, b, t)


def wood(rng, shape, cells):
    """Wood grain along the columns; cells = number of growth lines over the rows."""
    base = wood_color(rng)
    warp = noise(rng, shape, (cells / 8, 2), 2)
    rows = np.linspace(0, cells, shape[0], dtype=np.float32)[:, None]
    ring = 0.5 + 0.5 * np.sin(rows + 14 * warp)
    fibre = noise(rng, shape, (cells * 3, 6), 2)
    dark = base * rng.uniform(0.5, 0.75)
    grain = rng.uniform(0.1, 0.4) * ring + 0.5 * fibre
    return mix(base, dark, grain * rng.uniform(0.6, 1.0))


def label(rng, shape, a, b):
    """A printed surface (book cover, label): a picture and lines like a title.

    a, b: colours of the ground and of the picture.
    """
    h, w = shape
    image = plain(a, shape)

    def bar(left, top, right, bottom, color):
        corners = (int(left), int(top)), (int(right), int(bottom))
        cv2.rectangle(image, *corners, color.tolist(), -1)

    def disc(radius, color):
        cv2.circle(image, middle, int(min(w, h) * radius), color.tolist(), -1)

    if rng.random() < 0.35:
        image[:] = pattern(rng, shape, a, 0.6 * a + 0.4 * b, w / h)
    ink = np.array([0.06, 0.06, 0.08] if a.mean() > 0.5 else [0.95, 0.93, 0.88])
    c = contrast_color(rng, a)
    art = rng.integers(5)
    middle = int(w * rng.uniform(0.35, 0.65)), int(h * rng.uniform(0.5, 0.72))
    if art == 0:
        disc(rng.uniform(0.15, 0.3), b)
    elif art == 1:
        bar(w * 0.15, h * 0.4, w * 0.85, h * 0.85, b)
        disc(0.16, c)
    elif art == 2:  # hills
        ridge = rng.uniform(0.35, 0.8, 4) * h
        ridge = np.interp(np.arange(w), np.linspace(0, w, 4), ridge)
        outline = [(0, h), *enumerate(ridge), (w, h)]
        cv2.fillPoly(image, [np.array(outline, np.int32)], b.tolist())
    elif art == 3:
        bar(0, h * 0.1, w, h * rng.uniform(0.3, 0.5), b)
    top, size = h * rng.uniform(0.08, 0.2), h * rng.uniform(0.05, 0.11)
    for line in range(rng.integers(1, 4)):  # words of a title
        x, y = w * 0.12, int(top + line * size * 1.6)
        while x < w * 0.75:
            end = min(x + w * rng.uniform(0.1, 0.3), w * 0.88)
            bar(x, y, end, y + size, ink)
            x = end + w * 0.06
    return image
