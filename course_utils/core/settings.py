"""Where the repository lies, whether this is CI, and one seed for everything."""

import os
import random
from pathlib import Path

import numpy as np
import torch

REPOSITORY = Path(__file__).resolve().parents[2]


def in_ci():
    """True where the variable CI is set: progress bars are off there."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def seed_everything(seed=0):
    """Start all random number generators of a lesson from one seed. Lesson 00."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
