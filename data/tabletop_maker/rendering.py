"""Photographs of scenes, path traced by Mitsuba and developed as a camera does."""

import sys

import cv2
import numpy as np

from .camera import HEIGHT, WIDTH, camera_frame
from .lighting import room_light
from .masks import instance_mask
from .mesh import Part, vertex_normals
from .poses import build, position_of
from .surfaces import SIZE, surface_texture

SAMPLES = 9  # light paths per pixel
DEPTH = 5  # longest light path


def render_scene(scene):
    """Picture (180, 240, 3), mask (180, 240) and object records of a description."""
    mi = load_mitsuba()
    mask, objects = instance_mask(scene)
    path = mi.load_dict({"type": "path", "max_depth": DEPTH, "rr_depth": 3})
    linear = mi.render(
        mitsuba_scene(mi, scene),
        sensor=mitsuba_camera(mi, scene["camera"]),
        integrator=path,
        spp=SAMPLES,
        seed=scene["index"],
    )
    return develop(scene, np.array(linear)), mask, objects


def load_mitsuba():
    """The mitsuba module, one render thread per process."""
    try:
        import mitsuba as mi
    except ImportError:
        sys.exit('the renderer Mitsuba 3 is missing: pip install -e ".[data]"')
    if mi.variant() is None:
        mi.set_variant("scalar_rgb")
        mi.set_log_level(mi.LogLevel.Error)
        import drjit

        drjit.set_thread_count(1)
    return mi


def mitsuba_camera(mi, camera):
    """Mitsuba's sensor of a camera."""
    position, (_, down, forward) = camera_frame(camera)
    view = mi.ScalarTransform4f().look_at(
        origin=position.tolist(),
        target=(position + forward).tolist(),
        up=(-down).tolist(),
    )
    film = {
        "type": "hdrfilm",
        "width": WIDTH,
        "height": HEIGHT,
        "pixel_format": "rgb",
        "rfilter": {"type": "box"},
    }
    return mi.load_dict(
        {
            "type": "perspective",
            "fov": float(np.degrees(camera["fov"])),
            "fov_axis": "x",
            "to_world": view,
            "near_clip": 0.01,
            "far_clip": 100.0,
            "film": film,
            "sampler": {"type": "multijitter", "sample_count": SAMPLES},
        }
    )


def mitsuba_scene(mi, scene):
    """The Mitsuba scene of a description."""
    up = mi.ScalarTransform4f().rotate([0, 0, 1], 90).rotate([1, 0, 0], 90)
    light = mi.Bitmap(room_light(scene["light"]))
    world = {
        "type": "scene",
        "light": {"type": "envmap", "bitmap": light, "to_world": up},
    }
    wide, deep, high = np.diag([12.0, 8.0, 3.0])
    corner = np.array([-6.0, scene["edge"], 0])
    top = sheet(corner - deep, wide, deep, scene["table"])
    world["table"] = mitsuba_mesh(mi, "table", top, 0.95)
    if scene["wall"]:
        wall = sheet(corner - [0, 0, 0.2], wide, high, scene["backdrop"])
        world["wall"] = mitsuba_mesh(mi, "wall", wall, 0.95)
    for k, item in enumerate(scene["objects"]):
        for j, part in enumerate(build(item)[0]):
            part = part._replace(vertices=part.vertices + position_of(item))
            world[f"object{k}_{j}"] = mitsuba_mesh(mi, f"object{k}_{j}", part)
    return mi.load_dict(world)


