"""Optimizers and learning rates by name; all are Optax's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import optax
from optax.contrib import MuonDimensionNumbers, muon

if TYPE_CHECKING:
    from jaxcnn.train.config import TrainConfig

STEP_EPOCHS, STEP_FACTOR = (0.5, 0.75), 0.1
"""The schedule ``steps``: after these shares of a run the learning rate falls by this factor."""


def make_schedule(config: TrainConfig, steps: int) -> optax.Schedule:
    """The learning rate as a function of the step, over a run of ``steps`` steps.

    ``onecycle`` rises and falls by cosines (Smith and Topin, arXiv:1708.07120); ``cosine`` falls to
    0 (Loshchilov and Hutter, arXiv:1608.03983); ``steps`` falls tenfold at a half and three
    quarters of the run (He et al., arXiv:1512.03385). ``warmup`` is the share of the steps in which
    the rate rises, linearly but for ``onecycle``.
    """
    peak = config.resolved().learning_rate or 0.0
    if config.schedule == "onecycle":
        return optax.cosine_onecycle_schedule(steps, peak, pct_start=config.warmup)
    rising = round(config.warmup * steps)
    falling = max(1, steps - rising)
    after: optax.Schedule
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(peak, falling)
    elif config.schedule == "steps":
        drops = {round(share * steps) - rising: STEP_FACTOR for share in STEP_EPOCHS}
        after = optax.piecewise_constant_schedule(peak, drops)
    else:
        after = optax.constant_schedule(peak)
    if not rising:
        return after
    first = peak / (rising + 1)  # not 0, with which a step would be lost
    rise = optax.linear_schedule(first, peak, rising)
    return optax.join_schedules([rise, after], [rising])


def make_optimizer(config: TrainConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optimizer of the settings.

    Weight decay means the same for all: a step shrinks kernels by ``weight_decay`` times the
    learning rate, beside the gradient's own update (arXiv:1711.05101). Parameters of one axis,
    those of norms and biases, do not shrink.

    Sources: SGD with Nesterov's momentum; Adam, arXiv:1412.6980; Adadelta, arXiv:1212.5701; Muon,
    Jordan et al. 2024 (kernels as matrices of kernel cells and input channels by output channels;
    the other parameters by Adam).
    """
    clip = () if config.clip is None else (optax.clip_by_global_norm(config.clip),)
    decay: dict[str, Any] = {"weight_decay": config.resolved().weight_decay}
    if config.optimizer == "muon":
        made = muon(
            schedule,
            beta=config.momentum,
            weight_decay_mask=_has_decay,
            muon_weight_dimension_numbers=_as_matrices,
            **decay,
        )
        return optax.chain(*clip, made)
    direction = {
        "adamw": optax.scale_by_adam,
        "sgd": lambda: optax.trace(config.momentum, nesterov=True),
        "adadelta": optax.scale_by_adadelta,
    }[config.optimizer]
    return optax.chain(
        *clip,
        direction(),
        optax.add_decayed_weights(**decay, mask=_has_decay),
        optax.scale_by_learning_rate(schedule),
    )


def _has_decay(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _as_matrices(params: Any) -> Any:
    def of(leaf: jax.Array) -> MuonDimensionNumbers | None:
        if leaf.ndim < 2:
            return None
        return MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)

    return jax.tree.map(of, params)
