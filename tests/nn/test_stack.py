"""Stacks of words, modules and functions: checked when built; the plan describes what they do."""

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
from jaxcnn.geometry import ReceptiveField
from jaxcnn.geometry.text import for_axes
from jaxcnn.nn import Residual, Stack
from jaxcnn.nn.text import parse
from tests.cases import few
from tests.nn.drawn import shapes_after, stacks


def _build(shape, layers, seed=0):
    return Stack(shape, layers, rngs=nnx.Rngs(seed))


def _geometry(word, shape, fields):
    """A layer's output, fields, lost cells, parameters and multiply-adds, by geometry."""
    layer = parse(word)
    arguments = {"padding": "VALID", **layer.options}
    arguments["padding"] = for_axes(arguments["padding"], len(shape) - 1)
    size = arguments.pop("kernel_size")
    size = size if isinstance(size, tuple) else (size,) * (len(shape) - 1)
    arguments.pop("activation", None)
    parameters = multiply_adds = 0
    if layer.kind == "conv":
        filters, bias = arguments.pop("out_channels"), arguments.pop("use_bias", True)
        kernel = (*size, shape[-1] // arguments.get("groups", 1), filters)
        shapes = jaxcnn.shapes.conv_shapes(shape, kernel, **arguments)
        parameters, multiply_adds = math.prod(kernel) + bias * filters, shapes.multiply_adds
    else:
        shapes = jaxcnn.shapes.pool_shapes(shape, size, **arguments)
    fields = tuple(f.apply(w) for f, w in zip(fields, shapes.windows, strict=True))
    lost = tuple(window.lost for window in shapes.windows)
    return shapes.output, fields, lost, parameters, multiply_adds


@few
@given(stacks(), st.booleans())
def test_each_layer_of_a_stack_has_the_output_shape_in_its_plan(drawn, batched):
    shape, words = drawn
    stack = _build(shape, words)
    lead = (2,) if batched else ()
    x = jax.ShapeDtypeStruct((*lead, *shape), jnp.float32)
    plan = stack.plan()
    for layer, row in zip(stack.layers, plan.rows, strict=True):
        x = jax.eval_shape(layer, x)
        assert x.shape == (*lead, *row.output)
        leaves = jax.tree.leaves(nnx.state(layer, nnx.Param))
        assert row.parameters == sum(math.prod(leaf.shape) for leaf in leaves)
    assert x.shape == (*lead, *stack.output_shape)
    assert stack(jnp.ones((*lead, *shape))).shape == x.shape
    everything = jax.tree.leaves(nnx.state(stack, nnx.Param))
    assert plan.parameters == sum(math.prod(leaf.shape) for leaf in everything)
    assert plan.multiply_adds == sum(row.multiply_adds for row in plan.rows)


@given(stacks())
def test_the_plan_of_a_stack_has_the_numbers_of_geometry(drawn):
    shape, words = drawn
    fields = (ReceptiveField(),) * (len(shape) - 1)
    plan = nnx.eval_shape(lambda: _build(shape, words)).plan()
    for word, row in zip(words, plan.rows, strict=True):
        shape, fields, *rest = _geometry(word, shape, fields)
        found = [row.output, row.field, row.lost, row.parameters, row.multiply_adds]
        assert found == [shape, fields, *rest]
        kind = {"conv": "conv", "max": "max pool", "avg": "average pool"}[word.partition(":")[0]]
        assert kind in row.name


@given(stacks(max_layers=1))
def test_multiply_adds_of_a_stack_are_the_products_that_are_summed(drawn):
    shape, (word,) = drawn
    (row,) = _build(shape, [word]).plan().rows
    layer = parse(word)
    if layer.kind != "conv":
        assert row.multiply_adds == 0
        return
    # With ones for input, padding and weights, each product adds one to the outputs' sum.
    built = layer.build(shape, rngs=nnx.Rngs(0))
    pairs = jaxcnn.geometry.resolve_padding(
        built.padding, shape[:-1], built.kernel_size, stride=built.stride, dilation=built.dilation
    )
    y = jaxcnn.conv(
        jnp.pad(jnp.ones(shape), [*pairs, (0, 0)], constant_values=1),
        jnp.ones(built.kernel.shape),
        stride=built.stride,
        dilation=built.dilation,
        groups=built.groups,
        rounding="floor",
    )
    assert row.multiply_adds == int(y.sum())


def _positive(stack):
    """The stack with positive weights, for which a cell is read if its gradient is not zero."""
    state = nnx.state(stack, nnx.Param)
    nnx.update(stack, jax.tree.map(lambda leaf: jnp.abs(leaf) + 0.1, state))
    return stack


def _cells_read(stack, shape, index):
    """Along each axis, the input cells on which the output at ``index`` depends."""
    gradient = jax.jit(jax.grad(lambda x: stack(x)[index].sum()))(jnp.ones(shape))
    touched = np.argwhere(np.asarray(gradient).sum(-1) > 0)
    return [sorted(set(column)) for column in touched.T]


@few
@given(stacks(max_layers=3, pools=("avg",)), st.integers(0, 99))
def test_the_field_and_stride_in_a_plan_are_those_of_nonzero_gradients(drawn, pick):
    shape, words = drawn
    stack = _positive(_build(shape, words))
    row = stack.plan().rows[-1]
    index = tuple(pick % size for size in row.output[:-1])
    read = _cells_read(stack, shape, index)
    for i, field, cells in zip(index, row.field, read, strict=True):
        if not cells:  # the output sees padding alone
            continue
        first = field.start + i * field.jump
        assert first <= cells[0]
        assert cells[-1] < first + field.size
        # The ends are reached if they are inside the input and no padding blocks the path to them.
        if all(":valid" in word or word == "conv:1:k1" for word in words):
            assert [cells[0], cells[-1]] == [first, first + field.size - 1]


@given(stacks(max_layers=1, pools=("avg",)))
def test_lost_rows_in_a_plan_are_the_input_cells_at_the_end_without_gradient(drawn):
    shape, words = drawn
    stack = _positive(_build(shape, words))
    (row,) = stack.plan().rows
    (layer,) = stack.layers
    gradient = np.asarray(jax.jit(jax.grad(lambda x: stack(x).sum()))(jnp.ones(shape))).sum(-1)
    for axis, (size, lost) in enumerate(zip(shape, row.lost, strict=False)):
        others = tuple(i for i in range(gradient.ndim) if i != axis)
        unread = np.flatnonzero(gradient.sum(others) == 0)
        assert set(range(size - lost, size)) <= set(unread)
        # Whether the windows read every cell between them and between their taps.
        dense = layer.stride[axis] <= layer.kernel_size[axis] and layer.dilation[axis] == 1
        if dense and lost < size:
            assert list(unread) == list(range(size - lost, size))


def test_a_stack_applies_words_modules_and_functions_in_order():
    built = nn.Conv(6, 4, (3, 3), rngs=nnx.Rngs(1))
    norm = nnx.BatchNorm(6, rngs=nnx.Rngs(0))
    linear = nnx.Linear(36, 10, rngs=nnx.Rngs(2))
    layers = ["conv:6:k3:relu", norm, jnp.tanh, built, jax.vmap(jnp.ravel), linear]
    stack = _build((7, 7, 1), layers)
    assert stack.output_shape == (10,)
    x = jnp.linspace(-1, 1, 98).reshape(2, 7, 7, 1)
    first = nn.Conv(1, 6, (3, 3), activation="relu", rngs=nnx.Rngs(0))
    want = linear(built(jnp.tanh(nnx.clone(norm)(first(x)))).reshape(2, -1))
    np.testing.assert_array_equal(stack(x), want)
    stack.eval()
    np.testing.assert_allclose(stack(x[1]), stack(x)[1], rtol=1e-5, atol=1e-6)


def test_a_stack_of_built_layers_needs_no_seed_and_a_word_does():
    assert Stack((4, 4, 1), [nn.MaxPool(2), jax.nn.relu]).output_shape == (2, 2, 1)
    assert Stack((4, 4, 1), ["max:k2"]).output_shape == (2, 2, 1)
    with pytest.raises(TypeError, match=r"layer 1 \(conv:1:k1\): Conv: rngs must be .*Rngs\(0\)"):
        Stack((4, 4, 1), ["conv:1:k1"])


def test_building_a_stack_does_not_change_its_modules():
    norm, drop = nnx.BatchNorm(1, rngs=nnx.Rngs(0)), nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state([norm])))
    count = int(drop.rngs.count[...])
    stack = Stack((5, 1), [norm, drop])
    assert jax.tree.map(np.array_equal, before, nnx.to_pure_dict(nnx.state([norm])))
    assert int(drop.rngs.count[...]) == count
    stack(jnp.ones((2, 5, 1)))
    assert int(drop.rngs.count[...]) == count + 1


