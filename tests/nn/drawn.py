"""Strategies for words of layers, and for stacks of words that fit."""

from __future__ import annotations

from flax import nnx
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry.text import format_padding, format_value
from jaxcnn.nn import Stack
from jaxcnn.nn.activations import ACTIVATIONS

_names = st.sampled_from(["VALID", "SAME", "SAME_LOWER", "FULL", "CAUSAL"])
_pairs = st.tuples(st.integers(0, 9), st.integers(0, 9))


def _one_or_each(numbers):
    return numbers | st.lists(numbers, min_size=2, max_size=3).map(tuple)


_WINDOWS = {
    "stride": ("s", _one_or_each(st.integers(1, 9))),
    "padding": ("p", _names | st.integers(0, 9) | st.lists(_pairs, min_size=1).map(tuple)),
    "dilation": ("d", _one_or_each(st.integers(1, 9))),
    "rounding": ("", st.just("floor")),
}
_OPTIONS = {
    "conv": _WINDOWS
    | {
        "groups": ("g", st.integers(1, 9)),
        "activation": ("", st.sampled_from(sorted(ACTIVATIONS))),
        "use_bias": ("nobias", st.just(False)),
    },
    "pool": _WINDOWS | {"rounding": ("", st.sampled_from(["floor", "ceil"]))},
}


def _part(letter, value):
    if value is False:
        return letter
    if isinstance(value, str):
        return value.lower()
    write = format_padding if letter == "p" else format_value
    return letter + write(value)


@st.composite
def words(draw):
    """A word with its parts in any order, its kind, and its options."""
    kind = draw(st.sampled_from(["conv", "max", "avg"]))
    known = _OPTIONS["conv" if kind == "conv" else "pool"]
    options = {"kernel_size": draw(_one_or_each(st.integers(1, 99)))}
    parts = [f"k{format_value(options['kernel_size'])}"]
    for name in draw(st.lists(st.sampled_from(sorted(known)), unique=True)):
        letter, values = known[name]
        options[name] = draw(values)
        parts.append(_part(letter, options[name]))
    begin = [kind]
    if kind == "conv":
        options["out_channels"] = draw(st.integers(1, 999))
        begin.append(str(options["out_channels"]))
    return ":".join([*begin, *draw(st.permutations(parts))]), kind, options


@st.composite
def stacks(draw, max_layers=4, pools=("max", "avg")):
    """An input shape, and words of layers that fit it."""
    shape = (*draw(st.lists(st.integers(4, 9), min_size=1, max_size=2)), draw(st.integers(1, 3)))
    layers, after = [], shape
    for _ in range(draw(st.integers(1, max_layers))):
        layout = (
            f"s{draw(st.integers(1, 2))}:{draw(st.sampled_from(['valid', 'same', 'p1']))}:"
            f"d{draw(st.integers(1, 2))}:floor"
        )
        if draw(st.booleans()):
            groups = draw(st.sampled_from([g for g in (1, 2, 3) if after[-1] % g == 0]))
            filters = groups * draw(st.integers(1, 2))
            rest = draw(st.sampled_from(["", ":nobias", ":relu"]))
            word = f"conv:{filters}:k{draw(st.integers(1, 3))}:{layout}:g{groups}{rest}"
        else:
            # A pool of single cells is a slice, which has no row in a plan.
            word = f"{draw(st.sampled_from(pools))}:k{draw(st.integers(2, 3))}:{layout}"
        try:
            after = shapes_after(after, [word])
        except InputError:
            break
        layers.append(word)
    return shape, layers or ["conv:1:k1"]


def shapes_after(shape, layers):
    """The output shape of a stack of the layers; nothing is drawn or computed."""
    return nnx.eval_shape(lambda: Stack(shape, layers, rngs=nnx.Rngs(0))).output_shape
