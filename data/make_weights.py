"""Make the weights that the repository ships again: python data/make_weights.py

They spare the learner the long trainings: a lesson that finds them loads them, and
trains by itself where they are missing. About ten minutes on two cores.
"""

import argparse
import time
from pathlib import Path

from course_utils.backbone import SmallResNet
from course_utils.data import VOCDataset, find_data
from course_utils.env import save_weights, seed_everything
from course_utils.localize import Classifier, predict, train_on_crops
from course_utils.pictures import ObjectCrops

WEIGHTS = Path(__file__).resolve().parent / "weights"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=80)
    arguments = parser.parse_args()
    seed_everything(0)
    test = ObjectCrops(VOCDataset(find_data("tabletop"), "test"), 48)
    trunk = SmallResNet()
    model = Classifier(trunk, trunk.out_channels, len(test.classes) + 1)
    start = time.perf_counter()
    train_on_crops(model, arguments.epochs)
    found = predict(model, test)
    right = [int(a["labels"]) == int(label) for a, label in zip(found, test.labels)]
    print(f"{time.perf_counter() - start:.0f} s of training,", end=" ")
    print(f"{sum(right) / len(right):.1%} of {len(right)} test objects right")
    save_weights(model.state_dict(), WEIGHTS / "crops.safetensors", half=True)


if __name__ == "__main__":
    main()
