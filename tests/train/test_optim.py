"""Schedules and optimizers against their published formulas."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.train.config import OPTIMIZERS, SCHEDULES, TrainConfig
from jaxcnn.train.optim import make_optimizer, make_schedule

STEPS = 200


def rates(**settings):
    schedule = make_schedule(TrainConfig(learning_rate=0.5, **settings), STEPS)
    with jax.numpy_dtype_promotion("standard"):
        return np.array([float(schedule(step)) for step in range(STEPS)])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_the_learning_rate_reaches_its_peak_after_the_warmup_and_never_exceeds_it(schedule, warmup):
    found = rates(schedule=schedule, warmup=warmup)
    assert found.max() == pytest.approx(0.5)
    assert found.argmax() == pytest.approx(warmup * STEPS, abs=1)
    assert np.all(np.diff(found[: int(warmup * STEPS)]) >= 0)
    assert np.all(np.diff(found[int(warmup * STEPS) + 1 :]) <= 1e-9)


def test_cosine_falls_along_a_half_wave():
    wave = 0.25 * (1 + np.cos(np.pi * np.arange(STEPS) / STEPS))
    np.testing.assert_allclose(rates(schedule="cosine", warmup=0.0), wave, atol=1e-6)


def test_steps_fall_tenfold_at_a_half_and_at_three_quarters():
    found = rates(schedule="steps", warmup=0.1)
    wanted = [0.5] * 80 + [0.05] * 50 + [0.005] * 50
    np.testing.assert_allclose(found[20:], wanted, rtol=1e-6)


PARAMS = {"kernel": jnp.full((3, 3, 2, 4), 0.5), "scale": jnp.ones(4), "bias": jnp.ones(4)}


def updated(params, grads, **settings):
    optimizer = make_optimizer(TrainConfig(**settings), lambda _: 0.1)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(grads, optimizer.init(params), params)
    return jax.tree.map(jnp.add, params, updates)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_shrinks_kernels_and_leaves_norms_and_biases(optimizer):
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    found = updated(PARAMS, zero, optimizer=optimizer, weight_decay=0.3)
    np.testing.assert_allclose(found["kernel"], 0.5 * (1 - 0.1 * 0.3), rtol=1e-6)
    for name in ("scale", "bias"):
        assert jnp.array_equal(found[name], PARAMS[name])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_downhill(optimizer):
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    found = updated(PARAMS, grads, optimizer=optimizer, weight_decay=0.0)
    for name, value in found.items():
        assert float(value.sum()) < float(PARAMS[name].sum()), name


def test_muon_makes_the_update_of_a_kernel_a_matrix_of_equal_singular_values():
    """Rows are kernel cells and input channels, columns output channels; equal to Muon's 30 %."""
    grads = jax.tree.map(lambda a: jax.random.normal(jax.random.key(0), a.shape), PARAMS)
    found = updated(PARAMS, grads, optimizer="muon", weight_decay=0.0)
    change = (found["kernel"] - PARAMS["kernel"]).reshape(18, 4)
    values = np.linalg.svd(np.asarray(change), compute_uv=False)
    assert values.min() > 0.5 * values.max()
    raw = np.linalg.svd(np.asarray(grads["kernel"].reshape(18, 4)), compute_uv=False)
    assert raw.min() < 0.7 * raw.max()  # the gradient's own are not equal


def test_a_gradient_longer_than_clip_is_scaled_to_it():
    config = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    free, clipped = (updated(PARAMS, grads, clip=clip, **config) for clip in (None, 2.0))
    norm = np.sqrt(sum(leaf.size for leaf in jax.tree.leaves(PARAMS)))
    for name, start in PARAMS.items():
        np.testing.assert_allclose(
            clipped[name] - start, (free[name] - start) * (2 / norm), rtol=1e-4
        )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_has_a_rate_and_a_decay_of_its_own_that_remove_the_same_share(optimizer):
    config = TrainConfig(optimizer=optimizer).resolved()
    assert config.learning_rate * config.weight_decay == pytest.approx(4e-4)
    chosen = replace(config, learning_rate=0.5, weight_decay=0.0)
    assert chosen.resolved() == chosen


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.9])
def test_no_step_is_lost_to_a_rate_of_zero(schedule, steps, warmup):
    config = TrainConfig(learning_rate=0.5, schedule=schedule, warmup=warmup)
    made = make_schedule(config, steps)
    with jax.numpy_dtype_promotion("standard"):
        found = [float(made(step)) for step in range(steps)]
    assert all(0 < rate <= 0.5 * (1 + 1e-6) for rate in found)


def test_sgd_is_nesterovs_momentum():
    config = replace(TrainConfig(), optimizer="sgd", momentum=0.9, weight_decay=0.0)
    optimizer = make_optimizer(config, lambda _: 0.1)
    x, state, velocity, y = jnp.float32(1), None, 0.0, 1.0
    state = optimizer.init(x)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(5):
            grad = x  # of x**2/2
            updates, state = optimizer.update(grad, state, x)
            velocity = 0.9 * velocity + y
            y -= 0.1 * (y + 0.9 * velocity)
            x = x + updates
            np.testing.assert_allclose(float(x), y, rtol=1e-5)
