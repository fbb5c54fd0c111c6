"""Small states to save, and what must hold of the restored ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.errors import InputError
from jaxcnn.train.checkpoint import Checkpoints


def stored(leaf):
    """The array of a leaf, or of its keys' data."""
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def bits_of(leaf):
    return np.asarray(stored(leaf)).tobytes()


def assert_same(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert bits_of(one) == bits_of(other)


def state_of(step):
    """A small state that differs from step to step."""
    key = jax.random.key(step)
    return {
        "weights": jax.random.normal(key, (5, 3)) * step,
        "key": jax.random.fold_in(key, 1),
        "step": jnp.int32(step),
    }


LIKE = jax.eval_shape(lambda: state_of(0))


def saved(folder, *steps, best=1):
    """Checkpoints of the steps; the best is that of step ``best``."""
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(step, state_of(step), {"step": step}, best=step == best)
    return checkpoints


def assert_holds(checkpoints, expected, warnings=(), step=None):
    """Restoring gives the state of step ``expected``, bit for bit."""
    lines = []
    state, info = checkpoints.restore(LIKE, step=step, warn=lines.append)
    assert_same(state, state_of(expected))
    assert info == {"step": expected}
    assert len(lines) == len(warnings)
    for line, words in zip(lines, warnings, strict=True):
        assert words in line
        assert "\n" not in line


def error_of(function, *arguments, **keywords):
    """The one line of the input error that a call raises."""
    with pytest.raises(InputError) as error:
        function(*arguments, **keywords)
    assert "\n" not in str(error.value)
    return str(error.value)


def flip(path):
    """Flips a bit in the middle of a file."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :])