VECTORS = ["batchnorm", "relu", "global_avg", "batchnorm", "dense:4:gelu", "dropout:0.5", "dense:2"]
FLAT = ["max:k2:floor", "batchnorm", "flatten", "batchnorm", "dropout:0.5", "dense:3:nobias"]


@pytest.mark.parametrize("words", [VECTORS, FLAT, ["global_max", "batchnorm", "dense:2"]])
@given(st.lists(st.integers(2, 7), min_size=1, max_size=2), st.integers(1, 3))
def test_the_parameters_in_a_plan_add_up_for_every_kind_of_word(words, sizes, channels):
    stack = nnx.eval_shape(lambda: _build((*sizes, channels), words))
    leaves = jax.tree.leaves(nnx.state(stack, nnx.Param))
    plan = stack.plan()
    assert plan.parameters == sum(math.prod(leaf.shape) for leaf in leaves)
    assert plan.output == stack.output_shape
    assert not any("param" in note for note in plan.notes)
    assert sum("norm" in row.name for row in plan.rows) == words.count("batchnorm")
    assert sum("dense" in row.name for row in plan.rows) == sum("dense" in w for w in words)


def test_words_compute_what_flax_and_numpy_compute():
    stack = _build((5, 4, 3), ["batchnorm", "global_avg", "dense:4:tanh", "flatten", "relu"])
    x = jnp.linspace(-1, 3, 120).reshape(2, 5, 4, 3)
    flat = np.asarray(x, np.float64).reshape(-1, 3)
    normal = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    dense = stack.layers[2]
    vector = normal.reshape(2, 20, 3).mean(1)
    want = np.maximum(np.tanh(vector @ np.asarray(dense.kernel) + np.asarray(dense.bias)), 0)
    # Means of 40 numbers of size 3, whose variance is a difference of such means.
    np.testing.assert_allclose(stack(x), want, atol=100 * np.finfo(np.float32).eps)
    norm = stack.layers[0]
    np.testing.assert_allclose(norm.mean, 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.var, 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)
    peak = _build((5, 4, 3), ["global_max"])(x)
    np.testing.assert_array_equal(peak, np.asarray(x).max((1, 2)))


