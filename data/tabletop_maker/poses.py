"""How objects rest: standing, lying, rolled, upside down, leaning at the wall.

An item describes one object by plain numbers and names: "name" of its class, "seed" of
its shape, "pose", "roll" and "yaw" in radians, "scale", and its place "x", "y", "z".
"""

import functools

import numpy as np

from .draws import choose
from .makers import MAKERS
from .mesh import all_vertices, rotation

# How often each object takes which pose. Only things by the wall can lean.
POSES = {
    "mug": {"up": 0.88, "side": 0.08, "down": 0.04},
    "bottle": {"up": 0.84, "side": 0.16},
    "bowl": {"up": 0.92, "down": 0.08},
    "apple": {"up": 0.8, "roll": 0.2},
    "banana": {"flat": 0.85, "arch": 0.15},
    "ball": {"roll": 1.0},
    "book": {"up": 0.78, "stand": 0.14, "lean": 0.08},
    "donut": {"up": 0.86, "down": 0.04, "lean": 0.1},
}


def draw_item(rng, name):
    """An item without its place, which is 0, 0, 0."""
    pose = choose(rng, POSES[name])
    roll = rng.uniform(-0.3, np.pi + 0.3) if name == "mug" else rng.uniform(0, np.pi)
    if name == "bottle":
        roll = rng.uniform(-0.3, 0.3) + choose(rng, [0, np.pi])
    yaw = rng.uniform(0, 2 * np.pi)
    if name == "mug" and pose == "up" and rng.random() < 0.8:
        yaw = rng.normal(0, 0.6) + choose(rng, [0, np.pi])  # handle to be seen
    if pose == "lean":
        yaw = 0.0
    elif pose == "stand" and rng.random() < 0.5:
        yaw = rng.normal(0, 0.4)
    seed, scale = int(rng.integers(2**31)), rng.uniform(0.88, 1.12)
    item = {"name": name, "seed": seed, "pose": pose, "roll": roll, "yaw": yaw}
    return item | {"scale": scale, "x": 0.0, "y": 0.0, "z": 0.0}


def pose_matrix(name, pose, roll, profile):
    """Turn that brings an object from its own frame into a resting pose.

    roll (radians) is the free angle of the pose.
    """
    if pose == "down":
        return rotation(0, np.pi)
    if pose == "side":
        # Lying on its widest line: the hull edge of the profile below the middle.
        r, z = profile.T
        mid = z.max() * 0.45
        low, high = np.where(z <= mid)[0], np.where(z > mid)[0]
        run = z[high][None] - z[low][:, None]
        slope = (r[high][None] - r[low][:, None]) / run
        height = r[low][:, None] + slope * (mid - z[low][:, None])
        k = np.unravel_index(height.argmax(), height.shape)
        return rotation(0, np.pi / 2 - np.arctan(slope[k])) @ rotation(2, roll)
    if pose == "roll":
        tilt = 0.5 * roll if name == "apple" else 2 * roll
        return rotation(0, tilt) @ rotation(2, 5 * roll)
    if pose in ("flat", "stand"):
        return rotation(0, np.pi / 2)
    if pose == "lean":
        return rotation(0, np.pi / 2 - (0.2 + 0.06 * roll))
    return np.eye(3)


@functools.lru_cache(maxsize=8)
def make(name, seed):
    """Parts and profile of one object in its own frame."""
    return MAKERS[name](np.random.default_rng(seed))


def build(item):
    """Parts of an item, turned and scaled, and the profile of its maker.

    Their middle is at x = y = 0, their lowest point at z = 0. The profile of an upright
    bowl is scaled and lifted like its parts.
    """
    parts, profile = make(item["name"], item["seed"])
    upright = item["pose"] == "up"
    turn = pose_matrix(item["name"], item["pose"], item["roll"], profile)
    turn = rotation(2, item["yaw"]) @ turn
    parts = [
        p._replace(vertices=item["scale"] * p.vertices @ turn.T)
        for p in parts
        if upright or not p.upright_only
    ]
    points = all_vertices(parts)
    low, high = points.min(0), points.max(0)
    origin = np.array([*(low + high)[:2] / 2, low[2]])
    parts = [p._replace(vertices=p.vertices - origin) for p in parts]
    if item["name"] == "bowl" and upright:
        profile = item["scale"] * profile + [0, -low[2]]
    return parts, profile


def position_of(item):
    """Where an item stands, (3,)."""
    return np.array([item["x"], item["y"], item["z"]])
