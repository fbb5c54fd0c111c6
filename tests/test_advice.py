"""The advice of an error works: typing it removes the error."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import jaxcnn
from jaxcnn import geometry
from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry import PADDING_MODES, window
from jaxcnn.geometry.padding import PADDING_NAMES
from tests.cases import many


@st.composite
def layouts(draw, most=9):
    """(sizes, kernel sizes, keyword arguments) of possible or impossible windows, 1 to 3 axes."""
    axes = draw(st.integers(1, 3))

    def each(least, most):
        one = st.integers(least, most)
        return draw(st.lists(one, min_size=axes, max_size=axes).map(tuple))

    cells = st.integers(0, 4)
    padding = (
        cells
        | st.sampled_from(PADDING_NAMES)
        | st.lists(st.tuples(cells, cells), min_size=axes, max_size=axes).map(tuple)
        | st.lists(cells, min_size=axes, max_size=axes).map(tuple)
    )
    given = {"stride": each(1, 4), "padding": draw(padding), "dilation": each(1, 3)}
    return each(1, most), each(1, 4), given


def _conv(draw, size, kernel_size, given):
    kernel = (*kernel_size, draw(st.integers(1, 4)), draw(st.integers(1, 6)))
    given |= {
        "groups": draw(st.integers(1, 3)),
        "padding_mode": draw(st.sampled_from(PADDING_MODES)),
    }
    given["rounding"] = draw(st.sampled_from(("exact", "floor")))
    return {"x": (2, *size, draw(st.integers(1, 6))), "kernel": kernel}, given


def _depthwise_conv(draw, size, kernel_size, given):
    given |= {"padding_mode": draw(st.sampled_from(PADDING_MODES))}
    kernel = (*kernel_size, draw(st.integers(1, 3)), draw(st.integers(1, 6)))
    return {"x": (*size, draw(st.integers(1, 3))), "kernel": kernel}, given


def _separable_conv(_, size, kernel_size, given):
    ones = (1,) * len(size)
    kernels = {"depthwise_kernel": (*kernel_size, 3, 2), "pointwise_kernel": (*ones, 6, 4)}
    return {"x": (*size, 3), **kernels}, given


def _local_conv(_, size, kernel_size, given):
    return {"x": (*size, 3), "kernel": (*(1 for _ in size), *kernel_size, 3, 2)}, given


def _causal_conv(draw, size, kernel_size, given):
    given = {name: given[name][0] for name in ("stride", "dilation")}
    return {"x": (size[0], 3), "kernel": (kernel_size[0], draw(st.integers(1, 4)), 2)}, given


def _conv_transpose(draw, size, kernel_size, given):
    if draw(st.booleans()):
        given["output_size"] = tuple(draw(st.integers(1, 30)) for _ in size)
    else:
        given["output_padding"] = draw(st.integers(0, 4))
    channels = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return {"x": (*size, channels[0]), "kernel": (*kernel_size, 2, channels[1])}, given


def _pool(draw, size, kernel_size, given):
    given["rounding"] = draw(st.sampled_from(("exact", "floor", "ceil")))
    return {"x": (*size, 2)}, {"kernel_size": kernel_size, **given}


def _blur_pool(draw, size, kernel_size, given):
    given["padding_mode"] = draw(st.sampled_from(PADDING_MODES[:4]))
    del given["dilation"]
    return {"x": (*size, 2)}, {"kernel_size": kernel_size, **given}


CALLS = {
    "conv": _conv,
    "depthwise_conv": _depthwise_conv,
    "separable_conv": _separable_conv,
    "local_conv": _local_conv,
    "causal_conv": _causal_conv,
    "conv_transpose": _conv_transpose,
    "blur_pool": _blur_pool,
} | dict.fromkeys(("max_pool", "avg_pool", "lp_pool", "max_pool_with_indices"), _pool)


def _refusal(name, shapes, given):
    """The error that a call raises, or None; nothing is computed."""
    arrays = {key: jax.ShapeDtypeStruct(shape, "float32") for key, shape in shapes.items()}
    try:
        jax.eval_shape(lambda arrays: getattr(jaxcnn, name)(**arrays, **given), arrays)
    except InputError as error:
        return error


def _kind(error):
    """The kind of mistake, without the numbers and the axes."""
    kinds = ("not an integer", "has no output", "can fill at most", "nothing but padding")
    kinds += ("real cells", "cannot give", "cells.", "positions")
    if re.search("channels, but|does not divide", error.args[0]):
        return "channels"  # errors about groups and about channels count as one kind
    return next((kind for kind in kinds if kind in error.args[0]), str(error))


def _followed(way, shapes, given):
    """The shapes and keyword arguments after following advice, for each of its values."""
    names = window.axis_names(len(given["stride"]) if isinstance(given["stride"], tuple) else 1)
    first = len(shapes["x"]) - 1 - len(names)
    if isinstance(way, Advice):
        for value in way.values:
            if way.argument in (*names, "sizes"):
                sizes = list(shapes["x"])
                if way.argument == "sizes":
                    sizes[first:-1] = value
                else:
                    sizes[first + names.index(way.argument)] = value
                yield shapes | {"x": tuple(sizes)}, given
            else:
                yield shapes, given | {way.argument: value}
    elif found := re.search(r"of shape (\(.*\))$", way):
        kernel = next(key for key in shapes if key != "x")
        groups = re.match(r"groups=(\d+) with", way)
        given |= {"groups": int(groups[1])} if groups else {}
        yield shapes | {kernel: eval(found[1])}, given
    elif re.search(r"\w\(", way):  # code
        changed = dict(shapes)
        for code in way.split(" if ")[0].split(" for ")[0].split(" and "):
            arrays = {key: jnp.zeros(shape) for key, shape in shapes.items()}
            key = "x" if "moveaxis" in code else next(key for key in shapes if key != "x")
            changed[key] = eval(code, {"jnp": jnp, "jaxcnn": jaxcnn}, arrays).shape
        yield changed, given


@many
@given(st.sampled_from(sorted(CALLS)), layouts(), st.data())
def test_following_the_advice_of_an_operation_removes_its_error(name, layout, data):
    shapes, given = CALLS[name](data.draw, *layout)
    error = _refusal(name, shapes, given)
    assume(error is not None)
    kind = _kind(error)
    # One axis of a transposed convolution may need less output_padding and another less padding.
    assert name == "conv_transpose" or re.search(r"\b[uU]se ", str(error)), error
    for way in error.advice:
        for changed in _followed(way, shapes, given):
            again = _refusal(name, *changed)
            # After the advice, another kind of mistake may remain: in the layout or the positions.
            left = set() if again is None else {_kind(again)}
            if isinstance(way, Advice) and kind != "channels":
                left -= {"positions"} if name == "local_conv" else set()
                assert not left, f"{error}\n{way}\n{again}"
            assert kind not in left, f"{error}\n{way}\n{again}"
        if isinstance(way, Advice):  # the message contains the values
            assert all(f'"{v}"' in str(error) or repr(v) in str(error) for v in way.values)


NAMED = {
    "rounding": ("exact", "floor"),
    "padding_mode": PADDING_MODES,
    "algorithm": ("direct", "matmul", "fft"),
    "padding": PADDING_NAMES,
}


@many
@given(st.sampled_from(sorted(NAMED)), st.data())
def test_a_misspelt_name_is_answered_with_the_nearest_valid_name(name, data):
    word = data.draw(st.sampled_from(NAMED[name]))
    at = data.draw(st.integers(0, len(word) - 1))
    word = word[:at] + data.draw(st.sampled_from(["", 2 * word[at]])) + word[at + 1 :]
    assume(word not in NAMED[name])
    shapes = {"x": (2, 9, 9, 3), "kernel": (3, 3, 3, 4)}
    error = _refusal("conv", shapes, {name: word})
    (way,) = error.advice
    assert str(error).startswith(f"conv: {name} must be one of ")
    assert (way.argument, len(way.values)) == (name, 1)
    assert _refusal("conv", shapes, {name: way.values[0]}) is None


INTEGERS = ("int8", "uint8", "int16", "int32", "uint32")
DTYPES = (*INTEGERS, "float16", "bfloat16", "float32", "complex64")


@many
@given(st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_the_advice_for_mixed_dtypes_gives_one_dtype_and_keeps_every_number(one, other):
    assume(one != other)
    arrays = {
        "x": jnp.full((2, 3, 1), 200 if one == "uint8" else 100).astype(one),
        "kernel": jnp.full((2, 1, 1), 3 if other in INTEGERS else 0.5).astype(other),
    }
    with pytest.raises(TypeError) as caught:
        jaxcnn.conv(**arrays)
    code = str(caught.value).split("for instance ")[1].split(", or ")[0]
    converted = dict(arrays)
    for each in code.split(" and "):
        converted[each.split(".")[0]] = eval(each, {"jnp": jnp}, arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(
            np.asarray(converted[key]).astype(complex), np.asarray(array).astype(complex)
        )
    jax.eval_shape(partial(jaxcnn.conv), *converted.values())


def test_the_error_for_an_image_of_bytes_says_how_to_scale_it():
    with pytest.raises(TypeError, match=r"x\.astype\(kernel\.dtype\) / 255 for an image"):
        jaxcnn.conv(jnp.ones((3, 3, 1), "uint8"), jnp.ones((2, 2, 1, 1)))


@pytest.mark.parametrize("abstract", [jax.ShapeDtypeStruct((3, 3, 1), "float32"), jax.typeof(1.0)])
def test_the_error_for_an_abstract_array_says_how_to_get_the_shape_of_the_result(abstract):
    with pytest.raises(TypeError, match=r"x has a shape and a dtype .*; use jax\.eval_shape\("):
        jaxcnn.conv(abstract, jnp.ones((2, 2, 1, 1)))


# (function, shape of x, shape of the kernel, keyword arguments, what the message suggests)
OTHER_CONVENTIONS = [
    (jaxcnn.conv, (2, 3, 9, 8), (3, 3, 3, 4), {}, "jnp.moveaxis(x, 1, -1)"),
    (jaxcnn.conv, (3, 9, 8), (3, 3, 3, 4), {}, "jnp.moveaxis(x, 0, -1)"),
    (jaxcnn.conv, (9, 8, 3), (4, 3, 5, 5), {}, "jaxcnn.kernel_from_torch(kernel)"),
    (jaxcnn.conv, (3, 9, 8), (4, 3, 5, 5), {}, "jaxcnn.kernel_from_torch(kernel)"),
    (jaxcnn.conv, (3, 9, 8), (6, 3, 3, 3), {}, "and jaxcnn.kernel_from_torch(kernel) if both"),
    (jaxcnn.conv, (8, 8, 3), (16, 3, 3, 3), {}, "jaxcnn.kernel_from_torch(kernel)"),
    (jaxcnn.conv, (9, 9, 8), (3, 3, 1, 8), {}, "groups=8"),
    (jaxcnn.conv_transpose, (5, 4, 4), (3, 3, 2, 5), {}, "jnp.moveaxis(x, 0, -1)"),
    (jaxcnn.depthwise_conv, (9, 9, 4), (3, 3, 1, 8), {}, "kernel.reshape((3, 3, 4, 2))"),
    (jaxcnn.conv, (9, 9, 1), (3, 3, 1, 8), {"stride": (1, 2, 2, 1)}, "stride=(2, 2)"),
    (jaxcnn.conv, (9, 9, 1), (3, 3, 1, 8), {"padding": (1, 1, 2, 2)}, "padding=((1, 1), (2, 2))"),
    (jaxcnn.conv, (9, 1), (3, 1, 8), {"padding": ((0, 0), (2, 1), (0, 0))}, "padding=((2, 1),)"),
    (jaxcnn.conv, (9, 1), (3, 1, 8), {"padding": "SMAE"}, 'padding="SAME"'),
    (jaxcnn.conv, (9, 1), (3, 1, 8), {"padding_mode": "REFLECT"}, 'padding_mode="reflect"'),
    (jaxcnn.conv, (9, 1), (3, 1, 8), {"rounding": "Floor"}, 'rounding="floor"'),
]


@pytest.mark.parametrize(("call", "x", "kernel", "given", "words"), OTHER_CONVENTIONS)
def test_the_error_for_another_convention_says_how_to_convert_to_ours(
    call, x, kernel, given, words
):
    with pytest.raises(InputError) as caught:
        call(jnp.ones(x), jnp.ones(kernel), **given)
    assert words in str(caught.value)


@pytest.mark.parametrize("word", ["REFLECT", "reflect", "CIRCULAR", "wrap", "edge", "replicate"])
@pytest.mark.parametrize("call", [jaxcnn.conv, jaxcnn.max_pool])
def test_a_padding_mode_given_as_padding_is_answered_with_padding_mode(call, word):
    x, kernel = jnp.ones((1, 5, 5, 1)), jnp.ones((3, 3, 1, 1)) if call is jaxcnn.conv else (3, 3)
    with pytest.raises(InputError, match=r'padding="SAME" and.* padding_mode="') as caught:
        call(x, kernel, padding=word)
    padding_mode = re.search(r'padding_mode="(\w+)"', str(caught.value))[1]
    assert (
        jaxcnn.conv(x, jnp.ones((3, 3, 1, 1)), padding="SAME", padding_mode=padding_mode).shape
        == x.shape
    )


@pytest.mark.parametrize("unordered", [{0: 1, 1: 1}, {1, 2}, frozenset((1, 2)), b"\x01\x01", "11"])
@pytest.mark.parametrize("argument", ["padding", "stride", "dilation", "kernel_size"])
def test_unordered_collections_are_not_accepted_as_sequences(argument, unordered):
    for value in (unordered, (unordered, 1)):
        given = {"kernel_size": (2, 2)} | {argument: value}
        with pytest.raises((TypeError, InputError), match=argument) as caught:
            jaxcnn.max_pool(jnp.ones((1, 4, 4, 1)), **given)
        if argument == "padding" and unordered != "11":
            assert re.search(r"must be a name .*a pair \(before, after\)", str(caught.value))


CELLS = st.integers(0, 3)
NO_PAIRS = (
    CELLS
    | st.none()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.sets(CELLS, max_size=3)
    | st.dictionaries(CELLS, CELLS, max_size=3)
    | st.lists(CELLS, max_size=4).filter(lambda cells: len(cells) != 2)
    | CELLS.map(np.asarray)
)


@many
@given(NO_PAIRS)
def test_the_padding_of_a_window_must_be_a_pair(padding):
    with pytest.raises(TypeError, match=r"^padding must be a pair \(before, after\), got "):
        geometry.Window(7, 2, padding=padding)
