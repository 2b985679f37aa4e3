"""What mugs and bowls share: their wall's colours and what they hold."""

import numpy as np

from ..draws import choose, contrast_color, draw_rgb, object_color, rgb
from ..mesh import grid_part, revolve, row_coordinate
from ..textures import mix, noise, pattern, plain, step

LIQUIDS = (  # hue, saturation, value
    (0.07, 0.7, 0.2),
    (0.08, 0.6, 0.45),
    (0.09, 0.85, 0.6),
    (0.1, 0.1, 0.9),
    (0.03, 0.85, 0.6),
    (0.25, 0.5, 0.5),
    (0.13, 0.6, 0.85),
)


def turned_wall(rng, outer, inner, thick, sides, aspect):
    """Grid of points of a mug's or bowl's wall, its texture and its two colours.

    The grid goes from the middle of the foot over the rim to the middle of the inside.
    outer, inner: profiles that end and start at the rim, `thick` metres apart. aspect:
    width / height of the outside.
    """
    rim = outer[-1] + [-thick / 2, thick / 2]
    grid = revolve(np.concatenate([outer, [rim], inner]), sides)
    rim = row_coordinate(grid)[len(outer)]
    rows_n, cols_n = shape = (128, 256)
    a = object_color(rng)
    b = contrast_color(rng, a)
    if rng.random() < 0.4:
        inside = a
    elif rng.random() < 0.4:
        inside = b
    else:
        inside = draw_rgb(rng, 0.12, (0, 0.15), 0.9)
    rows = (np.arange(rows_n)[:, None] + 0.5) / rows_n
    texture = plain(a, shape)
    if rng.random() < 0.3:
        n = int(rim * rows_n)
        texture[:n] = pattern(rng, (n, cols_n), a, b, aspect)
    texture = mix(texture, inside, step(rows - rim))
    if rng.random() < 0.25:
        texture = mix(texture, b, step(0.03 - np.abs(rows - rim)))
    if rng.random() < 0.2:  # a bare foot
        top = rim * rng.uniform(0.35, 0.55)
        clay = draw_rgb(rng, 0.07, (0.3, 0.5), (0.4, 0.75))
        texture = mix(texture, clay, step(top - rows))
    return grid, texture, a, b


def liquid(rng, inner, level):
    """Drink or food up to a level (metres) in a vessel of this inner profile."""
    radius = np.interp(level, inner[::-1, 1], inner[::-1, 0]) + 0.001
    color = rgb(*choose(rng, LIQUIDS))
    light, blobs = np.minimum(color * 1.15, 1), noise(rng, (32, 64), (4, 8), 2)
    texture = mix(color * 0.8, light, blobs)
    grid = revolve(np.array([(radius, level), (0, level)]))
    part = grid_part(grid, texture, choose(rng, ["plastic", "satin"]))
    return part._replace(upright_only=True)
