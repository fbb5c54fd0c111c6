"""Every operation, exported for symbolic sizes, equals the operation on each size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jaxcnn
from jaxcnn import ops
from jaxcnn.errors import InputError

KERNEL, DEEP, WIDE = jnp.ones((3, 3, 4, 6)), jnp.ones((3, 3, 4, 2)), jnp.ones((1, 1, 8, 5))
BACK, SERIES = jnp.ones((3, 3, 6, 4)), jnp.ones((3, 4, 6))
FLOOR = {"stride": 2, "padding": 1, "rounding": "floor"}
CALLS = {
    "adaptive_avg_pool": lambda x: jaxcnn.adaptive_avg_pool(x, 2),
    "adaptive_max_pool": lambda x: jaxcnn.adaptive_max_pool(x, (1, 2)),
    "avg_pool": lambda x: (
        jaxcnn.avg_pool(x, 3, **FLOOR),
        jaxcnn.avg_pool(x, 3, stride=2, rounding="ceil", count_include_pad=True),
    ),
    "blur_pool": lambda x: jaxcnn.blur_pool(x, kernel_size=3),
    "causal_conv": lambda x: jaxcnn.causal_conv(x[:, 0], SERIES),
    "causal_conv_stream": lambda x: jaxcnn.causal_conv_stream(
        x[:, 0], jnp.zeros((x.shape[0], 2, 4)), SERIES
    ),
    "conv": lambda x: (
        jaxcnn.conv(x, KERNEL, padding="SAME"),
        jaxcnn.conv(x, KERNEL, **FLOOR),
        jaxcnn.conv(x, KERNEL, padding=1, padding_mode="circular"),
        jaxcnn.conv(x, KERNEL, padding=1, padding_mode="partial"),
    ),
    "conv_integer": lambda x: jaxcnn.conv_integer(
        x.astype("int8"), KERNEL.astype("uint8"), x_zero_point=3, kernel_zero_point=4, **FLOOR
    ),
    "conv_transpose": lambda x: jaxcnn.conv_transpose(x, BACK, stride=2, padding="SAME"),
    "deform_conv": lambda x: jaxcnn.deform_conv(
        x, jnp.full((x.shape[0], x.shape[1] - 2, x.shape[2] - 2, 18), 0.25), KERNEL
    ),
    "depthwise_conv": lambda x: jaxcnn.depthwise_conv(x, DEEP),
    "fold": lambda x: (
        jaxcnn.fold(x, 2, output_size=[n + 1 for n in x.shape[1:3]]),
        jaxcnn.fold(x, 2, output_size=[2 * n - 1 for n in x.shape[1:3]], stride=2, padding=1),
    ),
    "global_avg_pool": jaxcnn.global_avg_pool,
    "global_lp_pool": jaxcnn.global_lp_pool,
    "global_max_pool": jaxcnn.global_max_pool,
    "lp_pool": lambda x: jaxcnn.lp_pool(x, 2),
    "max_pool": lambda x: (jaxcnn.max_pool(x, 2), jaxcnn.max_pool(x, 3, **FLOOR)),
    "max_pool_with_indices": lambda x: jaxcnn.max_pool_with_indices(x, 3, **FLOOR),
    "max_unpool": lambda x: jaxcnn.max_unpool(
        *jaxcnn.max_pool_with_indices(x, 2), output_size=x.shape[1:3]
    ),
    "min_pool": lambda x: jaxcnn.min_pool(x, 3, stride=1, padding="SAME"),
    "pad": lambda x: (
        jaxcnn.pad(x, (1, -1), value=3),
        jaxcnn.pad(x, 2, padding_mode="reflect"),
        jaxcnn.pad(x, (1, -1), padding_mode="circular"),
    ),
    "pixel_shuffle": lambda x: jaxcnn.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: jaxcnn.pixel_unshuffle(x, 2),
    "quantized_conv": lambda x: jaxcnn.quantized_conv(
        x.astype("int8"), KERNEL.astype("int8"), x_scale=1.0, kernel_scale=0.5, y_scale=4.0
    ),
    "separable_conv": lambda x: jaxcnn.separable_conv(x, DEEP, WIDE, stride=1),
    "upsample": lambda x: (
        jaxcnn.upsample(x, 3),
        jaxcnn.upsample(x, (2, 3), method="linear"),
        jaxcnn.upsample(x, output_size=tuple(2 * n for n in x.shape[1:3]), method="linear"),
    ),
    "unfold": lambda x: (jaxcnn.unfold(x, 2, stride=2), jaxcnn.unfold(x, 3, **FLOOR)),
}
KNOWN = {"causal_conv_state", "local_conv"}
"""Exceptions: sizes are a plain argument, or the kernel has weights for each position."""


def symbolic(text, *constraints):
    return jax.ShapeDtypeStruct(export.symbolic_shape(text, constraints=constraints), jnp.float32)


ANY = symbolic("b, 2*h, 2*w, 4", "h >= 2", "w >= 2")


def test_every_operation_has_a_case_of_symbolic_sizes():
    kernels = {name for name in ops.__all__ if name.startswith("kernel_")}
    assert set(CALLS) | KNOWN == set(ops.__all__) - kernels


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_supports_symbolic_sizes(name):
    for shape in jax.tree.leaves(jax.eval_shape(CALLS[name], ANY)):
        assert str(shape.shape[0]) == "b"


def all_of_them(x):
    gradients = {
        name: jax.grad(lambda x, name=name: sum(y.sum() for y in CALLS[name](x)))(x)
        for name in ("avg_pool", "max_pool")
    }
    return {name: call(x) for name, call in CALLS.items()}, gradients


def test_an_exported_program_of_symbolic_sizes_equals_the_operations_on_each_size():
    exported = export.export(jax.jit(all_of_them))(ANY)
    draws = np.random.default_rng(0)
    for sizes in ((1, 4, 6), (3, 6, 4)):
        # Small whole numbers: no sum is rounded, quotients and roots are once or twice.
        x = jnp.asarray(draws.integers(-9, 10, (*sizes, 4)), jnp.float32)
        got, want = exported.call(x), jax.jit(all_of_them)(x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2**-21), got, want)


def test_a_local_convolution_names_the_symbolic_size_that_must_be_a_number():
    with pytest.raises(InputError, match=r"local_conv: height 2\*h .* is symbolic.*use a number"):
        jax.eval_shape(lambda x: jaxcnn.local_conv(x, jnp.ones((6, 6, 3, 3, 4, 2))), ANY)
