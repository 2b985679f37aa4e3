"""Render the "tabletop" data set: household objects on a table, path traced.

    pip install -e ".[data]"                       # in the repository: adds mitsuba
    python make_tabletop.py                        # everything, ~20 min on 2 cores
    python make_tabletop.py --out DIR --split test --count 5 --jobs 2

Every mesh and every texture is computed here with numpy; nothing is downloaded.
A scene is a function of (seed, split, index) only, so any one picture can be made
again alone. A scene that is already complete on disk is skipped, so an interrupted
run goes on where it stopped.

Output, in the layout of Pascal VOC, 240 x 180 pixels:

    OUT/JPEGImages/<id>.jpg            the photograph
    OUT/SegmentationObject/<id>.png    palette image, value k = k-th <object>, 0 = none
    OUT/Annotations/<id>.xml           class, box and flags of every object
    OUT/ImageSets/Main/<split>.txt     the ids of a split, one a line

with id = "<split>_<index, 4 digits>". train, val and test hold scenes of 1 to 7
objects; single_train and single_test hold exactly one object each.

Lengths are metres, z is up and the table top is the plane z = 0. Pixel coordinates
have x to the right, y down and (0, 0) at the top left corner of the image.
"""

import argparse
import colorsys
import functools
import multiprocessing
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

CLASSES = ("mug", "bottle", "bowl", "apple", "banana", "ball", "book", "donut")
SPLITS = {
    "train": 1000,
    "val": 200,
    "test": 300,
    "single_train": 600,
    "single_test": 150,
}
SEED = 2024
WIDTH, HEIGHT = 240, 180
SUPER = 4  # mask samples per pixel side: 4 x 4 samples vote
SAMPLES = 9  # light paths per pixel
DEPTH = 5  # longest light path


# ---------------------------------------------------------------- colours, textures


def rgb(h, s, v):
    """Colour as an array of three sRGB values in 0..1 from hue, saturation, value."""
    return np.array(colorsys.hsv_to_rgb(h % 1.0, s, v))


def any_color(rng):
    """A colour of a made object: vivid, pastel, pale or dark, of any hue.

    Red, yellow and green come a little more often than other hues, so that the colours
    of the fruit alone do not give the class away.
    """
    kind = rng.random()
    h = rng.uniform(-0.03, 0.36) if rng.random() < 0.2 else rng.random()
    if kind < 0.56:
        warm = 0.15 * (h < 0.17)  # real yellows are bright, greens are not
        return rgb(h, rng.uniform(0.5, 0.88), rng.uniform(0.28, 0.72) + warm)
    if kind < 0.76:
        return rgb(h, rng.uniform(0.15, 0.5), rng.uniform(0.55, 0.92))
    if kind < 0.9:
        return rgb(h, rng.uniform(0.0, 0.1), rng.uniform(0.7, 0.92))
    return rgb(h, rng.uniform(0.0, 0.4), rng.uniform(0.08, 0.3))


def surface_color(rng):
    """A colour of a table or wall: mostly muted."""
    kind = rng.random()
    if kind < 0.6:
        return rgb(rng.random(), rng.uniform(0, 0.18), rng.uniform(0.35, 0.93))
    if kind < 0.9:
        return rgb(
            rng.uniform(0.05, 0.13), rng.uniform(0.15, 0.5), rng.uniform(0.4, 0.9)
        )
    return rgb(rng.random(), rng.uniform(0.25, 0.55), rng.uniform(0.22, 0.58))


def contrast_color(rng, other, draw=any_color):
    """A colour from `draw` that differs clearly from `other`."""
    for _ in range(20):
        c = draw(rng)
        if np.abs(c - other).max() > 0.3:
            break
    return c


def noise(rng, shape, cells, octaves=3):
    """Smooth noise in 0..1 of `shape` with about `cells` (rows, cols) blobs."""
    total = np.zeros(shape, np.float32)
    for o in range(octaves):
        n = [max(2, min(int(c * 2**o) + 1, s)) for c, s in zip(cells, shape)]
        grid = rng.random(n, dtype=np.float32)
        total += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) / 2**o
    lo, hi = total.min(), total.max()
    return (total - lo) / (hi - lo + 1e-6)


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


def pattern(rng, shape, a, b, aspect=1.0):
    """A decorated surface of colours a and b; aspect = width / height in metres."""
    u, v = coords(shape)
    n = int(rng.integers(3, 9))
    kind = rng.choice(
        ["bands", "stripes", "dots", "checks", "zigzag", "fade", "speckle", "one band"]
    )
    if kind == "bands":
        t = step(np.sin(2 * np.pi * n * v) - rng.uniform(-0.5, 0.7), 0.4)
    elif kind == "stripes":
        t = step(
            np.sin(2 * np.pi * max(2, round(n * aspect)) * u) - rng.uniform(-0.5, 0.6),
            0.4,
        )
    elif kind == "dots":
        m = max(2, round(n * aspect))
        row = np.floor(v * n)
        x, y = (u * m + 0.5 * (row % 2)) % 1 - 0.5, (v * n) % 1 - 0.5
        t = step(rng.uniform(0.2, 0.38) - np.hypot(x, y), 0.1)
    elif kind == "checks":
        m = max(2, round(n * aspect))
        t = (np.floor(u * 2 * m) + np.floor(v * 2 * n)) % 2
    elif kind == "zigzag":
        m = max(3, round(n * aspect))
        t = step(
            np.sin(2 * np.pi * (v * n * 0.6 + 0.5 * np.abs((u * m) % 1 - 0.5))), 0.4
        )
    elif kind == "fade":
        t = np.clip((v - rng.uniform(0.1, 0.5)) / rng.uniform(0.2, 0.5), 0, 1)
    elif kind == "speckle":
        t = step(noise(rng, shape, (30, 30 * aspect), 1) - rng.uniform(0.68, 0.8), 0.1)
    else:
        at, half = rng.uniform(0.3, 0.7), rng.uniform(0.06, 0.25)
        t = step(half - np.abs(v - at))
    return mix(a, b, t)


def plain(color):
    """A texture of one colour."""
    return np.broadcast_to(np.asarray(color, np.float32), (2, 2, 3))


# ------------------------------------------------------------------------ mesh tools


def part(points, texture, gloss, wrap=False):
    """Mesh part from a (rows, cols, 3) grid of points; v runs over rows, u over cols.

    gloss names the material: "matte", "satin", "plastic" or "metal".
    """
    rows, cols = points.shape[:2]
    i = np.arange(rows * cols).reshape(rows, cols)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]
    faces = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )
    u, v = np.meshgrid(np.linspace(0, 1, cols), row_coordinate(points))
    return {
        "v": points.reshape(-1, 3),
        "f": faces,
        "gloss": gloss,
        "uv": np.stack([u, v], -1).reshape(-1, 2),
        "texture": texture,
    }


