"""Is this machine set up for the course? Lesson 00 asks."""

import contextlib
import importlib.metadata
import os
import sys
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement

from course_utils.core.settings import REPOSITORY
from course_utils.core.threads import describe_threads


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
