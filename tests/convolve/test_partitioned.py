"""Kernel gradients of grouped convolutions in partitioned programs equal lax's."""

import jax
import jax.numpy as jnp
from hypothesis import assume, given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.convolve import partitioned
from jaxcnn.convolve.layout import describe
from jaxcnn.testing import assert_within, gamma
from tests.convolve.drawn import numbers


@st.composite
def convolutions(draw):
    """(x, kernel, output gradient, arguments of lax's convolution), in two groups or more."""
    axes, groups = draw(st.integers(1, 2)), draw(st.sampled_from([2, 3, 4]))
    inputs, filters = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    taps = [draw(st.integers(1, 3)) for _ in range(axes)]
    dilation = [draw(st.integers(1, 2)) for _ in range(axes)]
    stride = [draw(st.integers(1, 2)) for _ in range(axes)]
    padding = [(draw(st.integers(0, 1)), draw(st.integers(0, 1))) for _ in range(axes)]
    extents = [d * (f - 1) + 1 for d, f in zip(dilation, taps, strict=True)]
    size = [e + draw(st.integers(0, 4)) for e in extents]
    letters = "HW"[:axes]
    arguments = {
        "window_strides": stride,
        "padding": padding,
        "rhs_dilation": dilation,
        "feature_group_count": groups,
        "dimension_numbers": draw(
            st.sampled_from(
                [
                    (f"N{letters}C", f"{letters}IO", f"N{letters}C"),
                    (f"NC{letters}", f"OI{letters}", f"NC{letters}"),
                ]
            )
        ),
    }
    last = arguments["dimension_numbers"][0].endswith("C")
    batch, channels = draw(st.integers(1, 3)), groups * inputs
    x = (batch, *size, channels) if last else (batch, channels, *size)
    kernel = (*taps, inputs, groups * filters) if last else (groups * filters, inputs, *taps)
    return (
        jnp.asarray(numbers(x, 0), "float32"),
        jnp.asarray(numbers(kernel, 1), "float32"),
        arguments,
    )


@given(convolutions())
def test_the_partitioned_kernel_gradient_is_laxs(problem):
    x, kernel, arguments = problem

    def gradient(x, kernel):
        y, pull_back = jax.vjp(
            lambda kernel: lax.conv_general_dilated(x, kernel, **arguments), kernel
        )
        return pull_back(jnp.cos(y))[0]

    (found,) = [
        eqn
        for eqn in jax.make_jaxpr(gradient)(x, kernel).eqns
        if eqn.params.get("batch_group_count", 1) > 1
    ]
    described = describe(*(var.aval for var in found.invars), found.params)
    assume(partitioned.supports(described))  # not those that read no cell
    g = jnp.cos(lax.conv_general_dilated(x, kernel, **arguments))
    got = partitioned.kernel_gradient(described, x, g)
    want = found.primitive.bind(x, g, **found.params)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    terms = g.size
    bound = gamma(terms, "float32") * terms * float(jnp.abs(x).max())
    assert_within(got, want, bound)
