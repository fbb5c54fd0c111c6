"""The table of wrong inputs: for each operation, the message that a person gets."""

import inspect
import re

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import ops, reference
from jaxcnn.errors import InputError

X = jnp.ones((2, 8, 8, 4))
SERIES = jnp.ones((2, 8, 4))
POOL = {"x": X, "window": 2}
# A call of each operation that is right.
RIGHT = {
    "adaptive_avg_pool": {"x": X, "output_size": 3},
    "adaptive_max_pool": {"x": X, "output_size": 3},
    "avg_pool": POOL,
    "blur_pool": {"x": X},
    "causal_conv": {"x": SERIES, "kernel": jnp.ones((3, 4, 6))},
    "causal_conv_state": {"kernel": jnp.ones((3, 4, 6))},
    "causal_conv_stream": {
        "chunk": SERIES,
        "state": jnp.ones((2, 2, 4)),
        "kernel": jnp.ones((3, 4, 6)),
    },
    "conv": {"x": X, "kernel": jnp.ones((3, 3, 4, 6))},
    "conv_transpose": {"x": X, "kernel": jnp.ones((3, 3, 6, 4))},
    "depthwise_conv": {"x": X, "kernel": jnp.ones((3, 3, 4, 2))},
    "global_avg_pool": {"x": X},
    "global_lp_pool": {"x": X},
    "global_max_pool": {"x": X},
    "local_conv": {"x": X, "kernel": jnp.ones((6, 6, 3, 3, 4, 2))},
    "lp_pool": POOL,
    "max_pool": POOL,
    "max_pool_with_indices": POOL,
    "max_unpool": {"values": X, "indices": jnp.zeros(X.shape, int), "output_size": 16},
    "min_pool": POOL,
    "pad": {"x": X, "padding": 1},
    "pixel_shuffle": {"x": X, "factor": 2},
    "pixel_unshuffle": {"x": X, "factor": 2},
    "separable_conv": {
        "x": X,
        "depthwise_kernel": jnp.ones((3, 3, 4, 2)),
        "pointwise_kernel": jnp.ones((1, 1, 8, 5)),
    },
}
# What is wrong with an argument, and what the message says after its name.
ARRAYS = [
    ("of one axis", lambda a: a[(0,) * (a.ndim - 1)], InputError, r"of shape \(\d+,\)"),
    ("a list", lambda a: [1.0], TypeError, r"must be an array, got list; use jnp\.asarray"),
    ("None", lambda a: None, TypeError, r"must be an array, got NoneType; use jnp\.asarray"),
    ("of bools", lambda a: a.astype(bool), TypeError, r"is bool; convert it, .*\.astype\("),
    (
        "of objects",
        lambda a: np.array(a, object),
        TypeError,
        r"is object; convert it, .*\.astype\(",
    ),
]
WHOLE = ("stride", "dilation", "groups", "window", "output_size", "factor", "kernel_size", "rank")
NUMBERS = [
    (0, InputError, r"must be an integer >= 1, got 0; use 1 or more"),
    (-1, InputError, r"must be an integer >= 1, got -1; use 1 or more"),
    (1.5, TypeError, r"must be an integer >= 1, got 1\.5"),
    ("2", TypeError, r"must be an integer >= 1, got '2'"),
]
NAMES = {
    "rounding": [("down", InputError, r"must be one of 'exact', 'floor', 'ceil', got 'down'")],
    "padding_mode": [("mirror", InputError, r"must be one of 'zeros', .*, got 'mirror'")],
    "order": [("RCD", InputError, r"must be one of 'CRD', 'DCR', got 'RCD'")],
    "padding": [
        (-1, InputError, r"must be an integer >= 0, got -1; to cut cells off, slice"),
        (0.5, TypeError, r"must be an integer( >= 0)?, got 0\.5"),
        ("HALF", InputError, r"'HALF'"),
        ((1,) * 5, InputError, r"\(1, 1, 1, 1, 1\)"),
    ],
    "bias": [(1.0, TypeError, r"must be an array, got float; use jnp\.asarray")],
    "output_padding": [
        (-1, InputError, r"must be an integer >= 0, got -1"),
        (1, InputError, r"1 must be below stride 1: .* Use output_padding="),
    ],
    "p": [(0.5, InputError, r"must be a finite number >= 1, got 0\.5; use 1 or more")],
    "batch": [(-1, InputError, r"must be an integer >= 0, got -1")],
}


def _table():
    table = []

    def row(name, what, argument, wrong, kind, words):
        values = name, {argument: wrong}, kind, words
        table.append(pytest.param(*values, id=f"{name}: {what}"))

    rows = dict.fromkeys(WHOLE, NUMBERS) | NAMES
    for name, right in RIGHT.items():
        arrays = [key for key, value in right.items() if hasattr(value, "shape")]
        for key in arrays:
            for what, spoil, kind, words in ARRAYS:
                row(name, f"{key} {what}", key, spoil(right[key]), kind, rf"\b{key} {words}")
            if name != "causal_conv_state":  # which has room for a kernel that sees no channel
                row(name, f"{key} with an axis of 0", key, right[key][:, :0], InputError, r"\b0\b")
        if len(arrays) > 1 and name != "max_unpool":
            key, words = arrays[-1], rf"\b{arrays[-1]} is float16; convert one, .*\.astype\("
            row(name, "mixed dtypes", key, right[key].astype(jnp.float16), TypeError, words)
        for key in inspect.signature(getattr(ops, name)).parameters:
            for wrong, kind, words in rows.get(key, ()):
                if (name, key, wrong) == ("conv_transpose", "padding", -1):
                    continue  # adds cells
                row(name, f"{key}={wrong!r}", key, wrong, kind, rf"\b{key}\b.*{words}")
    return table


def test_the_table_has_every_operation():
    kernels = {name for name in ops.__all__ if name.startswith("kernel_")}
    assert set(RIGHT) == set(ops.__all__) - kernels
    for name, right in RIGHT.items():
        getattr(jaxcnn, name)(**right)


@pytest.mark.parametrize(("name", "wrong", "kind", "words"), _table())
def test_an_operation_names_the_argument_and_says_what_to_type(name, wrong, kind, words):
    for module in (ops, reference):
        if not hasattr(module, name):  # a stream's first state, which is zeros, has no twin
            continue
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(module, name)(**RIGHT[name] | wrong)
        message = str(caught.value)
        assert type(caught.value) is kind, message
        assert re.search(rf"^{name}: .*{words}", message), message


@pytest.mark.parametrize("number", [jnp.asarray(2), np.array(2), np.int64(2)], ids=type)
def test_a_number_may_be_an_array_without_axes(number):
    assert jaxcnn.max_pool(X, 2, stride=number).shape == (2, 4, 4, 4)
