"""Conventions give the output sizes of other frameworks' documented formulas."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry.conventions import keras, onnx, pytorch
from jaxcnn.shapes import conv_shapes, conv_transpose_shapes, pool_shapes
from tests.cases import many

small, sizes, filters, strides = (st.integers(a, b) for a, b in ((0, 3), (1, 20), (1, 5), (1, 4)))
dilations = st.integers(1, 3)


def conv_size(size, kernel_size, arguments):
    return conv_shapes((size, 1), (kernel_size, 1, 1), **arguments).spatial[0]


def transposed_size(size, kernel_size, arguments):
    return conv_transpose_shapes((size, 1), (kernel_size, 1, 1), **arguments).input[0]


def pool_size(size, arguments):
    arguments.pop("count_include_pad", None)
    return pool_shapes((size, 1), **arguments).spatial[0]


@many
@given(sizes, filters, strides, small, dilations)
def test_pytorch_convolutions_have_their_documented_size(n, f, s, p, d):
    want = (n + 2 * p - d * (f - 1) - 1) // s + 1
    assume(n + 2 * p > d * (f - 1))
    arguments = pytorch.conv((f,), stride=s, padding=p, dilation=d)
    assert conv_size(n, f, arguments) == want


@many
@given(sizes, filters, dilations)
def test_pytorch_same_padding_keeps_the_size_with_the_odd_cell_after(n, f, d):
    arguments = pytorch.conv((f,), padding="same", dilation=d)
    ((low, high),) = arguments["padding"]
    assert conv_size(n, f, arguments) == n
    assert high - low in (0, 1)


@many
@given(sizes, filters, strides, small, dilations, st.integers(0, 3))
def test_pytorch_transposed_convolutions_have_their_documented_size(n, f, s, p, d, extra):
    want = (n - 1) * s - 2 * p + d * (f - 1) + extra + 1
    stated = {"stride": s, "padding": p, "output_padding": extra, "dilation": d}
    if extra >= max(s, d):
        with pytest.raises(InputError, match="refused by PyTorch"):
            pytorch.conv_transpose((f,), **stated)
    elif want >= 1:
        assert transposed_size(n, f, pytorch.conv_transpose((f,), **stated)) == want


@many
@given(sizes, filters, strides, small, dilations, st.booleans())
def test_pytorch_pools_have_their_documented_size(n, f, s, p, d, ceil):
    assume(2 * p <= f and n + 2 * p > d * (f - 1) and d <= n)
    steps = (n + 2 * p - d * (f - 1) - 1) / s + 1
    want = math.ceil(steps) if ceil else math.floor(steps)
    if (want - 1) * s >= n + p:
        want -= 1
    arguments = pytorch.max_pool((f,), stride=s, padding=p, dilation=d, ceil_mode=ceil)
    assert pool_size(n, arguments) == want


def test_the_default_stride_of_a_pool_is_its_kernel_size_in_pytorch_and_keras_and_1_in_onnx():
    assert pytorch.max_pool((3, 2))["stride"] == keras.max_pool((3, 2))["stride"] == (3, 2)
    assert pytorch.lp_pool(2, (3, 2))["stride"] == (3, 2)
    assert onnx.max_pool((3, 2))["stride"] == (1, 1)


def test_average_pools_count_padding_in_pytorch_alone():
    assert pytorch.avg_pool((3,), padding=1)["count_include_pad"] is True
    assert keras.avg_pool((3,), padding="same")["count_include_pad"] is False
    assert onnx.avg_pool((3,), pads=(1, 1))["count_include_pad"] is False


@many
@given(sizes, filters, strides, dilations)
def test_keras_convolutions_and_pools_have_their_documented_size(n, f, s, d):
    reach = d * (f - 1) + 1
    same = keras.conv((f,), strides=s, padding="same", dilation_rate=d)
    assert conv_size(n, f, same) == math.ceil(n / s)
    pooled = keras.max_pool((f,), strides=s, padding="same")
    assert pool_size(n, pooled) == math.ceil(n / s)
    if n >= reach:
        valid = keras.conv((f,), strides=s, dilation_rate=d)
        assert conv_size(n, f, valid) == math.ceil((n - reach + 1) / s)


def test_keras_same_padding_puts_the_odd_cell_after_and_causal_padding_all_cells_before():
    assert conv_shapes((8, 1), (4, 1, 1), **keras.conv((4,), padding="same")).paddings == ((1, 2),)
    causal = keras.conv((4,), padding="causal", dilation_rate=2)
    assert conv_shapes((8, 1), (4, 1, 1), **causal).paddings == ((6, 0),)


@many
@given(sizes, filters, strides, dilations, st.sampled_from(["same", "valid"]), st.booleans())
def test_keras_transposed_convolutions_have_their_documented_size(n, f, s, d, padding, given_extra):
    reach, extra = d * (f - 1) + 1, s - 1 if given_extra else None
    if padding == "valid":
        want = (n - 1) * s + (max(reach, s) if extra is None else reach + extra)
    else:
        want = n * s if extra is None else (n - 1) * s + reach % 2 + extra
    assume(want >= 1)
    arguments = keras.conv_transpose(
        (f,), strides=s, padding=padding, output_padding=extra, dilation_rate=d
    )
    assert transposed_size(n, f, arguments) == want


@many
@given(sizes, filters, strides, dilations, small, st.integers(-9, 6))
def test_onnx_output_shape_is_reached_with_the_odd_cell_on_the_side_that_auto_pad_names(
    n, f, s, d, extra, total
):
    out = s * (n - 1) + extra + d * (f - 1) + 1 - total
    half = total // 2
    assume(out >= 1)
    begins = {"NOTSET": total - half, "SAME_LOWER": total - half, "SAME_UPPER": half}
    for auto_pad, begin in begins.items():
        arguments = onnx.conv_transpose(
            (f,),
            auto_pad=auto_pad,
            dilations=d,
            output_padding=extra,
            output_shape=(out,),
            strides=s,
            sizes=(n,),
        )
        assert transposed_size(n, f, arguments) == out
        assert arguments["padding"][0][0] == begin


REFUSED = [
    (pytorch.conv, (3,), {}, TypeError, ["kernel_size", "3", "(3, 3)"]),
    (pytorch.conv, ((3, 3),), {"padding": "same", "stride": 2}, ValueError, ["same", "stride"]),
    (pytorch.conv, ((3,),), {"padding": "SAME"}, ValueError, ["padding", "'same'", "'SAME'"]),
    (pytorch.conv, ((3, 3),), {"stride": (1, 2, 3)}, ValueError, ["stride", "3 entries"]),
    (
        pytorch.conv_transpose,
        ((3,),),
        {"dilation": 2, "output_padding": 2},
        ValueError,
        ["output_padding 2", "stride 1", "dilation 2", "use 1 or less"],
    ),
    (keras.conv, ((3, 3),), {"padding": "causal"}, ValueError, ["causal", "one axis", "(3, 3)"]),
    (keras.conv, ((3,),), {"padding": "full"}, ValueError, ["padding", "'same'", "'full'"]),
    (keras.max_pool, (2,), {}, TypeError, ["pool_size", "2", "(2, 2)"]),
    (keras.conv_transpose, ((3,),), {"padding": "causal"}, ValueError, ["'valid'", "'causal'"]),
    (onnx.conv, ((3, 3),), {"pads": (1, 1)}, ValueError, ["(1, 1)", "2 beginnings", "2 ends"]),
    (onnx.conv, ((3,),), {"auto_pad": "SAME"}, ValueError, ["auto_pad", "SAME_UPPER", "'SAME'"]),
    (
        onnx.max_pool,
        ((3,),),
        {"auto_pad": "VALID", "pads": (0, 0)},
        ValueError,
        ["pads", "auto_pad", "exclude"],
    ),
    (onnx.pad, ((0, 1, 0, 0, 0, 0),), {"rank": 3}, ValueError, ["batch or channels", "jnp.pad"]),
    (onnx.pad, ((1, 1),), {"rank": 3, "axes": (1,)}, ValueError, ["batch or channels"]),
    (onnx.pad, ((1, 1),), {"rank": 4}, ValueError, ["(1, 1)", "4 beginnings"]),
    (
        onnx.pad,
        ((1, 1),),
        {"rank": 3, "axes": (2,), "mode": "refect"},
        ValueError,
        ["mode", "'reflect'"],
    ),
    (
        onnx.conv_transpose,
        ((3,),),
        {"output_shape": (5,)},
        ValueError,
        ["output_shape (5,)", "sizes=x.shape[1:-1]"],
    ),
]


@pytest.mark.parametrize(("convention", "arguments", "kwargs", "kind", "words"), REFUSED)
def test_arguments_that_a_framework_refuses_are_refused_with_advice(
    convention, arguments, kwargs, kind, words
):
    with pytest.raises(kind) as caught:
        convention(*arguments, **kwargs)
    assert kind is TypeError or isinstance(caught.value, InputError)
    for word in words:
        assert word in str(caught.value)
