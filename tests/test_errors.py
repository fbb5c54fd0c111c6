"""Error messages name the argument, give the numbers and say what to type instead.

Every operation is called with every kind of wrong argument; convolutions, pools and sizes also with
mistakes that are specific to them.
"""

import inspect
import re

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import geometry, ops, reference
from jaxcnn.errors import InputError, error_prefix
from tests.ops.calls import CALLS, INTEGERS, arguments_of

OPERATIONS = [name for name in CALLS if not name.startswith("kernel_")]

# An array, what makes it wrong, and what the message says after its name.
WRONG_ARRAYS = [
    ("of one axis", lambda a: a[(0,) * (a.ndim - 1)], InputError, r"of shape \(\d+,\)"),
    ("a list", lambda _: [1.0], TypeError, r"must be an array, got list; use jnp\.asarray"),
    ("None", lambda _: None, TypeError, r"must be an array, got NoneType; use jnp\.asarray"),
    ("of bools", lambda a: a.astype(bool), TypeError, r"is bool; convert it, .*\.astype\("),
    ("of objects", lambda a: a.astype(object), TypeError, r"is object; convert it, .*\.astype\("),
]
COUNTS = ("stride", "dilation", "groups", "kernel_size", "output_size", "factor", "rank")
WRONG_COUNTS = [
    (0, InputError, r"must be an integer >= 1, got 0; use 1 or more"),
    (-1, InputError, r"must be an integer >= 1, got -1; use 1 or more"),
    (1.5, TypeError, r"must be an integer >= 1, got 1\.5"),
    ("2", TypeError, r"must be an integer >= 1, got '2'"),
]
WRONG_ARGUMENTS = dict.fromkeys(COUNTS, WRONG_COUNTS) | {
    "rounding": [("down", InputError, r"must be one of 'exact', 'floor', 'ceil', got 'down'")],
    "padding_mode": [("mirror", InputError, r"must be one of 'zeros', .*, got 'mirror'")],
    "index_order": [("F", InputError, r"must be one of 'row_major', 'column_major', got 'F'")],
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
        (2, InputError, r"2 must be below stride 2: .* Use output_padding="),
    ],
    "p": [(0.5, InputError, r"must be a finite number >= 1, got 0\.5; use 1 or more")],
    "batch": [(-1, InputError, r"must be an integer >= 0, got -1")],
}
NOT_WRONG = {
    ("conv_transpose", "padding", -1),  # adds cells
    ("pad", "padding", -1),  # cuts cells off
    ("causal_conv_state", "kernel", "of no cells"),  # a state has room for a kernel of no channels
}


def _wrong_calls():
    """(operation, its arguments, the kind of error, the message) for every mistake."""
    calls = []

    def call(key, what, wrong, kind, words):
        if (name, key, what) not in NOT_WRONG:
            values = name, right | {key: wrong}, kind, words
            calls.append(pytest.param(*values, id=f"{name}: {key} {what}"))

    for name in OPERATIONS:
        right = arguments_of(name, "float32", np.ones)
        arrays = [key for key, value in right.items() if hasattr(value, "ndim") and key != "bias"]
        for key in arrays:
            for what, spoil, kind, words in WRONG_ARRAYS:
                call(key, what, spoil(right[key]), kind, rf"\b{key} {words}")
            call(key, "of no cells", right[key][:, :0], InputError, r"\b0\b")
        if len(arrays) > 1 and name not in ("max_unpool", *INTEGERS):  # of several dtypes
            half, words = right[key].astype("float16"), r"is float16; convert one, .*\.astype\("
            call(key, "in float16", half, TypeError, rf"\b{key} {words}")
        for key in inspect.signature(getattr(ops, name)).parameters:
            for wrong, kind, words in WRONG_ARGUMENTS.get(key, ()):
                call(key, wrong, wrong, kind, rf"\b{key}\b.*{words}")
    return calls


