"""Weights of networks: save, load, or train once and keep."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from course_utils.core import files
from course_utils.core.cache import cache_dir
from course_utils.core.files import cannot_write, content_key, unfinished, write_whole
from course_utils.core.settings import REPOSITORY


def save_weights(state, path, half=False, about=None):
    """Write a state dict as safetensors, under a temporary name renamed when whole.

    half: store floats as float16, as the shipped weights are; about: {name: text} kept
    with them. Raises OSError if the disk is full or read-only. Lesson 02.
    """
    path = Path(path)
    state = {
        k: (v.half() if half and v.is_floating_point() else v)
        .detach()
        .cpu()
        .contiguous()
        for k, v in state.items()
    }
    unfinished(path)  # makes the folder, and room where a killed kernel left a file
    with write_whole(path) as place:
        place.write_bytes(save(state, about))


def load_weights(model, path):
    """Load safetensors weights into `model`; False if there is no readable file.

    A file for another network counts as broken: it is left alone and not used.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError):
        return False
    own = model.state_dict()
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in own.items()}:
        return False
    model.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})
    return True


def train_or_load(name, model, train):
    """Give `model` trained weights: from the cache, the repository, or by training now.

    name: file name without ending, such as ``"02_localizer"``. train: a function of the
    model that trains it in place; called only if neither the cache nor data/weights has
    weights that fit. Returns where they came from: "cache", "shipped" or "trained". The
    cache is keyed by the network's text form, so a changed network trains anew. If the
    cache cannot be written, a line says so, and the trained model is there all the
    same. Lesson 02.
    """
    cached = cache_dir() / "weights" / f"{name}-{content_key(model)}.safetensors"
    if load_weights(model, cached):
        return "cache"
    if load_weights(model, REPOSITORY / "data" / "weights" / f"{name}.safetensors"):
        if content_key("") != files.content_key(""):  # live cells changed something
            print(
                f"NOTE  {name}: these weights were trained by the course's own code."
                " Train the network yourself to see what your changes do to training."
            )
        return "shipped"
    train(model)
    try:
        save_weights(model.state_dict(), cached)
    except OSError as error:
        print(f"NOTE  not kept, {name}: {cannot_write(cached.parent, error)}")
    return "trained"
