"""The training step against its definition, and what it must leave as it was."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.testing.tolerance import gamma
from jaxcnn.train.state import check_network, make_network, split
from tests.train.small import (
    CLASSES,
    CONFIG,
    SHAPE,
    arrays_of,
    batch_of,
    net,
    small_data,
    small_trainer,
)

PLAIN = replace(CONFIG, augment=())


@pytest.fixture(scope="module")
def data():
    return small_data()


def loss_of(module, batch, trainer):
    """The loss by its definition, in training mode; changes the module's state."""
    module.train()
    mean, std = (jnp.asarray(each) for each in trainer.image_format[1:])
    x = (batch.images.astype(jnp.float32) / 255 - mean.reshape(1, 1, 1, -1)) / std.reshape(
        1, 1, 1, -1
    )
    logits = module(x)
    nats = jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(
        logits, batch.labels[:, None], axis=-1
    ).squeeze(-1)
    return (nats * batch.weights).sum() / batch.weights.sum()


@pytest.mark.parametrize("weights", ["ones", "some zeros"])
def test_a_step_is_the_optimizers_update_for_the_gradient_of_the_weighted_mean_loss(data, weights):
    trainer = small_trainer(replace(PLAIN, optimizer="sgd", momentum=0.0, weight_decay=0.0))
    given = np.ones(32, np.float32) if weights == "ones" else (np.arange(32) % 3 > 0).astype("f4")
    batch = batch_of(trainer, data, weights=given)
    module = net()
    loss, grads = nnx.value_and_grad(loss_of)(module, batch, trainer)
    with jax.numpy_dtype_promotion("standard"):
        rate = float(trainer.schedule(0))
    wanted = jax.tree.map(lambda p, g: p - rate * g, nnx.state(module, nnx.Param), grads)
    state, metrics = trainer.run_batch(trainer.init(), batch)
    assert float(metrics.loss[0]) == pytest.approx(float(loss), rel=1e-5)
    assert float(metrics.learning_rate[0]) == pytest.approx(rate)
    bound = 10 * gamma(32 * SHAPE[0] * SHAPE[1] * 27, "float32")
    for got, want in zip(arrays_of(state.params), arrays_of(wanted), strict=True):
        np.testing.assert_allclose(got, want, atol=bound)
    # The statistics of BatchNorm moved as the module's own did.
    np.testing.assert_allclose(state.rest["norm"]["mean"][...], module.norm.mean[...], atol=bound)


def test_a_program_of_many_steps_equals_the_steps_one_by_one(data):
    """On accelerators a program has many steps: a loop, with sums in the same order."""
    trainer = small_trainer(replace(CONFIG, optimizer="sgd"))
    images, labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
    indices = np.random.default_rng(0).integers(0, len(data.train), (5, 32), np.int32)
    weights = np.ones((5, 32), np.float32)
    many, metrics = trainer.run_resident(trainer.init(), images, labels, indices, weights)
    one, losses = trainer.init(), []
    for step in range(5):
        part = slice(step, step + 1)
        one, found = trainer.run_resident(one, images, labels, indices[part], weights[part])
        losses.append(float(found.loss[0]))
    np.testing.assert_allclose(metrics.loss, losses, rtol=1e-3)
    for got, want in zip(arrays_of(many), arrays_of(one), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)


def test_images_on_the_device_and_batches_from_the_host_give_the_same_step(data):
    trainer = small_trainer()
    images, labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
    indices = np.arange(32, dtype=np.int32)[::-1]
    ones = np.ones(32, np.float32)
    one, _ = trainer.run_resident(trainer.init(), images, labels, indices[None], ones[None])
    other, _ = trainer.run_batch(trainer.init(), batch_of(trainer, data, indices))
    for got, want in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