@pytest.mark.parametrize(("name", "arguments", "kind", "words"), _wrong_calls())
@pytest.mark.parametrize("forms", [ops, reference], ids=["fast", "reference"])
def test_every_operation_names_a_wrong_argument_and_says_what_to_type(
    forms, name, arguments, kind, words
):
    _fails(lambda: getattr(forms, name)(**arguments), kind, words, f"{name}: ")


@pytest.mark.parametrize("number", [jnp.asarray(2), np.array(2), np.int64(2)], ids=type)
def test_a_stride_may_be_an_array_without_axes(number):
    assert jaxcnn.max_pool(jnp.ones((2, 8, 8, 4)), 2, stride=number).shape == (2, 4, 4, 4)


IMAGE, KERNEL = jnp.ones((2, 7, 7, 3)), jnp.ones((3, 3, 3, 6))

# (wrong arguments, the kind of error, what its message contains: the numbers, then what to type)
CONV = [
    ({"x": jnp.ones((7, 3))}, InputError, r"x of shape \(7, 3\) has 2 axes.*takes 4, \(N"),
    ({"x": jnp.ones((1, 2, 7, 7, 3))}, InputError, r"has 5 axes.*or 3 for one example"),
    (
        {"x": jnp.ones((2, 7, 7, 4))},
        InputError,
        r"4 channels.*Use a kernel of shape \(3, 3, 4, 6\)",
    ),
    ({"x": jnp.ones((2, 7, 7, 0))}, InputError, r"0 channels; use 1 or more"),
    ({"x": jnp.ones((2, 0, 7, 3))}, InputError, r"height must be .* >= 1, got 0; use 1 or more"),
    (
        {"x": jnp.ones((2, 7, 2, 3))},
        InputError,
        r"width 2 with kernel_size 3.*larger.*width 3 or more",
    ),
    (
        {"x": jnp.ones((2, 7, 7, 3), jnp.int32)},
        TypeError,
        r"int32.* x\.astype\(kernel\.dtype\)$",
    ),
    ({"x": jnp.ones((2, 7, 7, 3), jnp.bfloat16)}, TypeError, r"bfloat16 .*float32.*astype"),
    ({"kernel": jnp.ones((3, 6))}, InputError, r"\(3, 6\) has 2 axes.*at least 3.*\(3, 3, 1, 8\)"),
    ({"kernel": jnp.ones((3, 3, 3, 0))}, InputError, r"C_out = 0; use 1 or more"),
    ({"kernel": jnp.ones((3, 3, 0, 6))}, InputError, r"C_in/groups = 0; use 1 or more"),
    ({"kernel": jnp.ones((0, 3, 3, 6))}, InputError, r"kernel_size.* >= 1, got 0; use 1 or more"),
    ({"bias": jnp.ones(5)}, InputError, r"bias of shape \(5,\).*6 filters.*use shape \(6,\)"),
    ({"bias": jnp.ones((1, 6))}, InputError, r"bias of shape \(1, 6\).*use shape \(6,\)"),
    ({"bias": jnp.ones(6, jnp.float16)}, TypeError, r"bias is float16; .*bias\.astype\(x\.dtype\)"),
    ({"stride": True}, TypeError, r"stride must be an integer >= 1, got True of type bool"),
    ({"stride": None}, TypeError, r"stride must be an integer >= 1, got None"),
    ({"stride": (1, 2, 3)}, InputError, r"stride \(1, 2, 3\) has 3 entries for 2.*or 2 of them"),
    ({"stride": (1, 0)}, InputError, r"stride\[1\] must be an integer >= 1, got 0"),
    (
        {"stride": 3},
        InputError,
        r"2\.333.*: 1 row.* on width\. Use padding=\(\(0, 2\), \(0, 2\)\), sizes \(6, 6\) or",
    ),
    ({"stride": (1, 3)}, InputError, r"width 7 .* 1 column at the end.*width 6 or 9"),
    ({"padding": "SAEM"}, InputError, r"one of 'VALID', 'SAME', .*'CAUSAL', got 'SAEM'"),
    ({"padding": None}, TypeError, r"padding must be a name \(VALID, .*a pair .*got None"),
    ({"padding": (1, 1, 1)}, InputError, r"\(1, 1, 1\) has 3 entries for 2.*one integer, or"),
    (
        {"padding": [(1, 1, 1), 1]},
        InputError,
        r"padding\[0\].*pair \(before, after\), got \(1, 1, 1",
    ),
    ({"padding": [1, (0, -3)]}, InputError, r"padding\[1\] must be an integer >= 0, got -3"),
    ({"padding": ["SAME", 1]}, TypeError, r"padding\[0\] must be a name.*got 'SAME'"),
    ({"dilation": 2.0}, TypeError, r"dilation must be an integer >= 1, got 2\.0 of type float"),
    ({"dilation": 4}, InputError, r"spans 9 cells.*padded height 7.*sizes \(9, 9\), .*or dilation"),
    ({"dilation": (1,)}, InputError, r"dilation \(1,\) has 1 entries for 2.*or 2 of them"),
    ({"groups": 2}, InputError, r"groups 2 does not divide the 3 channels.*\. Use groups=1"),
    ({"groups": 3}, InputError, r"takes 3\*3 = 9\. Use a kernel of shape \(3, 3, 1, 6\)"),
    ({"rounding": "ceil"}, InputError, r'"ceil" is for pooling; use "floor", or padding'),
]

