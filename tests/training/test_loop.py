"""train.fit: learns, keeps a history, stops at the first non-finite number."""

import math
import warnings

import pytest
import torch
from torch import nn

from course_utils.training.loop import (
    NonFiniteLoss,
    adamw,
    cosine_schedule,
    fit,
    train_step,
)


class Line(nn.Module):
    """Two losses of one weight, to look at training itself."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([4.0]))
        self.seen = 0

    def forward(self, images, targets):
        self.seen += 1
        error = self.weight * torch.stack(images) - torch.stack(targets)
        return {"box": (error**2).mean(), "class": 0 * self.weight.sum()}


def batches(count=5):
    images = [torch.ones(1)] * 4
    return [(images, [torch.full((1,), 2.0)] * 4)] * count


def test_it_learns_and_keeps_a_history():
    model, epochs = Line(), []
    history = fit(
        model,
        batches(),
        40,
        lr=0.1,
        weight_decay=0,
        after_epoch=lambda m, e: epochs.append((e, m.training)),
    )
    assert model.weight.item() == pytest.approx(2, abs=0.02)
    assert [row["step"] for row in history] == list(range(200))
    assert epochs == [(e, False) for e in range(40)] and not model.training
    assert history[-1]["box"] < 1e-3 < history[0]["box"] == 4
    assert all(row["loss"] == row["box"] + row["class"] for row in history)
    assert history[0]["lr"] < history[20]["lr"] > history[-1]["lr"] > 0


def test_a_backbone_can_learn_at_a_rate_of_its_own():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.head = Line(), Line()
            self.backbone.fixed = nn.Parameter(torch.ones(1), requires_grad=False)

        def forward(self, images, targets):
            backbone, head = self.backbone(images, targets), self.head(images, targets)
            return {"backbone": backbone["box"], "head": head["box"]}

    model = Model()
    settings = {"lr": 0.1, "backbone_lr": 0.02, "weight_decay": 0}
    history = fit(model, batches(1), 1, **settings)
    # the first step of Adam is as long as the rate, here a warm-up of one step
    assert model.head.weight.item() == pytest.approx(4 - 0.1, abs=1e-4)
    assert model.backbone.weight.item() == pytest.approx(4 - 0.02, abs=1e-4)
    assert model.backbone.fixed.item() == 1
    assert history[0]["lr"] == 0.1, "the history shows the rate of the new layers"


def test_training_repeats_from_one_seed():
    def run():
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = net

            def forward(self, images, targets):
                return {"loss_": (self.net(torch.stack(images)) ** 2).mean()}

        fit(Model(), [([torch.rand(2) for _ in range(3)], None)], 5)
        return net[0].weight.detach().clone()

    assert torch.equal(run(), run())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_loss_stops_with_step_name_and_hint(bad):
    # pitfall: training: learning rate too high
    class Breaks(Line):
        def forward(self, images, targets):
            losses = super().forward(images, targets)
            if self.seen == 4:
                losses["class"] = losses["class"] + bad
            return losses

    model, weights = Breaks(), []
    model.register_forward_pre_hook(lambda m, _: weights.append(m.weight.item()))
    with pytest.raises(NonFiniteLoss, match="step 3: class is (nan|inf).*divide it by"):
        fit(model, batches(), 10)
    assert model.weight.item() == weights[2], "weights of the last finite step"


def test_too_high_a_rate_stops_and_keeps_good_weights():
    # pitfall: training: learning rate too high
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), 1e30)
    with pytest.raises(NonFiniteLoss, match="box is (nan|inf)"):
        fit(model, batches(), 10, clip=1e30, optimizer=optimizer)
    assert math.isfinite(model.weight.item())


def test_non_finite_gradient_stops():
    class Root(Line):
        def forward(self, images, targets):
            return {"box": torch.sqrt(0 * self.weight).sum()}  # slope 0 * infinity

    with pytest.raises(NonFiniteLoss, match="step 0: gradient norm is nan"):
        fit(Root(), batches(), 1)


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(ValueError, match="3 epochs of 0 batches"):
        fit(Line(), [], 3)


def test_schedule_rises_then_falls():
    values = [cosine_schedule(step, 100, 0.1) for step in range(100)]
    assert values[0] == 0.1 and values[9] == values[10] == 1 and values[-1] < 0.001
    assert (
        values[:10] == sorted(values[:10]) and values[10:] == sorted(values[10:])[::-1]
    )
    assert cosine_schedule(0, 1) == 1


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 19, 200, 3000])
def test_rates_are_those_of_torchs_schedulers(steps):
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1]}], 2e-3)
    optimizer.add_param_group({"params": weights[1:], "lr": 5e-4})
    rise = max(1, round(0.1 * steps))
    schedulers = torch.optim.lr_scheduler
    parts = [
        schedulers.LinearLR(optimizer, 1 / rise, total_iters=max(1, rise - 1)),
        schedulers.CosineAnnealingLR(optimizer, max(1, steps - rise)),
    ]
    with warnings.catch_warnings():  # old versions of torch warn of themselves
        warnings.simplefilter("ignore")
        theirs = schedulers.SequentialLR(optimizer, parts, [rise])
        for step in range(steps):
            ours = cosine_schedule(step, steps)
            want = pytest.approx([2e-3 * ours, 5e-4 * ours], rel=1e-12)
            assert theirs.get_last_lr() == want
            optimizer.step()
            theirs.step()


def test_one_step_by_hand():
    """Two losses, summed; the gradient of the last step is gone; it is clipped."""
    model = Line()
    sgd = torch.optim.SGD(model.parameters(), 0.1)
    images, targets = batches(1)[0]
    row = train_step(model, images, targets, sgd, clip=1e9)
    assert row == {"box": 4, "class": 0, "loss": 4}
    assert model.weight.item() == pytest.approx(4 - 0.1 * 2 * 2)
    train_step(model, images, targets, sgd, clip=1e9)
    assert model.weight.item() == pytest.approx(3.6 - 0.1 * 2 * 1.6)
    before = model.weight.item()
    train_step(model, images, targets, sgd, clip=0.5)
    assert before - model.weight.item() == pytest.approx(0.1 * 0.5)


def test_rates_go_to_adamw_and_unknown_ones_are_refused():
    group = adamw(Line(), 0.3, weight_decay=0.4).param_groups[0]
    assert group["lr"] == 0.3 and group["weight_decay"] == 0.4
    with pytest.raises(TypeError, match="momentum"):
        fit(Line(), batches(), 1, momentum=0.9)
