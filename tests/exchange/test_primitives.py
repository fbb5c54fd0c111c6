"""Primitives that arrange, combine and reduce entries, as ONNX."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.errors import InputError
from tests.cases import scaled
from tests.exchange.programs import assert_reproduced, graph_of, whole_numbers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("onnx")


W = whole_numbers((4, 3))
KERNEL = jnp.asarray(whole_numbers((3, 1, 1, 3, 5)).sum(0))


def maps(x):
    """Maps whose tensor has the channels second."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, KERNEL[..., :3], (1, 1), "VALID", dimension_numbers=numbers)


SHAPE = (4, 6, 3)
PROGRAMS = {
    "channels of a map split": lambda x: maps(x).reshape(-1, 4, 6, 3, 1),
    "rows split": lambda x: maps(x).reshape(-1, 2, 2, 3, 2, 3).sum((2, 4)),
    "flattened": lambda x: maps(x).reshape(-1, 72) @ jnp.ones((72, 2)),
    "rows and columns joined": lambda x: maps(x).reshape(-1, 24, 3),
    "columns and channels joined": lambda x: maps(x).reshape(-1, 4, 18),
    "batch joined": lambda x: maps(x).reshape(-1, 3),
    "batch joined and split": lambda x: maps(x).reshape(-1, 3).reshape(x.shape[0], 4, 6, 3),
    "mean": lambda x: maps(x).mean((1, 2)),
    "mean over the batch": lambda x: maps(x).sum(0) / x.shape[0],
    "layer norm": lambda x: maps(x) - lax.stop_gradient(maps(x)).max(-1, keepdims=True),
    "squeeze and excite": lambda x: maps(x) * jnp.max(maps(x), (1, 2), keepdims=True),
    "a product over channels": lambda x: jnp.dot(maps(x), W[:3]),
    "a product over rows": lambda x: jnp.einsum("nhwc,hk->nkwc", maps(x), W),
    "products of examples": lambda x: jnp.einsum("nhwc,nhwd->ncd", maps(x), x),
    "a broadcast product": lambda x: jnp.einsum("nhwc,n->nc", maps(x), x[:, 0, 0, 0]),
    "transposed": lambda x: maps(x).transpose(2, 0, 3, 1),
    "joined": lambda x: jnp.concatenate([x, maps(x), jnp.ones_like(x)], -1),
    "joined with what repeats": lambda x: jnp.concatenate(
        [jnp.full_like(x, 2), x.sum((1, 2), keepdims=True) + jnp.zeros_like(x)], 1
    ),
    "pad": lambda x: lax.pad(maps(x), 7.0, ((0, 0, 0), (1, -2, 1), (-1, 3, 2), (0, 1, 0))),
    "pad more than is cut": lambda x: lax.pad(
        x, 7.0, ((0, 0, 0), (-5, 9, 0), (9, -8, 0), (0, 0, 0))
    ),
    "slice": lambda x: maps(x)[:, 1:4:2, -3:, ::-1],
    "slice of the batch": lambda x: jnp.concatenate([x, maps(x)])[1:, 1],
    "the last": lambda x: maps(x)[..., -1],
    "one": lambda x: maps(x)[:, 2, 3],
    "rows by number": lambda x: maps(x)[:, np.array([3, 0, 0])],
    "channels by number": lambda x: maps(x)[..., np.array([[2, 1], [0, 1]])],
    "cells by number": lambda x: maps(x)[:, np.array([3, 0, 0]), np.array([1, 5, 2])],
    "by the images": lambda x: jnp.take(W, x.astype("int32"), 0, mode="clip"),
    "by the images, or NaN": lambda x: jnp.take(W, x.astype("int32"), 0, mode="fill"),
    "along an axis": lambda x: jnp.take_along_axis(maps(x), jnp.argmax(x, -1, keepdims=True), -1),
    "by bytes": lambda x: jnp.take(jnp.arange(999.0), abs(x).astype("uint8"), mode="clip"),
    "booleans and bytes, or what JAX puts there": lambda x: [
        jnp.take(a, x.astype("int32"), mode="fill")
        for a in (np.array([True, False]), np.array([3, 4], "uint8"), np.array([3, 4], "int32"))
    ],
    "split": lambda x: jnp.split(maps(x), [2, 3], 2),
    "flip": lambda x: jnp.flip(maps(x), (1, 3)),
    "tile": lambda x: jnp.tile(maps(x), (1, 2, 1, 3)),
    "repeat": lambda x: jnp.repeat(maps(x), 2, 1),
    "stack": lambda x: jnp.stack([x, maps(x)], 1),
    "argmax": lambda x: (jnp.argmax(maps(x), -1), jnp.argmin(x, 1)),
    "reductions": lambda x: (maps(x).max(1), maps(x).min((0, 2)), jnp.prod(x, 3), x.sum()),
    "all and any": lambda x: (jnp.all(x > 0, 1), jnp.any(x > 2, (2, 3))),
    "cumulative sum": lambda x: [
        jnp.cumsum(a, 2) for a in (maps(x), lax.abs(x).astype("uint8"), x.astype("int32"))
    ],
    "cumulative sum of bytes": lambda x: lax.cumsum(abs(x).astype("uint8") * jnp.uint8(40), 1),
    "where": lambda x: jnp.where(maps(x) > x, maps(x), 0),
    "which": lambda x: lax.select_n(jnp.sign(x).astype("int32") + 1, x, 2 * x, maps(x)),
    "comparisons": lambda x: [
        f(maps(x), x).astype("int32")
        for f in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)
    ],
    "booleans": lambda x: [
        f(x > 0, maps(x) > 0) for f in (operator.and_, operator.or_, operator.xor, jnp.equal)
    ],
    "bits": lambda x: x.astype("int32") & 3 | 8 ^ ~x.astype("int32"),
    "small integers": lambda x: (x.astype("int8") + jnp.int8(100), abs(x).astype("uint8").max(1)),
    "integers": lambda x: (
        x.astype("int32") // 3,
        x.astype("int32") % 3,
        jnp.abs(x.astype("int32")),
    ),
    "clip": lambda x: (jnp.clip(maps(x), -3, 5), jnp.clip(x, maps(x), 7), jax.nn.relu6(x)),
    "rounded": lambda x: [f(x / 4) for f in (jnp.floor, jnp.ceil, jnp.round, jnp.trunc, jnp.sign)],
    "halves rounded up": lambda x: [
        lax.round(y) for y in (x / 2, x * 0.49999997, x * 8388609 / 4, x / 0)
    ],
    "a choice of constants": lambda x: lax.select_n(
        x[0, 0, 0, 0] > 0, jnp.full((2, 3), 4.0), jnp.full((2, 3), 5.0)
    ),
    "clamped constants": lambda x: lax.clamp(x.sum(), jnp.full((2, 3), 4.0), np.float32(7)),
    "a function of constants": lambda x: x * jax.nn.relu(jnp.arange(-1.0, 2.0)),
    "a product for each example": lambda x: jax.lax.dot_general(
        x[:3, 0], jnp.asarray(W[:3]), (((2,), (1,)), ((0,), (0,)))
    ),
    "a product of whole numbers": lambda x: jnp.einsum(
        "nhwc,cd->nhwd", maps(x).astype("int32"), W[:3].astype("int32")
    ),
    "a scaled sum": lambda x: maps(x) * 3 / 3,
    "remainder": lambda x: lax.rem(x * 8, 3 + maps(x) ** 2),
    "finite": lambda x: jnp.isfinite(1 / x),
    "a constant": lambda x: (jnp.arange(6.0), x),
    "nothing but the images": lambda x: (x, x),
    "counted": lambda x: maps(x) + lax.broadcasted_iota("float32", x.shape, 2),
    "rounded to bfloat16": lambda x: lax.reduce_precision(x * 1.37, 8, 7),
    "a loop": lambda x: lax.scan(lambda c, r: (c + r, c * r), x, jnp.arange(3.0)),
    "a loop over rows": lambda x: lax.scan(
        lambda c, r: (c + r, c), x[:, 0], maps(x).swapaxes(0, 1)
    ),
    "a known branch": lambda x: lax.cond(x.shape[1] > 3, lambda x: x + 1, lambda x: x - 1, x),
    "checkpointed": jax.checkpoint(lambda x: maps(x) * 2),
    "mapped over examples": jax.vmap(lambda x: maps(x[None])[0].sum(0)),
}
"""Programs whose results are exact on whole numbers, or rounded once."""


