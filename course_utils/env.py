"""The learner's machine: versions, seeds, memory, cache, and weights made once."""

import contextlib
import ctypes
import gc
import importlib.metadata
import os
import random
import sys
from pathlib import Path

import numpy as np
import psutil
import torch
from packaging.requirements import Requirement
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from course_utils.files import (
    cannot_write,
    content_key,
    load_array,
    new_array_file,
    unfinished,
    write_whole,
)
from course_utils.threads import describe_threads

REPOSITORY = Path(__file__).resolve().parent.parent
IN_MEMORY = 256_000_000  # bytes of an array that may stay there without a cache


def in_ci():
    """True where the variable CI is set: progress bars are off there."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def cache_dir():
    """The folder for what lessons keep: $COURSE_CACHE, else one in ~/.cache."""
    fallback = Path.home() / ".cache" / "object-detection-course"
    return Path(os.environ.get("COURSE_CACHE") or fallback)


def seed_everything(seed=0):
    """Start all random number generators of a lesson from one seed. Lesson 00."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def mixed_precision(training, device="cpu"):
    """Context in which matrix products and convolutions run in bfloat16, if it pays.

    device: where they run, as ``x.device``; other devices than the CPU stay in float32.
    On processors with products for it (AMX or AVX512_BF16) our trunk then trains about
    twice as fast (`make bench`); elsewhere, and where `training` is False, nothing
    changes. Weights and gradients stay float32. Source: Micikevicius et al. 2018.
    """
    known = getattr(torch.cpu, "get_capabilities", dict)()  # absent in old torch
    pays = training and torch.device(device).type == "cpu"
    pays = pays and (known.get("amx_bf16") or known.get("avx512_bf16"))
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(pays))


