"""Whatever an error tells a person to type instead is accepted."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry import output_size, padding_for_output, transposed_output_size
from jaxcnn.shapes import conv_shapes, pool_shapes
from jaxcnn.testing import impossible_conv_problems
from tests.cases import many
from tests.geometry import drawn


@many
@given(drawn.sizes, drawn.filters, drawn.strides, drawn.pairs, drawn.dilations)
def test_what_an_impossible_size_suggests_is_possible(size, kernel_size, stride, padding, dilation):
    layout = {"stride": stride, "dilation": dilation}
    try:
        output_size(size, kernel_size, padding=padding, **layout)
        return
    except InputError as error:
        advice = {way.argument: way for way in error.advice if not isinstance(way, str)}
    for pair in advice["padding"].values:
        assert output_size(size, kernel_size, padding=pair, **layout) >= 1
    sizes = advice["size"].values
    for other in sizes:
        for n in range(other, other + (3 if advice["size"].note == "or more" else 1)):
            assert output_size(n, kernel_size, padding=padding, **layout) >= 1
    if "rounding" in advice:
        assert advice["rounding"].values == ("floor",)
        assert output_size(size, kernel_size, padding=padding, rounding="floor", **layout) >= 1
    else:  # too small: the least that will do
        with pytest.raises(InputError):
            output_size(sizes[0] - 1, kernel_size, padding=padding, **layout)


@many
@given(drawn.sizes, drawn.filters, st.integers(1, 60), drawn.strides, drawn.dilations)
def test_what_an_unreachable_size_suggests_is_reached(size, kernel_size, output, stride, dilation):
    layout = {"stride": stride, "dilation": dilation}
    try:
        padding_for_output(size, kernel_size, output, **layout)
        return
    except InputError as error:
        other = int(re.search(r"use size (-?\d+)", str(error))[1])
    assert padding_for_output(other, kernel_size, output, **layout) == (0, 0)


@many
@given(st.integers(1, 5), drawn.filters, drawn.strides, drawn.pairs, st.integers(0, 9))
def test_what_an_impossible_transposed_size_suggests_is_possible(
    size, kernel_size, stride, padding, extra
):
    try:
        transposed_output_size(
            size, kernel_size, stride=stride, padding=padding, output_padding=extra
        )
        return
    except InputError as error:
        message, advice = str(error), error.advice
    if found := re.search(r"size (\d+) with output_padding=(\d+)", message):
        for value in advice[0].values:
            assert transposed_output_size(100, kernel_size, stride=stride, output_padding=value) > 0
        other, rest = map(int, found.groups())
        cells = [(n - 1) * stride + left for n, left in ((size, extra), (other, rest))]
        assert rest < stride
        assert cells[0] == cells[1]
        return
    ((fewer,),) = (way.values for way in advice)
    got = transposed_output_size(
        size, kernel_size, stride=stride, padding=fewer, output_padding=extra
    )
    assert got == 1


@many
@given(impossible_conv_problems().filter(lambda problem: problem.groups > 1))
def test_what_wrong_groups_suggest_is_possible(problem):
    try:
        problem.shapes()
    except InputError as error:
        (way,) = error.advice if error.args[0].startswith("groups") else (None,)
    except TypeError:
        return
    if way is None:
        return
    kernel = problem.kernel_shape
    if isinstance(way, str):
        found = re.fullmatch(r"groups=(\d+) with a kernel of shape \(([\d, ]+)\)", way)
        groups, kernel = int(found[1]), tuple(map(int, found[2].split(",")))
        assert kernel[:-2] == problem.kernel_size
    else:
        (groups,) = way.values
    ones = (1,) * len(problem.kernel_size)
    shapes = conv_shapes((*ones, problem.in_channels), (*ones, *kernel[-2:]), groups=groups)
    assert shapes.groups == groups


@pytest.mark.parametrize(
    ("x", "kernel", "groups"), [((7, 7, 6), (3, 3, 3, 4), 1), ((7, 7, 3), (3, 3, 5, 4), 1)]
)
def test_what_wrong_channels_suggest_is_possible(x, kernel, groups):
    with pytest.raises(InputError) as caught:
        conv_shapes(x, kernel, groups=groups)
    message = str(caught.value)
    shape = tuple(map(int, re.search(r"a kernel of shape \(([\d, ]+)\)", message)[1].split(",")))
    assert conv_shapes(x, shape, groups=groups).output == (5, 5, 4)
    if found := re.search(r"or groups=(\d+)", message):
        assert conv_shapes(x, kernel, groups=int(found[1])).groups == int(found[1])


def test_what_a_pool_of_padding_alone_suggests_is_possible():
    with pytest.raises(InputError, match=r"output 0 .* Use padding=\(\(1, 0\),\)\."):
        pool_shapes((4, 1), (2,), stride=1, padding=[(2, 0)])
    assert pool_shapes((4, 1), (2,), stride=1, padding=[(1, 0)]).output == (4, 1)