def sheet(origin, along, up, surface):
    """Part of a table top or wall: the rectangle that two vectors span from origin.

    surface: its "kind", "seed" and "texel" for `surface_texture`, and "turn" (of the
    texture, in radians) and "gloss" if there are any.
    """
    kind, turn = surface["kind"], surface.get("turn", 0.0)
    gloss = "matte" if kind == "cloth" else surface.get("gloss", "matte")
    vertices = np.array([origin, origin + along, origin + along + up, origin + up])
    a, b = np.linalg.norm(along), np.linalg.norm(up)
    uv = np.array([(0, 0), (a, 0), (a, b), (0, b)]) / (SIZE * surface["texel"])
    c, s = np.cos(turn), np.sin(turn)
    uv = uv @ np.array([(c, -s), (s, c)]) + 0.13
    texture = surface_texture(kind, surface["seed"], surface["texel"])
    return Part(vertices, np.array([(0, 1, 2), (0, 2, 3)]), uv, texture, gloss)


def mitsuba_mesh(mi, name, part, reflectance=0.96):
    """Mitsuba mesh of a part, with smooth normals."""
    props = mi.Properties()
    props["bsdf"] = mitsuba_material(mi, part.texture, part.gloss, reflectance)
    mesh = mi.Mesh(
        name,
        len(part.vertices),
        len(part.faces),
        props=props,
        has_vertex_normals=True,
        has_vertex_texcoords=True,
    )
    normals = vertex_normals(part.vertices, part.faces)
    params = mi.traverse(mesh)
    params["vertex_positions"] = part.vertices.astype(np.float32).ravel()
    params["vertex_normals"] = normals.astype(np.float32).ravel()
    params["vertex_texcoords"] = part.uv.astype(np.float32).ravel()
    params["faces"] = part.faces.astype(np.uint32).ravel()
    params.update()
    return mesh


def mitsuba_material(mi, texture, gloss, reflectance):
    """Mitsuba material of a texture (rows, cols, 3) in sRGB 0..1; gloss: see `Part`."""
    image = np.clip(np.asarray(texture) * 255 * reflectance, 0, 255)
    image = np.ascontiguousarray(image.astype(np.uint8))
    color = {"type": "bitmap", "bitmap": mi.Bitmap(image), "wrap_mode": "mirror"}
    bsdf = {
        "matte": {"type": "diffuse", "reflectance": color},
        "plastic": {"type": "plastic", "diffuse_reflectance": color},
        "satin": {
            "type": "principled",
            "base_color": color,
            "roughness": 0.38,
            "specular": 0.5,
        },
        "metal": {
            "type": "roughconductor",
            "material": "none",
            "alpha": 0.2,
            "specular_reflectance": color,
        },
    }[gloss]
    return mi.load_dict({"type": "twosided", "bsdf": bsdf})


def develop(scene, linear):
    """Photograph (uint8) of the linear picture: white balance, exposure, tone curve."""
    tint = np.array(scene["light"]["tint"]) ** scene["balance"]
    # Single stray light paths: clearly brighter than all but one of the neighbours.
    light = linear.max(2)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(light, 1, "edge"), (3, 3))
    near = np.sort(near.reshape(HEIGHT, WIDTH, 9))
    stray = (light > 1.3 * near[..., -3])[..., None]
    x = np.where(stray, cv2.medianBlur(linear, 3), linear) / tint
    bright = np.sort(x.mean(2).ravel())
    level = bright[int(0.1 * len(bright)) : int(0.95 * len(bright))].mean()
    # Metered on the whole picture, but bright things must keep their shading.
    gain = min(scene["exposure"] / level, 1.3 / bright[int(0.96 * len(bright))])
    x = np.maximum(x * gain, 0)
    knee = 0.5
    rest = 1 - knee
    x = np.where(x > knee, knee + rest * (1 - np.exp(-(x - knee) / rest)), x)
    srgb = np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    srgb = srgb + 0.4 * srgb * (1 - srgb) * (2 * srgb - 1)  # a little more contrast
    image = np.clip(srgb * 255 + 0.5, 0, 255).astype(np.uint8)
    # Denoise as a camera does, by as much as the picture is noisy.
    rough = np.abs(image - cv2.medianBlur(image, 3).astype(float)).mean(2)
    strength = float(np.clip(1.5 * np.median(rough), 4, 11))
    return cv2.fastNlMeansDenoisingColored(image, None, strength, 8, 5, 13)
