"""Symbolic sizes: results hold for every number, and the advised constraints suffice."""

import operator
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.export import symbolic_shape

from jaxcnn.errors import InputError
from jaxcnn.geometry import Window, named_padding, transposed_window
from jaxcnn.geometry._symbolic import is_symbolic
from jaxcnn.shapes import (
    adaptive_shapes,
    conv_shapes,
    conv_transpose_shapes,
    depthwise_shapes,
    pad_shapes,
    unshuffle_shapes,
)
from tests.cases import many

sizes = st.sampled_from(["h", "2*h", "3*h + 1", "h + 4"])
NUMBERS = range(1, 9)


def size_of(text, constraints=()):
    (size,) = symbolic_shape(text, constraints=constraints)
    return size


def at(value, number):
    """A symbolic value with ``number`` for h, computed by Python."""
    names = {"floordiv": operator.floordiv, "mod": operator.mod, "max": max, "min": min}
    return eval(str(value), names | {"h": number}) if is_symbolic(value) else value


def by_advice(ask, text):
    """The result of ``ask`` for a size with all constraints that its errors advise; or None."""
    constraints = []
    for _ in range(4):
        try:
            return ask(size_of(text, constraints)), constraints
        except InputError as error:
            stated = re.search(r'constraints=\["(.*?)"\]', str(error))
            if not stated:
                return None, constraints
            constraints.append(stated[1])
    raise AssertionError(f"never enough: {constraints}")


def fitting(constraints):
    """The numbers that satisfy the constraints."""
    names = {"mod": operator.mod, "floordiv": operator.floordiv}
    return [n for n in NUMBERS if all(eval(each, names | {"h": n}) for each in constraints)]


@many
@given(st.data())
def test_a_window_on_a_symbolic_size_has_the_outputs_of_every_number_it_stands_for(data):
    text = data.draw(sizes)
    arguments = {
        "kernel_size": data.draw(st.integers(1, 4)),
        "stride": data.draw(st.integers(1, 3)),
        "padding": (data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))),
        "dilation": data.draw(st.integers(1, 2)),
        "rounding": data.draw(st.sampled_from(["exact", "floor", "ceil"])),
    }
    window, constraints = by_advice(lambda size: Window(size, **arguments), text)
    for number in fitting(constraints) if window else ():
        known = Window(at(window.size, number), **arguments)
        assert at(window.output, number) == known.output
        if arguments["rounding"] != "ceil":
            assert at(window.unread, number) == known.unread


@many
@given(sizes, st.integers(1, 4), st.integers(1, 3), st.sampled_from(["SAME", "SAME_LOWER"]))
def test_a_named_padding_of_a_symbolic_size_is_that_of_every_number_it_stands_for(
    text, kernel_size, stride, name
):
    pair, constraints = by_advice(
        lambda n: named_padding(name, n, kernel_size, stride=stride), text
    )
    assert pair is not None
    for number in fitting(constraints):
        assert pair == named_padding(name, at(size_of(text), number), kernel_size, stride=stride)


@many
@given(sizes, st.integers(1, 4), st.integers(1, 3), st.data())
def test_a_transposed_window_on_a_symbolic_size_is_that_of_every_number_it_stands_for(
    text, kernel_size, stride, data
):
    padding = data.draw(st.one_of(st.just("SAME"), st.integers(-1, 2)))
    extra = 0 if padding == "SAME" else data.draw(st.integers(0, stride - 1))
    arguments = {"stride": stride, "padding": padding, "output_padding": extra}
    window, constraints = by_advice(lambda n: transposed_window(n, kernel_size, **arguments), text)
    for number in fitting(constraints) if window else ():
        size = at(size_of(text), number)
        assert at(window.size, number) == transposed_window(size, kernel_size, **arguments).size
        assert at(window.output, number) == size


@many
@given(st.lists(st.sampled_from(["h", "2*h", "6*h", "2*h + 1"]), min_size=1, max_size=3), st.data())
def test_the_advice_of_an_impossible_symbolic_layout_is_possible_on_every_axis(texts, data):
    x = (*symbolic_shape(", ".join(["n", *texts])), 4)
    given = {
        "stride": data.draw(st.integers(1, 3)),
        "padding": data.draw(st.integers(0, 4)),
        "padding_mode": data.draw(st.sampled_from(["zeros", "replicate", "partial"])),
    }
    kernel = (*(data.draw(st.integers(1, 4)) for _ in texts), 4, 2)
    try:
        conv_shapes(x, kernel, **given)
        return
    except InputError as error:
        message, advice = str(error), error.advice
    assert advice or "symbolic_shape(" in message or "not known" in message, message
    for way in advice:
        for value in () if isinstance(way, str) else way.values:
            conv_shapes(x, kernel, **given | {way.argument: value})


OPERATIONS = {
    "conv": conv_shapes,
    "conv_transpose": conv_transpose_shapes,
    "depthwise_conv": depthwise_shapes,
}


@many
@given(st.sampled_from(sorted(OPERATIONS)), st.integers(1, 3), st.integers(0, 4), st.data())
def test_symbolic_kernels_and_symbolic_channels_are_refused(operation, axes, symbolic, data):
    x = [2, *(7 for _ in range(axes)), 4]
    kernel = [*(3 for _ in range(axes)), 4, 4]
    (unknown,) = symbolic_shape(data.draw(st.sampled_from(["c", "2*c", "c + 3"])))
    if symbolic < axes + 2:
        kernel[symbolic] = unknown
    else:
        x[-1] = unknown
    with pytest.raises(InputError, match=r"symbolic size|must be a number"):
        OPERATIONS[operation](x, kernel)


ASKED = {
    "reflected": lambda h: pad_shapes((2, h, 3), 2, padding_mode="reflect").spatial[0],
    "bins": lambda h: adaptive_shapes((2, h, 3), 2).bins[0].size // 2,
    "unshuffled": lambda h: unshuffle_shapes((2, h, 3), 3).coarse[0],
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("text", ["h", "2*h", "6*h"])
def test_the_constraints_that_an_error_advises_are_enough(name, text):
    size, constraints = by_advice(ASKED[name], text)
    assert size is not None
    for number in fitting(constraints):
        assert at(size, number) == ASKED[name](at(size_of(text), number))
