"""Deformable convolution: agrees with its definition, and with convolution at whole offsets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import nn, ops, reference
from jaxcnn.shapes import conv_shapes
from jaxcnn.testing import assert_sums_close, conv_problems
from tests.cases import DTYPES, few

both = pytest.mark.parametrize("form", [ops, reference], ids=["fast", "reference"])
small = partial(conv_problems, ranks=(1, 2), max_cells=20, max_size=4, max_groups=2)


@dataclass(frozen=True)
class Problem:
    """A convolution's problem with offsets and a mask for ``parts`` groups of channels."""

    conv: object
    parts: int
    use_mask: bool

    @property
    def kwargs(self):
        return self.conv.kwargs

    def arrays(self, whole=False):
        """x, the offsets, the kernel, the bias or None, the mask or None."""
        x, kernel, *bias = self.conv.arrays()
        shapes = conv_shapes(x.shape, kernel.shape, **self.kwargs)
        places, axes = shapes.with_batch(*shapes.spatial), len(shapes.windows)
        taps = math.prod(kernel.shape[:axes])
        draws = np.random.default_rng(self.conv.seed)
        offset = draws.integers(-2, 3, (*places, self.parts * taps * axes)).astype(float)
        if not whole:  # at least 1/16 from a kink, in numbers that 16 bits hold
            offset += draws.integers(1, 16, offset.shape) / 16
        mask = draws.uniform(0.5, 2, (*places, self.parts * taps))
        mask = jnp.asarray(mask, x.dtype) if self.use_mask else None
        return x, jnp.asarray(offset, x.dtype), kernel, bias[0] if bias else None, mask

    def call(self, form, x, offset, kernel, bias, mask):
        return form.deform_conv(x, offset, kernel, bias, mask=mask, **self.kwargs)

    @property
    def terms(self):
        """Products summed for an output or for one entry of a gradient, at most."""
        x, offset, kernel, *_ = self.arrays()
        return 2 ** (kernel.ndim - 2) * (math.prod(kernel.shape) + offset.size) * x.shape[-1] + 20


@st.composite
def problems(draw, **bounds):
    conv = draw(small(**bounds))
    parts = draw(st.sampled_from([n for n in (1, 2) if conv.in_channels % n == 0]))
    return Problem(conv, parts, draw(st.booleans()))


@given(problems(dtypes=DTYPES))
def test_both_forms_agree_in_every_dtype(problem):
    with problem.conv.x64():
        arrays = problem.arrays()
        got = jax.jit(partial(problem.call, ops))(*arrays)
        assert got.dtype == arrays[0].dtype
        assert got.shape == problem.conv.output_shape
        arrays = jax.tree.map(np.asarray, arrays)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), arrays)
        definition = jax.jit(partial(problem.call, reference))
        want = definition(*wide)
        x, offset, *others = wide
        magnitude = definition(abs(x), offset, *jax.tree.map(jnp.abs, others))
    # A sample is a sum over corners, each of a product of shares; then the sum of a convolution.
    assert_sums_close(got, want, magnitude, roundings=problem.conv.roundings + 12)


@few
@given(problems())
def test_the_gradients_of_all_arrays_are_those_of_the_definition(problem):
    with jax.enable_x64(True):
        arrays = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), problem.arrays())

        @partial(jax.jit, static_argnums=0)
        def gradients(form, arrays, cotangent):
            return jax.vjp(partial(problem.call, form), *arrays)[1](cotangent)

        y = jax.eval_shape(partial(problem.call, ops), *arrays)
        cotangent = jnp.asarray(np.random.default_rng(1).normal(size=y.shape))
        got, want = (gradients(form, arrays, cotangent) for form in (ops, reference))
    # A term is a product of shares and of at most four numbers: of x, kernel, mask and cotangent.
    largest = max(abs(np.asarray(a)).max() for a in [*jax.tree.leaves(arrays), cotangent])
    size = 10 * problem.terms * (1 + largest) ** 4
    for mine, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=size * 2**-52)


@few
@both
@given(problem=problems())
def test_offsets_of_zero_and_a_mask_of_ones_give_the_convolution(form, problem):
    x, offset, kernel, bias, mask = problem.arrays()
    ones = None if mask is None else jnp.ones_like(mask)
    got = jax.jit(partial(problem.call, form))(x, jnp.zeros_like(offset), kernel, bias, ones)
    want = ops.conv(x, kernel, bias, **problem.kwargs)
    args = (abs(x), abs(kernel), None if bias is None else abs(bias))
    assert_sums_close(got, want, ops.conv(*args, **problem.kwargs), roundings=2 * problem.terms)