def test_training_and_evaluation_reach_the_state_of_words():
    stack = _build((6, 2), ["batchnorm", "dropout:0.5", "flatten", "dense:3"])
    x = jnp.linspace(-1, 1, 48).reshape(4, 6, 2)
    norm, drop = stack.layers[0], stack.layers[1]
    # Building computed no step.
    np.testing.assert_array_equal([norm.mean, norm.var], [[0, 0], [1, 1]])
    assert int(drop.rngs.count[...]) == 0
    stack.eval()
    one, again = stack(x), stack(x)
    np.testing.assert_array_equal(one, again)
    np.testing.assert_allclose(one[:1], stack(x[:1]), rtol=1e-5, atol=1e-6)
    assert int(drop.rngs.count[...]) == 0
    np.testing.assert_array_equal(norm.mean, [0, 0])
    stack.train()
    assert (np.asarray(stack(x)) != np.asarray(stack(x))).any()
    assert int(drop.rngs.count[...]) == 2
    assert (np.asarray(norm.var) != 1).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", None])
@pytest.mark.parametrize("words", [VECTORS, FLAT])
def test_every_word_computes_in_the_dtype_of_the_stack_and_keeps_float32_statistics(dtype, words):
    stack = Stack((4, 4, 3), words, dtype=dtype, rngs=nnx.Rngs(0))
    x = jnp.linspace(-1, 1, 96, dtype=dtype or "float32").reshape(2, 4, 4, 3)
    for train in (True, False):
        stack.train() if train else stack.eval()
        assert stack(x).dtype == (dtype or "float32")
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(stack, nnx.BatchStat))} == {
        np.dtype("float32")
    }
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(stack, nnx.Param))} == {
        np.dtype("float32")
    }