def row_coordinate(points):
    """Arc length over the rows of a grid, 0..1, along its longest column."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2).max(1)
    s = np.concatenate([[0], np.cumsum(steps)])
    return s / s[-1]


def smooth(points, times=2):
    """Round the corners of an open polyline by cutting them (Chaikin)."""
    p = np.asarray(points, float)
    for _ in range(times):
        q = np.empty((2 * len(p), p.shape[1]))
        q[0], q[-1] = p[0], p[-1]
        q[1:-1:2] = 0.75 * p[:-1] + 0.25 * p[1:]
        q[2::2] = 0.25 * p[:-1] + 0.75 * p[1:]
        p = q
    return p


def revolve(profile, sides=48):
    """Grid of points of the surface that a profile (n, 2) of (radius, z) sweeps."""
    phi = np.linspace(0, 2 * np.pi, sides + 1)
    r, z = profile[:, :1], profile[:, 1:]
    return np.stack([r * np.cos(phi), r * np.sin(phi), z + 0 * phi], -1)


def sweep(path, radius, sides=12, flat=1.0, corners=0.0):
    """Grid of a tube along a path (n, 2) of (x, z), closed at both ends.

    flat widens the section across the plane of the path; corners makes it pentagonal.
    """
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    path, tangent = [np.concatenate([a[:1], a, a[-1:]]) for a in (path, tangent)]
    radius = np.concatenate([[1e-5], radius, [1e-5]])
    phi = np.linspace(0, 2 * np.pi, sides + 1)
    r = radius[:, None] * (1 + corners * np.cos(5 * phi))
    out, side = r * np.cos(phi), r * flat * np.sin(phi)
    return np.stack(
        [path[:, :1] - tangent[:, 1:] * out, side, path[:, 1:] + tangent[:, :1] * out],
        -1,
    )


def rounded_box(size, radius, center, texture, gloss):
    """Box with rounded edges; texture: an atlas of 2 x 3 cells, +x -x +y / -y +z -z."""
    half = np.asarray(size, float) / 2
    radius = min(radius, 0.49 * min(size))
    points, faces, uv = [], [], []
    for k in range(6):
        axis, sign = k // 2, 1 - 2 * (k % 2)
        a, b = [i for i in range(3) if i != axis]
        ticks = []
        for i in (a, b):
            edge = half[i] - radius * np.array([1, 0.7, 0.35, 0])
            inner = np.linspace(-edge[0], edge[0], 6)[1:-1]
            ticks.append(np.concatenate([-edge[::-1], inner, edge]))
        ga, gb = np.meshgrid(*ticks)
        p = np.empty(ga.shape + (3,))
        p[..., a], p[..., b], p[..., axis] = ga, gb, sign * half[axis]
        core = np.clip(p, radius - half, half - radius)
        d = p - core
        p = core + radius * d / np.linalg.norm(d, axis=-1, keepdims=True)
        piece = part(p, None, gloss)
        f = piece["f"]
        if (sign > 0) == (axis == 1):  # keep all faces turned outwards
            f = f[:, ::-1]
        faces.append(f + sum(map(len, points)))
        points.append(p.reshape(-1, 3) + center)
        cell = np.stack([ga / half[a], gb / half[b]], -1).reshape(-1, 2) * 0.49 + 0.5
        uv.append((cell + [k % 3, k // 3]) / [3, 2])
    return {
        "v": np.concatenate(points),
        "f": np.concatenate(faces),
        "gloss": gloss,
        "uv": np.concatenate(uv),
        "texture": texture,
    }


def atlas(cells):
    """2 x 3 texture atlas of six images of one shape, for rounded_box."""
    return np.concatenate([np.concatenate(cells[:3], 1), np.concatenate(cells[3:], 1)])


def vertex_normals(v, f):
    """Smooth unit normals; vertices at one place (a seam) share theirs."""
    _, same = np.unique(np.round(v, 6), axis=0, return_inverse=True)
    same = same.reshape(-1)
    p = v[f]
    n = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    total = np.zeros((same.max() + 1, 3))
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(same[f[:, k]], n[:, axis], len(total))
    total /= np.linalg.norm(total, axis=1, keepdims=True) + 1e-20
    return total[same]


# ------------------------------------------------------------- the eight object kinds
# Each maker returns (parts, profile): the mesh parts in the object's own frame and,
# for things that can lie on their side, the outer profile (radius, z).


def coated(rng):
    """Gloss of a made thing."""
    return str(rng.choice(["plastic", "satin", "matte"], p=[0.45, 0.3, 0.25]))


def vessel_texture(rng, grid, rim_row, aspect):
    """Colours of a mug or bowl: outside pattern, inside colour, rim, bare foot."""
    shape = (128, 256)
    v = row_coordinate(grid)
    a = any_color(rng)
    b = contrast_color(rng, a)
    inside = (
        a
        if rng.random() < 0.4
        else (b if rng.random() < 0.4 else rgb(0.12, rng.uniform(0, 0.15), 0.9))
    )
    rows = (np.arange(shape[0]) + 0.5) / shape[0]
    edge = v[rim_row]
    outside = np.broadcast_to(a, shape + (3,)).astype(np.float32)
    n = int(edge * shape[0])
    if rng.random() < 0.3:
        outside = outside.copy()
        outside[:n] = pattern(rng, (n, shape[1]), a, b, aspect)
    texture = mix(outside, inside, np.repeat(step(rows - edge)[:, None], shape[1], 1))
    if rng.random() < 0.25:
        rim = np.repeat(step(0.03 - np.abs(rows - edge))[:, None], shape[1], 1)
        texture = mix(texture, b, rim)
    if rng.random() < 0.2:
        top = edge * rng.uniform(0.35, 0.55)
        clay = rgb(0.07, rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.75))
        texture = mix(texture, clay, np.repeat(step(top - rows)[:, None], shape[1], 1))
    return texture, a, b


def liquid(rng, radius, z):
    """A level surface of drink or food of the given radius at height z."""
    kinds = [
        (0.07, 0.7, 0.2),
        (0.08, 0.6, 0.45),
        (0.09, 0.85, 0.6),
        (0.1, 0.1, 0.9),
        (0.03, 0.85, 0.6),
        (0.25, 0.5, 0.5),
        (0.13, 0.6, 0.85),
    ]
    color = rgb(*kinds[rng.integers(len(kinds))])
    texture = mix(
        color * 0.8, np.minimum(color * 1.15, 1), noise(rng, (32, 64), (4, 8), 2)
    )
    grid = revolve(np.array([(radius, z), (0, z)]))
    return part(grid, texture, str(rng.choice(["plastic", "satin"])))


def make_mug(rng):
    h, r, t = rng.uniform(0.078, 0.115), rng.uniform(0.036, 0.048), 0.0038
    foot, belly = [
        (1, 1),
        (0.75, 0.92),
        (0.8, 1.1),
        (0.62, 0.98),
        (1, 1),
        (1.12, 1.04),
    ][rng.integers(6)]
    outer = smooth(
        [
            (0, 0),
            (foot * r * 0.93, 0),
            (foot * r, 0.001),
            (foot * r, 0.006),
            (belly * r, 0.4 * h),
            (r, 0.85 * h),
            (r, h),
        ]
    )
    inner = smooth(
        [
            (r - t, h),
            (r - t, 0.85 * h),
            (belly * r - t, 0.4 * h),
            (foot * r - t, 0.01),
            (foot * r * 0.8, 0.007),
            (0, 0.007),
        ]
    )
    grid = revolve(np.concatenate([outer, [(r - t / 2, h + t / 2)], inner]))
    texture, a, b = vessel_texture(rng, grid, len(outer), 2.5)
    gloss = coated(rng)
    parts = [part(grid, texture, gloss)]
    top, low = rng.uniform(0.76, 0.88) * h, rng.uniform(0.16, 0.34) * h
    reach, square = rng.uniform(0.02, 0.032), rng.uniform(0.5, 1.0)
    s = np.linspace(0, np.pi, 20)
    z = (top + low) / 2 + (top - low) / 2 * np.sign(np.cos(s)) * np.abs(
        np.cos(s)
    ) ** square
    wall = np.interp(np.linspace(top, low, 20), outer[:, 1], outer[:, 0])
    x = wall - 0.002 + reach * np.sin(s) ** square
    thick = np.full(20, rng.uniform(0.0042, 0.0065))
    handle = sweep(np.stack([x, z], 1), thick, flat=rng.uniform(1.0, 1.6))
    parts.append(part(handle, plain(b if rng.random() < 0.15 else a), gloss))
    if rng.random() < 0.4:
        level = rng.uniform(0.6, 0.88) * h
        radius = np.interp(level, inner[::-1, 1], inner[::-1, 0]) + 0.001
        parts.append(dict(liquid(rng, radius, level), upright_only=True))
    return parts, outer


def make_bottle(rng):
    kinds = ["wine", "beer", "water", "sauce", "soap", "milk"]
    kind = rng.choice(kinds, p=[0.27, 0.27, 0.22, 0.08, 0.06, 0.1])
    r = {
        "wine": 0.038,
        "beer": 0.031,
        "water": 0.034,
        "sauce": 0.031,
        "soap": 0.036,
        "milk": 0.04,
    }[kind] * rng.uniform(0.9, 1.12)
    h = {
        "wine": 0.29,
        "beer": 0.22,
        "water": 0.22,
        "sauce": 0.18,
        "soap": 0.19,
        "milk": 0.2,
    }[kind] * rng.uniform(0.9, 1.1)
    neck = {
        "wine": 0.38,
        "beer": 0.42,
        "water": 0.42,
        "sauce": 0.3,
        "soap": 0.34,
        "milk": 0.6,
    }[kind] * r
    shoulder, throat, cap = {
        "wine": (0.6, 0.72, 0.88),
        "beer": (0.52, 0.76, 0.955),
        "water": (0.68, 0.85, 0.9),
        "sauce": (0.72, 0.8, 0.8),
        "soap": (0.68, 0.76, 0.83),
        "milk": (0.55, 0.76, 0.92),
    }[kind]
    body = [(0, 0), (r * 0.9, 0), (r, 0.002), (r, 0.012)]
    if kind == "water":  # ribs of a plastic bottle
        for z in np.linspace(0.1, shoulder - 0.1, 5):
            body += [(r, (z - 0.025) * h), (r * 0.94, z * h), (r, (z + 0.025) * h)]
    if kind == "sauce":  # waist
        body += [(r * 0.88, 0.4 * h)]
    body += [
        (r, shoulder * h - 0.01),
        (r, shoulder * h),
        ((r + neck) * 0.52, (shoulder + throat) / 2 * h + 0.004),
        (neck, throat * h),
        (neck, throat * h + 0.004),
        (neck, cap * h),
    ]
    c = neck * rng.uniform(1.05, 1.2) + 0.001
    if kind == "sauce":
        lid = [
            (c * 1.6, cap * h),
            (c * 1.6, cap * h + 0.01),
            (c * 0.9, cap * h + 0.014),
            (0.003, h),
            (0, h),
        ]
    elif kind == "soap" and rng.random() < 0.6:
        lid = [
            (r * 0.75, cap * h),
            (r * 0.75, cap * h),
            (r * 0.7, h),
            (r * 0.7, h),
            (0, h),
        ]
    else:
        lid = [(c, cap * h), (c, cap * h), (c, h), (c, h), (0, h)]
    body, lid = smooth(body), smooth(lid)
    profile = np.concatenate([body, lid])
    grid = revolve(profile)
    if kind == "soap":
        grid[..., 1] *= rng.uniform(0.55, 0.85)
    shape = (256, 256)
    v = row_coordinate(grid)
    z_row = np.interp((np.arange(256) + 0.5) / 256, v, profile[:, 1]) / h
    z_row = np.repeat(z_row[:, None], 256, 1).astype(np.float32)
    a = any_color(rng)
    if kind in ("wine", "beer") and rng.random() < 0.5:
        a = rgb(rng.uniform(0.06, 0.35), rng.uniform(0.5, 0.9), rng.uniform(0.1, 0.35))
    b, lid_color = contrast_color(rng, a), any_color(rng)
    texture = np.broadcast_to(a, shape + (3,))
    if rng.random() < 0.12:  # contents show up to a level
        texture = mix(
            texture, np.minimum(a * 0.5 + 0.45, 1), step(z_row - rng.uniform(0.45, 0.7))
        )
    low, high = rng.uniform(0.1, 0.25), shoulder - rng.uniform(0.03, 0.12)
    if kind == "water":
        low = rng.uniform(0.25, 0.35)
    if rng.random() < 0.45:  # paper label, all round or on the front
        u, _ = coords(shape)
        wide = rng.uniform(0.25, 0.42) if rng.random() < 0.5 else 1.0
        on = step(z_row - low, 0.01) * step(high - z_row, 0.01)
        on = on * step(wide - np.abs((u + 0.25) % 1 - 0.5), 0.01)
        art = label(rng, (96, 160), b, contrast_color(rng, b))
        art = np.concatenate([art, art], 1)
        rows = np.clip((high - z_row) / (high - low) * 95, 0, 95)
        cols = np.clip(u * 319, 0, 319)
        art = cv2.remap(art.astype(np.float32), cols, rows, cv2.INTER_LINEAR)
        texture = mix(texture, art, on)
    rows = (np.arange(256)[:, None] + 0.5) / 256 + np.zeros(shape)
    texture = mix(texture, lid_color, step(rows - v[len(body)] + 0.004, 0.01))
    # Metal only here: inside an open mug or bowl it would need far more samples.
    gloss = (
        "metal"
        if rng.random() < 0.12
        else (coated(rng) if rng.random() < 0.4 else "plastic")
    )
    return [part(grid, texture, gloss)], profile


def label(rng, shape, a, b):
    """A printed surface (book cover, label): a picture and lines like a title."""
    h, w = shape
    image = np.empty(shape + (3,), np.float32)
    image[:] = a
    if rng.random() < 0.35:
        image[:] = pattern(rng, shape, a, 0.6 * a + 0.4 * b, w / h)
    ink = np.array([0.06, 0.06, 0.08] if a.mean() > 0.5 else [0.95, 0.93, 0.88])
    c = contrast_color(rng, a)
    art = rng.integers(5)
    x, y = int(w * rng.uniform(0.35, 0.65)), int(h * rng.uniform(0.5, 0.72))
    if art == 0:
        cv2.circle(
            image, (x, y), int(min(w, h) * rng.uniform(0.15, 0.3)), b.tolist(), -1
        )
    elif art == 1:
        cv2.rectangle(
            image,
            (int(w * 0.15), int(h * 0.4)),
            (int(w * 0.85), int(h * 0.85)),
            b.tolist(),
            -1,
        )
        cv2.circle(image, (x, y), int(min(w, h) * 0.16), c.tolist(), -1)
    elif art == 2:
        edge = rng.uniform(0.35, 0.8, 4) * h
        hill = np.interp(np.arange(w), np.linspace(0, w, 4), edge)
        cv2.fillPoly(
            image,
            [np.array([(0, h)] + list(enumerate(hill)) + [(w, h)], np.int32)],
            b.tolist(),
        )
    elif art == 3:
        cv2.rectangle(
            image,
            (0, int(h * 0.1)),
            (w, int(h * rng.uniform(0.3, 0.5))),
            b.tolist(),
            -1,
        )
    top, size = h * rng.uniform(0.08, 0.2), h * rng.uniform(0.05, 0.11)
    for line in range(rng.integers(1, 4)):  # words of a title
        x = w * 0.12
        while x < w * 0.75:
            word = w * rng.uniform(0.1, 0.3)
            end = min(x + word, w * 0.88)
            y = int(top + line * size * 1.6)
            cv2.rectangle(
                image, (int(x), y), (int(end), int(y + size)), ink.tolist(), -1
            )
            x = end + w * 0.06
    return image


def make_bowl(rng):
    r = rng.uniform(0.055, 0.095)
    kind = rng.choice(["round", "flared", "straight", "wide"])
    h = (
        r
        * {
            "round": rng.uniform(0.75, 0.95),
            "flared": rng.uniform(0.6, 0.8),
            "straight": rng.uniform(0.55, 0.75),
            "wide": rng.uniform(0.42, 0.55),
        }[kind]
    )
    foot, t = r * rng.uniform(0.38, 0.5), rng.uniform(0.003, 0.005)
    side = {
        "round": [(0.75, 0.15), (0.97, 0.5), (1, 0.8)],
        "flared": [(0.55, 0.15), (0.75, 0.5), (0.85, 0.8)],
        "straight": [(0.85, 0.08), (0.97, 0.2), (0.98, 0.7)],
        "wide": [(0.7, 0.12), (0.9, 0.5), (0.96, 0.8)],
    }[kind]
    side = [(r * x, h * z) for x, z in side]
    lift = h * rng.choice([0.04, 0.12])
    outer = smooth(
        [
            (0, 0.002),
            (foot * 0.8, 0.002),
            (foot * 0.95, 0),
            (foot, 0),
            (foot, lift),
            *side,
            (r, h),
        ]
    )
    inner = smooth(
        [
            (r - t, h),
            *[(x - t, max(z, lift + t)) for x, z in side[::-1]],
            (foot * 0.8, lift + t * 0.6),
            (0, lift + t * 0.6),
        ]
    )
    grid = revolve(np.concatenate([outer, [(r - t / 2, h + t / 2)], inner]), 56)
    texture, a, b = vessel_texture(rng, grid, len(outer), 3.0)
    gloss = coated(rng)
    if rng.random() < 0.15:
        texture = wood(rng, (128, 256), 40)
        gloss = "satin"
    parts = [part(grid, texture, gloss)]
    if rng.random() < 0.25:
        level = h * rng.uniform(0.55, 0.85)
        radius = np.interp(level, inner[::-1, 1], inner[::-1, 0]) + 0.001
        parts.append(dict(liquid(rng, radius, level), upright_only=True))
    return parts, inner[::-1]


def make_apple(rng):
    r = rng.uniform(0.033, 0.042)
    t = np.linspace(0, np.pi, 40)
    tall, waist = rng.uniform(0.82, 1.0), rng.uniform(0.03, 0.14)
    x = r * np.sin(t) * (1 - waist * np.cos(t))
    z = -r * tall * np.cos(t)
    top = r * rng.uniform(0.3, 0.42)
    z -= np.where(t > np.pi / 2, top * np.exp(-((x / (0.38 * r)) ** 2)), 0)
    z += np.where(t < np.pi / 2, 0.22 * r * np.exp(-((x / (0.3 * r)) ** 2)), 0)
    grid = revolve(np.stack([x, z], 1))
    phi = np.linspace(0, 2 * np.pi, grid.shape[1])
    lobes = 1 + 0.035 * np.cos(5 * phi) * np.clip(np.cos(t), 0, 1)[:, None] ** 0.7
    lobes = lobes + rng.uniform(0, 0.025) * np.cos(phi + rng.uniform(0, 6))
    grid[..., :2] *= lobes[..., None]
    shape = (128, 256)
    u, v = coords(shape)
    base, blush = [
        (rgb(0.12, 0.65, 0.85), rgb(-0.01, 0.85, 0.65)),  # red on yellow
        (rgb(0.0, 0.85, 0.6), rgb(-0.03, 0.9, 0.35)),  # dark red
        (rgb(0.24, 0.65, 0.7), rgb(0.2, 0.55, 0.8)),  # green
        (rgb(0.14, 0.6, 0.88), rgb(0.07, 0.6, 0.85)),  # yellow
        (rgb(0.2, 0.55, 0.78), rgb(0.0, 0.7, 0.7)),  # green with a red cheek
        (rgb(0.1, 0.4, 0.85), rgb(-0.04, 0.6, 0.75)),  # pink
        (rgb(0.1, 0.6, 0.55), rgb(0.07, 0.6, 0.4)),  # russet
    ][rng.integers(7)]
    base, blush = [
        rgb(
            *(np.array(colorsys.rgb_to_hsv(*c)) * rng.uniform(0.88, 1.08, 3)).clip(
                0, 0.97
            )
        )
        for c in (base, blush)
    ]
    cheek = 0.5 + 0.5 * np.cos(2 * np.pi * (u - rng.random()))
    streak = noise(rng, shape, (2, 40), 2) - 0.5
    t = np.clip(
        cheek * rng.uniform(0.5, 1.4) + rng.uniform(-0.35, 0.3) + 0.7 * streak, 0, 1
    )
    texture = mix(base, blush, t)
    texture = mix(texture, rgb(0.17, 0.5, 0.5), 0.8 * step(v - 0.93, 0.08))
    spots = step(noise(rng, shape, (50, 100), 1) - 0.85, 0.1)
    texture = mix(texture, rgb(0.12, 0.3, 0.9), 0.35 * spots)
    gloss = str(rng.choice(["plastic", "satin", "matte"], p=[0.35, 0.5, 0.15]))
    parts = [part(grid, texture, gloss)]
    z0 = z[-1]
    s = np.linspace(0, 1, 8)
    length, bend = rng.uniform(0.6, 1.0) * r * 0.75, rng.uniform(-0.3, 0.3) * r
    stem = sweep(
        np.stack([bend * s**2, z0 - 0.002 + length * s], 1),
        np.interp(s, [0, 0.8, 1], [0.0013, 0.0013, 0.0021]),
        8,
    )
    brown = rgb(0.08, rng.uniform(0.4, 0.6), rng.uniform(0.2, 0.4))
    parts.append(part(stem, plain(brown), "matte"))
    if rng.random() < 0.2:  # a leaf at the stem
        s, w = np.meshgrid(np.linspace(0, 1, 9), np.linspace(-1, 1, 5), indexing="ij")
        long = rng.uniform(0.6, 0.9) * r
        leaf = np.stack(
            [
                0.1 * r + long * s,
                w * 0.3 * long * np.sin(np.pi * s) ** 0.8,
                z0
                + 0.5 * length
                + long * (0.7 * s - 0.8 * s * s)
                + 0.08 * long * np.abs(w),
            ],
            -1,
        )
        parts.append(part(leaf, plain(rgb(0.28, 0.7, rng.uniform(0.3, 0.55))), "satin"))
    return parts, None


def make_banana(rng):
    length, thick = rng.uniform(0.155, 0.2), rng.uniform(0.0155, 0.0195)
    bend = np.radians(rng.uniform(32, 58))
    arc = length / (2 * bend)
    s = np.linspace(0, 1, 44)
    angle = (2 * s - 1) * bend
    path = np.stack([arc * np.sin(angle), arc * np.cos(angle) - arc], 1)
    radius = thick * np.interp(
        s,
        [0, 0.03, 0.1, 0.17, 0.3, 0.5, 0.7, 0.86, 0.95, 0.98, 1],
        [0.34, 0.33, 0.32, 0.55, 0.9, 1, 0.94, 0.7, 0.36, 0.24, 0.2],
    )
    radius = np.convolve(np.pad(radius, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    grid = sweep(path, radius, 20, corners=rng.uniform(0.04, 0.07))
    shape = (256, 96)
    u, v = coords(shape)
    skin = [
        rgb(0.145, 0.75, 0.88),
        rgb(0.155, 0.65, 0.85),
        rgb(0.2, 0.65, 0.72),
        rgb(0.24, 0.65, 0.58),
        rgb(0.115, 0.7, 0.68),
        rgb(0.1, 0.55, 0.5),
    ][rng.choice(6, p=[0.32, 0.24, 0.16, 0.14, 0.09, 0.05])] * rng.uniform(0.85, 1.05)
    ridge = 0.5 + 0.5 * np.cos(10 * np.pi * u)
    texture = mix(skin, skin * 0.82, 0.6 * ridge**4)
    ends = step(np.abs(v - 0.5) - rng.uniform(0.3, 0.42), 0.15)
    texture = mix(
        texture, rgb(0.2, 0.6, 0.6) if skin[0] > 0.6 else skin * 0.8, 0.6 * ends
    )
    brown = rgb(0.07, 0.6, rng.uniform(0.12, 0.28))
    if rng.random() < 0.65:
        spots = noise(rng, shape, (40, 12), 2) - rng.uniform(0.55, 0.85)
        texture = mix(texture, brown, 0.8 * step(spots, 0.1))
    tip = step(np.maximum(0.035 - v, v - 0.955), 0.02)
    texture = mix(texture, brown * 0.7, tip)
    return [part(grid, texture, str(rng.choice(["satin", "matte"])))], None


def make_ball(rng):
    r = rng.uniform(0.026, 0.055) if rng.random() < 0.75 else rng.uniform(0.06, 0.105)
    t = np.linspace(0, np.pi, 33)
    grid = revolve(np.stack([r * np.sin(t), -r * np.cos(t)], 1))
    shape = (160, 320)
    u, v = coords(shape)
    lon, lat = 2 * np.pi * u, np.pi * v
    d = np.stack(
        [np.sin(lat) * np.cos(lon), np.sin(lat) * np.sin(lon), -np.cos(lat)], -1
    )
    x, y, z = np.moveaxis(d, -1, 0)
    a = any_color(rng)
    b = contrast_color(rng, a)
    white = rgb(0.1, 0.03, 0.92)
    dark = rgb(rng.random(), 0.3, 0.12)
    gloss = coated(rng)
    kind = rng.choice(
        [
            "plain",
            "stripe",
            "halves",
            "beach",
            "basket",
            "tennis",
            "soccer",
            "dots",
            "swirl",
        ],
        p=[0.1, 0.14, 0.1, 0.14, 0.14, 0.12, 0.1, 0.08, 0.08],
    )
    if kind == "plain":
        texture = plain(a)
    elif kind == "stripe":
        wide = rng.uniform(0.12, 0.4)
        texture = mix(a, b, step(wide - np.abs(z), 0.03))
        texture = mix(
            texture,
            white,
            step(0.05 - np.abs(np.abs(z) - wide), 0.03) * rng.integers(2),
        )
    elif kind == "halves":
        texture = mix(a, b, step(z, 0.03))
    elif kind == "beach":
        colors = [a, white, b, white, any_color(rng), white]
        if rng.random() < 0.4:
            colors = [a, b, any_color(rng)] * 2
        texture = np.array(colors, np.float32)[np.floor(u * 6).astype(int) % 6]
        texture = mix(texture, white, step(np.abs(z) - 0.95, 0.02))
    elif kind == "basket":
        base = a if rng.random() < 0.5 else rgb(rng.uniform(0.03, 0.08), 0.8, 0.75)
        curve = np.abs(np.abs(y) - 0.5 - 0.25 * x * x)
        line = np.minimum(np.minimum(np.abs(x), np.abs(z)), curve)
        texture = mix(
            base, dark if base.mean() > 0.25 else white, step(0.045 - line, 0.03)
        )
        gloss = str(rng.choice(["matte", "satin"]))
    elif kind == "tennis":
        base = a if rng.random() < 0.6 else rgb(0.19, 0.7, 0.85)
        seam = np.abs(z - 0.55 * np.sin(2 * lon) * np.sqrt(1 - 0.5 * z * z))
        texture = mix(
            base, white if base.min() < 0.6 else dark, step(0.07 - seam, 0.05)
        )
        gloss = "matte"
    elif kind == "soccer":
        g = (1 + 5**0.5) / 2
        ico = np.array([(0, i, j * g) for i in (1, -1) for j in (1, -1)], float)
        ico = np.concatenate([np.roll(ico, k, 1) for k in range(3)])
        ico /= np.linalg.norm(ico[0])
        face = np.array(
            [(i, j, k) for i in (1, -1) for j in (1, -1) for k in (1, -1)], float
        )
        more = np.array([(0, i / g, j * g) for i in (1, -1) for j in (1, -1)])
        more = np.concatenate([face, *[np.roll(more, k, 1) for k in range(3)]])
        more = more / 3**0.5
        near5, near6 = d @ ico.T, np.sort(d @ more.T, -1)
        pent = near5.max(-1) - near6[..., -1] - 0.005
        seam = np.minimum(np.abs(near6[..., -1] - near6[..., -2]), np.abs(pent) + 0.03)
        light, patch = (white, dark) if rng.random() < 0.5 else (a, b)
        texture = mix(light, light * 0.45, step(0.02 - seam, 0.02))
        texture = mix(texture, patch, step(pent, 0.03))
    elif kind == "dots":
        spot = rng.normal(size=(24, 3))
        spot /= np.linalg.norm(spot, axis=1, keepdims=True)
        texture = mix(a, b, step((d @ spot.T).max(-1) - rng.uniform(0.93, 0.97), 0.01))
    else:
        wave = np.sin(6 * z + 9 * noise(rng, shape, (3, 4), 2) + np.sin(lon))
        texture = mix(a, b, step(wave, 0.5))
    return [part(grid, texture, gloss)], None


def make_book(rng):
    w, h = rng.uniform(0.105, 0.16), rng.uniform(0.155, 0.22)
    thick = rng.uniform(0.014, 0.045)
    hard = rng.random() < 0.65
    board, lip = (0.0026, 0.0035) if hard else (0.0009, 0.0002)
    a = any_color(rng)
    b = contrast_color(rng, a)
    spine_color = a if rng.random() < 0.7 else b
    cell = (144, 108)
    front = label(rng, cell, a, b)
    flat = np.broadcast_to(a, cell + (3,))
    back = flat if rng.random() < 0.5 else label(rng, cell, a, contrast_color(rng, a))
    side = np.broadcast_to(spine_color, cell + (3,)).copy()
    if rng.random() < 0.7:  # title and bands on the spine
        ink = contrast_color(rng, spine_color)
        n = int(cell[1] * rng.uniform(0.3, 0.5))
        side[40:104, n : n + int(cell[1] * 0.35)] = ink
        side[:, 10:16] = side[:, -16:-10] = ink
    front, back = front[::-1], back[::-1]
    gloss = coated(rng)
    edge = 0.001 if hard else 0.0004
    spine = atlas([flat, side, flat, flat, flat, flat])
    parts = [
        rounded_box(
            (w, h, board),
            edge,
            (0, 0, (thick - board) / 2),
            atlas([flat, flat, flat, flat, front, flat]),
            gloss,
        ),
        rounded_box(
            (w, h, board),
            edge,
            (0, 0, (board - thick) / 2),
            atlas([flat, flat, flat, flat, flat, back]),
            gloss,
        ),
        rounded_box((board * 1.5, h, thick), edge * 1.5, (-w / 2, 0, 0), spine, gloss),
    ]
    paper = rgb(0.11, rng.uniform(0.03, 0.3), rng.uniform(0.72, 0.95))
    lines = noise(rng, cell, (60, 2), 1)
    sheets = mix(paper, paper * 0.72, lines)
    parts.append(
        rounded_box(
            (w - lip, h - 2 * lip, thick - 2 * board + 0.0002),
            0.0004,
            (-lip / 2, 0, 0),
            atlas([sheets] * 6),
            "matte",
        )
    )
    return parts, None


def make_donut(rng):
    big, r = rng.uniform(0.025, 0.031), rng.uniform(0.0135, 0.0175)
    flat = rng.uniform(0.78, 0.98)
    s = np.linspace(-np.pi, np.pi, 29)
    grid = revolve(np.stack([big + r * np.cos(s), flat * r * np.sin(s)], 1), 56)
    shape = (96, 192)
    _, v = coords(shape)
    dough = [
        rgb(0.09, 0.6, 0.75),
        rgb(0.08, 0.65, 0.6),
        rgb(0.06, 0.6, 0.28),
        rgb(0.1, 0.5, 0.8),
        rgb(0.02, 0.7, 0.5),
        rgb(0.25, 0.4, 0.6),
    ][rng.choice(6, p=[0.3, 0.25, 0.2, 0.15, 0.05, 0.05])]
    dough = dough * rng.uniform(0.85, 1.1)
    texture = mix(dough * 0.85, np.minimum(dough * 1.1, 1), noise(rng, shape, (8, 16)))
    ring = step(0.035 - np.abs(np.abs(v - 0.5) - 0.04), 0.05)  # pale line of frying
    texture = mix(texture, np.minimum(dough * 0.6 + 0.38, 1), 0.5 * ring)
    kind = rng.choice(
        ["iced", "sprinkles", "drizzle", "sugar"], p=[0.3, 0.38, 0.2, 0.12]
    )
    if kind == "sugar":
        texture = mix(
            texture,
            rgb(0, 0, 0.95),
            0.8 * step(noise(rng, shape, (40, 80), 1) - 0.5, 0.3),
        )
        return [part(grid, texture, "matte")], None
    parts = [part(grid, texture, "matte")]
    ice = any_color(rng)
    taste = rng.random()
    if taste < 0.3:  # chocolate
        ice = rgb(0.05, rng.uniform(0.5, 0.7), rng.uniform(0.2, 0.35))
    elif taste < 0.5:  # strawberry
        ice = rgb(
            rng.uniform(0.88, 0.98), rng.uniform(0.3, 0.6), rng.uniform(0.8, 0.95)
        )
    elif taste < 0.65:  # sugar
        ice = rgb(0.1, rng.uniform(0, 0.1), rng.uniform(0.85, 0.95))
    phi = np.linspace(0, 2 * np.pi, 57)
    wave = [
        sum(
            rng.uniform(0, 0.13) * np.sin(k * phi + rng.uniform(0, 6))
            for k in (2, 3, 5, 7)
        )
        for _ in range(2)
    ]
    start = -rng.uniform(-0.1, 0.3) + wave[0]
    stop = np.pi + rng.uniform(-0.1, 0.2) + 0.6 * wave[1]
    t = np.linspace(0, 1, 22)[:, None]
    angle = start + (stop - start) * t
    layer = r - 0.0006 + 0.0021 * np.minimum(1, 5 * np.sin(np.pi * t)) + 0 * phi
    ring = big + layer * np.cos(angle)
    icing = np.stack(
        [ring * np.cos(phi), ring * np.sin(phi), flat * layer * np.sin(angle)], -1
    )
    skin = plain(ice)
    if kind == "drizzle":
        u, v = coords(shape)
        n = int(rng.integers(9, 16))
        line = np.sin(2 * np.pi * (n * u + 0.35 * np.sin(2 * np.pi * v)))
        skin = mix(ice, contrast_color(rng, ice), step(line - 0.5, 0.3))
    parts.append(part(icing, skin, str(rng.choice(["plastic", "satin"]))))
    if kind == "sprinkles":
        n = int(rng.integers(25, 70))
        octa = np.array(
            [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
        ) * [0.0032, 0.0011, 0.0011]
        face = np.array(
            [
                (0, 2, 4),
                (2, 1, 4),
                (1, 3, 4),
                (3, 0, 4),
                (2, 0, 5),
                (1, 2, 5),
                (3, 1, 5),
                (0, 3, 5),
            ]
        )
        p, q = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.45, np.pi - 0.45, n)
        normal = np.stack([np.cos(q) * np.cos(p), np.cos(q) * np.sin(p), np.sin(q)], 1)
        at = np.stack([big * np.cos(p), big * np.sin(p), 0 * p], 1)
        at += normal * (r + 0.0016) * [1, 1, flat]
        along = np.cross(normal, rng.normal(size=(n, 3)))
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        frame = np.stack([along, np.cross(normal, along), normal], 1)
        v = at[:, None] + octa @ frame
        f = face + 6 * np.arange(n)[:, None, None]
        u = np.repeat((rng.integers(0, 6, n) + 0.5) / 6, 6)
        palette = np.array([[any_color(rng) for _ in range(6)]])
        if rng.random() < 0.3:
            palette[:] = contrast_color(rng, ice)
        parts.append(
            {
                "v": v.reshape(-1, 3),
                "f": f.reshape(-1, 3),
                "gloss": "matte",
                "uv": np.stack([u, u * 0 + 0.5], 1),
                "texture": palette,
            }
        )
    return parts, None


MAKERS = {
    "mug": make_mug,
    "bottle": make_bottle,
    "bowl": make_bowl,
    "apple": make_apple,
    "banana": make_banana,
    "ball": make_ball,
    "book": make_book,
    "donut": make_donut,
}

# How often each object takes which pose. Only things by the wall can lean.
POSES = {
    "mug": {"up": 0.88, "side": 0.08, "down": 0.04},
    "bottle": {"up": 0.84, "side": 0.16},
    "bowl": {"up": 0.92, "down": 0.08},
    "apple": {"up": 0.8, "roll": 0.2},
    "banana": {"flat": 0.85, "arch": 0.15},
    "ball": {"roll": 1.0},
    "book": {"up": 0.78, "stand": 0.14, "lean": 0.08},
    "donut": {"up": 0.86, "down": 0.04, "lean": 0.1},
}


def rotation(axis, angle):
    """3 x 3 matrix of a turn by `angle` radians about coordinate axis 0, 1 or 2."""
    c, s = np.cos(angle), np.sin(angle)
    m = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
    return m


def pose_matrix(name, pose, roll, profile):
    """Turn that brings an object from its own frame into a resting pose.

    roll (radians) is the free angle of the pose.
    """
    if pose == "down":
        return rotation(0, np.pi)
    if pose == "side":
        # Lying on its widest line: the hull edge of the profile below the middle.
        r, z = profile.T
        mid = z.max() * 0.45
        low, high = np.where(z <= mid)[0], np.where(z > mid)[0]
        run = z[high][None] - z[low][:, None]
        slope = (r[high][None] - r[low][:, None]) / run
        height = r[low][:, None] + slope * (mid - z[low][:, None])
        k = np.unravel_index(height.argmax(), height.shape)
        return rotation(0, np.pi / 2 - np.arctan(slope[k])) @ rotation(2, roll)
    if pose == "roll":
        tilt = 0.5 * roll if name == "apple" else 2 * roll
        return rotation(0, tilt) @ rotation(2, 5 * roll)
    if pose == "flat":
        return rotation(0, np.pi / 2)
    if pose == "stand":
        return rotation(0, np.pi / 2)
    if pose == "lean":
        return rotation(0, np.pi / 2 - (0.2 + 0.06 * roll))
    return np.eye(3)


@functools.lru_cache(maxsize=8)
def make(name, seed):
    """Parts and profile of one object in its own frame."""
    return MAKERS[name](np.random.default_rng(seed))


def build(item):
    """Parts of a described object, turned and scaled; centre at x = y = 0, z >= 0."""
    parts, profile = make(item["name"], item["seed"])
    upright = item["pose"] == "up"
    parts = [dict(p) for p in parts if upright or not p.get("upright_only")]
    turn = rotation(2, item["yaw"]) @ pose_matrix(
        item["name"], item["pose"], item["roll"], profile
    )
    for p in parts:
        p["v"] = item["scale"] * p["v"] @ turn.T
    every = np.concatenate([p["v"] for p in parts])
    low, high = every.min(0), every.max(0)
    for p in parts:
        p["v"] = p["v"] - [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]
    if item["name"] == "bowl" and upright:
        profile = item["scale"] * profile + [0, -low[2]]
    return parts, profile


# ------------------------------------------------------------------ table, wall, light


def wood_color(rng):
    """Brown of a wood, now and then grey."""
    if rng.random() < 0.15:
        return rgb(0.09, rng.uniform(0.03, 0.15), rng.uniform(0.45, 0.85))
    return rgb(
        rng.uniform(0.055, 0.105), rng.uniform(0.25, 0.65), rng.uniform(0.3, 0.85)
    )


def wood(rng, shape, cells):
    """Wood grain along the columns; cells = number of growth lines over the rows."""
    base = wood_color(rng)
    warp = noise(rng, shape, (cells / 8, 2), 2)
    rows = np.linspace(0, cells, shape[0], dtype=np.float32)[:, None]
    ring = 0.5 + 0.5 * np.sin(rows + 14 * warp)
    fibre = noise(rng, shape, (cells * 3, 6), 2)
    return mix(
        base,
        base * rng.uniform(0.5, 0.75),
        (rng.uniform(0.1, 0.4) * ring + 0.5 * fibre) * rng.uniform(0.6, 1.0),
    )


def tiles(rng, shape, size, brick):
    """Tiles or bricks of `size` (rows, cols) texels, with grout between."""
    rows, cols = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    r = np.floor(rows / size[0])
    cols = cols + 0.5 * size[1] * (r % 2) * brick
    c = np.floor(cols / size[1])
    base = surface_color(rng)
    if brick and rng.random() < 0.5:
        base = rgb(
            rng.uniform(0.01, 0.07), rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.7)
        )
    tone = rng.uniform(0.85, 1.08, (400, 400)).astype(np.float32)
    tone = tone[r.astype(int) % 400, c.astype(int) % 400]
    if not brick and rng.random() < 0.3:  # chess board of two colours
        other = contrast_color(rng, base, surface_color)
        image = mix(base, other, (r + c) % 2)
    else:
        image = np.broadcast_to(base, shape + (3,))
    image = image * tone[..., None] * mix(0.9, 1.05, noise(rng, shape, (40, 40)))
    gap = max(1.5, 0.03 * min(size))
    y, x = rows % size[0], cols % size[1]
    edge = np.minimum(np.minimum(y, size[0] - y), np.minimum(x, size[1] - x))
    grout = rgb(0.1, rng.uniform(0, 0.15), rng.uniform(0.25, 0.9))
    return mix(image, grout, step(gap / 2 - edge, 1.5))


def surface_texture(rng, kind, texel):
    """Square texture of a table top or wall; texel: size of one texel in metres."""
    n = 768
    shape = (n, n)
    cm = 0.01 / texel  # texels in a centimetre
    rows, cols = np.mgrid[0:n, 0:n].astype(np.float32)
    if kind == "planks":
        wide = max(16, rng.uniform(7, 18) * cm)
        image = wood(rng, shape, min(400, n / cm / 0.5))
        r = np.floor(rows / wide).astype(int)
        tone = rng.uniform(0.84, 1.08, r.max() + 1)[r].astype(np.float32)
        shift = rng.integers(0, n, r.max() + 1)[r]
        image = image[rows.astype(int), (cols.astype(int) + shift) % n]
        y = rows % wide
        edge = np.minimum(y, wide - y)
        image = mix(image * tone[..., None], image * 0.3, 0.8 * step(1.3 - edge, 1.5))
    elif kind == "wood":
        image = wood(rng, shape, min(300, n / cm / 1.2))
    elif kind == "cloth":
        a = surface_color(rng) if rng.random() < 0.5 else rgb(0.1, 0.08, 0.9)
        b = contrast_color(rng, a, any_color if rng.random() < 0.25 else surface_color)
        pitch = rng.uniform(1.5, 6) * cm
        style = rng.integers(5)
        image = np.broadcast_to(a, shape + (3,))
        line_r, line_c = np.sin(np.pi * rows / pitch), np.sin(np.pi * cols / pitch)
        if style == 0:  # gingham
            image = mix(a, b, 0.5 * step(line_r, 0.3) + 0.5 * step(line_c, 0.3))
        elif style == 1:
            image = mix(a, b, step(line_r - rng.uniform(-0.3, 0.8), 0.3))
        elif style == 2:
            image = mix(a, b, step(line_r * line_c - rng.uniform(0.6, 0.85), 0.15))
        elif style == 3:  # fine double lines
            image = mix(
                a,
                b,
                np.maximum(
                    step(np.abs(line_r) - 0.93, 0.1), step(np.abs(line_c) - 0.93, 0.1)
                ),
            )
        weave = 0.5 + 0.25 * (
            np.sin(2 * np.pi * rows / 3.1) + np.sin(2 * np.pi * cols / 3.3)
        )
        folds = noise(rng, shape, (4, 4), 2)
        image = image * mix(0.82, 1.06, 0.5 * weave + 0.5 * folds)
    elif kind in ("tile", "brick"):
        size = rng.uniform(4, 16) * cm
        ratio = rng.choice([1.0, 1.0, 2.0]) if kind == "tile" else rng.uniform(2, 3.2)
        image = tiles(
            rng, shape, (max(size, 14), max(size, 14) * ratio), kind == "brick"
        )
    elif kind == "marble":
        base = rgb(
            rng.uniform(0.05, 0.65), rng.uniform(0, 0.15), rng.uniform(0.12, 0.92)
        )
        other = base * 0.5 if base.mean() > 0.45 else base * 0.5 + 0.42
        image = mix(base, base * 0.8, noise(rng, shape, (5, 5), 4))
        for w in (0.03, 0.015):
            vein = np.abs(noise(rng, shape, (4, 4), 5) - rng.uniform(0.4, 0.6))
            image = mix(image, other, 0.7 * np.clip(1 - vein / w, 0, 1))
    elif kind == "terrazzo":
        base = rgb(rng.random(), rng.uniform(0, 0.15), rng.uniform(0.35, 0.9))
        image = np.broadcast_to(base, shape + (3,)).astype(np.float32).copy()
        chips = [contrast_color(rng, base) for _ in range(4)]
        for _ in range(1100):
            at = rng.uniform(0, n, 2)
            q = at + rng.normal(size=(5, 2)) * max(1.5, rng.uniform(0.15, 0.6) * cm)
            q = cv2.convexHull(q.astype(np.float32)).astype(np.int32)
            cv2.fillConvexPoly(image, q, chips[rng.integers(4)].tolist())
    elif kind == "speckle":  # granite, laminate
        base = rgb(
            rng.uniform(0.04, 0.65), rng.uniform(0, 0.16), rng.uniform(0.2, 0.85)
        )
        grain = noise(rng, shape, (n / 3, n / 3), 1)
        patch = noise(rng, shape, (n / 20, n / 20), 2)
        image = mix(base * 0.75, np.minimum(base * 1.2, 1), 0.7 * grain + 0.3 * patch)
    elif kind == "stripes":  # wallpaper
        a = rgb(rng.random(), rng.uniform(0.05, 0.4), rng.uniform(0.5, 0.92))
        b = contrast_color(rng, a) * 0.4 + a * 0.6
        pitch = rng.uniform(2, 8) * cm
        t = step(np.sin(np.pi * cols / pitch) - rng.uniform(-0.3, 0.6), 0.3)
        if rng.random() < 0.35:
            t = t * step(np.sin(np.pi * rows / pitch) - 0.2, 0.3)
        image = mix(a, b, t)
    else:  # painted
        base = surface_color(rng)
        image = base * mix(0.9, 1.05, noise(rng, shape, (5, 5), 4))
    return np.clip(image, 0, 1)


TABLES = ("planks", "wood", "cloth", "tile", "marble", "terrazzo", "speckle", "painted")
TABLE_SHARES = (0.1, 0.21, 0.13, 0.09, 0.11, 0.05, 0.13, 0.18)
WALLS = ("painted", "tile", "brick", "stripes", "planks", "painted")


def room_light(light):
    """Light from all around as an image (96, 192, 3), row 0 straight up.

    Column c looks along azimuth 2 pi c / 192 from +x towards +y. Seen past the table's
    edge it is also the out of focus room.
    """
    rng = np.random.default_rng(light["seed"])
    shape = (96, 192)
    u, v = coords(shape)
    height = np.sin(np.pi * (0.5 - v))
    tint = np.array(light["tint"])
    wall = any_color(rng) * 0.2 + 0.55
    floor = any_color(rng) * 0.12 + wood_color(rng) * 0.4
    image = mix(wall * 0.8, np.array([1.0, 1.0, 1.0]), step(height - 0.45, 0.5))
    image = mix(image, floor * 0.6, step(-0.12 - height, 0.1))
    for _ in range(40):  # furniture, doors, rugs
        c, w = rng.uniform(0, 1), rng.uniform(0.01, 0.06)
        low, high = sorted(rng.uniform(-0.8, 0.55, 2))
        inside = (
            step(w - np.abs((u - c + 0.5) % 1 - 0.5), 0.01)
            * step(height - low, 0.03)
            * step(high - height, 0.03)
        )
        image = mix(image, any_color(rng) * rng.uniform(0.2, 1.1), 0.85 * inside)
    image = cv2.GaussianBlur(image, (0, 0), 0.9, borderType=cv2.BORDER_REPLICATE)
    image = image * (0.7 + 0.3 * np.clip(height[..., None] + 0.3, 0, 1)) * light["fill"]
    image = image * (0.5 + 0.5 * tint)
    for lamp in light["lamps"]:
        du = ((u - lamp["azimuth"] / (2 * np.pi) + 0.5) % 1 - 0.5) * 2 * np.pi
        dv = np.pi * (0.5 - v) - lamp["elevation"]
        du = du * np.cos(lamp["elevation"])
        w, h = lamp["size"]
        pixel = 2 * np.pi / shape[1]
        cover = step(w / 2 - np.abs(du), pixel) * step(h / 2 - np.abs(dv), pixel)
        if lamp["size"][0] > 0.25:  # glazing bars of a window
            cover = cover * (1 - 0.9 * step(0.03 - np.abs(du), pixel / 2))
        total = (cover * np.cos(np.pi * (0.5 - v))).sum() * pixel**2
        image = image + cover[..., None] * tint * lamp["power"] / max(total, 1e-4)
    return image.astype(np.float32)


# ------------------------------------------------------------------------ scene layout


def camera_frame(camera):
    """Position (3,), axes (right, down, forward) as rows, focal length in pixels."""
    e, a = camera["elevation"], camera["azimuth"]
    forward = np.array([-np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), -np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    down = np.cross(forward, right)
    c, s = np.cos(camera["roll"]), np.sin(camera["roll"])
    right, down = c * right + s * down, c * down - s * right
    focal = WIDTH / 2 / np.tan(camera["fov"] / 2)
    return -forward * camera["distance"], np.stack([right, down, forward]), focal


def project(points, camera):
    """Pixel coordinates (n, 2) and depth in metres (n,) of points (n, 3)."""
    position, axes, focal = camera_frame(camera)
    x, y, depth = ((points - position) @ axes.T).T
    safe = np.maximum(depth, 1e-3)
    return np.stack(
        [WIDTH / 2 + focal * x / safe, HEIGHT / 2 + focal * y / safe], 1
    ), depth


def on_table(pixel, camera):
    """Point of the table (x, y) that a pixel sees, or None above the horizon."""
    position, axes, focal = camera_frame(camera)
    ray = np.array([(pixel[0] - WIDTH / 2) / focal, (pixel[1] - HEIGHT / 2) / focal, 1])
    ray = ray @ axes
    if ray[2] > -0.03:
        return None
    return (position - ray * position[2] / ray[2])[:2]


def draw_surroundings(rng, camera, view):
    """Table, wall or open room, light; view = metres seen across the centre."""
    wall = bool(rng.random() < 0.6)
    edge = float(view * rng.uniform(0.3, 0.9) + 0.06)
    light = {"seed": int(rng.integers(2**31)), "lamps": []}
    kind = rng.choice(
        ["window", "sun", "lamp", "overcast", "two"], p=[0.36, 0.2, 0.14, 0.12, 0.18]
    )
    warm = rng.normal(0, 1)
    light["tint"] = [
        float(x) for x in (1 + 0.16 * warm, 1 + 0.02 * warm, 1 - 0.2 * warm)
    ]
    light["tint"] = [min(max(x, 0.5), 1.5) for x in light["tint"]]
    light["fill"] = float(rng.uniform(0.15, 0.45))
    n = {"overcast": 0, "two": 2}.get(kind, 1)
    for _ in range(n):
        azimuth = np.pi * (rng.uniform(-1.15, 0.15) if wall else rng.uniform(0, 2))
        size = rng.uniform(0.35, 0.9, 2)
        if kind == "sun":
            size = rng.uniform(0.07, 0.1, 2)
        elif kind == "lamp":
            size = np.full(2, rng.uniform(0.12, 0.3))
        light["lamps"].append(
            {
                "azimuth": float(azimuth),
                "size": [float(x) for x in size],
                "elevation": float(np.radians(rng.uniform(25, 72))),
                "power": float(rng.uniform(1.2, 4.0) * light["fill"] / 0.3 / n**0.5),
            }
        )
    if kind == "overcast":
        light["fill"] = 1.0
    return {
        "wall": wall,
        "edge": edge,
        "light": light,
        "table": {
            "kind": str(rng.choice(TABLES, p=TABLE_SHARES)),
            "seed": int(rng.integers(2**31)),
            "texel": float(np.clip(view / 240, 0.0006, 0.01)),
            "turn": float(rng.choice([0, 0.5]) * np.pi),
            "gloss": str(rng.choice(["matte", "satin"], p=[0.65, 0.35])),
        },
        "backdrop": {
            "kind": str(rng.choice(WALLS)),
            "seed": int(rng.integers(2**31)),
            "texel": float(np.clip(view / 200, 0.0006, 0.01)),
        },
        "exposure": float(
            rng.choice(
                [rng.uniform(0.2, 0.38), rng.uniform(0.07, 0.12)], p=[0.94, 0.06]
            )
        ),
        "balance": float(rng.uniform(0.3, 1.0)),
    }


def draw_item(rng, name):
    """One object without its place: shape seed, pose, turn and size factor."""
    poses = POSES[name]
    pose = str(rng.choice(list(poses), p=list(poses.values())))
    roll = rng.uniform(-0.3, np.pi + 0.3) if name == "mug" else rng.uniform(0, np.pi)
    if name == "bottle":
        roll = rng.uniform(-0.3, 0.3) + rng.choice([0, np.pi])
    yaw = rng.uniform(0, 2 * np.pi)
    if name == "mug" and pose == "up" and rng.random() < 0.8:
        yaw = rng.normal(0, 0.6) + rng.choice([0, np.pi])  # handle to be seen
    if pose == "lean" or (pose == "stand" and rng.random() < 0.5):
        yaw = 0.0 if pose == "lean" else rng.normal(0, 0.4)
    return {
        "name": name,
        "seed": int(rng.integers(2**31)),
        "pose": pose,
        "roll": float(roll),
        "yaw": float(yaw),
        "scale": float(rng.uniform(0.88, 1.12)),
        "x": 0.0,
        "y": 0.0,
        "z": 0.0,
    }


def vertices(parts):
    """All vertices of some parts, (n, 3)."""
    return np.concatenate([p["v"] for p in parts])


def footprint(points, gap=0.0):
    """Convex outline on the table, grown by about `gap` metres, float32 (n, 1, 2)."""
    hull = cv2.convexHull(points[:, :2].astype(np.float32))[:, 0]
    out = hull - hull.mean(0)
    out = out * (1 + gap / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-4))
    return (hull.mean(0) + out)[:, None].astype(np.float32)


def clashes(points, placed, ignore):
    """True if the points' prism meets that of an object already placed."""
    mine = footprint(points, 0.003)
    for k, other in enumerate(placed):
        low, high = other[:, 2].min(), other[:, 2].max()
        if k == ignore or points[:, 2].min() > high or points[:, 2].max() < low:
            continue
        if cv2.intersectConvexConvex(mine, footprint(other, 0.003))[0] > 0:
            return True
    return False