POOL = [
    (
        {"x": jnp.ones((6, 3))},
        InputError,
        r"\(6, 3\) has 2 axes; kernel_size \(2, 2\).*takes 4.*or 3",
    ),
    ({"x": jnp.ones((2, 6, 6, 0))}, InputError, r"0 channels; use 1 or more"),
    ({"x": jnp.ones((2, 0, 6, 3))}, InputError, r"height must be .*got 0; use 1 or more"),
    ({"x": np.ones((1, 6, 6, 2), np.complex64)}, TypeError, r"complex64.*x\.real and x\.imag"),
    (
        {"kernel_size": (2,) * 4},
        InputError,
        r"kernel_size \(2, 2, 2, 2\) \(4 spatial axes\) takes 6.*or 5",
    ),
    (
        {"kernel_size": (7, 2)},
        InputError,
        r"kernel_size 7.*Use padding=\(\(0, 1\), \(0, 0\)\), height 7, or",
    ),
    (
        {"kernel_size": 5},
        InputError,
        r"1\.2 outputs; .*1 row at the end.*sizes \(5, 5\) or \(10, 10\)",
    ),
    (
        {"stride": 3},
        InputError,
        r"2\.333.* not an integer: 1 row.*sizes \(5, 5\) or \(8, 8\)",
    ),
    ({"stride": (2, 2, 2)}, InputError, r"stride \(2, 2, 2\) has 3 entries for 2.*or 2 of them"),
    (
        {"padding": (2, 0), "stride": 1},
        InputError,
        r"height 6 .*output 0 .*nothing but padding\. Use padding=\(\(1, 1\), \(0, 0\)\)\.",
    ),
    ({"dilation": 6, "stride": 1}, InputError, r"spans 7 cells.*padded height 6.*sizes \(7, 7\)"),
]