def test_words_with_state_need_their_streams_of_random_numbers():
    for word in ("batchnorm", "dropout:0.5"):
        with pytest.raises(TypeError, match=r"rngs must be flax.nnx.Rngs.* got None"):
            Stack((4, 1), [word])
    with pytest.raises(InputError, match=r"rngs has no stream dropout; use nnx.Rngs\(0\), or add"):
        Stack((4, 1), ["dropout:0.5"], rngs=nnx.Rngs(params=0))


def test_the_dtypes_of_a_stack_apply_to_its_words():
    stack = Stack((4, 1), ["conv:2:k2"], dtype="bfloat16", param_dtype="float16", rngs=nnx.Rngs(0))
    assert stack.layers[0].kernel.dtype == "float16"
    assert stack(jnp.ones((4, 1))).dtype == "bfloat16"


REFUSED = [
    ((7, 7, 1), ["conv:6:k3", "conv:10:k3:s3"], "layer 2 (conv:10:k3:s3): conv: height 5"),
    ((7, 7, 1), ["max:k9"], "layer 1 (max:k9): max_pool: height 7 with kernel_size 9"),
    ((7, 7, 1), ["conv:6:k3", "conv:4:k1:g4"], "layer 2 (conv:4:k1:g4): Conv: groups 4"),
    ((7, 7, 1), ["conv:6:k3", "linear:10"], "layer 2 (linear:10): 'linear' is not a kind of layer"),
    (
        (7, 7, 1),
        ["conv:6:k3", "dense:10"],
        "layer 2 (dense:10): needs a vector, got (5, 5, 6); write flatten or global_avg before it",
    ),
    (
        (7, 7, 1),
        ["flatten", "dense:0"],
        "layer 2 (dense:0): Dense: out_features must be an integer",
    ),
    ((7, 7, 1), ["flatten", "global_max"], "layer 2 (global_max): needs an input (*spatial, chan"),
    ((7, 7, 1), ["conv:6:k0"], "layer 1 (conv:6:k0): kernel_size must be an integer >= 1, got 0"),
    ((7, 7, 1), [nn.MaxPool((1, 2, 2))], "layer 1 (MaxPool): has kernel_size (1, 2, 2), for"),
    ((7, 1), [jnp.tanh, nnx.Conv(1, 1, (3, 3), rngs=nnx.Rngs(0))], "layer 2 (Conv): has kernel_"),
    (
        (7, 7, 1),
        [nnx.Linear(3, 4, rngs=nnx.Rngs(0))],
        "layer 1 (Linear): does not accept x of shape",
    ),
    ((7, 7, 1), [jnp.ravel], "layer 1 (ravel): turns a batch (2, 7, 7, 1) into (98,)"),
    ((7, 7, 1), [jnp.sum], "layer 1 (sum): turns a batch (2, 7, 7, 1) into ()"),
    ((7, 7, 1), [lambda x: (x, x)], "layer 1 (<lambda>): returns a tuple"),
    ((7, 7, 1), [jax.vmap(jnp.ravel), "max:k2"], "layer 2 (max:k2): needs an input (*spatial, "),
    (
        (7, 7, 1),
        ["max:k7", 10],
        "layer 2 (int): 10 is not a layer; use a word such as 'conv:16:k3'",
    ),
    (
        (7, 7, 1),
        [nn.MaxPool],
        "layer 1 (MaxPool): <class 'jaxcnn.nn.pool.MaxPool'> is not a layer; use",
    ),
    ((7, 7, 1), "max:k7", "Stack: layers must list layers, as in ['conv:16:k3']"),
    ((7, 0, 1), ["max:k7"], "Stack: input_shape[1] must be an integer >= 1, got 0"),
    (7, ["max:k7"], "Stack: input_shape must list sizes, as in (28, 28, 1), got 7"),
]


