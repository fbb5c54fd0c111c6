"""The training step, evaluation and settings."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxcnn.train import TrainConfig
from jaxcnn.train.augment import random_shift
from jaxcnn.train.step import epoch_order, evaluate, make_trainer
from tests.train.small import CONFIG, small_data


@pytest.fixture(scope="module")
def arrays():
    digits = small_data().train
    return jnp.asarray(digits.images), jnp.asarray(digits.labels)


def test_an_epoch_sees_every_image_once_and_the_next_epoch_in_another_order():
    first, second = (np.asarray(epoch_order(3, epoch, 600, 50)) for epoch in (0, 1))
    for order in (first, second):
        assert order.shape == (12, 50)
        assert sorted(order.ravel()) == list(range(600))
    assert (first != second).any()
    assert (first == np.asarray(epoch_order(3, 0, 600, 50))).all()


def test_random_shift_moves_whole_images_by_at_most_max_shift():
    # One bright cell in the middle of each image shows the shift.
    images = jnp.zeros((200, 9, 9, 1)).at[:, 4, 4].set(1.0)
    moved = random_shift(jax.random.key(0), images, 2)
    chex.assert_shape(moved, images.shape)
    places = np.argwhere(np.asarray(moved[..., 0]))
    assert (places[:, 0] == np.arange(200)).all()
    moves = {tuple(place) for place in places[:, 1:] - 4}
    assert moves == {(i, j) for i in range(-2, 3) for j in range(-2, 3)}


def test_a_max_shift_of_0_keeps_images_as_they_are():
    images = jax.random.uniform(jax.random.key(1), (3, 5, 6, 2))
    chex.assert_trees_all_equal(random_shift(jax.random.key(0), images, 0), images)


def test_a_program_of_many_steps_equals_the_steps_one_by_one(arrays):
    trainer = make_trainer(CONFIG, (28, 28, 1), total_steps=20)
    order = epoch_order(0, 0, 500, 50)
    scanned, metrics = trainer.run(trainer.init(), *arrays, order, 2, 6)
    state, singles = trainer.init(), []
    for step in range(2, 8):
        state, single = trainer.run(state, *arrays, order, step, 1)
        singles.append(single)
    stepped = jax.tree.map(lambda *parts: jnp.concatenate(parts), *singles)
    # Separately compiled programs may round differently: six updates of entries of order 1.
    chex.assert_trees_all_close(metrics, stepped, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(scanned.params, state.params, rtol=1e-4, atol=1e-5)
    assert int(scanned.step) == int(state.step) == 6


def test_a_step_is_the_update_of_optax_for_the_gradient_of_the_loss(arrays):
    config = TrainConfig(layers=CONFIG.layers, batch_size=50, max_shift=0)
    trainer = make_trainer(config, (28, 28, 1), total_steps=10)
    order = epoch_order(0, 0, 500, 50)
    stack = config.stack()
    graph, params = nnx.split(stack)
    images, labels = (array[order[0]] for array in arrays)

    def loss(params):
        logits = nnx.merge(graph, params)(images.astype(jnp.float32) / 255)[:, 0, 0]
        rows = jnp.arange(len(labels))
        return -jnp.mean(jax.nn.log_softmax(logits)[rows, labels])

    nats, grads = jax.value_and_grad(loss)(params)
    optimiser = optax.adamw(trainer.schedule(0), weight_decay=config.weight_decay)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimiser.update(grads, optimiser.init(params), params)
    want = optax.apply_updates(params, updates)
    state, metrics = trainer.run(trainer.init(), *arrays, order, 0, 1)
    # Adam's first update is the rate times the sign of the gradient; rounding cannot enlarge it.
    chex.assert_trees_all_close(state.params, want, atol=1e-6)
    np.testing.assert_allclose(metrics.loss[0], nats, rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "labels", "order"),
    [
        ((500, 28, 28), (500,), (10, 50)),
        ((500, 28, 28, 3), (500,), (10, 50)),
        ((500, 28, 28, 1), (499,), (10, 50)),
        ((500, 28, 28, 1), (500,), (10, 49)),
    ],
)
def test_a_step_of_arrays_of_other_shapes_is_an_error(images, labels, order):
    trainer = make_trainer(CONFIG, (28, 28, 1), total_steps=20)
    state = jax.eval_shape(trainer.init)
    arrays = jnp.zeros(images, jnp.uint8), jnp.zeros(labels, jnp.uint8), jnp.zeros(order, int)
    with pytest.raises(AssertionError, match="assert_shape"):
        trainer.run(state, *arrays, 0, 1)


def test_a_step_keeps_shapes_and_dtypes_of_the_state(arrays):
    trainer = make_trainer(CONFIG, (28, 28, 1), total_steps=20)
    before = jax.eval_shape(trainer.init)
    after, _ = trainer.run(trainer.init(), *arrays, epoch_order(0, 0, 500, 50), 0, 1)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, before)


def test_evaluation_counts_correct_images_and_does_not_depend_on_the_batch_size(arrays):
    trainer = make_trainer(CONFIG, (28, 28, 1), total_steps=1)
    params = trainer.init().params
    whole, logits = evaluate(trainer.predict, params, *arrays, batch_size=500)
    parts, _ = evaluate(trainer.predict, params, *arrays, batch_size=120)
    right = sum(int(np.argmax(y)) == int(label) for y, label in zip(logits, arrays[1], strict=True))
    assert float(whole.accuracy) == pytest.approx(right / 500)
    assert float(parts.accuracy) == float(whole.accuracy)
    assert float(parts.loss) == pytest.approx(float(whole.loss), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_loss_is_summed_in_float32_for_logits_of_any_dtype(dtype):
    # 4,096 losses of ln 10 nats: a sum in 16 bits stalls or overflows long before.
    def predict(_params, images):
        return jnp.zeros((len(images), 10), dtype)

    images, labels = jnp.zeros((4096, 28, 28, 1), jnp.uint8), jnp.arange(4096) % 10
    metrics, _ = evaluate(predict, None, images, labels)
    assert metrics.loss.dtype == jnp.float32
    assert float(metrics.loss) == pytest.approx(np.log(10), rel=1e-6)
    assert float(metrics.accuracy) == pytest.approx(410 / 4096)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs must be an integer >= 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be an integer >= 1, got 2.5"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number >= 0, got -1.0"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, got 'fast'"),
        ({"weight_decay": float("nan")}, "weight_decay must be a finite number >= 0, got nan"),
        ({"layers": ("conv:8:k4:s5",)}, "layer 1 .* 5.8 is not an integer"),
        ({"layers": ("convolution:8",)}, "write it as conv:32:k3"),
        ({"seed": -1}, "seed must be an integer >= 0, got -1"),
        ({"seed": 2**31}, "seed must be at most 2147483647, got 2147483648"),
        ({"max_shift": 28}, "max_shift 28 shifts images of 28 cells out of sight; use 27 or less"),
        ({"layers": None}, "layers must list words such as conv:.*, got None"),
        ({"layers": "conv:10:k28"}, "layers must list words such as conv:.*, got 'conv:10:k28'"),
        ({"layers": (10, 28)}, r"layers must list words such as conv:.*, got \(10, 28\)"),
        ({"layers": ()}, "layers end with 28x28x1, .* use conv:10:k28x28 for one layer more"),
        ({"layers": ("conv:10:k7",)}, "layers end with 22x22x10, but must end with 1x1x10"),
        ({"layers": ("conv:5:k28",)}, "layers end with 1x1x5, but must end with 1x1x10"),
    ],
)
def test_invalid_settings_are_an_error_when_they_are_made(change, words):
    with pytest.raises((ValueError, TypeError), match=words):
        TrainConfig(**change)


def test_a_batch_size_that_leaves_images_out_is_an_error_that_names_two_that_do_not():
    with pytest.raises(ValueError, match=r"88 would be left out .* use 125 or 200") as error:
        TrainConfig(batch_size=128).steps_per_epoch(55_000)
    for size in (125, 200):
        assert str(size) in str(error.value)
    assert TrainConfig(batch_size=125).steps_per_epoch(55_000) == 440


def test_more_steps_than_an_int32_counts_are_an_error():
    with pytest.raises(ValueError, match=r"epochs 5000000 of 440 steps .* use 4880644 or fewer"):
        TrainConfig(epochs=5_000_000).steps_per_epoch(55_000)
    assert TrainConfig(epochs=4_880_644).steps_per_epoch(55_000) == 440


def test_settings_read_from_their_json_are_equal():
    assert TrainConfig.from_json(CONFIG.to_json()) == CONFIG


@pytest.mark.parametrize("text", ["", "[]", '{"epochs": 3}', "{not json"])
def test_a_text_without_settings_is_an_error(text):
    with pytest.raises(ValueError, match="settings"):
        TrainConfig.from_json(text)