def place(rng, item, scene, points, placed, bowls, single, crowded, cut):
    """Choose the item's x, y, z; returns False if no good place is found."""
    camera = scene["camera"]
    size = np.linalg.norm(np.ptp(points, axis=0)[:2])
    for _ in range(30):
        support, z = None, 0.0
        margin = 12 if single else 4
        xy = on_table(
            (rng.uniform(margin, WIDTH - margin), rng.uniform(margin, HEIGHT - margin)),
            camera,
        )
        if placed and rng.random() < 0.35:
            k = int(rng.integers(len(placed)))
            other, base = scene["objects"][k], placed[k]
            middle = (base.min(0) + base.max(0))[:2] / 2
            away = rng.uniform(0, 2 * np.pi)
            if rng.random() < 0.35:  # in front of it or behind it
                away = camera["azimuth"] + rng.normal(0.5, 0.25) * np.pi
                away += np.pi * rng.integers(2)
            reach = (size + np.linalg.norm(np.ptp(base, axis=0)[:2])) / 2
            step_to = reach * rng.uniform(0.8, 1.3)
            xy = middle + step_to * np.array([np.cos(away), np.sin(away)])
            flat_book = other["name"] == "book" and other["pose"] == "up"
            if (
                flat_book
                and rng.random() < 0.6
                and item["name"] not in ("bottle", "ball")
            ):
                support, z = k, base[:, 2].max()  # lies on the book
                xy = middle + rng.normal(0, 0.02, 2)
            elif bowls.get(k) is not None and item["name"] in ("apple", "ball"):
                support, xy = k, middle  # lies in the bowl
                z = rest_in_bowl(points, bowls[k])
                if z is None:
                    continue
        if xy is None:
            continue
        if item["pose"] == "lean":
            xy = np.array([xy[0], scene["edge"] - np.ptp(points[:, 1]) / 2 - 0.001])
        at = points + [*xy, z]
        limit = scene["edge"] - (0.0005 if item["pose"] == "lean" else 0.006)
        if at[:, 1].max() > limit or clashes(at, placed, support):
            continue
        if support is not None and z == placed[support][:, 2].max():
            outline = footprint(placed[support])
            if any(
                cv2.pointPolygonTest(outline, tuple(map(float, q)), False) < 0
                for q in footprint(at)[:, 0]
            ):
                continue
        px, depth = project(at, camera)
        low, high = px.min(0), px.max(0)
        longest = (high - low).max()
        inside = np.maximum(0, np.minimum(high, (WIDTH, HEIGHT)) - np.maximum(low, 0))
        share = inside.prod() / (high - low).prod()
        if (
            depth.min() < 0.08
            or not 12 <= longest <= (118 if single else 125)
            or share < (0.9 if single else 0.3 if cut else 0.99)
            or (single and longest < 25)
        ):
            continue
        if not crowded and any(
            k != support and hides(low, high, project(other, camera)[0])
            for k, other in enumerate(placed)
        ):
            continue
        item.update(x=float(xy[0]), y=float(xy[1]), z=float(z))
        placed.append(at)
        return True
    return False


