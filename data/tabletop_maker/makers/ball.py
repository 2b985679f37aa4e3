"""Balls: spheres, their textures functions of the direction (x, y, z)."""

import itertools

import numpy as np

from ..draws import choose, contrast_color, draw_rgb, object_color, object_gloss, rgb
from ..mesh import grid_part, revolve, unit
from ..textures import coords, mix, noise, plain, step

SHAPE = (160, 320)
KINDS = {
    "plain": 0.1,
    "stripe": 0.14,
    "halves": 0.1,
    "beach": 0.14,
    "basket": 0.14,
    "tennis": 0.12,
    "soccer": 0.1,
    "dots": 0.08,
    "swirl": 0.08,
}


def make_ball(rng):
    """Parts of a ball; no profile."""
    r = rng.uniform(0.026, 0.055) if rng.random() < 0.75 else rng.uniform(0.06, 0.105)
    t = np.linspace(0, np.pi, 33)
    grid = revolve(np.stack([r * np.sin(t), -r * np.cos(t)], 1))
    a = object_color(rng)
    b = contrast_color(rng, a)
    dark = draw_rgb(rng, (0, 1), 0.3, 0.12)
    gloss = object_gloss(rng)
    kind = choose(rng, KINDS)
    texture = ball_texture(rng, kind, a, b, dark)
    if kind == "basket":
        gloss = choose(rng, ["matte", "satin"])
    elif kind == "tennis":
        gloss = "matte"
    return [grid_part(grid, texture, gloss)], None


def ball_texture(rng, kind, a, b, dark):
    """Texture of a ball of some kind in colours a and b, and white or dark seams."""
    u, v = coords(SHAPE)
    lon, lat = 2 * np.pi * u, np.pi * v
    x, y, z = np.sin(lat) * np.cos(lon), np.sin(lat) * np.sin(lon), -np.cos(lat)
    white = rgb(0.1, 0.03, 0.92)
    if kind == "plain":
        return plain(a)
    if kind == "stripe":
        wide = rng.uniform(0.12, 0.4)
        texture = mix(a, b, step(wide - np.abs(z), 0.03))
        edge = step(0.05 - np.abs(np.abs(z) - wide), 0.03) * rng.integers(2)
        return mix(texture, white, edge)
    if kind == "halves":
        return mix(a, b, step(z, 0.03))
    if kind == "beach":
        colors = [a, white, b, white, object_color(rng), white]
        if rng.random() < 0.4:
            colors = [a, b, object_color(rng)] * 2
        texture = np.array(colors, np.float32)[np.floor(u * 6).astype(int) % 6]
        return mix(texture, white, step(np.abs(z) - 0.95, 0.02))
    if kind == "basket":
        base = a if rng.random() < 0.5 else draw_rgb(rng, (0.03, 0.08), 0.8, 0.75)
        curve = np.abs(np.abs(y) - 0.5 - 0.25 * x * x)
        line = np.minimum(np.minimum(np.abs(x), np.abs(z)), curve)
        ink = dark if base.mean() > 0.25 else white
        return mix(base, ink, step(0.045 - line, 0.03))
    if kind == "tennis":
        base = a if rng.random() < 0.6 else rgb(0.19, 0.7, 0.85)
        seam = np.abs(z - 0.55 * np.sin(2 * lon) * np.sqrt(1 - 0.5 * z * z))
        ink = white if base.min() < 0.6 else dark
        return mix(base, ink, step(0.07 - seam, 0.05))
    directions = np.stack([x, y, z], -1)
    if kind == "soccer":
        light, patch = (white, dark) if rng.random() < 0.5 else (a, b)
        return soccer_texture(directions, light, patch)
    if kind == "dots":
        spots = unit(rng.normal(size=(24, 3)))
        near = (directions @ spots.T).max(-1)
        return mix(a, b, step(near - rng.uniform(0.93, 0.97), 0.01))
    wave = np.sin(6 * z + 9 * noise(rng, SHAPE, (3, 4), 2) + np.sin(lon))
    return mix(a, b, step(wave, 0.5))


def soccer_texture(directions, light, patch):
    """Twelve pentagons in a colour `patch`, twenty hexagons in `light`.

    Their middles are the corners of an icosahedron and of a dodecahedron.
    """

    def corners(a, b):
        """(0, +-a, +-b) and the same with the axes exchanged in turn."""
        first = np.array([(0, *p) for p in itertools.product((a, -a), (b, -b))])
        return np.concatenate([np.roll(first, k, 1) for k in range(3)])

    golden = (1 + 5**0.5) / 2
    pentagons = corners(1, golden)
    pentagons /= np.linalg.norm(pentagons[0])
    cube = list(itertools.product((1, -1), repeat=3))
    hexagons = np.concatenate([cube, corners(1 / golden, golden)]) / 3**0.5
    near5, near6 = directions @ pentagons.T, np.sort(directions @ hexagons.T, -1)
    inside = near5.max(-1) - near6[..., -1] - 0.005
    seam = np.abs(near6[..., -1] - near6[..., -2])
    seam = np.minimum(seam, np.abs(inside) + 0.03)
    texture = mix(light, light * 0.45, step(0.02 - seam, 0.02))
    return mix(texture, patch, step(inside, 0.03))
