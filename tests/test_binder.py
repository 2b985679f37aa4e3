"""What Binder would install, by repo2docker without Docker."""

import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from course_utils.core.settings import REPOSITORY

pytestmark = pytest.mark.slow

BINDER = REPOSITORY / "binder"


def requirements(path):
    """{name: Requirement} of the lines of a requirements file that name a package."""
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and line[0] != "-"]
    return {need.name: need for need in found}


def test_binders_pins_satisfy_the_requirements():
    # pitfall: environment: size of torch
    wanted = requirements(REPOSITORY / "requirements.txt")
    pinned = requirements(BINDER / "requirements.txt")
    assert set(pinned) >= {"torch", "torchvision"}
    for name, pin in pinned.items():
        version = re.fullmatch(r"==([^,]+)", str(pin.specifier))[1]
        assert wanted[name].specifier.contains(version), f"{name} {version}"
        assert version.endswith("+cpu"), "the default build is too large for Binder"


def test_repo2docker_would_build_what_we_mean():
    # pitfall: environment: size of torch
    program = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(program, cwd=REPOSITORY, capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-2000:]
    assert "python=3.11" in text
    assert "libgl1 libglib2.0-0" in text
    install = text.index('pip install --no-cache-dir -r "binder/requirements.txt"')
    copied = text.index("COPY --chown=0:0 src/ ${REPO_DIR}/")
    assert copied < install, "binder's file reads the one above it"
    assert install < text.index("RUN ./binder/postBuild")
