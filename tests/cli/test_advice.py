"""The advice of the command line works when it is typed unchanged."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jaxcnn.cli.commands import app
from jaxcnn.errors import InputError
from jaxcnn.geometry.text import for_axes, format_padding, parse_padding
from jaxcnn.nn.text import parse
from tests.cases import many

SIDES = st.integers(0, 4)


def _error(words):
    answer = CliRunner().invoke(app, words)
    assert answer.exception is None or isinstance(answer.exception, InputError), answer.exception
    return None if answer.exception is None else str(answer.exception)


def _choices(message, begin, form):
    """The words of ``form`` listed after ``begin`` in the advice."""
    listed = re.search(rf"{begin}({form}(?:(?:, | or ){form})*)", message.split(" Use ")[1])
    return re.findall(form, listed[1]) if listed else []


@st.composite
def paddings(draw, axes):
    """The word of a padding for ``axes`` axes, in any form."""
    side = SIDES.map(str) | st.tuples(SIDES, SIDES).map(lambda pair: f"{pair[0]}-{pair[1]}")
    each = st.lists(side, min_size=axes, max_size=axes).map("x".join)
    return draw(side | each | st.sampled_from(["same", "VALID", "full"]))


@many
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 5), paddings(1), st.integers(1, 2))
def test_the_advice_of_size_works_as_typed(size, kernel_size, stride, padding, dilation):
    layout = ["-k", str(kernel_size), "-s", str(stride), "-d", str(dilation)]
    message = _error(["size", str(size), "-p", padding, *layout])
    assume(message is not None)
    choices = _choices(message, "--padding ", r"\d+-\d+")
    assert choices
    for other in choices:
        assert _error(["size", str(size), "--padding", other, *layout]) is None
    for other in _choices(message, "size ", r"\d+"):
        assert _error(["size", other, "-p", padding, *layout]) is None
    if "--rounding floor" in message:
        assert _error(["size", str(size), "-p", padding, "--rounding", "floor", *layout]) is None


@pytest.mark.parametrize("word", ["flor", "exakt", "FLOOR", "ceiling"])
def test_a_misspelled_rounding_is_answered_with_the_option_to_type(word):
    message = _error(["size", "7", "-k", "3", "--rounding", word])
    option = re.search(r"Use (--rounding \w+)\.$", message)[1]
    assert _error(["size", "7", "-k", "3", *option.split()]) is None


@many
@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.data())
def test_the_advice_of_plan_and_explain_works_as_typed(sizes, data):
    padding = data.draw(paddings(len(sizes)))
    kernel_size = "x".join(str(data.draw(st.integers(1, 4))) for _ in sizes)
    stride, groups = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    spatial = "x".join(map(str, sizes))

    def plan(padding=padding, groups=groups, rounding=""):
        part = padding if padding.isalpha() else f"p{padding}"
        word = f"conv:6:k{kernel_size}:s{stride}:{part}:g{groups}{rounding}"
        return _error(["plan", "-i", f"{spatial}x4", word])

    def explain(padding=padding, groups=groups, rounding="exact"):
        options = ["-k", kernel_size, "-c", "6", "-s", str(stride), "-p", padding]
        options += ["-g", str(groups), "--rounding", rounding]
        return _error(["explain", f"1x{spatial}x4", *options])

    for command, begin, rounding, floor in (
        (plan, "", ":floor", ":floor"),
        (explain, "--groups ", "floor", "--rounding floor"),
    ):
        message = command()
        if message is None:
            continue
        if "does not divide" in message:
            choices = _choices(message, begin, r"(?::g)?\d")
            assert choices
            for other in choices:
                again = command(groups=int(other[-1]))
                assert again is None or "does not divide" not in again
            continue
        choices = re.findall(r"\d+-\d+(?:x\d+-\d+)*", message.split(" Use ")[1])
        assert choices
        for other in choices:
            assert command(padding=other) is None, (message, other)
        assert (floor in message) == (command(rounding=rounding) is None)


@many
@given(st.integers(1, 3), st.data())
def test_a_padding_word_means_the_same_in_layers_and_options(axes, data):
    word = data.draw(paddings(axes))
    padding = parse_padding(word)
    part = word if word.isalpha() else f"p{word}"
    assert parse(f"max:k3:{part}").options["padding"] == padding
    if not word.isalpha():
        again = parse_padding(format_padding(padding))
        assert for_axes(again, axes) == for_axes(padding, axes)


@pytest.mark.parametrize("word", ["(3, 2)", "3,2", "3 2", "-1", "1-2-3", "x", "1x", "most", ""])
def test_an_unreadable_padding_is_an_error_that_shows_the_spelling(word):
    for words in (
        ["size", "7", "-k", "3", "--padding", word],
        ["explain", "1x7x7x1", "-k", "3x3", "-c", "1", f"--padding={word}"],
    ):
        assert re.search(r"write 1 for every side, 3-2 for before", _error(words))
