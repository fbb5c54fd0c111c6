"""Shapes of symbolic sizes: the advised constraints are enough, the advised arguments possible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.export import symbolic_shape

from jaxcnn.errors import InputError
from jaxcnn.shapes import (
    adaptive_shapes,
    conv_shapes,
    conv_transpose_shapes,
    depthwise_shapes,
    pad_shapes,
    unshuffle_shapes,
)
from tests.cases import many
from tests.geometry.symbolic import at, by_advice, fitting, size_of


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
