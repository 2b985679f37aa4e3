"""Bowls: a turned wall, of porcelain or wood, and perhaps some food."""

import numpy as np

from ..draws import choose, object_gloss
from ..mesh import grid_part, smooth_profile
from ..textures import wood
from .vessels import liquid, turned_wall

KINDS = {  # range of height / radius; radii and heights of the side / those of the rim
    "round": ((0.75, 0.95), (0.75, 0.97, 1), (0.15, 0.5, 0.8)),
    "flared": ((0.6, 0.8), (0.55, 0.75, 0.85), (0.15, 0.5, 0.8)),
    "straight": ((0.55, 0.75), (0.85, 0.97, 0.98), (0.08, 0.2, 0.7)),
    "wide": ((0.42, 0.55), (0.7, 0.9, 0.96), (0.12, 0.5, 0.8)),
}


def make_bowl(rng):
    """Parts and inner profile of a bowl."""
    r = rng.uniform(0.055, 0.095)
    kind = choose(rng, KINDS.keys())
    h = {name: r * rng.uniform(*span) for name, (span, _, _) in KINDS.items()}[kind]
    foot, wall = r * rng.uniform(0.38, 0.5), rng.uniform(0.003, 0.005)
    _, x, z = KINDS[kind]
    x, z = r * np.array(x), h * np.array(z)
    lift = h * choose(rng, [0.04, 0.12])
    outer = smooth_profile(
        [0, foot * 0.8, foot * 0.95, foot, foot, *x, r],
        [0.002, 0.002, 0, 0, lift, *z, h],
    )
    bottom, z = lift + wall * 0.6, np.maximum(z, lift + wall)
    inner = smooth_profile(
        [r - wall, *x[::-1] - wall, foot * 0.8, 0], [h, *z[::-1], bottom, bottom]
    )
    grid, texture, _, _ = turned_wall(rng, outer, inner, wall, 56, 3.0)
    gloss = object_gloss(rng)
    if rng.random() < 0.15:
        texture, gloss = wood(rng, (128, 256), 40), "satin"
    parts = [grid_part(grid, texture, gloss)]
    if rng.random() < 0.25:
        parts.append(liquid(rng, inner, h * rng.uniform(0.55, 0.85)))
    return parts, inner[::-1]