def peak_memory_mb():
    """The most memory this process has held so far, in MB (10^6 bytes). Lesson 00."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def installed_packages():
    """{package name: version} of the running Python. Lesson 00."""
    found = importlib.metadata.distributions()
    return {d.metadata["Name"].lower().replace("_", "-"): d.version for d in found}


def lab_folder():
    """The folder of the programs that JupyterLab was started from, None if unknown."""
    for process in psutil.Process().parents():
        try:
            words, folder = process.cmdline()[:2], process.cwd()
        except psutil.Error:  # a process of another user, or gone
            continue
        for word in words:
            program = Path(folder, word)  # the word may be relative, as in `make lab`
            if program.name.startswith("jupyter") and program.is_file():
                return program.parent
    return None


def find_problems(installed=None, lab=None, python=None):
    """What is wrong with an installation, as a list of (problem, mend) sentences.

    installed: {package: version}, lab: the folder JupyterLab was started from, python:
    the folder of the kernel's Python; by default those of this process. The list is
    empty when all is well. Lesson 00.
    """
    live = installed is None
    installed = installed_packages() if live else installed
    lab = lab_folder() if live else lab
    python = Path(python or Path(sys.executable).parent)
    problems = []
    pip = f"{python / 'python'} -m pip"
    for line in (REPOSITORY / "requirements.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        need = Requirement(line)
        found = installed.get(need.name.lower().replace("_", "-"))
        if found is None or not need.specifier.contains(found, prereleases=True):
            state = f"is {found}" if found else "is not installed"
            mend = f'{pip} install "{need}"'
            problems.append((f"{need.name} {state}, the course needs {need}", mend))
    wheels = sorted(name for name in installed if name.startswith("opencv-"))
    if len(wheels) > 1:
        problems.append(
            (
                f"{' and '.join(wheels)} overwrite each other's files",
                f"{pip} uninstall -y {' '.join(wheels)}, then"
                f" {pip} install opencv-contrib-python",
            )
        )
    if lab and lab.resolve() != python.resolve():
        problems.append(
            (
                f"JupyterLab runs from {lab}, this kernel from {python}: sliders show"
                ' "model not found"',
                f"install ipywidgets in both, or start {python / 'jupyter'} lab",
            )
        )
    if live and not problems:
        problems += find_broken_libraries()
    return problems


def find_broken_libraries():
    """Libraries that are installed but do not work, as (problem, mend) sentences."""
    problems = []
    try:
        import cv2

        cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    except (ImportError, AttributeError) as error:
        mend = "pip install --force-reinstall opencv-contrib-python"
        if "libGL" in str(error):
            mend = "apt-get install libgl1 libglib2.0-0"
        problems.append((f"OpenCV lacks ximgproc.segmentation ({error})", mend))
    try:
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError) as error:
        mend = "pip install --force-reinstall torch torchvision (both at once)"
        problems.append((f"torchvision does not fit torch ({error})", mend))
    return problems


def check_environment():
    """Print the versions in use and every problem with its mend. Lesson 00."""
    installed = installed_packages()
    names = (
        "torch",
        "torchvision",
        "opencv-contrib-python",
        "ipywidgets",
        "jupyterlab",
    )
    print(f"Python {sys.version.split()[0]}")
    print(", ".join(f"{name} {installed.get(name, 'missing')}" for name in names))
    print(
        f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 1e9:.0f} GB memory"
    )
    with contextlib.suppress(ImportError):  # the problems below name what is missing
        print(describe_threads())
    problems = find_problems()
    for problem, mend in problems:
        print(f"PROBLEM  {problem}\n  mend:  {mend}")
    if not problems:
        print("All is well: you can start.")


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


def cached_array(name, shape, dtype, fill):
    """A large array kept in the cache, read-only and mapped into memory.

    name: file name that tells its contents apart, such as one with a hash. fill: a
    function that writes all of a zero array of this shape, called only if the cache
    has no whole file. It works on a temporary file that is renamed when full, so a
    kernel killed in the middle leaves nothing that is used; what such a one left is
    removed. If the cache can not be written, an array of up to 256 MB stays in memory,
    which is said in a line; for a larger one OSError is raised, with the mend.
    Lesson 05.
    """
    path = cache_dir() / "arrays" / f"{name}.npy"
    array = load_array(path, shape, dtype)
    if array is not None:
        return array
    try:
        temporary = unfinished(path)
        array = new_array_file(temporary, shape, dtype)
    except OSError as error:
        trouble = f"{name}: {cannot_write(path.parent, error)}"
        array = np.zeros(shape, dtype)
        if array.nbytes > IN_MEMORY:
            raise OSError(trouble) from None
        print(f"NOTE  kept in memory only, {trouble}")
        fill(array)
        array.flags.writeable = False
        return array
    try:
        fill(array)
        array.flush()
        del array  # unmapped: Windows renames no open file
        with contextlib.suppress(PermissionError):  # there, if another kernel reads it
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return np.lib.format.open_memmap(path, "r")


def train_or_load(name, model, train):
    """Give `model` trained weights: from the cache, the repository, or by training now.

    name: file name without ending, such as ``"02_localizer"``. train: a function of the
    model that trains it in place; called only if neither the cache nor data/weights has
    weights that fit. Returns where they came from: "cache", "shipped" or "trained". The
    cache is keyed by the network's text form, so a changed network trains anew. If the
    cache can not be written, a line says so, and the trained model is there all the
    same. Lesson 02.
    """
    cached = cache_dir() / "weights" / f"{name}-{content_key(model)}.safetensors"
    if load_weights(model, cached):
        return "cache"
    if load_weights(model, REPOSITORY / "data" / "weights" / f"{name}.safetensors"):
        return "shipped"
    train(model)
    try:
        save_weights(model.state_dict(), cached)
    except OSError as error:
        print(f"NOTE  not kept, {name}: {cannot_write(cached.parent, error)}")
    return "trained"


def return_memory():
    """Hand freed memory back to the system; glibc keeps much of it otherwise."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim:
            trim(0)
