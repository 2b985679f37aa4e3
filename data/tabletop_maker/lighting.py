"""Lamps, windows and the room around the table."""

import cv2
import numpy as np

from .draws import choose, object_color, wood_color
from .textures import coords, mix, step

KINDS = {"window": 0.36, "sun": 0.2, "lamp": 0.14, "overcast": 0.12, "two": 0.18}


def draw_light(rng, wall):
    """Description of the light: seed of the room, tint (3,), fill (0..1) and lamps.

    wall: is there one behind the table? No lamp shines through it.
    """
    light = {"seed": int(rng.integers(2**31)), "lamps": []}
    kind = choose(rng, KINDS)
    warm = rng.normal(0, 1)
    tint = [1 + 0.16 * warm, 1 + 0.02 * warm, 1 - 0.2 * warm]
    light["tint"] = np.clip(tint, 0.5, 1.5).tolist()
    light["fill"] = rng.uniform(0.15, 0.45)
    n = {"overcast": 0, "two": 2}.get(kind, 1)
    for _ in range(n):
        azimuth = np.pi * (rng.uniform(-1.15, 0.15) if wall else rng.uniform(0, 2))
        size = rng.uniform(0.35, 0.9, 2).tolist()
        if kind == "sun":
            size = rng.uniform(0.07, 0.1, 2).tolist()
        elif kind == "lamp":
            size = [rng.uniform(0.12, 0.3)] * 2
        lamp = {"azimuth": azimuth, "size": size}  # radians
        lamp["elevation"] = float(np.radians(rng.uniform(25, 72)))
        lamp["power"] = rng.uniform(1.2, 4.0) * light["fill"] / 0.3 / n**0.5
        light["lamps"].append(lamp)
    if kind == "overcast":
        light["fill"] = 1.0
    return light


def room_light(light):
    """Light from all around as an image (96, 192, 3), row 0 straight up.

    Column c looks along azimuth 2 pi c / 192 from +x towards +y. Seen past the table's
    edge it is also the out of focus room.
    """
    rng = np.random.default_rng(light["seed"])
    shape = (96, 192)
    u, v = coords(shape)
    elevation = np.pi * (0.5 - v)
    height, tint = np.sin(elevation), np.array(light["tint"])
    wall = object_color(rng) * 0.2 + 0.55
    floor = object_color(rng) * 0.12 + wood_color(rng) * 0.4
    image = mix(wall * 0.8, np.ones(3), step(height - 0.45, 0.5))
    image = mix(image, floor * 0.6, step(-0.12 - height, 0.1))
    for _ in range(40):  # furniture, doors, rugs
        c, w = rng.uniform(0, 1), rng.uniform(0.01, 0.06)
        low, high = sorted(rng.uniform(-0.8, 0.55, 2))
        inside = step(w - np.abs((u - c + 0.5) % 1 - 0.5), 0.01)
        inside = inside * step(height - low, 0.03) * step(high - height, 0.03)
        image = mix(image, object_color(rng) * rng.uniform(0.2, 1.1), 0.85 * inside)
    image = cv2.GaussianBlur(image, (0, 0), 0.9, borderType=cv2.BORDER_REPLICATE)
    image = image * (0.7 + 0.3 * np.clip(height[..., None] + 0.3, 0, 1)) * light["fill"]
    image = image * (0.5 + 0.5 * tint)
    pixel = 2 * np.pi / shape[1]  # radians
    for lamp in light["lamps"]:
        du = ((u - lamp["azimuth"] / (2 * np.pi) + 0.5) % 1 - 0.5) * 2 * np.pi
        du, dv = du * np.cos(lamp["elevation"]), elevation - lamp["elevation"]
        w, h = lamp["size"]
        cover = step(w / 2 - np.abs(du), pixel) * step(h / 2 - np.abs(dv), pixel)
        if w > 0.25:  # glazing bars of a window
            cover = cover * (1 - 0.9 * step(0.03 - np.abs(du), pixel / 2))
        total = (cover * np.cos(elevation)).sum() * pixel**2
        image = image + cover[..., None] * tint * lamp["power"] / max(total, 1e-4)
    return image.astype(np.float32)
