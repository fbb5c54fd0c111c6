"""The options that rules advise remove their findings, and the counts of rules are right."""

import jax.numpy as jnp
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect import lint
from jaxcnn.inspect.rules.reads import cells_read, drops_rows, real_share
from tests.cases import many
from tests.inspect.programs import IMAGE

AXES = ("height", "width")


def numbers(draw, *, least, most):
    return [draw(st.integers(least, most)) for _ in AXES]


@st.composite
def windows(draw, transposed=False):
    """Windows on two axes, and whether they belong to a max pool or to a convolution."""
    sizes, kernels = numbers(draw, least=1, most=24), numbers(draw, least=1, most=7)
    strides, dilations = numbers(draw, least=1, most=5), numbers(draw, least=1, most=2)
    pads = [(draw(st.integers(0, f - 1)), draw(st.integers(0, f - 1))) for f in kernels]
    axes = [  # one tap has no dilation
        {"size": n, "kernel_size": f, "stride": s, "padding": p, "dilation": d if f > 1 else 1}
        for n, f, s, p, d in zip(sizes, kernels, strides, pads, dilations, strict=True)
    ]
    for each in axes:
        extent = each["dilation"] * (each["kernel_size"] - 1) + 1
        spread = (each["size"] - 1) * (each["stride"] if transposed else 1) + 1
        assume(spread + sum(each["padding"]) >= extent)
    return axes, min(kernels) > 1 and draw(st.booleans())  # pools of one cell are no pools


def linted(axes, pool, *, transposed=False, select=None):
    """The findings of one layer with these windows, without those on the whole network."""
    key = {name: tuple(each[name] for each in axes) for name in axes[0]}
    steps = {"window_strides": (1, 1), "lhs_dilation": key["stride"]} if transposed else {}

    def network(x):
        if pool and not transposed:
            return lax.reduce_window(
                x,
                -np.inf,
                lax.max,
                (1, *key["kernel_size"], 1),
                (1, *key["stride"], 1),
                ((0, 0), *key["padding"], (0, 0)),
                window_dilation=(1, *key["dilation"], 1),
            )
        how = {"window_strides": key["stride"]} | steps
        return lax.conv_general_dilated(
            x,
            jnp.ones((*key["kernel_size"], 8, 8), x.dtype),
            padding=key["padding"],
            rhs_dilation=key["dilation"],
            dimension_numbers=IMAGE,
            **how,
        )

    ignore = ["JC006", "JC007", "JC011"]  # findings on the whole network, as part of JC008 is
    found = lint(network, (*key["size"], 8), ignore=ignore, select=select).findings
    return [each for each in found if "through the network" not in each.message]


def changed(each, settings):
    made = each | settings
    if isinstance(made["padding"], int):
        made["padding"] = (made["padding"],) * 2
    return made


def options_by_axis(finding):
    return {a: [o.set for o in finding.options if o.axis == a] for a in AXES}


@given(windows())
def test_every_option_of_a_window_removes_its_finding_and_adds_none(drawn):
    axes, pool = drawn
    found = {finding.code: finding for finding in linted(axes, pool)}
    for code in found.keys() & {"JC001", "JC002", "JC003"}:
        options = options_by_axis(found[code])
        assert any(options.values())
        assert all(str(o) for o in found[code].options)
        longest = max(map(len, options.values()))
        for number in range(longest):
            mended = [
                changed(each, settings[number % len(settings)]) if settings else each
                for each, settings in zip(axes, options.values(), strict=True)
            ]
            left = {finding.code for finding in linted(mended, pool)}
            assert code not in left
            assert left <= found.keys()
            if all(options.values()):  # every axis has an option
                assert not left & {"JC001", "JC002", "JC003"}


