"""What the rules count of a layout's reads, against its windows one by one."""

from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect.rules.layout import _dropped_on, _read_places
from jaxcnn.inspect.rules.rule import real_share
from tests.cases import many


@st.composite
def slides(draw):
    """A layout that may crop, dilate, skip, lie over spread cells, or repeat one window."""
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
@given(slides())
def test_shares_and_places_are_those_of_the_windows(slide):
    read = [cell for output in range(slide.output) for cell in slide.cells(output)]
    real = sum(0 <= cell < slide.size for cell in read)
    assert real_share(slide) == real / max(1, len(read))
    end = min(slide.size, max(read) + 1) if _dropped_on(slide) else slide.size
    assert _read_places(slide).tolist() == [cell in read for cell in range(end)]


@given(st.integers(10**9, 10**12), st.integers(1, 300), st.integers(1, 4), st.integers(1, 3))
def test_shares_of_long_axes_are_not_counted_window_by_window(size, kernel_size, stride, up):
    slide = StridedAxis.sliding_window(
        size, kernel_size, stride=stride, padding=(kernel_size, kernel_size), input_dilation=up
    )
    assert 1 - 1e-3 <= real_share(slide) < 1