class Linear(nnx.Module):
    """A network without statistics over the batch, so that its parts add up."""

    def __init__(self):
        self.out = nnx.Linear(int(np.prod(SHAPE)), CLASSES, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.out(x.reshape(len(x), -1))


@pytest.mark.parametrize("parts", [2, 8])
def test_parts_of_a_batch_add_up_to_the_gradient_of_the_whole(data, parts):
    weights = (np.arange(32) % 5 > 0).astype(np.float32)
    states = []
    for accumulate in (1, parts):
        trainer = small_trainer(replace(PLAIN, accumulate=accumulate), Linear)
        state, metrics = trainer.run_batch(trainer.init(), batch_of(trainer, data, weights=weights))
        states.append((*arrays_of(state), np.asarray(metrics.loss), np.asarray(metrics.accuracy)))
    for got, want in zip(*states, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=1e-6)


def test_images_of_weight_zero_change_nothing(data):
    trainer = small_trainer(PLAIN, Linear)
    weights = (np.arange(32) < 20).astype(np.float32)
    indices = np.arange(32)
    other = np.where(weights > 0, indices, indices + 40)
    found = [
        arrays_of(trainer.run_batch(trainer.init(), batch_of(trainer, data, each, weights))[0])
        for each in (indices, other)
    ]
    for got, want in zip(*found, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("fault", [np.nan, np.inf, 1e38])
def test_a_step_that_is_not_finite_leaves_the_state_as_it_was_for_good(data, fault):
    def broken():
        module = net()
        module.out.kernel[...] = module.out.kernel[...].at[0, 0].set(fault)
        return module

    trainer = small_trainer(PLAIN, broken)
    before = arrays_of(trainer.init())
    state = trainer.init()
    for _ in range(2):
        state, metrics = trainer.run_batch(state, batch_of(trainer, data))
        assert not metrics.finite[0]
        for got, want in zip(arrays_of(state), [~before[0], *before[1:]], strict=True):
            np.testing.assert_array_equal(got, want)


def test_a_stopped_state_stays_as_it_is_whatever_the_batch(data):
    trainer = small_trainer(PLAIN)
    start = trainer.init()
    stopped = start._replace(step=~start.step)
    before = arrays_of(stopped)
    state, metrics = trainer.run_batch(stopped, batch_of(trainer, data))
    assert np.isfinite(metrics.loss[0])
    assert not metrics.finite[0]
    for got, want in zip(arrays_of(state), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_average_follows_the_weights_with_its_decay(data):
    trainer = small_trainer(replace(PLAIN, ema=0.5))
    state = trainer.init()
    wanted = [leaf.astype(np.float64) for leaf in arrays_of(state.params)]
    for step in range(4):
        state, _ = trainer.run_batch(state, batch_of(trainer, data))
        decay = min(0.5, (1 + step) / (10 + step))
        wanted = [
            decay * old + (1 - decay) * new
            for old, new in zip(wanted, arrays_of(state.params), strict=True)
        ]
    for got, want in zip(arrays_of(state.average[0]), wanted, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_bfloat16_computes_in_16_bits_and_keeps_weights_in_32(data):
    seen = []

    class Watched(type(net())):
        def __call__(self, x):
            y = super().__call__(x)
            seen.append((x.dtype, self.out.kernel.dtype, y.dtype))
            return y

    trainer = small_trainer(
        replace(PLAIN, dtype="bfloat16", learning_rate=1e-5), lambda: Watched(nnx.Rngs(0))
    )
    with jax.numpy_dtype_promotion("standard"):  # Flax's BatchNorm needs it in bfloat16
        state, metrics = trainer.run_batch(trainer.init(), batch_of(trainer, data))
    assert set(seen) == {(jnp.dtype("bfloat16"),) * 3}
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert {leaf.dtype for leaf in jax.tree.leaves(state.rest["norm"])} == {jnp.dtype("float32")}
    assert float(metrics.loss[0]) < 3


def test_dropout_draws_anew_in_every_step_of_training_and_never_in_evaluation(data):
    trainer = small_trainer(replace(PLAIN, learning_rate=0.0, weight_decay=0.0))
    state, batch = trainer.init(), batch_of(trainer, data)
    losses = []
    for _ in range(3):
        state, metrics = trainer.run_batch(state, batch)
        losses.append(float(metrics.loss[0]))
    assert len(set(losses)) == 3
    images = batch.images
    one, other = (trainer.predict(state.params, state.rest, images) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_test_augmentation_averages_the_probabilities_of_the_views(data):
    plain, flips = (small_trainer(replace(PLAIN, test_augment=words)) for words in ((), ("flip",)))
    state, images = plain.init(), jnp.asarray(data.test.images)
    one = jnp.exp(plain.predict(state.params, state.rest, images))
    other = jnp.exp(plain.predict(state.params, state.rest, images[:, :, ::-1]))
    found = jnp.exp(flips.predict(state.params, state.rest, images))
    np.testing.assert_allclose(found, (one + other) / 2, rtol=1e-5)


class Sowing(nnx.Module):
    """Records its activations, as modules under inspection do."""

    def __init__(self):
        self.out = nnx.Linear(int(np.prod(SHAPE)), CLASSES, rngs=nnx.Rngs(0))

    def __call__(self, x):
        y = self.out(x.reshape(len(x), -1))
        self.sow(nnx.Intermediate, "logits", y)
        return y


def called():
    module = Sowing()
    module(jnp.ones((1, *SHAPE)))
    return module


@pytest.mark.parametrize("build", [Sowing, called])
def test_values_that_a_module_sows_are_not_part_of_the_state(data, build):
    trainer = small_trainer(PLAIN, build)
    state, _ = trainer.run_batch(trainer.init(), batch_of(trainer, data))
    state, _ = trainer.run_batch(state, batch_of(trainer, data))
    assert arrays_of(state.rest) == []


def test_a_step_is_compiled_once(data):
    trainer = small_trainer()
    state = trainer.init()
    for _ in range(3):
        state, _ = trainer.run_batch(state, batch_of(trainer, data))
    assert trainer.run_batch._cache_size() == 1


def test_the_initial_state_has_copies_of_the_modules_arrays(data):
    """A step donates its state; the arrays of a person's module must outlive it."""
    module = net()
    graph, params, rest = split(module, train=True)
    trainer = small_trainer(PLAIN, lambda: nnx.merge(graph, params, rest))
    trainer.run_batch(trainer.init(), batch_of(trainer, data))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((params, rest)))


class Dropping(nnx.Module):
    """A network that cannot be trained: its Dropout has no keys."""

    def __init__(self):
        self.drop = nnx.Dropout(0.5)

    def __call__(self, x):
        return self.drop(x).mean((1, 2))


class Counting(nnx.Module):
    """A network with a parameter that has no gradient."""

    def __init__(self):
        self.calls = nnx.Param(jnp.int32(0))

    def __call__(self, x):
        return x.mean((1, 2))


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: nnx.Linear(3, CLASSES, rngs=nnx.Rngs(0)), r"\(2, 8, 6, 4\), but must give"),
        (lambda: nnx.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0)), "does not accept images"),
        (Dropping, r"in training: ValueError: .*no `rngs` argument"),
        (Counting, r"no floats: calls \(int32\); make them nnx.Variable"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused(module, words):
    with pytest.raises(InputError, match=words):
        check_network(make_network(module, jnp.float32), SHAPE, CLASSES)


@pytest.mark.parametrize("wrong", [lambda: jnp.ones(3), lambda: nnx.Rngs(0)])
def test_a_network_that_is_no_callable_module_is_refused(wrong):
    with pytest.raises(TypeError, match="must be a Flax NNX module"):
        make_network(wrong, jnp.float32)