SIZES = [
    (lambda: geometry.output_size(0, 3), InputError, r"size must be an integer >= 1, got 0"),
    (lambda: geometry.output_size(7.0, 3), TypeError, r"size must be an integer >= 1, got 7\.0"),
    (lambda: geometry.output_size(7, 0), InputError, r"kernel_size must be an integer >= 1, got 0"),
    (
        lambda: geometry.output_size(7, 8),
        InputError,
        r"size 7 with kernel_size 8.*\(0, 1\), size 8 or",
    ),
    (lambda: geometry.output_size(7, 3, padding="HALF"), InputError, r"'VALID', .*got 'HALF'"),
    (lambda: geometry.output_size(7, 3, rounding="up"), InputError, r"'exact', .*got 'up'"),
    (lambda: geometry.output_sizes(7, 3), TypeError, r"sizes must list one size.*use \(7,\)"),
    (lambda: geometry.output_sizes((7, 7), (3, 3, 3)), InputError, r"3 entries for 2 spatial axes"),
    (lambda: geometry.padding_for_output(9, 3, 2), InputError, r"5 of its cells.*use size 4"),
    (
        lambda: geometry.resolve_padding((1, 2), (7,), (3,)),
        InputError,
        r"\(1, 2\) has 2 entries for 1 spatial axis.*use padding=\(\(1, 2\),\)",
    ),
    (
        lambda: geometry.transposed_output_size(3, 3, stride=2, output_padding=2),
        InputError,
        r"output_padding 2 must be below stride 2.*Use output_padding=0 or 1, size 4 with .*=0",
    ),
    (
        lambda: geometry.transposed_output_size(1, 2, padding=2),
        InputError,
        r"= -2 cells\. Use padding=\(1, 0\)",
    ),
]


def _names(table):
    def name(value):
        return f"{value.dtype}{value.shape}" if hasattr(value, "dtype") else repr(value)

    return [" ".join(f"{k}={name(v)}" for k, v in wrong.items()) for wrong, _, _ in table]


def _fails(call, kind, words, who=""):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert message.startswith(who), message
    assert re.search(words, message), message


@pytest.mark.parametrize("conv", [jaxcnn.conv, reference.conv], ids=["fast", "reference"])
@pytest.mark.parametrize(("wrong", "kind", "words"), CONV, ids=_names(CONV))
def test_the_error_of_a_wrong_convolution_gives_the_numbers_and_what_to_type(
    conv, wrong, kind, words
):
    arguments = {"x": IMAGE, "kernel": KERNEL} | wrong
    _fails(lambda: conv(**arguments), kind, words, "conv: ")


POOLS = [jaxcnn.max_pool, jaxcnn.avg_pool, reference.max_pool, reference.avg_pool]


@pytest.mark.parametrize("pool", POOLS, ids=["max", "avg", "reference max", "reference avg"])
@pytest.mark.parametrize(("wrong", "kind", "words"), POOL, ids=_names(POOL))
def test_the_error_of_a_wrong_pool_gives_the_numbers_and_what_to_type(pool, wrong, kind, words):
    arguments = {"x": jnp.ones((2, 6, 6, 3)), "kernel_size": (2, 2)} | wrong
    _fails(lambda: pool(**arguments), kind, words, f"{pool.__name__}: ")


@pytest.mark.parametrize("avg_pool", POOLS[1::2], ids=["fast", "reference"])
def test_avg_pool_refuses_integers_and_says_how_to_convert_them(avg_pool):
    whole = jnp.ones((2, 2, 1), jnp.int32)
    words = r"x is int32.*use x\.astype\(jnp\.float32\)"
    _fails(lambda: avg_pool(whole, (2, 2)), TypeError, words, "avg_pool: ")


@pytest.mark.parametrize(("call", "kind", "words"), SIZES)
def test_the_error_of_a_wrong_size_gives_the_numbers_and_what_to_type(call, kind, words):
    _fails(call, kind, words)


def test_an_input_error_is_a_value_error():
    refused = pytest.raises(ValueError, match=r"^outer: inner: 3 is not 4$")
    with refused, error_prefix("outer"), error_prefix("inner"):
        raise InputError("3 is not 4")


def test_error_prefix_leaves_other_exceptions_alone():
    with pytest.raises(KeyError) as caught, error_prefix("conv"):
        raise KeyError("ours")
    assert "conv" not in str(caught.value)
