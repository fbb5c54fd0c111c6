"""What the command line advises is typed as it stands, and the command succeeds."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jaxcnn.cli import app
from jaxcnn.errors import InputError
from jaxcnn.geometry.text import for_axes, read_padding, write_padding
from jaxcnn.nn.text import parse
from tests.cases import many

SIDES = st.integers(0, 4)


def _error(words):
    answer = CliRunner().invoke(app, words)
    assert answer.exception is None or isinstance(answer.exception, InputError), answer.exception
    return None if answer.exception is None else str(answer.exception)


def _choices(message, begin, form):
    """The words of ``form`` that are listed after ``begin`` in the advice."""
    listed = re.search(rf"{begin}({form}(?:(?:, | or ){form})*)", message.split(" Use ")[1])
    return re.findall(form, listed[1]) if listed else []


@st.composite
def paddings(draw, axes):
    """A padding's word on so many axes, in any form."""
    side = SIDES.map(str) | st.tuples(SIDES, SIDES).map(lambda pair: f"{pair[0]}-{pair[1]}")
    each = st.lists(side, min_size=axes, max_size=axes).map("x".join)
    return draw(side | each | st.sampled_from(["same", "VALID", "full"]))


@many
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 5), paddings(1), st.integers(1, 2))
def test_what_size_advises_is_possible(size, kernel_size, stride, pad, dilation):
    layout = ["-k", str(kernel_size), "-s", str(stride), "-d", str(dilation)]
    message = _error(["size", str(size), "-p", pad, *layout])
    assume(message is not None)
    pads = _choices(message, "--pad ", r"\d+-\d+")
    assert pads
    for other in pads:
        assert _error(["size", str(size), "-p", other, *layout]) is None
    for other in _choices(message, "size ", r"\d+"):
        assert _error(["size", other, "-p", pad, *layout]) is None
    if "--rounding floor" in message:
        assert _error(["size", str(size), "-p", pad, "--rounding", "floor", *layout]) is None


@pytest.mark.parametrize("word", ["flor", "exakt", "FLOOR", "ceiling"])
def test_a_name_is_advised_as_an_option(word):
    message = _error(["size", "7", "-k", "3", "--rounding", word])
    option = re.search(r"Use (--rounding \w+)\.$", message)[1]
    assert _error(["size", "7", "-k", "3", *option.split()]) is None


@many
@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.data())
def test_what_plan_and_explain_advise_is_possible(sizes, data):
    pad = data.draw(paddings(len(sizes)))
    kernel_size = "x".join(str(data.draw(st.integers(1, 4))) for _ in sizes)
    stride, groups = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    spatial = "x".join(map(str, sizes))

    def plan(spatial=spatial, pad=pad, groups=groups, rest=""):
        padding = pad if pad.isalpha() else f"p{pad}"
        word = f"conv:6:k{kernel_size}:s{stride}:{padding}:g{groups}{rest}"
        return _error(["plan", "-i", f"{spatial}x4", word])

    def explain(spatial=spatial, pad=pad, groups=groups, rest="exact"):
        options = ["-k", kernel_size, "-c", "6", "-s", str(stride), "-p", pad, "-g", str(groups)]
        return _error(["explain", f"1x{spatial}x4", *options, "--rounding", rest])

    for command, groups_are, floor in (
        (plan, "", ":floor"),
        (explain, "--groups ", "--rounding floor"),
    ):
        message = command()
        if message is None:
            continue
        if "does not divide" in message:
            some = _choices(message, groups_are, r"(?::g)?\d")
            assert some
            for other in some:
                again = command(groups=int(other[-1]))
                assert again is None or "does not divide" not in again
            continue
        pads = re.findall(r"\d+-\d+(?:x\d+-\d+)*", message.split(" Use ")[1])
        assert pads
        for other in pads:
            assert command(pad=other) is None, (message, other)
        assert (floor in message) == (
            command(rest=":floor" if command is plan else "floor") is None
        )


@many
@given(st.integers(1, 3), st.data())
def test_one_spelling_of_a_padding_means_the_same_everywhere(axes, data):
    word = data.draw(paddings(axes))
    padding = read_padding(word)
    part = word if word.isalpha() else f"p{word}"
    assert parse(f"max:k3:{part}").options["padding"] == padding
    if not word.isalpha():
        again = read_padding(write_padding(padding))
        assert for_axes(again, axes) == for_axes(padding, axes)


@pytest.mark.parametrize("word", ["(3, 2)", "3,2", "3 2", "-1", "1-2-3", "x", "1x", "most", ""])
def test_another_spelling_is_refused_with_the_right_one(word):
    for words in (
        ["size", "7", "-k", "3", "--padding", word],
        ["explain", "1x7x7x1", "-k", "3x3", "-c", "1", f"--pad={word}"],
    ):
        assert re.search(r"write 1 for every side, 3-2 for before", _error(words))
