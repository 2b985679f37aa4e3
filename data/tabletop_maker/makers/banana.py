"""Bananas: a bent tube of five ridges."""

import numpy as np

from ..draws import choose, draw_rgb, rgb
from ..mesh import grid_part, sweep
from ..textures import coords, mix, noise, step

SKINS = {  # hue, saturation, value: share
    (0.145, 0.75, 0.88): 0.32,
    (0.155, 0.65, 0.85): 0.24,
    (0.2, 0.65, 0.72): 0.16,
    (0.24, 0.65, 0.58): 0.14,
    (0.115, 0.7, 0.68): 0.09,
    (0.1, 0.55, 0.5): 0.05,
}
# Thickness / that of the middle, from the stem to the tip.
PLACES = (0, 0.03, 0.1, 0.17, 0.3, 0.5, 0.7, 0.86, 0.95, 0.98, 1)
THICKNESS = (0.34, 0.33, 0.32, 0.55, 0.9, 1, 0.94, 0.7, 0.36, 0.24, 0.2)


def make_banana(rng):
    """Parts of a banana, an arch in the plane y = 0; no profile."""
    length, thick = rng.uniform(0.155, 0.2), rng.uniform(0.0155, 0.0195)
    bend = np.radians(rng.uniform(32, 58))
    arc = length / (2 * bend)
    s = np.linspace(0, 1, 44)
    angle = (2 * s - 1) * bend
    path = np.stack([arc * np.sin(angle), arc * np.cos(angle) - arc], 1)
    radius = thick * np.interp(s, PLACES, THICKNESS)
    radius = np.convolve(np.pad(radius, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    grid = sweep(path, radius, 20, corners=rng.uniform(0.04, 0.07))
    texture = peel(rng)
    return [grid_part(grid, texture, choose(rng, ["satin", "matte"]))], None


def peel(rng):
    """Texture of a banana, from unripe to brown."""
    shape = (256, 96)
    u, v = coords(shape)
    skin = rgb(*choose(rng, SKINS)) * rng.uniform(0.85, 1.05)
    ridge = 0.5 + 0.5 * np.cos(10 * np.pi * u)
    texture = mix(skin, skin * 0.82, 0.6 * ridge**4)
    ends = step(np.abs(v - 0.5) - rng.uniform(0.3, 0.42), 0.15)
    green = rgb(0.2, 0.6, 0.6) if skin[0] > 0.6 else skin * 0.8
    texture = mix(texture, green, 0.6 * ends)
    brown = draw_rgb(rng, 0.07, 0.6, (0.12, 0.28))
    if rng.random() < 0.65:
        spots = noise(rng, shape, (40, 12), 2) - rng.uniform(0.55, 0.85)
        texture = mix(texture, brown, 0.8 * step(spots, 0.1))
    tip = step(np.maximum(0.035 - v, v - 0.955), 0.02)
    return mix(texture, brown * 0.7, tip)
