"""One training loop for every network of the course."""

import math
import time

import torch
from torch.optim.lr_scheduler import LambdaLR
from tqdm.auto import tqdm

from course_utils.core.devices import device_of, to_device
from course_utils.core.settings import in_ci


class NonFiniteLoss(ArithmeticError):
    """A loss or gradient became NaN or infinite; the last good weights are restored."""


def cosine_schedule(step, steps, warmup=0.1):
    """Factor of the learning rate: up in a straight line, then down along a cosine.

    step: 0 .. steps - 1; warmup: the share of steps that go up. Source: Goyal et al.
    2017, section 2.2 (warm-up); Loshchilov and Hutter 2017 (cosine). Lesson 02.
    """
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def adamw(model, lr=1e-3, weight_decay=0.01, backbone=None, backbone_lr=None):
    """AdamW for all weights of `model` that are not frozen.

    backbone_lr: another learning rate for the weights of `backbone`, by default
    `model.backbone`: one that was pretrained wants smaller steps than new layers.
    Source: Loshchilov and Hutter 2019. Lesson 02.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    backbone = backbone or (model.backbone if backbone_lr else None)
    slow = {id(p) for p in backbone.parameters()} if backbone else set()
    groups = [{"params": [p for p in weights if id(p) not in slow]}]
    if own := [p for p in weights if id(p) in slow]:
        groups.append({"params": own, "lr": backbone_lr})
    return torch.optim.AdamW(groups, lr, weight_decay=weight_decay, fused=True)


def train_step(model, images, targets, optimizer, clip=5.0, good=None):
    """One step of training; returns {name: loss} with ``loss``, their sum.

    clip: largest norm of the gradient. good: a copy of the model's state dict; it takes
    over the weights whenever they gave finite losses. Lesson 02.
    """
    images, targets = to_device((images, targets), device_of(model))
    losses = model(images, targets)  # forward
    found = {name: float(value.detach()) for name, value in losses.items()}
    stop_if_not_finite(found)
    for name, value in model.state_dict().items() if good else ():
        good[name].copy_(value)
    loss = sum(losses.values())
    optimizer.zero_grad()  # or the last step's gradients would be added to
    loss.backward()
    weights = [p for p in model.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(weights, clip)
    stop_if_not_finite({"gradient norm": float(norm)})
    optimizer.step()
    return found | {"loss": float(loss.detach())}


def stop_if_not_finite(numbers):
    """Raise NonFiniteLoss if one of {name: number} is NaN or infinite. Lesson 02."""
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise NonFiniteLoss(f"{name} is {number}")


def fit(
    model,
    loader,
    epochs,
    optimizer=None,
    clip=5.0,
    after_epoch=None,
    name="training",
    **rates,
):
    """Train `model` in place; returns the history, a dict for each step.

    model(images, targets) must give a dict of losses, whose sum is minimised; loader:
    batches, to be walked `epochs` times; optimizer: instead of `adamw(model, **rates)`;
    after_epoch(model, epoch) is called in evaluation mode. Rows hold ``step``, ``lr``,
    ``seconds``, ``loss`` (the sum) and every loss. Raises NonFiniteLoss, with step,
    name and a hint, and then the model has its last good weights. Lesson 02.
    """
    steps = epochs * len(loader)
    if steps == 0:
        raise ValueError(
            f"nothing to train on: {epochs} epochs of {len(loader)} batches"
        )
    optimizer = optimizer or adamw(model, **rates)
    schedule = LambdaLR(optimizer, lambda step: cosine_schedule(step, steps))
    good = {key: value.clone() for key, value in model.state_dict().items()}
    history, start = [], time.perf_counter()
    for epoch in range(epochs):
        model.train()
        for images, targets in progress(loader, f"{name} {epoch + 1}/{epochs}"):
            row = {"step": len(history), "lr": schedule.get_last_lr()[0]}
            try:
                row |= train_step(model, images, targets, optimizer, clip, good)
            except NonFiniteLoss as error:
                model.load_state_dict(good)
                raise NonFiniteLoss(hint(error, row)) from None
            schedule.step()
            history.append(row | {"seconds": time.perf_counter() - start})
        model.eval()
        if after_epoch:
            after_epoch(model, epoch)
    return history


def progress(loader, name):
    """The batches of a loader behind a progress bar, which vanishes at the end."""
    return tqdm(loader, desc=name, disable=in_ci(), leave=False)


def hint(error, row):
    """What NonFiniteLoss says: where it happened, and what to try."""
    return (
        f"step {row['step']}: {error}. The learning rate"
        f" ({row['lr']:.2g} here) may be too high for this batch size; divide it by"
        " 10, or look for targets that are not normalised. The model keeps its last"
        " good weights."
    )
