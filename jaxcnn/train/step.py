"""The training step and the prediction, as compiled functions of arrays on the devices."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax

from jaxcnn.data import augment
from jaxcnn.train.optim import make_optimizer, make_schedule
from jaxcnn.train.state import Network, TrainState, blend, cast, make_network
from jaxcnn.train.tasks import Sums, sums, targets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from jaxcnn.train.config import TrainConfig
    from jaxcnn.train.mesh import Placement


class ImageFormat(NamedTuple):
    """The images of a run, and how they are normalized.

    Attributes:
      shape: (H, W, C).
      mean, std: of each channel, in units of 255; measured on the training split.
    """

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class StepMetrics(NamedTuple):
    """The metrics of a step, before its update."""

    loss: jax.Array  # (): mean over the batch, in nats
    accuracy: jax.Array  # ()
    learning_rate: jax.Array  # ()
    gradient_norm: jax.Array  # (): global norm, before clipping
    finite: jax.Array  # (), bool: whether loss and gradient are; if not, the state is stopped


class Batch(NamedTuple):
    """The examples of a step."""

    images: jax.Array  # (B, H, W, C), uint8
    labels: jax.Array  # (B,), int32
    weights: jax.Array  # (B,), float32


class Trainer:
    """A network, its optimizer and its data's image_format, as compiled functions of a state.

    Args:
      config: the settings.
      build: () -> module, with its initial arrays.
      image_format: the images.
      classes: the number of classes.
      steps: the steps of the whole run.
      place: the devices.
    """

    def __init__(
        self,
        config: TrainConfig,
        build: Callable[[], nnx.Module],
        image_format: ImageFormat,
        classes: int,
        steps: int,
        place: Placement,
    ) -> None:
        self.config, self.image_format, self.classes, self.place = (
            config,
            image_format,
            classes,
            place,
        )
        self.compute = jnp.dtype(config.dtype)
        self.network: Network = make_network(build, self.compute)
        self.schedule = make_schedule(config, steps)
        self.optimizer = make_optimizer(config, self.schedule)
        self.augment = augment.compose(config.augment, image_format.shape)
        self.views = augment.views(config.test_augment, image_format.shape)
        # The implementation is named, because a setting of JAX may change the default.
        self.key = jax.random.key(config.seed, impl="threefry2x32")
        whole = place.replicated
        self.run_resident = jax.jit(
            self._run_resident, donate_argnums=0, out_shardings=(whole, whole)
        )
        self.run_batch = jax.jit(self._run_batch, donate_argnums=0, out_shardings=(whole, whole))
        self.predict = jax.jit(self._predict, out_shardings=whole)
        self.gradients = jax.jit(
            lambda state, batch: self._gradients(state, batch)[1], out_shardings=whole
        )

    def init(self, values: Mapping[str, Any] | None = None) -> TrainState:
        """The state before the first step, on the devices.

        Args:
          values: as for :meth:`jaxcnn.train.state.Network.variables`.
        """
        # Copies, because the steps donate the state, and the arrays may be a person's module's.
        state = self._state(*_copy(self.network.variables(values)))
        return jax.tree.map(partial(self.place.put, self.place.replicated), state)

    def abstract(self) -> TrainState:
        """Shapes, dtypes and shardings of the state."""
        whole = self.place.replicated
        found = jax.eval_shape(lambda: self._state(*self.network.variables()))
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=whole), found)

    def _state(self, params: Any, rest: Any) -> TrainState:
        average = _copy((params, rest)) if self.config.ema else ()
        with _optax_promotion():
            opt_state = self.optimizer.init(params)
        return TrainState(jnp.zeros((), jnp.int32), params, rest, opt_state, average)

    def evaluated(self, state: TrainState) -> tuple[Any, Any]:
        """The parameters and variables that predict: the averages, if there are any."""
        return state.average if self.config.ema else (state.params, state.rest)

    def _run_resident(
        self,
        state: TrainState,
        images: jax.Array,
        labels: jax.Array,
        indices: jax.Array,
        weights: jax.Array,
    ) -> tuple[TrainState, StepMetrics]:
        """Steps on images that are on the device; indices, weights: (steps, batch_size)."""

        def body(state: TrainState, chosen: Any) -> tuple[TrainState, StepMetrics]:
            index, weight = chosen
            return self._step(state, Batch(images[index], labels[index], weight))

        if len(indices) > 1:
            return lax.scan(body, state, (indices, weights))
        # XLA's CPU compiler treats even a scan of one step as a loop.
        state, metrics = body(state, (indices[0], weights[0]))
        return state, jax.tree.map(lambda number: number[None], metrics)

    def _run_batch(self, state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        """One step on a batch from the host."""
        state, metrics = self._step(state, batch)
        return state, jax.tree.map(lambda number: number[None], metrics)

    def _step(self, state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        (found, rest), grads = self._gradients(state, batch)
        total = batch.weights.sum()
        norm = optax.tree.norm(grads)
        finite = jnp.isfinite(found.loss) & jnp.isfinite(norm)
        with _optax_promotion():
            rate = jnp.asarray(self.schedule(state.step), jnp.float32)
            updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
            params: Any = optax.apply_updates(state.params, updates)
            average = self._averaged(state, params, rest)
        new = TrainState(state.step + 1, params, rest, opt_state, average)
        # A state that a NaN reached would be lost: it stays as it was before the step. Its step
        # becomes negative, so that the steps that were started already leave it alone as well.
        finite &= state.step >= 0
        stopped = state._replace(step=jnp.minimum(state.step, ~state.step))
        new = jax.tree.map(partial(_choose, finite), new, stopped)
        return new, StepMetrics(found.loss / total, found.correct / total, rate, norm, finite)

    def _averaged(self, state: TrainState, params: Any, rest: Any) -> Any:
        if not self.config.ema:
            return ()
        done = state.step.astype(jnp.float32)
        # Early averages forget the initial weights faster, as in TensorFlow's moving averages.
        decay = jnp.minimum(self.config.ema, (1 + done) / (10 + done))
        return blend(state.average, (params, rest), 1 - decay)

    def _gradients(self, state: TrainState, batch: Batch) -> tuple[tuple[Sums, Any], Any]:
        """Sums and new variables, and the gradient of the mean loss."""
        total = batch.weights.sum()
        key = jax.random.fold_in(self.key, state.step)
        parts = self.config.accumulate
        if parts == 1:
            return self._gradients_of(state.params, state.rest, batch, key, total)

        def body(carry: Any, part: Any) -> tuple[Any, None]:
            (found, rest), grads = carry
            batch, number = part
            more = self._gradients_of(
                state.params, rest, batch, jax.random.fold_in(key, number), total
            )
            (new, rest), new_grads = more
            return ((_add(found, new), rest), _add(grads, new_grads)), None

        # Every part takes every parts-th example, so that each device keeps its share of all parts.
        split_batch = jax.tree.map(
            lambda a: a.reshape(-1, parts, *a.shape[1:]).swapaxes(0, 1), batch
        )
        zero = Sums(jnp.zeros(()), jnp.zeros(()))
        start = ((zero, state.rest), jax.tree.map(jnp.zeros_like, state.params))
        return lax.scan(body, start, (split_batch, jnp.arange(parts)))[0]

    def _gradients_of(
        self, params: Any, rest: Any, batch: Batch, key: jax.Array, total: jax.Array
    ) -> tuple[tuple[Sums, Any], Any]:
        targets = targets_of(batch.labels, self.classes, self.config.label_smoothing)
        images, targets = self.augment(key, self._constrain(batch.images), targets)
        x = self._constrain(self._shown(images))

        def loss(params: Any) -> tuple[jax.Array, tuple[Sums, Any]]:
            y, changed = self.network.train(cast(params, self.compute), rest, x)
            found = sums(y.reshape(len(y), -1), targets, batch.weights)
            return found.loss / total, (found, jax.tree.map(_as_before, changed, rest))

        grads, aux = jax.grad(loss, has_aux=True)(params)
        return aux, grads

    def _predict(self, params: Any, rest: Any, images: jax.Array) -> jax.Array:
        """Log-probabilities (N, classes), float32, averaged over the views of test augmentation."""
        images = self._constrain(images)
        weights = cast(params, self.compute)
        found = []
        for view in self.views:
            y = self.network.infer(weights, rest, self._shown(view(images)))
            found.append(jax.nn.log_softmax(y.reshape(len(y), -1).astype(jnp.float32)))
        mean = jax.nn.logsumexp(jnp.stack(found), axis=0)
        return mean - jnp.log(jnp.float32(len(found)))

    def _shown(self, images: jax.Array) -> jax.Array:
        """Images, uint8 or float32 in 0..1, as the network sees them."""
        unit = images if images.dtype == jnp.float32 else images.astype(jnp.float32) / 255
        mean, std = (
            jnp.asarray(v, jnp.float32).reshape(1, 1, 1, -1) for v in self.image_format[1:]
        )
        return ((unit - mean) / std).astype(self.compute)

    def _constrain(self, images: jax.Array) -> jax.Array:
        if self.place.mesh.size == 1:
            return images
        return lax.with_sharding_constraint(images, self.place.images)


def trained_module(module: nnx.Module, variables: tuple[Any, Any]) -> None:
    """Gives ``module`` the trained arrays, in place, on one device of this process."""
    nnx.update(module, *jax.tree.map(lambda leaf: leaf.addressable_data(0), variables))
    module.eval()


def _as_before(new: jax.Array, old: jax.Array) -> jax.Array:
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _choose(finite: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
    return jnp.where(finite, new, old)


def _add(one: Any, other: Any) -> Any:
    return jax.tree.map(jnp.add, one, other)


def _copy(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)


def _optax_promotion() -> AbstractContextManager[None]:
    """Allows Optax to multiply floats by integers, even if strict promotion is set."""
    return jax.numpy_dtype_promotion("standard")