@few
@both
@given(problem=problems(batches=(1,)), wrong=st.sampled_from([np.nan, np.inf]))
def test_a_cell_that_is_not_finite_reaches_exactly_the_outputs_that_read_it(form, problem, wrong):
    x, offset, kernel, bias, mask = problem.arrays(whole=problem.conv.seed % 2 == 0)
    at = np.unravel_index(x.size // 2, x.shape)
    call = jax.jit(partial(problem.call, form))
    ones = jnp.ones_like(kernel), bias, None if mask is None else jnp.ones_like(mask)
    got = call(jnp.ones_like(x).at[at].set(wrong), offset, *ones)
    alone = jnp.zeros_like(x).at[at].set(1)
    reached = problem.call(reference, alone, offset, ones[0], None, ones[2]) > 0
    np.testing.assert_array_equal(~np.isfinite(got), reached)
    # The tangent of x, too, does not read the cells of share 0.
    slope = jax.jvp(lambda x: call(x, offset, *ones), (x,), (alone.at[at].set(wrong),))[1]
    np.testing.assert_array_equal(~np.isfinite(slope), reached)


@both
def test_a_place_at_a_cell_reads_that_cell_alone(form):
    x = jnp.array([[1.0], [jnp.inf], [3.0], [jnp.nan]])
    zeros, one = jnp.zeros((4, 1)), jnp.ones((1, 1, 1))
    np.testing.assert_array_equal(form.deform_conv(x, zeros, one), x)
    slope = jax.jvp(lambda x: form.deform_conv(x, zeros, one), (x,), (x,))[1]
    np.testing.assert_array_equal(slope, x)


def test_the_gradient_of_a_whole_offset_is_the_slope_to_the_next_cell():
    x = jnp.array([[1.0], [2.0], [4.0], [8.0]])
    gradient = jax.grad(lambda o: ops.deform_conv(x, o, jnp.ones((1, 1, 1))).sum())
    np.testing.assert_array_equal(gradient(jnp.zeros((4, 1)))[:, 0], [1, 2, 4, -8])


@both
def test_a_place_far_from_every_cell_reads_zeros(form):
    x = jnp.ones((3, 1))
    far = jnp.array([[1e30], [-jnp.inf], [jnp.inf]])
    np.testing.assert_array_equal(form.deform_conv(x, far, jnp.ones((1, 1, 1))), np.zeros((3, 1)))


def test_a_fraction_keeps_its_digits_far_from_the_first_cell():
    cells = 2**14
    x = jnp.arange(2.0 * cells).reshape(-1, 1) % 2
    offset = jnp.full((len(x), 1), 2**-10)
    y = ops.deform_conv(x, offset, jnp.ones((1, 1, 1)))[:-1, 0]
    np.testing.assert_array_equal(y, np.where(np.arange(2 * cells - 1) % 2, 1 - 2**-10, 2**-10))


# Published values: ONNX, node tests of DeformConv. On an image of 0 to 8 with a kernel of ones, tap
# 0 of the first output moves by half a row, tap 2 of one output by -0.1 columns.
def node(sizes, at):
    offset = np.zeros((1, 8, *sizes), "float32")
    offset[0, 0, 0, 0], offset[0, 5, *at] = 0.5, -0.1
    return jnp.asarray(np.moveaxis(offset, 1, -1))


IMAGE, FOUR = jnp.arange(9.0).reshape(1, 3, 3, 1), jnp.ones((2, 2, 1, 1))


@both
def test_onnx_node_tests_have_their_published_values(form):
    call = jax.jit(form.deform_conv)
    y = call(IMAGE, node((2, 2), (0, 1)), FOUR)
    np.testing.assert_allclose(y[0, ..., 0], [[9.5, 11.9], [20, 24]], rtol=1e-6)
    y = jax.jit(partial(form.deform_conv, padding=1))(IMAGE, node((4, 4), (1, 2)), FOUR)
    want = [[0, 1, 3, 2], [3, 8, 11.9, 7], [9, 20, 24, 13], [6, 13, 15, 8]]
    np.testing.assert_allclose(y[0, ..., 0], want, rtol=1e-6)
    mask = np.ones((1, 4, 2, 2), "float32")
    mask[0, 2, 1, 1] = 0.2
    mask = jnp.asarray(np.moveaxis(mask, 1, -1))
    y = call(IMAGE, node((2, 2), (0, 1)), FOUR, jnp.ones(1), mask=mask)
    np.testing.assert_allclose(y[0, ..., 0], [[10.5, 12.9], [21, 19.4]], rtol=1e-6)
    two = jnp.concatenate([IMAGE, 8 - IMAGE], -1)
    second = np.zeros((1, 2, 2, 16), "float32")
    second[0, 0, 0, 0], second[0, 0, 1, 13] = 0.5, -0.1
    y = call(two, jnp.asarray(second), jnp.ones((2, 2, 2, 1)))
    np.testing.assert_allclose(y[0, ..., 0], [[33.5, 32.1], [32, 32]], rtol=1e-6)


REFUSED = [
    ({"offset": (2, 5, 5, 17)}, r"offset .*\(2, 5, 5, 17\).*9 taps at \(5, 5\).*\(2, 5, 5, 18\)"),
    ({"offset": (2, 4, 5, 18)}, r"offset .*use shape \(2, 5, 5, 18\)"),
    ({"offset": (5, 5, 18)}, r"offset .*use shape \(2, 5, 5, 18\)"),
    ({"offset": (2, 5, 5, 54)}, r"offset.*3 groups of channels.*divide the 4 channels"),
    ({"mask": (2, 5, 5, 18)}, r"mask of shape .*use shape \(2, 5, 5, 9\)"),
    ({"kernel": (3, 3, 3, 6)}, r"4 channels, but kernel"),
]


@both
@pytest.mark.parametrize(("wrong", "words"), REFUSED)
def test_arrays_that_do_not_fit_are_refused_with_the_shape_that_does(form, wrong, words):
    shapes = {"x": (2, 7, 7, 4), "offset": (2, 5, 5, 18), "kernel": (3, 3, 4, 6)} | wrong
    with pytest.raises(ValueError, match=rf"^deform_conv: .*{words}"):
        form.deform_conv(**{name: jnp.ones(shape) for name, shape in shapes.items()})


def test_a_mask_of_another_dtype_or_kind_is_refused_by_name():
    arrays = jnp.ones((7, 1)), jnp.ones((7, 1)), jnp.ones((1, 1, 1))
    with pytest.raises(TypeError, match=r"^deform_conv: .*mask is bfloat16; .*astype"):
        ops.deform_conv(*arrays, mask=jnp.ones((7, 1), "bfloat16"))
    with pytest.raises(TypeError, match=r"^deform_conv: mask must be an array, got list"):
        ops.deform_conv(*arrays, mask=[1.0])


@both
def test_offsets_keep_a_dtype_wider_than_that_of_x(form):
    x = jnp.zeros((12, 2), "bfloat16").at[6].set(64)
    offset = jnp.full((12, 1), 5 + 1 / 64)  # in bfloat16 it would be 5
    kernel = jnp.eye(2, dtype="bfloat16")[None]
    narrow, wide = (
        form.deform_conv(x, offset, kernel),
        ops.deform_conv(x.astype("float32"), offset, kernel.astype("float32")),
    )
    assert narrow.dtype == jnp.bfloat16
    np.testing.assert_array_equal(narrow, wide.astype("bfloat16"))
    assert (narrow[0, 0], form.deform_conv(x, offset.astype("bfloat16"), kernel)[0, 0]) == (1, 0)
    with pytest.raises(TypeError, match=r"^deform_conv: offset is int32, but .*astype"):
        form.deform_conv(x, offset.astype("int32"), kernel)


def test_a_layer_refuses_missing_offsets_by_name_and_does_not_round_them():
    layer = nn.DeformConv(2, 2, (1,), dtype="bfloat16", rngs=nnx.Rngs(0))
    x, offset = jnp.zeros((12, 2)).at[6].set(64), jnp.full((12, 1), 5 + 1 / 64)
    with pytest.raises(TypeError, match=r"^deform_conv: offset must be an array, got None"):
        layer(x, None)
    assert (layer(x, offset) != layer(x, offset.astype("bfloat16"))).any()