def hides(low, high, other, most=0.3):
    """True if a pixel box shares over `most` of the smaller one with other points'."""
    other_low, other_high = other.min(0), other.max(0)
    common = np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0)
    smaller = min((high - low).prod(), (other_high - other_low).prod())
    return common.prod() > most * smaller


def rest_in_bowl(points, inner):
    """Height at which an object centred in a bowl touches it, or None."""
    r = np.hypot(points[:, 0], points[:, 1])
    if r.max() > 0.92 * inner[:, 0].max():
        return None
    low = points[:, 2] < points[:, 2].max() / 2
    return float((np.interp(r[low], inner[:, 0], inner[:, 1]) - points[low, 2]).max())


def draw_layout(rng, names, single, crowded, cut):
    """One try at a scene; None if some object finds no place."""
    camera = {
        "fov": float(np.radians(rng.uniform(24, 58))),
        "azimuth": float(rng.uniform(-0.6, 0.6)),
        "elevation": float(
            np.radians(
                rng.choice(
                    [rng.uniform(12, 30), rng.uniform(25, 50), rng.uniform(45, 78)],
                    p=[0.35, 0.45, 0.2],
                )
            )
        ),
        "roll": float(rng.normal(0, 0.03)),
    }
    focal = WIDTH / 2 / np.tan(camera["fov"] / 2)
    items = [draw_item(rng, name) for name in names]
    reach, size = 0.12, np.exp(rng.uniform(np.log(40), np.log(95)))
    if single:
        parts, _ = build(items[0])
        reach = np.ptp(vertices(parts), axis=0).max()
        size = np.exp(rng.uniform(np.log(44), np.log(118)))
    # A camera nearer than 40 cm would see too strong a perspective: zoom instead.
    focal = max(focal, 0.4 * size / reach)
    camera["fov"] = float(2 * np.arctan(WIDTH / 2 / focal))
    camera["distance"] = float(focal * reach / size)
    scene = {
        "camera": camera,
        "objects": [],
        **draw_surroundings(rng, camera, WIDTH / size * reach),
    }
    placed, bowls = [], {}
    for item in items:
        if item["pose"] == "lean" and not scene["wall"]:
            item["pose"] = "stand" if item["name"] == "book" else "up"
        parts, profile = build(item)
        points = vertices(parts)
        rules = (single, crowded, cut)
        if not place(rng, item, scene, points, placed, bowls, *rules):
            return None
        full = any(p.get("upright_only") for p in parts)
        if item["name"] == "bowl" and item["pose"] == "up" and not full:
            bowls[len(scene["objects"])] = profile
        scene["objects"].append(item)
    return scene


