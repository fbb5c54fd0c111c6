"""Descriptions of layers, and stacks of them that fit."""

from __future__ import annotations

from hypothesis import strategies as st

from jaxcnn.activations import ACTIVATIONS
from jaxcnn.errors import InputError
from jaxcnn.nn import ConvSpec, PoolSpec, plan

_names = st.sampled_from(["VALID", "SAME", "SAME_LOWER", "FULL", "CAUSAL"])


def _one_or_each(numbers, least=2, most=3):
    return numbers | st.lists(numbers, min_size=least, max_size=most).map(tuple)


_pairs = st.tuples(st.integers(0, 9), st.integers(0, 9))
_windows = {
    "padding": _names | st.integers(0, 9) | st.lists(_pairs, min_size=1, max_size=3).map(tuple),
    "dilation": _one_or_each(st.integers(1, 9)),
}

conv_specs = st.builds(
    ConvSpec,
    channels=st.integers(1, 999),
    kernel_size=_one_or_each(st.integers(1, 99)),
    stride=_one_or_each(st.integers(1, 9)),
    groups=st.integers(1, 9),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    use_bias=st.booleans(),
    rounding=st.sampled_from(["exact", "floor"]),
    **_windows,
)
pool_specs = st.builds(
    PoolSpec,
    kind=st.sampled_from(["max", "avg"]),
    kernel_size=_one_or_each(st.integers(1, 99)),
    stride=st.none() | _one_or_each(st.integers(1, 9)),
    rounding=st.sampled_from(["exact", "floor", "ceil"]),
    **_windows,
)


@st.composite
def stacks(draw, max_layers=4, pools=("max", "avg")):
    """An input shape and layers that can be laid over it."""
    input = (*draw(st.lists(st.integers(4, 9), min_size=1, max_size=2)), draw(st.integers(1, 3)))
    shape, specs = input, []
    for _ in range(draw(st.integers(1, max_layers))):
        layout = {
            "stride": draw(st.integers(1, 2)),
            "padding": draw(st.sampled_from(["VALID", "SAME", 1])),
            "dilation": draw(st.integers(1, 2)),
            "rounding": "floor",
        }
        kernel_size = draw(st.integers(1, 3))
        if draw(st.booleans()):
            groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[-1] % g == 0]))
            spec = ConvSpec(
                groups * draw(st.integers(1, 2)),
                kernel_size,
                groups=groups,
                use_bias=draw(st.booleans()),
                activation=draw(st.sampled_from(["linear", "relu"])),
                **layout,
            )
        else:
            spec = PoolSpec(draw(st.sampled_from(pools)), kernel_size, **layout)
        try:
            shape = plan(shape, [spec]).rows[0].output
        except InputError:
            break
        specs.append(spec)
    return input, specs or [ConvSpec(1, 1)]