def all_of(functions):
    """The results of all functions, by name: one program is compiled faster than many."""
    return lambda x: {name: function(x) for name, function in functions.items()}


def test_programs_of_entries_that_move_are_reproduced(folder):
    assert_reproduced(all_of(PROGRAMS), SHAPE, folder, rtol=2**-22)


FUNCTIONS = {
    **{name: getattr(jnp, name) for name in ("sin", "cos", "tan", "tanh", "sinh", "cosh", "exp")},
    **{
        name: getattr(jnp, name)
        for name in ("arctan", "arcsinh", "exp2", "expm1", "cbrt", "square")
    },
    **{name: getattr(jax.nn, name) for name in ("relu", "gelu", "silu", "elu", "selu", "sigmoid")},
    **{name: getattr(jax.nn, name) for name in ("softplus", "mish", "softmax", "log_softmax")},
    **{name: getattr(jax.nn, name) for name in ("hard_swish", "leaky_relu", "celu", "glu")},
    "gelu by erf": lambda x: jax.nn.gelu(x, approximate=False),
    "erf": lax.erf,
    "erfc": lax.erfc,
    "logsumexp": lambda x: jax.nn.logsumexp(x, -1),
    "standardize": jax.nn.standardize,
    "roots": lambda x: (lax.rsqrt(x**2 + 1), jnp.sqrt(abs(x)), jnp.log(abs(x) + 1)),
    "log1p": lambda x: jnp.log1p(abs(x) * 3),
    "arcs": lambda x: (jnp.arcsin(x / 9), jnp.arccos(x / 9), jnp.arctanh(x / 9)),
    "powers": lambda x: (x**3, (x + 9) ** -2, (x + 9) ** 0.3, 1 / (x + 9)),
}


