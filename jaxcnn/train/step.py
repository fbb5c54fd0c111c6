"""The training step and the evaluation, as pure functions of arrays on the device."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

import chex
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax

from jaxcnn.shapes.arrays import widened
from jaxcnn.train.augment import random_shift

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from jax.typing import ArrayLike

    from jaxcnn.nn import Stack
    from jaxcnn.train.config import TrainConfig


class TrainState(NamedTuple):
    """Everything that training changes."""

    step: jax.Array  # (), int32: the steps done
    params: nnx.State  # the stack's parameters
    opt_state: optax.OptState


class Metrics(NamedTuple):
    """The metrics of a batch; in training, before the update."""

    loss: jax.Array  # (): mean cross-entropy in nats
    accuracy: jax.Array  # (): share of correctly classified images


class Trainer(NamedTuple):
    """A network and its optimiser, as functions of the state.

    Attributes:
      init: () -> TrainState; the seed of the settings decides the weights.
      run: (state, images, labels, order, first, count) -> (state, Metrics of shape (count,)).
        Executes the steps ``first`` to ``first + count - 1`` of an epoch in one compiled program.
        images: (N, H, W, C), uint8. labels: (N,), integers. order: (steps, batch_size), as from
        :func:`epoch_order`. The state is donated.
      predict: (params, images) -> logits (N, classes).
      schedule: a step, or an array of steps -> learning rate.
    """

    init: Callable[[], TrainState]
    run: Callable[..., tuple[TrainState, Metrics]]
    predict: Callable[[nnx.State, jax.Array], jax.Array]
    schedule: optax.Schedule


def make_trainer(config: TrainConfig, image_shape: tuple[int, ...], total_steps: int) -> Trainer:
    """Makes the functions that train the configured stack on uint8 images (N, *image_shape)."""

    def build() -> Stack:
        return config.stack(image_shape)

    # Only the structure; the arrays come from the state.
    graph = nnx.split(nnx.eval_shape(build))[0]
    schedule = optax.cosine_onecycle_schedule(total_steps, config.learning_rate, pct_start=0.2)
    optimiser = optax.adamw(schedule, weight_decay=config.weight_decay)
    key = jax.random.key(config.seed)

    def init() -> TrainState:
        params = nnx.state(build(), nnx.Param)
        return TrainState(jnp.zeros((), jnp.int32), params, optimiser.init(params))

    def logits(params: nnx.State, images: jax.Array) -> jax.Array:
        x = images.astype(jnp.float32) / 255
        return nnx.merge(graph, params)(x).reshape(len(images), -1)

    def loss(params: nnx.State, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, Metrics]:
        y = logits(params, images)
        metrics = _metrics(y, labels)
        return metrics.loss, metrics

    def step(
        images: jax.Array, labels: jax.Array, state: TrainState, batch: jax.Array
    ) -> tuple[TrainState, Metrics]:
        shifted = random_shift(jax.random.fold_in(key, state.step), images[batch], config.max_shift)
        grads, metrics = jax.grad(loss, has_aux=True)(
            state.params, shifted, labels[batch].astype(jnp.int32)
        )
        with _optax_promotion():
            updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        # Optax's annotation says any tree, but the result is one like its first argument.
        params = cast("nnx.State", optax.apply_updates(state.params, updates))
        new = TrainState(state.step + 1, params, opt_state)
        # A state whose shapes or dtypes change would be compiled again in every step.
        chex.assert_trees_all_equal_shapes_and_dtypes(new, state)
        return new, metrics

    @partial(jax.jit, donate_argnames="state", static_argnames="count")
    def run(
        state: TrainState,
        images: jax.Array,
        labels: jax.Array,
        order: jax.Array,
        first: jax.Array,
        count: int,
    ) -> tuple[TrainState, Metrics]:
        chex.assert_shape(images, (None, *image_shape))
        chex.assert_shape(labels, images.shape[:1])
        chex.assert_shape(order, (None, config.batch_size))
        batches = lax.dynamic_slice_in_dim(order, first, count)
        if count > 1:
            return lax.scan(partial(step, images, labels), state, batches)
        # XLA's CPU compiler treats even a scan of one step as a loop.
        state, metrics = step(images, labels, state, batches[0])
        return state, jax.tree.map(lambda number: number[None], metrics)

    def learning_rate(count: ArrayLike) -> jax.Array:
        with _optax_promotion():  # schedules take one number, hence the vmap
            return jnp.asarray(jax.vmap(schedule)(count) if jnp.ndim(count) else schedule(count))

    return Trainer(init, run, jax.jit(logits), learning_rate)


def _optax_promotion() -> AbstractContextManager[None]:
    """Allows Optax to multiply floats by integers, even if strict promotion is set."""
    return jax.numpy_dtype_promotion("standard")


@partial(jax.jit, static_argnames=("images", "batch_size"))
def epoch_order(seed: int, epoch: int, images: int, batch_size: int) -> jax.Array:
    """The indices of the images in each step of an epoch: (steps, batch_size), each image once."""
    key = jax.random.fold_in(jax.random.key(seed), epoch)
    return jax.random.permutation(key, images).reshape(-1, batch_size)


def evaluate(
    predict: Callable[[nnx.State, jax.Array], jax.Array],
    params: nnx.State,
    images: jax.Array,
    labels: jax.Array,
    *,
    batch_size: int = 1000,
) -> tuple[Metrics, jax.Array]:
    """Computes the mean loss and accuracy over all images, and the logits.

    images: (N, H, W, C), uint8      labels: (N,), integers
    returns metrics and logits (N, classes)
    """
    parts = [predict(params, images[i : i + batch_size]) for i in range(0, len(images), batch_size)]
    y = jnp.concatenate(parts)
    return _metrics(y, labels.astype(jnp.int32)), y


def _metrics(logits: jax.Array, labels: jax.Array) -> Metrics:
    """Loss and accuracy of a batch, summed in float32 or wider."""
    wide = widened(logits)
    nats = optax.softmax_cross_entropy_with_integer_labels(wide, labels).mean()
    return Metrics(nats, (wide.argmax(-1) == labels).mean())
