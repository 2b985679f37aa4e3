"""Donuts: a ring of dough with icing, sprinkles, lines or sugar."""

import numpy as np

from ..draws import choose, contrast_color, draw_rgb, object_color, rgb
from ..mesh import Part, grid_part, revolve, unit
from ..textures import coords, mix, noise, plain, step

SHAPE = (96, 192)
SIDES = 56
DOUGHS = {  # hue, saturation, value: share
    (0.09, 0.6, 0.75): 0.3,
    (0.08, 0.65, 0.6): 0.25,
    (0.06, 0.6, 0.28): 0.2,
    (0.1, 0.5, 0.8): 0.15,
    (0.02, 0.7, 0.5): 0.05,
    (0.25, 0.4, 0.6): 0.05,
}
KINDS = {"iced": 0.3, "sprinkles": 0.38, "drizzle": 0.2, "sugar": 0.12}


def make_donut(rng):
    """Parts of a donut; no profile."""
    # Radius of the ring and of the dough, height / width of the dough.
    ring, r = rng.uniform(0.025, 0.031), rng.uniform(0.0135, 0.0175)
    flat = rng.uniform(0.78, 0.98)
    s = np.linspace(-np.pi, np.pi, 29)
    profile = np.stack([ring + r * np.cos(s), flat * r * np.sin(s)], 1)
    grid = revolve(profile, SIDES)
    texture = dough_texture(rng)
    kind = choose(rng, KINDS)
    if kind == "sugar":
        grains = step(noise(rng, SHAPE, (40, 80), 1) - 0.5, 0.3)
        texture = mix(texture, rgb(0, 0, 0.95), 0.8 * grains)
        return [grid_part(grid, texture, "matte")], None
    ice = icing_color(rng)
    icing, skin = icing_grid(rng, ring, r, flat), plain(ice)
    if kind == "drizzle":
        u, v = coords(SHAPE)
        n = int(rng.integers(9, 16))
        line = np.sin(2 * np.pi * (n * u + 0.35 * np.sin(2 * np.pi * v)))
        skin = mix(ice, contrast_color(rng, ice), step(line - 0.5, 0.3))
    gloss = choose(rng, ["plastic", "satin"])
    parts = [grid_part(grid, texture, "matte"), grid_part(icing, skin, gloss)]
    if kind == "sprinkles":
        parts.append(sprinkles(rng, ring, r, flat, ice))
    return parts, None


def dough_texture(rng):
    """Fried dough, with the pale line of frying around it."""
    _, v = coords(SHAPE)
    dough = rgb(*choose(rng, DOUGHS)) * rng.uniform(0.85, 1.1)
    light, pale = np.minimum(dough * 1.1, 1), np.minimum(dough * 0.6 + 0.38, 1)
    texture = mix(dough * 0.85, light, noise(rng, SHAPE, (8, 16)))
    line = step(0.035 - np.abs(np.abs(v - 0.5) - 0.04), 0.05)
    return mix(texture, pale, 0.5 * line)


def icing_color(rng):
    """Chocolate, strawberry, sugar or any other colour."""
    color = object_color(rng)
    taste = rng.random()
    if taste < 0.3:
        return draw_rgb(rng, 0.05, (0.5, 0.7), (0.2, 0.35))
    if taste < 0.5:
        return draw_rgb(rng, (0.88, 0.98), (0.3, 0.6), (0.8, 0.95))
    if taste < 0.65:
        return draw_rgb(rng, 0.1, (0, 0.1), (0.85, 0.95))
    return color


def icing_grid(rng, ring, r, flat):
    """Grid of points of the icing, with wavy borders."""
    phi = np.linspace(0, 2 * np.pi, SIDES + 1)
    outer, inner = (
        sum(
            rng.uniform(0, 0.13) * np.sin(k * phi + rng.uniform(0, 6))
            for k in (2, 3, 5, 7)
        )
        for _ in range(2)
    )
    start = -rng.uniform(-0.1, 0.3) + outer
    stop = np.pi + rng.uniform(-0.1, 0.2) + 0.6 * inner
    t = np.linspace(0, 1, 22)[:, None]
    angle = start + (stop - start) * t
    layer = r - 0.0006 + 0.0021 * np.minimum(1, 5 * np.sin(np.pi * t)) + 0 * phi
    out, z = ring + layer * np.cos(angle), flat * layer * np.sin(angle)
    return np.stack([out * np.cos(phi), out * np.sin(phi), z], -1)


def sprinkles(rng, ring, r, flat, ice):
    """Many small octahedra on the icing, of six colours or of one."""
    n = int(rng.integers(25, 70))
    # Corners +x -x +y -y +z -z; faces go around +z, then around -z.
    corners = np.stack([np.eye(3), -np.eye(3)], 1).reshape(6, 3)
    corners = corners * [0.0032, 0.0011, 0.0011]
    upper = np.array([(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4)])
    faces = np.concatenate([upper, upper[:, [1, 0, 2]] + [0, 0, 1]])
    p, q = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.45, np.pi - 0.45, n)
    normal = np.stack([np.cos(q) * np.cos(p), np.cos(q) * np.sin(p), np.sin(q)], 1)
    at = np.stack([ring * np.cos(p), ring * np.sin(p), 0 * p], 1)
    at += normal * (r + 0.0016) * [1, 1, flat]
    along = unit(np.cross(normal, rng.normal(size=(n, 3))))
    frame = np.stack([along, np.cross(normal, along), normal], 1)
    vertices = (at[:, None] + corners @ frame).reshape(-1, 3)
    faces = (faces + 6 * np.arange(n)[:, None, None]).reshape(-1, 3)
    u = np.repeat((rng.integers(0, 6, n) + 0.5) / 6, 6)
    palette = np.array([[object_color(rng) for _ in range(6)]])
    if rng.random() < 0.3:
        palette[:] = contrast_color(rng, ice)
    uv = np.stack([u, u * 0 + 0.5], 1)
    return Part(vertices, faces, uv, palette, "matte")
