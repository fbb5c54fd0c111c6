"""Stacks: checked when built, and what their plan says is what they do."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn import nn
from jaxcnn.errors import InputError
from jaxcnn.nn import ConvSpec, PoolSpec, Stack
from tests.cases import few
from tests.nn.drawn import stacks


def _build(input, specs, seed=0):
    return Stack(input, specs, rngs=nnx.Rngs(seed))


@few
@given(stacks(), st.booleans())
def test_each_row_of_the_plan_is_the_shape_and_the_parameters_of_its_layer(drawn, batched):
    input, specs = drawn
    stack = _build(input, specs)
    lead = (2,) if batched else ()
    x = jax.ShapeDtypeStruct((*lead, *input), jnp.float32)
    plan = stack.plan()
    for layer, row in zip(stack.layers, plan.rows, strict=True):
        x = jax.eval_shape(layer, x)
        assert x.shape == (*lead, *row.output)
        leaves = jax.tree.leaves(nnx.state(layer, nnx.Param))
        assert row.parameters == sum(math.prod(leaf.shape) for leaf in leaves)
    assert stack(jnp.ones((*lead, *input))).shape == x.shape
    everything = jax.tree.leaves(nnx.state(stack, nnx.Param))
    assert plan.parameters == sum(math.prod(leaf.shape) for leaf in everything)
    assert plan.multiply_adds == sum(row.multiply_adds for row in plan.rows)


@given(stacks(max_layers=1))
def test_multiply_adds_are_the_products_that_are_summed(drawn):
    input, (spec,) = drawn
    (row,) = nn.plan(input, [spec]).rows
    if isinstance(spec, PoolSpec):
        assert row.multiply_adds == 0
        return
    # With ones for input, padding and weights, each product adds one to the outputs' sum.
    filters = spec.filters(len(input) - 1)
    pairs = jaxcnn.geometry.resolve_padding(
        spec.padding, input[:-1], filters, stride=spec.stride, dilation=spec.dilation
    )
    ones = jnp.pad(jnp.ones(input), [*pairs, (0, 0)], constant_values=1)
    kernel = jnp.ones((*filters, input[-1] // spec.groups, spec.channels))
    y = jaxcnn.conv(
        ones,
        kernel,
        stride=spec.stride,
        dilation=spec.dilation,
        groups=spec.groups,
        rounding="floor",
    )
    assert row.multiply_adds == int(y.sum())


def _positive(stack):
    """The stack with positive weights: a cell is read iff its gradient is not zero."""
    state = nnx.state(stack, nnx.Param)
    nnx.update(stack, jax.tree.map(lambda leaf: jnp.abs(leaf) + 0.1, state))
    return stack


def _cells_read(stack, input, index):
    """Along each axis, the input cells on which the output at ``index`` depends."""
    gradient = jax.jit(jax.grad(lambda x: stack(x)[index].sum()))(jnp.ones(input))
    touched = np.argwhere(np.asarray(gradient).sum(-1) > 0)
    return [sorted(set(column)) for column in touched.T]


@few
@given(stacks(max_layers=3, pools=("avg",)), st.integers(0, 99))
def test_the_receptive_field_and_the_stride_are_where_gradients_are(drawn, pick):
    input, specs = drawn
    stack = _positive(_build(input, specs))
    row = stack.plan().rows[-1]
    index = tuple(pick % size for size in row.output[:-1])
    read = _cells_read(stack, input, index)
    for i, field, cells in zip(index, row.field, read, strict=True):
        if not cells:  # the output sees padding alone
            continue
        first = field.start + i * field.jump
        assert first <= cells[0]
        assert cells[-1] < first + field.size
        # The ends are met wherever they lie in the input and no padding hides the way to them.
        if all(_unpadded(spec) for spec in specs):
            assert [cells[0], cells[-1]] == [first, first + field.size - 1]


def _unpadded(spec):
    return spec.padding == "VALID"


@given(stacks(max_layers=1, pools=("avg",)))
def test_lost_rows_are_the_input_cells_at_the_end_that_have_no_gradient(drawn):
    input, specs = drawn
    stack = _positive(_build(input, specs))
    (row,) = stack.plan().rows
    gradient = np.asarray(jax.jit(jax.grad(lambda x: stack(x).sum()))(jnp.ones(input))).sum(-1)
    for axis, (size, lost) in enumerate(zip(input, row.lost, strict=False)):
        others = tuple(i for i in range(gradient.ndim) if i != axis)
        unread = np.flatnonzero(gradient.sum(others) == 0)
        assert set(range(size - lost, size)) <= set(unread)
        if _dense(stack.specs[0]) and lost < size:
            assert list(unread) == list(range(size - lost, size))


def _dense(spec):
    """Whether windows leave no cell between them, nor between their taps, unread."""
    taps = spec.kernel_size
    return spec.stride <= taps and spec.dilation == 1


def test_a_stack_is_refused_when_it_is_built_and_the_layer_is_named():
    layers = [ConvSpec(6, 3), ConvSpec(10, 3, stride=3)]
    with pytest.raises(InputError, match=re.escape("layer 2 (conv:10:k3:s3): height 5")):
        _build((7, 7, 1), layers)
    with pytest.raises(InputError, match=r"layer 1 \(max:k9\): height 7 with kernel_size 9"):
        _build((7, 7, 1), [PoolSpec("max", 9)])
    with pytest.raises(InputError, match=r"layer 2 \(conv:4:k1:g4\): .*groups 4"):
        _build((7, 7, 1), [ConvSpec(6, 3), ConvSpec(4, 1, groups=4)])


def test_a_second_convolution_takes_the_first_ones_maps_for_its_image():
    plan = nn.plan((7, 7, 3), [ConvSpec(6, 3), ConvSpec(10, 3)])
    assert [row.output for row in plan.rows] == [(5, 5, 6), (3, 3, 10)]
    assert [row.parameters for row in plan.rows] == [3 * 3 * 3 * 6 + 6, 3 * 3 * 6 * 10 + 10]
    assert [row.multiply_adds for row in plan.rows] == [25 * 27 * 6, 9 * 54 * 10]
    assert [row.field[0].size for row in plan.rows] == [3, 5]


@few
@given(stacks())
def test_the_same_seed_gives_the_same_stack(drawn):
    input, specs = drawn
    states = [jax.tree.leaves(nnx.state(_build(input, specs, seed=7))) for _ in range(2)]
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_of_one_shape_start_with_different_weights():
    stack = _build((9, 1), [ConvSpec(1, 3), ConvSpec(1, 3)])
    first, second = (layer.kernel[...] for layer in stack.layers)
    assert not (first == second).any()


@given(stacks())
def test_a_plan_prints_a_line_for_each_layer_with_its_numbers(drawn):
    input, specs = drawn
    plan = nn.plan(input, specs)
    head, first, *lines, total = str(plan).splitlines()
    assert head.split() == list(jaxcnn.inspect.plan.COLUMNS)
    assert first.split()[:2] == ["input", "x".join(map(str, input))]
    assert len(lines) == len(specs)
    for line, spec, row in zip(lines, specs, plan.rows, strict=True):
        words = line.split()
        assert words[:2] == [str(spec), "x".join(map(str, row.output))]
        assert int(words[2].replace(",", "")) == row.parameters
        assert int(words[3].replace(",", "")) == row.multiply_adds
    assert total.split() == ["total", f"{plan.parameters:,}", f"{plan.multiply_adds:,}"]


def test_it_is_drawn_and_run_whichever_way_jax_divides_its_random_numbers():
    for partitionable in (False, True):
        with jax.threefry_partitionable(partitionable):
            stack = Stack((8, 8, 1), [ConvSpec(4, 3), ConvSpec(2, 6)], rngs=nnx.Rngs(0))
            assert jnp.isfinite(stack(jnp.ones((2, 8, 8, 1)))).all()
