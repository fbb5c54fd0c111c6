"""The edge checks every operation's call once, and restores the form of its result."""

from __future__ import annotations

import inspect
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxcnn import ops, reference, shapes
from jaxcnn.shapes.arrays import result_dtype
from tests.ops.calls import BATCHED, CALLS, NEVER_BATCHED, call_of, drawn

OPERATIONS = sorted(reference.__all__)
each = pytest.mark.parametrize("name", OPERATIONS)
PER_AXIS = {
    "global_avg_pool": {"rank": 2},
    "global_lp_pool": {"rank": 2},
    "global_max_pool": {"rank": 2},
    "blur_pool": {"kernel_size": (3, 3)},
    "pad": {"padding": (1, 1)},
    "pixel_shuffle": {"factor": (2, 2)},
    "pixel_unshuffle": {"factor": (2, 2)},
}
"""Arguments that tell that x has no batch axis, if the call's own arguments do not."""


def _draw(size):
    return np.random.default_rng(0).normal(size=size)


def _at_the_edge(name, arrays):
    """The result of the operation's edge for its call: the arrays, and then the shapes."""
    arguments = {"p": 2} if name.endswith("lp_pool") else {}
    return getattr(shapes, name)(*arrays, **CALLS[name][1] | PER_AXIS.get(name, {}) | arguments)


def _arrays(name, *, example):
    """The call's arrays, or those of its first example without a batch axis."""
    arrays = [jnp.asarray(a) for a in drawn(name, "float32", _draw)]
    if example:
        for place in BATCHED.get(name, (0,)):
            arrays[place] = arrays[place][0]
    return arrays


def test_every_operation_has_an_edge_of_its_name():
    assert set(OPERATIONS) <= set(shapes.__all__)


@each
def test_the_edge_does_not_change_an_array_with_a_batch_axis(name):
    arrays = _arrays(name, example=False)
    checked = _at_the_edge(name, arrays)
    for array, handed in zip(arrays, checked[: len(arrays)], strict=True):
        assert handed is array


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - NEVER_BATCHED))
def test_the_edge_adds_a_batch_axis_to_an_example_and_removes_it_from_the_result(name):
    arrays = _arrays(name, example=True)
    checked = _at_the_edge(name, arrays)
    described = checked[-1]
    for place in BATCHED.get(name, (0,)):
        assert checked[place].shape == (1, *arrays[place].shape)
    y = jnp.ones((1, 2, 2, 3))
    if name.startswith("global"):
        assert described.restore(y[:, :1, :1]).shape == (3,)
    else:
        assert described.restore(y).shape == (2, 2, 3)


@pytest.mark.parametrize("forms", [ops, reference], ids=["fast", "reference"])
@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - NEVER_BATCHED))
@pytest.mark.parametrize("example", [False, True], ids=["batch", "example"])
def test_the_result_has_the_shape_and_dtype_that_the_edge_describes(forms, name, example):
    arrays = _arrays(name, example=example)
    described = _at_the_edge(name, arrays)[-1]
    call = call_of(forms, name)
    call.keywords.update(PER_AXIS.get(name, {}))
    y = jax.tree.leaves(jax.eval_shape(call, *arrays))[0]
    assert (y.shape, y.dtype) == (_output(name, described), described.dtype)


def _output(name, described):
    if name in ("conv_transpose", "fold"):
        return described.input
    if name == "pixel_shuffle":
        return described.with_batch(*described.fine, described.channels)
    if name == "pixel_unshuffle":
        return described.with_batch(*described.coarse, described.stacked)
    return described.output


@each
def test_an_argument_that_is_not_an_array_is_refused_in_the_operations_name(name):
    arrays = _arrays(name, example=False)
    for place in range(len(arrays)):
        given = [*arrays]
        given[place] = [1.0]
        for room in (ops, reference):
            with pytest.raises(TypeError, match=rf"^{name}: \w+ must be an array, got list"):
                call_of(room, name)(*given)


@each
def test_only_the_edge_checks_the_arguments_of_an_operation_and_its_reference(name):
    for room in (ops, reference):
        source = inspect.getsource(inspect.unwrap(getattr(room, name)))
        assert source.count(f"edge.{name}(") == 1
        for written_out in ("error_prefix", "raise ", "as_arrays", "is None else bias.shape"):
            assert written_out not in source or (room, name) == (ops, "conv")  # its algorithm


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - NEVER_BATCHED))
def test_the_edge_adds_nothing_to_a_program_on_a_batch(name):
    program = jax.make_jaxpr(call_of(ops, name))(*_arrays(name, example=False)).jaxpr
    x = program.invars[0]
    readers = {each.primitive.name for each in program.eqns if x in each.invars}
    assert not readers & {"broadcast_in_dim", "squeeze", "convert_element_type", "copy"}
    (last,) = (each for each in program.eqns if program.outvars[0] in each.outvars)
    # Those drop axes of their own, and a quantized convolution narrows its result.
    if not name.startswith(("global", "adaptive", "quantized")):
        assert last.primitive.name not in ("squeeze", "convert_element_type", "copy")


def test_the_edge_adds_an_undivided_batch_axis_to_the_sharding_of_an_example():
    batch = shapes.pool_shapes((4, 8, 8, 3), (2, 2))
    example = shapes.pool_shapes((8, 8, 3), (2, 2))
    spec = PartitionSpec("rows", None, None)
    assert example.sharding(spec) == PartitionSpec(None, "rows", None, None)
    assert batch.sharding(spec) == spec
    assert example.sharding(None) is None
    mesh = jax.make_mesh((1,), ("rows",))
    named = example.sharding(jax.sharding.NamedSharding(mesh, spec))
    assert (named.mesh, named.spec) == (mesh, PartitionSpec(None, "rows", None, None))


DTYPES = ("int8", "uint8", "int32", "uint32", "bfloat16", "float16", "float32", "complex64")


@pytest.mark.parametrize(("dtype", "preferred"), list(product(DTYPES, DTYPES)))
def test_a_preferred_element_type_is_refused_if_lax_refuses_it(dtype, preferred):
    x = jnp.ones((1, 2, 2, 1), dtype)

    def of_lax(x):
        return jax.lax.conv(x, x, (1, 1), "VALID", preferred_element_type=preferred)

    try:
        want = jax.eval_shape(of_lax, x).dtype
    except TypeError:
        with pytest.raises(TypeError, match=rf"preferred_element_type {preferred}.*use.*jnp\."):
            result_dtype("x", x.dtype, preferred)
    else:
        assert result_dtype("x", x.dtype, preferred) == want