def test_functions_of_each_entry_are_reproduced(folder):
    """Within a few roundings of numbers of size 1, and the same of the result."""
    few = 32 * 2**-24
    assert_reproduced(lambda x: all_of(FUNCTIONS)(x / 4), (9, 4), folder, rtol=few, atol=few)


def test_expm1_and_log1p_lose_no_digits_near_zero_or_minus_one(folder):
    def function(x):
        small = x * 1e-6
        return jnp.expm1(small), jnp.log1p(small), jnp.log1p(-1 + 1e-6 * abs(x))

    assert_reproduced(function, (9,), folder, rtol=2**-20)


@st.composite
def reshapes(draw):
    """Two shapes of the same entries, and an order of the first one's axes."""
    factors = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    shapes = []
    for _ in range(2):
        cuts = sorted(draw(st.sets(st.integers(1, len(factors)), max_size=4)) | {len(factors)})
        shape = [int(np.prod(factors[a:b])) for a, b in zip([0, *cuts[:-1]], cuts, strict=True)]
        for _ in range(draw(st.integers(0, 2))):
            shape.insert(draw(st.integers(0, len(shape))), 1)
        shapes.append(tuple(shape))
    return *shapes, draw(st.permutations(range(len(shapes[0]) + 1)))


@scaled(8)
@given(reshapes())
def test_a_reshape_of_transposed_axes_is_reproduced(folder, drawn):
    before, after, order = drawn

    def function(x):
        y = lax.transpose(x, np.argsort(order)) + 1  # its tensor keeps the order of x
        z = lax.transpose(y, order)
        return z.reshape(-1, *after), (y * 2).reshape(-1)

    assert_reproduced(function, before, folder)


def test_an_unknown_primitive_is_refused_with_its_place_in_the_model():
    with pytest.raises(
        InputError, match=r"^sort \(test_primitives.py:\d+.*\) has no rule for ONNX"
    ):
        graph_of(lambda x: jnp.sort(x), (4,))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: lax.while_loop(lambda c: c[0, 0] > 0, lambda c: c - 1, x), "as often as"),
        (lambda x: lax.scan(lambda c, _: (c + 1, None), x, None, 65)[0], "65 steps"),
        (lambda x: jnp.arange(x.shape[0]), "along the batch"),
        (lambda x: lax.dynamic_slice(x, (0, x[0, 0].astype("int32")), (1, 2)), "input says"),
        (lambda x: lax.cond(x[0, 0] > 0, lambda x: x, lambda x: -x, x), "branch"),
    ],
)
def test_what_depends_on_the_images_numbers_is_refused(function, reason):
    with pytest.raises(InputError, match=reason):
        graph_of(function, (4,))
