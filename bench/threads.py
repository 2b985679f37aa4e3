"""What idle threads cost: a training step alone, beside a busy process, two at once.

    python -m bench threads [ROUNDS]

Each row starts fresh processes with other settings of OpenMP, since they are read when
torch is loaded. Prints medians of Faster R-CNN's step in milliseconds (4 scenes, frozen
lower backbone), by round; about three minutes a round.
"""

import os
import statistics
import subprocess
import sys
import time

SETTINGS = {
    "OpenMP's default": {"GOMP_SPINCOUNT": "300000"},
    "the course's": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}


def median_step(steps, start):
    """Milliseconds of a step, the median of `steps` that begin at the time `start`."""
    from course_utils.core.settings import seed_everything
    from course_utils.data.catalog import find_data
    from course_utils.data.datasets import VOCDataset
    from course_utils.models.backbone import SmallResNet, freeze
    from course_utils.models.faster_rcnn import new_faster_rcnn
    from course_utils.ops.batches import collate
    from course_utils.training.loop import adamw

    seed_everything(0)
    scenes = VOCDataset(find_data("tabletop"), "train", first=4)
    images, targets = collate([scenes[i] for i in range(4)])
    model = new_faster_rcnn(SmallResNet(), len(scenes.classes) + 1).train()
    freeze(model.backbone)
    optimizer = adamw(model, 1e-4)

    def step():
        optimizer.zero_grad()
        sum(model(images, targets).values()).backward()
        optimizer.step()

    for _ in range(5):
        step()
    time.sleep(max(0, start - time.time()))
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def start_worker(setting, steps, start=0.0):
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
    clean = {k: v for k, v in os.environ.items() if k not in names}
    command = [sys.executable, "-m", "bench.threads", "step", str(steps)]
    return subprocess.Popen(
        [*command, str(start)], env=clean | setting, stdout=subprocess.PIPE, text=True
    )


def result(worker):
    return float(worker.communicate()[0])


def main(rounds=2):
    print(f"{'':20} {'alone':>8} {'beside busy':>12} {'two at once':>18}")
    for _ in range(int(rounds)):
        for name, setting in SETTINGS.items():
            alone = result(start_worker(setting, 40))
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            beside = result(start_worker(setting, 20))
            busy.kill()
            start = time.time() + 15  # both have loaded and warmed up by then
            pair = [start_worker(setting, 20, start) for _ in range(2)]
            first, second = map(result, pair)
            row = f"{name:20} {alone:8.0f} {beside:12.0f} {first:10.0f} {second:7.0f}"
            print(row, flush=True)


if __name__ == "__main__":  # a worker, that is: step STEPS START
    print(median_step(int(sys.argv[2]), float(sys.argv[3])))
