"""Apples: a lobed body, a stem and perhaps a leaf."""

import colorsys

import numpy as np

from ..draws import choose, draw_rgb, rgb
from ..mesh import grid_part, revolve, sweep
from ..textures import coords, mix, noise, plain, step

SKINS = (  # ground and cheek: hue, saturation, value
    ((0.12, 0.65, 0.85), (-0.01, 0.85, 0.65)),  # red on yellow
    ((0.0, 0.85, 0.6), (-0.03, 0.9, 0.35)),  # dark red
    ((0.24, 0.65, 0.7), (0.2, 0.55, 0.8)),  # green
    ((0.14, 0.6, 0.88), (0.07, 0.6, 0.85)),  # yellow
    ((0.2, 0.55, 0.78), (0.0, 0.7, 0.7)),  # green with a red cheek
    ((0.1, 0.4, 0.85), (-0.04, 0.6, 0.75)),  # pink
    ((0.1, 0.6, 0.55), (0.07, 0.6, 0.4)),  # russet
)


def make_apple(rng):
    """Parts of an apple; no profile."""
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
    texture = skin(rng)
    gloss = choose(rng, {"plastic": 0.35, "satin": 0.5, "matte": 0.15})
    root, length = z[-1], rng.uniform(0.6, 1.0) * r * 0.75
    parts = [grid_part(grid, texture, gloss), stem(rng, r, root, length)]
    if rng.random() < 0.2:
        parts.append(leaf(rng, r, root + 0.5 * length))
    return parts, None


def skin(rng):
    """Texture of an apple: ground, cheek, streaks and spots."""
    shape = (128, 256)
    u, v = coords(shape)
    base, blush = [
        rgb(*(hsv * rng.uniform(0.88, 1.08, 3)).clip(0, 0.97))
        for hsv in [np.array(colorsys.rgb_to_hsv(*rgb(*c))) for c in choose(rng, SKINS)]
    ]
    cheek = 0.5 + 0.5 * np.cos(2 * np.pi * (u - rng.random()))
    streak = noise(rng, shape, (2, 40), 2) - 0.5
    t = cheek * rng.uniform(0.5, 1.4) + rng.uniform(-0.35, 0.3) + 0.7 * streak
    texture = mix(base, blush, np.clip(t, 0, 1))
    texture = mix(texture, rgb(0.17, 0.5, 0.5), 0.8 * step(v - 0.93, 0.08))
    spots = step(noise(rng, shape, (50, 100), 1) - 0.85, 0.1)
    return mix(texture, rgb(0.12, 0.3, 0.9), 0.35 * spots)


def stem(rng, r, root, length):
    """The stem of an apple of radius r; it starts at height root."""
    bend = rng.uniform(-0.3, 0.3) * r
    s = np.linspace(0, 1, 8)
    path = np.stack([bend * s**2, root - 0.002 + length * s], 1)
    grid = sweep(path, np.interp(s, [0, 0.8, 1], [0.0013, 0.0013, 0.0021]), 8)
    brown = draw_rgb(rng, 0.08, (0.4, 0.6), (0.2, 0.4))
    return grid_part(grid, plain(brown), "matte")


def leaf(rng, r, height):
    """A leaf at the stem of an apple of radius r."""
    s, w = np.meshgrid(np.linspace(0, 1, 9), np.linspace(-1, 1, 5), indexing="ij")
    long = rng.uniform(0.6, 0.9) * r
    x, y = 0.1 * r + long * s, w * 0.3 * long * np.sin(np.pi * s) ** 0.8
    z = height + long * (0.7 * s - 0.8 * s * s) + 0.08 * long * np.abs(w)
    green = draw_rgb(rng, 0.28, 0.7, (0.3, 0.55))
    return grid_part(np.stack([x, y, z], -1), plain(green), "satin")
