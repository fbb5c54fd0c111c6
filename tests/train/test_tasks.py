"""Loss and measures against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.testing.tolerance import unit_roundoff
from jaxcnn.train.tasks import measure, sums, targets_of


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(2, 7), st.floats(0, 0.9))
def test_the_loss_is_the_weighted_sum_of_the_negative_log_probabilities(
    seed, count, classes, smoothing
):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, classes)).astype(np.float32)
    labels, weights = rng.integers(0, classes, count), rng.integers(0, 2, count)
    found = sums(
        jnp.asarray(logits),
        targets_of(jnp.asarray(labels), classes, smoothing),
        jnp.asarray(weights, jnp.float32),
    )
    wide = logits.astype(np.float64)
    log_p = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    wanted = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    terms = np.abs(log_p * wanted * weights[:, None]).sum()
    bound = (count * classes + 30) * unit_roundoff("float32") * (terms + np.abs(wide).sum() + 1)
    assert abs(float(found.loss) + (log_p * wanted * weights[:, None]).sum()) <= bound
    assert float(found.correct) == (weights * (logits.argmax(-1) == labels)).sum()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_loss_is_summed_in_float32_for_logits_of_any_dtype(dtype):
    """With 4096 equal terms, a sum in 16 bits would stop growing."""
    logits = jnp.zeros((4096, 2), dtype)
    found = sums(logits, targets_of(jnp.zeros(4096, int), 2, 0.0), jnp.ones(4096))
    assert abs(float(found.loss) / 4096 - np.log(2)) < 1e-5


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(2, 5))
def test_the_measures_are_those_of_their_definitions(seed, count, classes):
    rng = np.random.default_rng(seed)
    log_p = np.log(rng.dirichlet(np.ones(classes), count))
    labels = rng.integers(0, classes, count)
    found, guesses = measure(log_p, labels), log_p.argmax(-1)
    assert found.confusion.sum() == found.count == count
    assert found.accuracy == np.mean(guesses == labels)
    np.testing.assert_allclose(found.loss, -np.mean([log_p[i, labels[i]] for i in range(count)]))
    for each in range(classes):
        of_class, taken = labels == each, guesses == each
        hits = (of_class & taken).sum()
        for got, whole in ((found.recall[each], of_class), (found.precision[each], taken)):
            np.testing.assert_equal(got, hits / whole.sum() if whole.any() else np.nan)


def test_smoothed_targets_are_probabilities():
    targets = targets_of(jnp.arange(3), 3, 0.3)
    np.testing.assert_allclose(targets.sum(-1), 1, rtol=4 * unit_roundoff("float32"))
    assert jax.numpy.allclose(targets, 0.1 + 0.7 * jnp.eye(3))
