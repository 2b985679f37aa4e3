"""One training loop for every network of the course."""

import math
import time

import torch
from tqdm.auto import tqdm

from course_utils.core.devices import device_of, to_device
from course_utils.core.settings import in_ci


class NonFiniteLoss(ArithmeticError):
    """A loss or gradient became NaN or infinite; the last good weights are restored."""


def cosine_schedule(step, steps, warmup=0.1):
    """Factor of the learning rate: up in a straight line, then down along a cosine.

    step: 0 .. steps - 1; warmup: the share of steps that go up. Lesson 02.
    """
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def adamw(model, lr, weight_decay=0.01, backbone=None, backbone_lr=None):
    """AdamW for all weights of `model` that are not frozen.

    backbone: a part of it whose weights learn at the rate `backbone_lr`. Lesson 07.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    slow = {id(p) for p in backbone.parameters()} if backbone else set()
    groups = [{"params": [p for p in weights if id(p) not in slow]}]
    if own := [p for p in weights if id(p) in slow]:
        groups.append({"params": own, "lr": backbone_lr})
    return torch.optim.AdamW(groups, lr, weight_decay=weight_decay, fused=True)


def fit(
    model,
    loader,
    epochs,
    lr=1e-3,
    weight_decay=0.01,
    clip=5.0,
    backbone_lr=None,
    optimizer=None,
    after_epoch=None,
    name="training",
):
    """Train `model` in place with AdamW; return the history, a list of dicts by step.

    model(images, targets) must give a dict of losses, whose sum is minimised. loader: a
    batch iterable that can be walked `epochs` times; images and targets are moved to
    the model's device. clip: largest gradient norm. backbone_lr: learning rate of
    `model.backbone`, if it is to be another: a pretrained backbone wants smaller steps
    than new layers. optimizer: a ready one instead of AdamW. after_epoch(model, epoch)
    is called in evaluation mode after each epoch. Each history row has ``step``,
    ``seconds``, ``lr``, ``loss`` (the sum) and every loss by its name.

    Raises NonFiniteLoss, with step, loss name and a hint, at the first NaN or infinite
    loss or gradient; the model then has the last weights that gave finite losses.
    Lesson 02.
    """
    steps = epochs * len(loader)
    if steps == 0:
        raise ValueError(
            f"nothing to train on: {epochs} epochs of {len(loader)} batches"
        )
    weights = [p for p in model.parameters() if p.requires_grad]
    backbone = model.backbone if backbone_lr else None
    optimizer = optimizer or adamw(model, lr, weight_decay, backbone, backbone_lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: cosine_schedule(step, steps)
    )
    device = device_of(model)
    good = {k: v.clone() for k, v in model.state_dict().items()}
    history, start = [], time.perf_counter()
    bar = tqdm(total=steps, desc=name, disable=in_ci(), leave=False)
    for epoch in range(epochs):
        model.train()
        for images, targets in loader:
            losses = model(to_device(images, device), to_device(targets, device))
            row = {"step": len(history), "lr": schedule.get_last_lr()[0]}
            row |= {key: float(value.detach()) for key, value in losses.items()}
            stop_if_not_finite(row, model, good)
            for key, value in model.state_dict().items():
                good[key].copy_(value)
            loss = sum(losses.values())
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(weights, clip)
            stop_if_not_finite(row | {"gradient norm": float(norm)}, model, good)
            optimizer.step()
            schedule.step()
            row |= {
                "loss": float(loss.detach()),
                "seconds": time.perf_counter() - start,
            }
            history.append(row)
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}")
        model.eval()
        if after_epoch:
            after_epoch(model, epoch)
    bar.close()
    return history


def stop_if_not_finite(row, model, good):
    """Raise NonFiniteLoss if a number of `row` is NaN or infinite, weights restored."""
    bad = [key for key, value in row.items() if not math.isfinite(value)]
    if bad:
        model.load_state_dict(good)
        raise NonFiniteLoss(
            f"step {row['step']}: {bad[0]} is {row[bad[0]]}. The learning rate"
            f" ({row['lr']:.2g} here) may be too high for this batch size; divide it by"
            " 10, or look for targets that are not normalised. The model keeps its last"
            " good weights."
        )
