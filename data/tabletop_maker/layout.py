"""Scenes: which objects, where, seen from where, on which table, in which light.

A scene is a function of (seed, split, index) only: a dict of plain numbers and names.
"""

from typing import NamedTuple

import cv2
import numpy as np

from .camera import HEIGHT, WIDTH, focal_length, on_table, project
from .draws import choose
from .lighting import draw_light
from .makers import MAKERS
from .masks import visibility
from .mesh import all_vertices
from .poses import build, draw_item
from .surfaces import TABLES, WALLS

CLASSES = tuple(MAKERS)
SPLITS = {  # number of scenes
    "train": 1000,
    "val": 200,
    "test": 300,
    "single_train": 600,
    "single_test": 150,
}
SEED = 2024
NUMBERS = {1: 0.1, 2: 0.14, 3: 0.17, 4: 0.18, 5: 0.16, 6: 0.14, 7: 0.11}  # of objects


class Rules(NamedTuple):
    """What a scene may hold."""

    single: bool  # exactly one object, large and whole
    crowded: bool  # hardly visible objects
    cut: bool  # objects cut by the border


def sample_scene(split, index, seed=SEED):
    """Description of scene `index` of a split. RuntimeError if none is found."""
    number = list(SPLITS).index(split)
    rng = np.random.default_rng([seed, number, index])
    single = split.startswith("single")
    if single:
        block = np.random.default_rng([seed, number, index // 8, 1])
        kinds = [block.permutation(8)[index % 8]]
    else:
        n = choose(rng, NUMBERS)
        kinds = rng.permutation(8)[:n] if rng.random() < 0.6 else rng.integers(0, 8, n)
    names = [CLASSES[k] for k in kinds]
    # Books and bowls first: other things may lie on or in them.
    names.sort(key=lambda name: name not in ("book", "bowl"))
    rules = Rules(single, crowded=rng.random() < 0.25, cut=rng.random() < 0.3)
    for _ in range(1000):
        scene = draw_layout(rng, names, rules)
        if scene is not None and well_seen(scene, rules):
            return scene | {"split": split, "index": index, "seed": seed}
    raise RuntimeError(f"no layout for {split} {index}")


def well_seen(scene, rules):
    """Whether enough of each object is inside the picture and not hidden."""
    pixels, share = (28, 0.1) if rules.crowded else (45, 0.75)
    inside = 0.4 if rules.cut and not rules.single else 0.97
    return all(
        area["visible"] >= max(pixels, share * area["inside"])
        and area["inside"] >= inside * area["full"]
        for area in visibility(scene, 1)[1]
    )


def draw_layout(rng, names, rules):
    """One try at a scene; None if some object finds no place."""
    camera = {
        "fov": float(np.radians(rng.uniform(24, 58))),
        "azimuth": rng.uniform(-0.6, 0.6),
    }
    spans = (12, 30), (25, 50), (45, 78)
    elevation = rng.choice([rng.uniform(*x) for x in spans], p=[0.35, 0.45, 0.2])
    camera["elevation"] = float(np.radians(elevation))
    camera["roll"] = rng.normal(0, 0.03)
    items = [draw_item(rng, name) for name in names]
    reach, size = 0.12, np.exp(rng.uniform(np.log(40), np.log(95)))
    if rules.single:
        parts, _ = build(items[0])
        reach = np.ptp(all_vertices(parts), axis=0).max()
        size = np.exp(rng.uniform(np.log(44), np.log(118)))
    # A camera nearer than 40 cm would see too strong a perspective: zoom instead.
    focal = max(focal_length(camera), 0.4 * size / reach)
    camera["fov"] = float(2 * np.arctan(WIDTH / 2 / focal))
    camera["distance"] = float(focal * reach / size)
    scene = {"camera": camera, "objects": []}
    scene.update(draw_surroundings(rng, WIDTH / size * reach))
    placed, bowls = [], {}
    for item in items:
        if item["pose"] == "lean" and not scene["wall"]:
            item["pose"] = "stand" if item["name"] == "book" else "up"
        parts, profile = build(item)
        if not find_place(rng, item, scene, all_vertices(parts), placed, bowls, rules):
            return None
        full = any(p.upright_only for p in parts)
        if item["name"] == "bowl" and item["pose"] == "up" and not full:
            bowls[len(scene["objects"])] = profile
        scene["objects"].append(item)
    return scene


def draw_surroundings(rng, view):
    """Table, wall or open room, light; view = metres seen across the centre."""
    wall = rng.random() < 0.6
    edge = float(view * rng.uniform(0.3, 0.9) + 0.06)
    light = draw_light(rng, wall)
    table = {
        "kind": choose(rng, TABLES),
        "seed": int(rng.integers(2**31)),
        "texel": float(np.clip(view / 240, 0.0006, 0.01)),
        "turn": choose(rng, [0, 0.5]) * np.pi,
        "gloss": choose(rng, {"matte": 0.65, "satin": 0.35}),
    }
    backdrop = {
        "kind": choose(rng, WALLS),
        "seed": int(rng.integers(2**31)),
        "texel": float(np.clip(view / 200, 0.0006, 0.01)),
    }
    exposure = [rng.uniform(0.2, 0.38), rng.uniform(0.07, 0.12)]
    return {
        "wall": wall,
        "edge": edge,  # of the table: y in metres
        "light": light,
        "table": table,
        "backdrop": backdrop,
        "exposure": float(rng.choice(exposure, p=[0.94, 0.06])),
        "balance": rng.uniform(0.3, 1.0),
    }


def find_place(rng, item, scene, points, placed, bowls, rules):
    """Choose the item's x, y, z; returns False if no good place is found.

    points: its vertices around x = y = 0. placed: those of the objects before it, where
    they are; the item's are added. bowls: {number: inner profile} of empty ones.
    """
    leans = item["pose"] == "lean"
    for _ in range(30):
        xy, z, support = draw_spot(rng, item, scene, points, placed, bowls, rules)
        if xy is None or z is None:
            continue
        if leans:
            xy = np.array([xy[0], scene["edge"] - np.ptp(points[:, 1]) / 2 - 0.001])
        at = points + [*xy, z]
        limit = scene["edge"] - (0.0005 if leans else 0.006)
        if at[:, 1].max() > limit or clashes(at, placed, support):
            continue
        if support is not None and z == placed[support][:, 2].max():
            outline = footprint(placed[support])
            if any(
                cv2.pointPolygonTest(outline, tuple(map(float, q)), False) < 0
                for q in footprint(at)[:, 0]
            ):
                continue
        if not in_view(at, scene["camera"], placed, support, rules):
            continue
        item.update(x=float(xy[0]), y=float(xy[1]), z=float(z))
        placed.append(at)
        return True
    return False


def draw_spot(rng, item, scene, points, placed, bowls, rules):
    """A place to try: (x, y), z and the number of the object that carries it, or None.

    Anywhere on the table or near another object, on a book or in a bowl. x, y or z is
    None where there is no table or no room in the bowl.
    """
    margin = 12 if rules.single else 4
    pixel = [rng.uniform(margin, side - margin) for side in (WIDTH, HEIGHT)]
    xy = on_table(pixel, scene["camera"])
    if not placed or rng.random() >= 0.35:
        return xy, 0.0, None
    k = int(rng.integers(len(placed)))
    other, base = scene["objects"][k], placed[k]
    middle = (base.min(0) + base.max(0))[:2] / 2
    away = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.35:  # in front of it or behind it
        away = scene["camera"]["azimuth"] + rng.normal(0.5, 0.25) * np.pi
        away += np.pi * rng.integers(2)
    sizes = [np.linalg.norm(np.ptp(p, axis=0)[:2]) for p in (points, base)]
    far = sum(sizes) / 2 * rng.uniform(0.8, 1.3)
    flat_book = other["name"] == "book" and other["pose"] == "up"
    if flat_book and rng.random() < 0.6 and item["name"] not in ("bottle", "ball"):
        return middle + rng.normal(0, 0.02, 2), base[:, 2].max(), k
    if k in bowls and item["name"] in ("apple", "ball"):
        return middle, rest_in_bowl(points, bowls[k]), k
    return middle + far * np.array([np.cos(away), np.sin(away)]), 0.0, None


def in_view(points, camera, placed, support, rules):
    """Whether the camera sees an object well: near, large, whole and not hidden."""
    px, depth = project(points, camera)
    low, high = px.min(0), px.max(0)
    longest = (high - low).max()
    inside = np.maximum(0, np.minimum(high, (WIDTH, HEIGHT)) - np.maximum(low, 0))
    share = inside.prod() / (high - low).prod()
    if rules.single:
        smallest, largest, whole = 25, 118, 0.9
    else:
        smallest, largest, whole = 12, 125, 0.3 if rules.cut else 0.99
    if depth.min() < 0.08 or not smallest <= longest <= largest or share < whole:
        return False
    return rules.crowded or not any(
        k != support and hides(low, high, project(other, camera)[0])
        for k, other in enumerate(placed)
    )


def footprint(points, gap=0.0):
    """Convex outline on the table, grown by about `gap` metres, float32 (n, 1, 2)."""
    hull = cv2.convexHull(points[:, :2].astype(np.float32))[:, 0]
    out = hull - hull.mean(0)
    out = out * (1 + gap / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-4))
    return (hull.mean(0) + out)[:, None].astype(np.float32)


def clashes(points, placed, ignore):
    """True if the points' prism meets that of an object already placed."""
    mine, low, high = footprint(points, 0.003), points[:, 2].min(), points[:, 2].max()
    return any(
        k != ignore
        and low <= other[:, 2].max()
        and high >= other[:, 2].min()
        and cv2.intersectConvexConvex(mine, footprint(other, 0.003))[0] > 0
        for k, other in enumerate(placed)
    )


def hides(low, high, other, most=0.3):
    """True if a pixel box shares over `most` of the smaller one with other points'."""
    other_low, other_high = other.min(0), other.max(0)
    common = np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0)
    smaller = min((high - low).prod(), (other_high - other_low).prod())
    return common.prod() > most * smaller


def rest_in_bowl(points, inner):
    """Height at which an object centred in a bowl touches it, or None."""
    r = np.hypot(points[:, 0], points[:, 1])
    if r.max() > 0.92 * inner[:, 0].max():
        return None
    low = points[:, 2] < points[:, 2].max() / 2
    return float((np.interp(r[low], inner[:, 0], inner[:, 1]) - points[low, 2]).max())
