"""Symbolic sizes: results hold for every number, and the advised constraints suffice."""

from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.geometry import Window, named_padding, transposed_window
from tests.cases import many
from tests.geometry.symbolic import at, by_advice, fitting, size_of

sizes = st.sampled_from(["h", "2*h", "3*h + 1", "h + 4"])


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
