"""Bottles: a turned body and cap, now and then with a paper label."""

import cv2
import numpy as np

from ..draws import choose, contrast_color, draw_rgb, object_color, object_gloss
from ..mesh import grid_part, revolve, row_coordinate, smooth_profile
from ..textures import coords, label, mix, step

# Share of all bottles; radius and height in metres; radius of the neck / that of the
# body; where shoulder, throat and cap begin / height.
KINDS = {
    "wine": (0.27, 0.038, 0.29, 0.38, 0.6, 0.72, 0.88),
    "beer": (0.27, 0.031, 0.22, 0.42, 0.52, 0.76, 0.955),
    "water": (0.22, 0.034, 0.22, 0.42, 0.68, 0.85, 0.9),
    "sauce": (0.08, 0.031, 0.18, 0.3, 0.72, 0.8, 0.8),
    "soap": (0.06, 0.036, 0.19, 0.34, 0.68, 0.76, 0.83),
    "milk": (0.1, 0.04, 0.2, 0.6, 0.55, 0.76, 0.92),
}


def make_bottle(rng):
    """Parts and outer profile of a bottle."""
    kind = choose(rng, {name: row[0] for name, row in KINDS.items()})
    body, lid = outline(rng, kind)
    profile = np.concatenate([body, lid])
    grid = revolve(profile)
    if kind == "soap":
        grid[..., 1] *= rng.uniform(0.55, 0.85)
    v = row_coordinate(grid)
    rows = (np.arange(256)[:, None] + 0.5) / 256
    level = (np.interp(rows, v, profile[:, 1]) / profile[-1, 1]).astype(np.float32)
    texture, lid_color = body_texture(rng, kind, level)
    texture = mix(texture, lid_color, step(rows - v[len(body)] + 0.004, 0.01))
    # Metal only here: inside an open mug or bowl it would need far more samples.
    if rng.random() < 0.12:
        gloss = "metal"
    else:
        gloss = object_gloss(rng) if rng.random() < 0.4 else "plastic"
    return [grid_part(grid, texture, gloss)], profile


def outline(rng, kind):
    """Profiles (n, 2) of (radius, z) of the body and of the lid."""
    _, r, h, neck, shoulder, throat, cap = KINDS[kind]
    r, h = r * rng.uniform(0.9, 1.12), h * rng.uniform(0.9, 1.1)
    neck = neck * r
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
    low, c = cap * h, neck * rng.uniform(1.05, 1.2) + 0.001
    if kind == "sauce":
        nozzle = [(c * 0.9, low + 0.014), (0.003, h)]
        lid = [(c * 1.6, low), (c * 1.6, low + 0.01), *nozzle, (0, h)]
    else:
        bottom, top = c, c
        if kind == "soap" and rng.random() < 0.6:
            bottom, top = r * 0.75, r * 0.7
        lid = [(bottom, low), (bottom, low), (top, h), (top, h), (0, h)]
    return smooth_profile(*zip(*body)), smooth_profile(*zip(*lid))


def body_texture(rng, kind, level):
    """Texture without the lid, and the lid's colour.

    level (rows, 1): height of each row of the texture / that of the bottle.
    """
    shape = (len(level), 256)
    a = object_color(rng)
    if kind in ("wine", "beer") and rng.random() < 0.5:
        a = draw_rgb(rng, (0.06, 0.35), (0.5, 0.9), (0.1, 0.35))
    b, lid_color = contrast_color(rng, a), object_color(rng)
    texture = np.broadcast_to(a, (*shape, 3))
    if rng.random() < 0.12:  # contents show up to a level
        pale = np.minimum(a * 0.5 + 0.45, 1)
        texture = mix(texture, pale, step(level - rng.uniform(0.45, 0.7)))
    low, high = rng.uniform(0.1, 0.25), KINDS[kind][4] - rng.uniform(0.03, 0.12)
    if kind == "water":
        low = rng.uniform(0.25, 0.35)
    if rng.random() < 0.45:  # paper label, all round or on the front
        u, _ = coords(shape)
        wide = rng.uniform(0.25, 0.42) if rng.random() < 0.5 else 1.0
        on = step(level - low, 0.01) * step(high - level, 0.01)
        on = on * step(wide - np.abs((u + 0.25) % 1 - 0.5), 0.01)
        art = label(rng, (96, 160), b, contrast_color(rng, b))
        art = np.concatenate([art, art], 1)
        rows = np.clip((high - level) / (high - low) * 95, 0, 95)
        rows, cols = np.broadcast_to(rows, shape), np.clip(u * 319, 0, 319)
        art = cv2.remap(art, cols, rows, cv2.INTER_LINEAR)
        texture = mix(texture, art, on)
    return texture, lid_color