def sample_scene(split, index, seed=SEED):
    """Description of scene `index` of a split: a dict of plain numbers and names."""
    number = list(SPLITS).index(split)
    rng = np.random.default_rng([seed, number, index])
    single = split.startswith("single")
    if single:
        block = np.random.default_rng([seed, number, index // 8, 1])
        names = [CLASSES[block.permutation(8)[index % 8]]]
    else:
        n = int(
            rng.choice(np.arange(1, 8), p=[0.1, 0.14, 0.17, 0.18, 0.16, 0.14, 0.11])
        )
        names = [
            CLASSES[k]
            for k in (
                rng.permutation(8)[:n] if rng.random() < 0.6 else rng.integers(0, 8, n)
            )
        ]
    # Books and bowls first: other things may lie on or in them.
    names.sort(key=lambda name: name not in ("book", "bowl"))
    hard = rng.random() < 0.25  # may hold hardly visible objects
    cut = rng.random() < 0.3  # may hold objects cut by the border
    for _ in range(1000):
        scene = draw_layout(rng, names, single, hard, cut)
        if scene is None:
            continue
        found = visibility(scene, 1)[1]
        ok = all(
            f["visible"] >= (45 if not hard else 28)
            and f["visible"] >= (0.1 if hard else 0.75) * f["inside"]
            and f["inside"] >= (0.97 if not cut or single else 0.4) * f["full"]
            for f in found
        )
        if ok:
            scene.update(split=split, index=index, seed=seed)
            return scene
    raise RuntimeError(f"no layout for {split} {index}")


# ------------------------------------------------------------------- masks and flags


def depth_map(points, inverse, faces):
    """Nearest 1/depth of a mesh at the centres of the pixels that it covers.

    points (n, 2) are pixel coordinates, inverse (n,) the 1/depth of the vertices.
    Returns x0, y0 and an array (rows, cols), 0 where the mesh is not seen.
    """
    origin = np.floor(points.min(0)).astype(int)
    w, h = np.ceil(points.max(0)).astype(int) - origin + 1
    out = np.zeros(w * h)
    p, q = (points - origin)[faces], inverse[faces]
    a, b, c = p[:, 0], p[:, 1], p[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (
        c[:, 0] - a[:, 0]
    )
    low = np.ceil(p.min(1) - 0.5).astype(int)
    n = np.maximum(np.floor(p.max(1) - 0.5).astype(int) - low + 1, 0)
    count = n.prod(1) * (np.abs(area) > 1e-12)
    area = np.where(count, area, 1)
    # One row per (triangle, pixel of its bounding box).
    t = np.repeat(np.arange(len(faces)), count)
    k = np.arange(len(t)) - np.repeat(np.cumsum(count) - count, count)
    ix, iy = low[t, 0] + k % n[t, 0], low[t, 1] + k // n[t, 0]
    x, y = ix + 0.5, iy + 0.5
    e, f = (c - b) / area[:, None], (a - c) / area[:, None]
    wa = e[t, 0] * (y - b[t, 1]) - e[t, 1] * (x - b[t, 0])
    wb = f[t, 0] * (y - c[t, 1]) - f[t, 1] * (x - c[t, 0])
    wc = 1 - wa - wb
    inside = (wa >= -1e-9) & (wb >= -1e-9) & (wc >= -1e-9)
    value = wa * q[t, 0] + wb * q[t, 1] + wc * q[t, 2]
    np.maximum.at(out, (iy * w + ix)[inside], value[inside])
    return origin[0], origin[1], out.reshape(h, w)


def visibility(scene, scale):
    """Which object each sample sees, with scale x scale samples per pixel.

    Returns the index image (HEIGHT * scale, WIDTH * scale), 0 = no object, and for
    each object its areas in pixels: "full" (alone, canvas without borders), "inside"
    (alone, within the image) and "visible".
    """
    shape = (HEIGHT * scale, WIDTH * scale)
    nearest, index = np.zeros(shape), np.zeros(shape, np.uint8)
    areas = []
    for k, item in enumerate(scene["objects"], 1):
        parts, _ = build(item)
        start = np.cumsum([0] + [len(p["v"]) for p in parts])
        faces = np.concatenate([p["f"] + s for p, s in zip(parts, start)])
        points = vertices(parts) + [item["x"], item["y"], item["z"]]
        px, depth = project(points, scene["camera"])
        x, y, z = depth_map(px * scale, 1 / depth, faces)
        full = np.count_nonzero(z)
        rows = slice(max(0, y), min(shape[0], y + z.shape[0]))
        cols = slice(max(0, x), min(shape[1], x + z.shape[1]))
        z = z[rows.start - y : rows.stop - y, cols.start - x : cols.stop - x]
        areas.append(
            {"full": full / scale**2, "inside": np.count_nonzero(z) / scale**2}
        )
        front = z > nearest[rows, cols]
        nearest[rows, cols][front] = z[front]
        index[rows, cols][front] = k
    for k, a in enumerate(areas, 1):
        a["visible"] = np.count_nonzero(index == k) / scale**2
    return index, areas


def instance_mask(scene):
    """Mask (HEIGHT, WIDTH) of object numbers by majority, and the objects' records."""
    index, areas = visibility(scene, SUPER)
    blocks = index.reshape(HEIGHT, SUPER, WIDTH, SUPER)
    votes = np.stack([(blocks == k).sum((1, 3)) for k in range(len(areas) + 1)])
    mask = votes.argmax(0).astype(np.uint8)
    objects = []
    for k, (item, a) in enumerate(zip(scene["objects"], areas), 1):
        ys, xs = np.nonzero(mask == k)
        if len(xs) < 20:
            raise RuntimeError(f"hidden object in {scene['split']} {scene['index']}")
        objects.append(
            {
                "name": item["name"],
                "truncated": int(a["inside"] < 0.99 * a["full"]),
                "occluded": int(a["visible"] < 0.99 * a["inside"]),
                "difficult": int(a["visible"] < 0.25 * a["full"] or len(xs) < 60),
                "box": [
                    int(xs.min()),
                    int(ys.min()),
                    int(xs.max()) + 1,
                    int(ys.max()) + 1,
                ],
            }
        )
    return mask, objects


# --------------------------------------------------------------------------- rendering


def load_mitsuba():
    """The mitsuba module, one render thread per process."""
    try:
        import mitsuba as mi
    except ImportError:
        sys.exit("make_tabletop.py needs the renderer Mitsuba 3: pip install mitsuba")
    if mi.variant() is None:
        mi.set_variant("scalar_rgb")
        mi.set_log_level(mi.LogLevel.Error)
        import drjit

        drjit.set_thread_count(1)
    return mi


def material(mi, texture, gloss, reflectance=0.96):
    """Mitsuba material of a part; texture (rows, cols, 3) in sRGB 0..1."""
    image = np.clip(np.asarray(texture) * 255 * reflectance, 0, 255)
    image = np.ascontiguousarray(image.astype(np.uint8))
    color = {"type": "bitmap", "bitmap": mi.Bitmap(image), "wrap_mode": "mirror"}
    bsdf = {
        "matte": {"type": "diffuse", "reflectance": color},
        "plastic": {"type": "plastic", "diffuse_reflectance": color},
        "satin": {
            "type": "principled",
            "base_color": color,
            "roughness": 0.38,
            "specular": 0.5,
        },
        "metal": {
            "type": "roughconductor",
            "material": "none",
            "alpha": 0.2,
            "specular_reflectance": color,
        },
    }[gloss]
    return mi.load_dict({"type": "twosided", "bsdf": bsdf})


def mesh(mi, name, v, f, uv, bsdf):
    """Mitsuba mesh with smooth normals."""
    props = mi.Properties()
    props["bsdf"] = bsdf
    m = mi.Mesh(
        name,
        len(v),
        len(f),
        props=props,
        has_vertex_normals=True,
        has_vertex_texcoords=True,
    )
    params = mi.traverse(m)
    params["vertex_positions"] = v.astype(np.float32).ravel()
    params["vertex_normals"] = vertex_normals(v, f).astype(np.float32).ravel()
    params["vertex_texcoords"] = uv.astype(np.float32).ravel()
    params["faces"] = f.astype(np.uint32).ravel()
    params.update()
    return m


def sheet(origin, along, up, texel, turn=0.0):
    """Rectangle with texture coordinates in metres / texture size; v, f, uv."""
    v = np.array([origin, origin + along, origin + along + up, origin + up])
    a, b = np.linalg.norm(along), np.linalg.norm(up)
    uv = np.array([(0, 0), (a, 0), (a, b), (0, b)]) / (768 * texel)
    c, s = np.cos(turn), np.sin(turn)
    return v, np.array([(0, 1, 2), (0, 2, 3)]), uv @ np.array([(c, -s), (s, c)]) + 0.13


def mitsuba_scene(mi, scene):
    """The Mitsuba scene of a description."""
    edge, table, back = scene["edge"], scene["table"], scene["backdrop"]
    up = mi.ScalarTransform4f().rotate([0, 0, 1], 90).rotate([1, 0, 0], 90)
    light = room_light(scene["light"])
    world = {
        "type": "scene",
        "light": {"type": "envmap", "bitmap": mi.Bitmap(light), "to_world": up},
    }
    wide, deep = 6.0, 8.0
    v, f, uv = sheet(
        np.array([-wide, edge - deep, 0]),
        np.array([2 * wide, 0, 0]),
        np.array([0, deep, 0]),
        table["texel"],
        table["turn"],
    )
    texture = surface_texture(
        np.random.default_rng(table["seed"]), table["kind"], table["texel"]
    )
    gloss = "matte" if table["kind"] == "cloth" else table["gloss"]
    world["table"] = mesh(mi, "table", v, f, uv, material(mi, texture, gloss, 0.95))
    if scene["wall"]:
        v, f, uv = sheet(
            np.array([-wide, edge, -0.2]),
            np.array([2 * wide, 0, 0]),
            np.array([0, 0, 3.0]),
            back["texel"],
        )
        texture = surface_texture(
            np.random.default_rng(back["seed"]), back["kind"], back["texel"]
        )
        world["wall"] = mesh(mi, "wall", v, f, uv, material(mi, texture, "matte", 0.95))
    for k, item in enumerate(scene["objects"]):
        for j, p in enumerate(build(item)[0]):
            v = p["v"] + [item["x"], item["y"], item["z"]]
            world[f"object{k}_{j}"] = mesh(
                mi,
                f"object{k}_{j}",
                v,
                p["f"],
                p["uv"],
                material(mi, p["texture"], p["gloss"]),
            )
    return mi.load_dict(world)


def develop(scene, linear):
    """Photograph (uint8) of the linear picture: white balance, exposure, tone curve."""
    tint = np.array(scene["light"]["tint"]) ** scene["balance"]
    # Single stray light paths: clearly brighter than all but one of the neighbours.
    light = np.pad(linear.max(2), 1, mode="edge")
    near = np.sort(
        [light[i : i + HEIGHT, j : j + WIDTH] for i in range(3) for j in range(3)],
        axis=0,
    )
    stray = (light[1:-1, 1:-1] > 1.3 * near[-3])[..., None]
    x = np.where(stray, cv2.medianBlur(linear, 3), linear) / tint
    bright = np.sort(x.mean(2).ravel())
    level = bright[int(0.1 * len(bright)) : int(0.95 * len(bright))].mean()
    # Metered on the whole picture, but bright things must keep their shading.
    gain = min(scene["exposure"] / level, 1.3 / bright[int(0.96 * len(bright))])
    x = np.maximum(x * gain, 0)
    knee = 0.5
    rest = 1 - knee
    x = np.where(x > knee, knee + rest * (1 - np.exp(-(x - knee) / rest)), x)
    srgb = np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    srgb = srgb + 0.4 * srgb * (1 - srgb) * (2 * srgb - 1)  # a little more contrast
    image = np.clip(srgb * 255 + 0.5, 0, 255).astype(np.uint8)
    # Denoise as a camera does, by as much as the picture is noisy.
    rough = np.abs(image - cv2.medianBlur(image, 3).astype(float)).mean(2)
    strength = float(np.clip(1.5 * np.median(rough), 4, 11))
    return cv2.fastNlMeansDenoisingColored(image, None, strength, 8, 5, 13)


def render_scene(scene):
    """Picture (180, 240, 3), mask (180, 240) and object records of a description."""
    mi = load_mitsuba()
    mask, objects = instance_mask(scene)
    camera = scene["camera"]
    position, axes, _ = camera_frame(camera)
    view = mi.ScalarTransform4f().look_at(
        origin=position.tolist(),
        target=(position + axes[2]).tolist(),
        up=(-axes[1]).tolist(),
    )
    sensor = mi.load_dict(
        {
            "type": "perspective",
            "fov": float(np.degrees(camera["fov"])),
            "fov_axis": "x",
            "to_world": view,
            "near_clip": 0.01,
            "far_clip": 100.0,
            "film": {
                "type": "hdrfilm",
                "width": WIDTH,
                "height": HEIGHT,
                "pixel_format": "rgb",
                "rfilter": {"type": "box"},
            },
            "sampler": {"type": "multijitter", "sample_count": SAMPLES},
        }
    )
    path = mi.load_dict({"type": "path", "max_depth": DEPTH, "rr_depth": 3})
    linear = mi.render(
        mitsuba_scene(mi, scene),
        sensor=sensor,
        integrator=path,
        spp=SAMPLES,
        seed=scene["index"],
    )
    return develop(scene, np.array(linear)), mask, objects


# ------------------------------------------------------------------------------ files


def voc_palette():
    """The 256 colours of the Pascal VOC masks as a flat list."""
    palette = np.zeros((256, 3), int)
    k = np.arange(256)
    for level in range(3):  # bits 0, 3, 6 of k fill red from the top, and so on
        for channel in range(3):
            palette[:, channel] |= (k >> (3 * level + channel) & 1) << (7 - level)
    return palette.ravel().tolist()


def annotation(name, objects):
    """VOC XML text; boxes count from 1 and include their last pixel."""
    root = ET.Element("annotation")

    def add(parent, tag, text=None):
        child = ET.SubElement(parent, tag)
        child.text = None if text is None else str(text)
        return child

    add(root, "folder", "tabletop")
    add(root, "filename", name + ".jpg")
    add(add(root, "source"), "database", "tabletop (Mitsuba 3)")
    size = add(root, "size")
    for tag, value in (("width", WIDTH), ("height", HEIGHT), ("depth", 3)):
        add(size, tag, value)
    add(root, "segmented", 1)
    for o in objects:
        node = add(root, "object")
        add(node, "name", o["name"])
        add(node, "pose", "Unspecified")
        for tag in ("truncated", "occluded", "difficult"):
            add(node, tag, o[tag])
        x1, y1, x2, y2 = o["box"]
        box = add(node, "bndbox")
        for tag, value in (
            ("xmin", x1 + 1),
            ("ymin", y1 + 1),
            ("xmax", x2),
            ("ymax", y2),
        ):
            add(box, tag, value)
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode") + "\n"


def scene_paths(out, name):
    """Paths of a scene's picture, mask and annotation (written in this order)."""
    return (
        out / "JPEGImages" / f"{name}.jpg",
        out / "SegmentationObject" / f"{name}.png",
        out / "Annotations" / f"{name}.xml",
    )


def write_whole(path, save):
    """Call save(temporary path), then rename, so that no half file is ever left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part_path = path.with_name(f".{os.getpid()}_{path.name}")
    save(part_path)
    os.replace(part_path, path)


def write_scene(out, split, index, seed=SEED, overwrite=False):
    """Render a scene and write its three files; an existing one is kept."""
    name = f"{split}_{index:04d}"
    jpg, png, xml = paths = scene_paths(Path(out), name)
    if not overwrite and all(p.exists() for p in paths):
        return name
    image, mask, objects = render_scene(sample_scene(split, index, seed))
    write_whole(
        jpg,
        lambda p: Image.fromarray(image).save(
            p, "JPEG", quality=90, subsampling=2, optimize=True
        ),
    )
    picture = Image.fromarray(mask)
    picture.putpalette(voc_palette())
    write_whole(png, lambda p: picture.save(p, "PNG", optimize=True))
    write_whole(
        xml, lambda p: p.write_text(annotation(name, objects), encoding="utf-8")
    )
    return name


def write_job(job):
    """write_scene with one tuple of arguments, for a pool of processes."""
    return write_scene(*job)


def main():
    parser = argparse.ArgumentParser(description="Render the tabletop data set.")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parent / "tabletop"
    )
    parser.add_argument("--split", choices=list(SPLITS), help="default: all")
    parser.add_argument("--count", type=int, help="scenes; default: the whole split")
    parser.add_argument("--start", type=int, default=0, help="first index")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    load_mitsuba()
    write_whole(
        args.out / "classes.txt",
        lambda p: p.write_text("".join(c + "\n" for c in CLASSES)),
    )
    for split in [args.split] if args.split else SPLITS:
        count = SPLITS[split] if args.count is None else args.count
        jobs = [
            (args.out, split, k, args.seed, args.overwrite)
            for k in range(args.start, args.start + count)
        ]
        with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
            for _ in tqdm(
                pool.imap_unordered(write_job, jobs), total=count, desc=split
            ):
                pass
        names = sorted(
            p.stem
            for p in (args.out / "Annotations").glob(f"{split}_*.xml")
            if p.stem[len(split) + 1 :].isdigit()
        )
        listing = "".join(f"{name}\n" for name in names)
        write_whole(
            args.out / "ImageSets" / "Main" / f"{split}.txt",
            lambda p, text=listing: p.write_text(text),
        )


if __name__ == "__main__":
    main()
