"""Random choices and colours. A colour is an array of three sRGB values in 0..1."""

import colorsys

import numpy as np


def choose(rng, options):
    """One of the options: all alike, or by the share that a dict gives each."""
    shares = list(options.values()) if isinstance(options, dict) else None
    return list(options)[rng.choice(len(options), p=shares)]


def object_gloss(rng):
    """Gloss of a made thing, see `mesh.Part`."""
    return choose(rng, {"plastic": 0.45, "satin": 0.3, "matte": 0.25})


def rgb(hue, saturation, value):
    """The colour of a hue (a full turn is 1), saturation and value."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def draw_rgb(rng, *hsv):
    """A colour by hue, saturation and value, each a number or a range to draw from."""
    return rgb(*[rng.uniform(*x) if isinstance(x, tuple) else x for x in hsv])


def object_color(rng):
    """A colour of a made object: vivid, pastel, pale or dark, of any hue.

    Red, yellow and green come a little more often than other hues, so that the colours
    of the fruit alone do not give the class away.
    """
    kind = rng.random()
    hue = rng.uniform(-0.03, 0.36) if rng.random() < 0.2 else rng.random()
    if kind < 0.56:
        warm = 0.15 * (hue < 0.17)  # real yellows are bright, greens are not
        return rgb(hue, rng.uniform(0.5, 0.88), rng.uniform(0.28, 0.72) + warm)
    if kind < 0.76:
        return draw_rgb(rng, hue, (0.15, 0.5), (0.55, 0.92))
    if kind < 0.9:
        return draw_rgb(rng, hue, (0.0, 0.1), (0.7, 0.92))
    return draw_rgb(rng, hue, (0.0, 0.4), (0.08, 0.3))


def surface_color(rng):
    """A colour of a table or wall: mostly muted."""
    kind = rng.random()
    if kind < 0.6:
        return draw_rgb(rng, (0, 1), (0, 0.18), (0.35, 0.93))
    if kind < 0.9:
        return draw_rgb(rng, (0.05, 0.13), (0.15, 0.5), (0.4, 0.9))
    return draw_rgb(rng, (0, 1), (0.25, 0.55), (0.22, 0.58))


def wood_color(rng):
    """Brown of a wood, now and then grey."""
    if rng.random() < 0.15:
        return draw_rgb(rng, 0.09, (0.03, 0.15), (0.45, 0.85))
    return draw_rgb(rng, (0.055, 0.105), (0.25, 0.65), (0.3, 0.85))


def contrast_color(rng, other, draw=object_color):
    """A colour from `draw` that differs clearly from `other`."""
    for _ in range(20):
        color = draw(rng)
        if np.abs(color - other).max() > 0.3:
            break
    return color
