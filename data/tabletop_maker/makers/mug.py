"""Mugs: a turned wall, a bent handle and perhaps a drink."""

import numpy as np

from ..draws import choose, object_gloss
from ..mesh import grid_part, smooth_profile, sweep
from ..textures import plain
from .vessels import liquid, turned_wall

# Radius of the foot and of the belly / radius of the rim.
SHAPES = ((1, 1), (0.75, 0.92), (0.8, 1.1), (0.62, 0.98), (1, 1), (1.12, 1.04))


def make_mug(rng):
    """Parts and outer profile of a mug; its handle points to +x."""
    h, r, wall = rng.uniform(0.078, 0.115), rng.uniform(0.036, 0.048), 0.0038
    foot, belly = [share * r for share in choose(rng, SHAPES)]
    outer = smooth_profile(
        [0, foot * 0.93, foot, foot, belly, r, r],
        [0, 0, 0.001, 0.006, 0.4 * h, 0.85 * h, h],
    )
    inner = smooth_profile(
        [r - wall, r - wall, belly - wall, foot - wall, foot * 0.8, 0],
        [h, 0.85 * h, 0.4 * h, 0.01, 0.007, 0.007],
    )
    grid, texture, a, b = turned_wall(rng, outer, inner, wall, 48, 2.5)
    gloss = object_gloss(rng)
    handle = handle_grid(rng, outer, h)
    color = b if rng.random() < 0.15 else a
    parts = [grid_part(grid, texture, gloss), grid_part(handle, plain(color), gloss)]
    if rng.random() < 0.4:
        parts.append(liquid(rng, inner, rng.uniform(0.6, 0.88) * h))
    return parts, outer


def handle_grid(rng, outer, height):
    """Grid of points of a handle on a mug with this outer profile."""
    top, low = rng.uniform(0.76, 0.88) * height, rng.uniform(0.16, 0.34) * height
    reach, square = rng.uniform(0.02, 0.032), rng.uniform(0.5, 1.0)
    s = np.linspace(0, np.pi, 20)
    bow = np.sign(np.cos(s)) * np.abs(np.cos(s)) ** square
    z = (top + low) / 2 + (top - low) / 2 * bow
    wall = np.interp(np.linspace(top, low, 20), outer[:, 1], outer[:, 0])
    x = wall - 0.002 + reach * np.sin(s) ** square
    thick = np.full(20, rng.uniform(0.0042, 0.0065))
    return sweep(np.stack([x, z], 1), thick, flat=rng.uniform(1.0, 1.6))