@pytest.mark.parametrize(("shape", "layers", "message"), REFUSED)
def test_an_impossible_stack_is_refused_when_it_is_built_and_the_layer_is_named(
    shape, layers, message
):
    with pytest.raises((InputError, TypeError), match="^" + re.escape(message)):
        _build(shape, layers)


def test_the_advice_of_an_impossible_word_is_spelled_as_its_parts():
    with pytest.raises(InputError, match="Use :p0-1x0-1, sizes 6x6 or 9x9, or :floor"):
        _build((8, 8, 1), ["conv:1:k3:s3"])
    with pytest.raises(InputError, match="padding=") as caught:
        Stack((8, 8, 1), [nn.MaxPool(3)])
    assert ":p" not in str(caught.value)


def test_an_input_of_another_rank_is_refused_by_the_stack():
    stack = Stack((4, 4, 1), ["max:k2"])
    with pytest.raises(InputError, match=r"Stack: x of shape \(4, 4\) .*\(4, 4, 1\)"):
        stack(jnp.ones((4, 4)))


def test_a_second_convolution_reads_the_feature_maps_of_the_first():
    rows = _build((7, 7, 3), ["conv:6:k3", "conv:10:k3"]).plan().rows
    assert [row.output for row in rows] == [(5, 5, 6), (3, 3, 10)]
    assert [row.parameters for row in rows] == [3 * 3 * 3 * 6 + 6, 3 * 3 * 6 * 10 + 10]
    assert [row.multiply_adds for row in rows] == [25 * 27 * 6, 9 * 54 * 10]
    assert [row.field[0].size for row in rows] == [3, 5]


@few
@given(stacks())
def test_the_same_seed_gives_the_same_stack(drawn):
    states = [jax.tree.leaves(nnx.state(_build(*drawn, seed=7))) for _ in range(2)]
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_of_one_shape_start_with_different_weights():
    stack = _build((9, 1), ["conv:1:k3", "conv:1:k3"])
    first, second = (layer.kernel[...] for layer in stack.layers)
    assert not (first == second).any()


def test_a_stack_is_built_with_and_without_partitionable_random_numbers():
    for partitionable in (False, True):
        with jax.threefry_partitionable(partitionable):
            stack = _build((8, 8, 1), ["conv:4:k3", "conv:2:k6"])
            assert jnp.isfinite(stack(jnp.ones((2, 8, 8, 1)))).all()


@few
@given(stacks(max_layers=2), st.booleans())
def test_a_residual_block_is_the_sum_of_its_branches(drawn, inner):
    shape, words = drawn
    output = shapes_after(shape, words)
    # A function resizes to the input's shape: branches can be added only if their shapes are equal.
    layers = [*words, lambda y: jax.image.resize(y, (len(y), *shape), "nearest")]

    def ones(x):
        return jnp.ones((len(x), *output))

    block = Residual(*layers)
    stack = _build(shape, [Residual(block) if inner else block, jax.nn.relu])
    x = jnp.linspace(-1, 1, 2 * math.prod(shape)).reshape(2, *shape)
    body = _build(shape, layers)
    want = body(x) + x
    np.testing.assert_array_equal(stack(x), jax.nn.relu(want + x if inner else want))
    assert stack.output_shape == shape
    both = _build(shape, [Residual(*words, shortcut=ones)])
    np.testing.assert_array_equal(both(x), _build(shape, words)(x) + 1)


