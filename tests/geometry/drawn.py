"""Strategies for layouts of network sizes, some of which are impossible."""

from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry import StridedAxis, Window, transposed_window

sizes = st.integers(1, 300)
kernel_sizes = st.integers(1, 12)
strides = st.integers(1, 7)
dilations = st.integers(1, 4)
pairs = st.tuples(st.integers(0, 12), st.integers(0, 12))


@st.composite
def strided_axes(draw, size, longest=12):
    """The map of a convolution, a transposed convolution or a pool, with few outputs."""
    kernel_size, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    try:
        if draw(st.integers(0, 3)) == 0:
            stride = draw(st.integers(1, 3))
            window = transposed_window(
                size, kernel_size, stride=stride, padding=padding, dilation=dilation
            )
            axis = StridedAxis.transposed(window)
        else:
            stride = draw(st.integers(1, 3))
            axis = StridedAxis.from_window(
                Window(size, kernel_size, stride, padding, dilation, "floor")
            )
    except InputError:
        axis = StridedAxis(size, size)
    return axis if 1 <= axis.output <= longest else StridedAxis(size, size)


@st.composite
def chains(draw):
    """A few windows, each on the outputs of the one before it."""
    size, chain = draw(st.integers(1, 60)), []
    for _ in range(draw(st.integers(0, 4))):
        numbers = (draw(st.integers(1, 4)), draw(st.integers(1, 3)))
        padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
        try:
            window = Window(size, *numbers, padding, draw(st.integers(1, 2)), "floor")
        except InputError:
            break
        chain.append(window)
        size = window.output
    return chain