@given(windows(transposed=True))
def test_every_option_of_a_checkerboard_removes_it(drawn):
    axes, _ = drawn
    for finding in linted(axes, False, transposed=True, select=["JC004"]):
        assert "resize" in finding.change
        for option in finding.options:
            each = axes[AXES.index(option.axis)]
            made = changed(each, option.set)
            extents = (d["dilation"] * (d["kernel_size"] - 1) for d in (each, made))
            more = -next(extents) + next(extents)
            low, high = made["padding"]
            made["padding"] = (low + more // 2, high + more - more // 2)
            assert not linted([made, made], False, transposed=True, select=["JC004"])


@given(st.integers(1, 700), st.sampled_from([1, 2, 4]))
def test_every_option_of_channels_wastes_no_matrix_units(channels, groups):
    def findings(channels):
        def network(x):
            first, last = (
                jnp.ones(shape, x.dtype)
                for shape in ((1, 1, 8 // groups, channels), (1, 1, channels, 8))
            )
            x = lax.conv_general_dilated(
                x, first, (1, 1), "SAME", dimension_numbers=IMAGE, feature_group_count=groups
            )
            return lax.conv_general_dilated(x, last, (1, 1), "SAME", dimension_numbers=IMAGE)

        return lint(network, (4, 4, 8), select=["JC010"]).findings

    for finding in findings(channels * groups):
        assert finding.options
        for option in finding.options:
            assert not findings(option.set["out_channels"])


@given(
    st.lists(st.tuples(st.integers(2, 4), st.integers(1, 5)), min_size=1, max_size=4),
)
def test_the_advised_dilations_leave_no_holes(layers):
    def findings(layers):
        def network(x):
            for kernel_size, dilation in layers:
                kernel = jnp.ones((kernel_size, kernel_size, 1, 1), x.dtype)
                x = lax.conv_general_dilated(
                    x,
                    kernel,
                    (1, 1),
                    "SAME",
                    rhs_dilation=(dilation, dilation),
                    dimension_numbers=IMAGE,
                )
            return x

        return lint(network, (64, 64, 1), select=["JC005"]).findings

    layers = [(kernel_size, dilation) for kernel_size, dilation in layers if dilation > 1]
    for finding in findings(layers):
        (option,) = finding.options
        kernels = [kernel_size for kernel_size, _ in layers]
        assert not findings(list(zip(kernels, option.set["dilations"], strict=True)))
        widest = max(dilation for _, dilation in layers)
        assert not findings([(widest, 1), *layers])


@st.composite
def axis_windows(draw):
    """Windows on one axis that may crop, dilate, skip, be transposed, or all be equal."""
    numbers = [draw(st.integers(1, most)) for most in (20, 6, 5, 3, 4)]
    size, kernel_size, stride, dilation, up = numbers
    padding = (draw(st.integers(-3, 6)), draw(st.integers(-3, 6)))
    room = (size - 1) * up + sum(padding) - dilation * (kernel_size - 1)
    assume(room >= 0)
    if draw(st.integers(0, 9)) == 0:
        return StridedAxis(size, draw(st.integers(1, 9)), tuple(range(kernel_size)), 0, padding[0])
    return StridedAxis.sliding_window(
        size, kernel_size, stride=stride, padding=padding, dilation=dilation, input_dilation=up
    )


@many
@given(axis_windows())
def test_the_real_share_and_the_cells_read_are_those_of_the_windows_one_by_one(window):
    read = [cell for output in range(window.output) for cell in window.cells(output)]
    real = sum(0 <= cell < window.size for cell in read)
    assert real_share(window) == real / max(1, len(read))
    end = min(window.size, max(read) + 1) if drops_rows(window) else window.size
    assert cells_read(window).tolist() == [cell in read for cell in range(end)]


@given(st.integers(10**9, 10**12), st.integers(1, 300), st.integers(1, 4), st.integers(1, 3))
def test_the_real_share_of_a_huge_axis_is_not_counted_window_by_window(
    size, kernel_size, stride, up
):
    window = StridedAxis.sliding_window(
        size, kernel_size, stride=stride, padding=(kernel_size, kernel_size), input_dilation=up
    )
    assert 1 - 1e-3 <= real_share(window) < 1