def test_a_residual_of_words_is_built_by_the_stack_around_it():
    block = Residual("conv:8:k3:s2:p1:floor:relu", "conv:8:k3:p1", shortcut="conv:8:k1:s2:floor")
    stack = _build((8, 8, 3), [block, jax.nn.relu, Residual("conv:8:k3:p1"), "avg:k4"])
    assert stack.output_shape == (1, 1, 8)
    outputs = [row.output for row in stack.plan().rows]
    assert outputs == [(4, 4, 8), (4, 4, 8), (4, 4, 8), (4, 4, 8), (1, 1, 8)]
    assert stack.plan().rows[-1].field[0].size == 8 + 2 * (1 + 2 + 2) - 1
    built = stack.layers[0]
    x = jnp.linspace(-1, 1, 8 * 8 * 3 * 2).reshape(2, 8, 8, 3)
    want = built.layers[1](built.layers[0](x)) + built.shortcut(x)
    np.testing.assert_array_equal(built(x), want)
    assert block.layers[0] == "conv:8:k3:s2:p1:floor:relu"


def test_a_residual_of_built_layers_works_alone_and_one_of_words_does_not():
    conv = nn.Conv(3, 3, (3, 3), padding="SAME", rngs=nnx.Rngs(0))
    x = jnp.ones((2, 5, 5, 3))
    np.testing.assert_array_equal(Residual(conv)(x), conv(x) + x)
    with pytest.raises(TypeError, match="Residual: 3 is not a layer; use a word"):
        Residual(conv, shortcut=3)
    with pytest.raises(InputError, match="Residual: conv:3:k1 is a word, which only a stack"):
        Residual("conv:3:k1")(x)
    with pytest.raises(
        InputError, match=r"Residual: the layers turn \(2, 5, 5, 3\) into \(2, 2, 2, 3\)"
    ):
        Residual(nn.MaxPool(2, rounding="floor"))(x)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (
            Residual("conv:8:k3:s2:p1:floor"),
            [
                "layer 1 (Residual): the layers turn (8, 8, 3) into (4, 4, 8)",
                '"conv:8:k1:s2:floor"',
            ],
        ),
        (Residual("conv:8:k3:p1"), ['such as "conv:8:k1:s1"']),
        (Residual(jax.vmap(jnp.ravel)), ["the layers turn (8, 8, 3) into (192,)"]),
        (
            Residual("conv:8:k3", shortcut="conv:4:k3"),
            ["the layers give (6, 6, 8), but the shortcut gives (6, 6, 4)"],
        ),
        (
            Residual("max:k2", "conv:8:k5"),
            ["layer 1 (Residual): layer 2 (conv:8:k5): conv: height 4"],
        ),
        (
            Residual("conv:8:k3", shortcut="conv:8:k9"),
            ["layer 1 (Residual): shortcut: layer 1 (conv:8:k9)"],
        ),
    ],
)
def test_a_residual_whose_branches_do_not_add_is_refused_when_it_is_built(block, words):
    with pytest.raises(InputError) as caught:
        _build((8, 8, 3), [block])
    for word in words:
        assert word in str(caught.value)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3))
def test_the_shortcut_advised_for_a_residual_fits(height, width, stride, size):
    word = f"conv:5:k{size}:s{stride}:same:floor"
    try:
        assert shapes_after((height, width, 2), [Residual(word)])
    except InputError as error:
        (shortcut,) = re.findall(r'such as "(\S+)"', str(error))
        assert shapes_after((height, width, 2), [Residual(word, shortcut=shortcut)])


@pytest.mark.parametrize("shape", [(2, 9, 7, 3), (9, 7, 3), (2, 3, 7, 7)])
def test_a_stack_refuses_images_of_another_size(shape):
    stack = Stack((7, 7, 3), ["conv:4:k3"], rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"Stack: x of shape .* built for \(7, 7, 3\)"):
        stack(jnp.ones(shape))


def test_a_residual_that_is_called_alone_advises_no_word():
    block = Residual(nn.Conv(3, 4, (3, 3), padding=1, rngs=nnx.Rngs(0)))
    with pytest.raises(InputError, match=r"a shortcut to \(1, 7, 7, 4\)$"):
        block(jnp.ones((1, 7, 7, 3)))
