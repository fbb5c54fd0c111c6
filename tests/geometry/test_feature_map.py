"""Feature maps, against paths counted one by one."""

from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry import Window, receptive_field, transposed_window
from jaxcnn.geometry.axis_maps import OUTSIDE, IndexedAxis, StridedAxis
from jaxcnn.geometry.feature_map import FeatureMap
from tests.cases import few, many
from tests.geometry import drawn
from tests.geometry.drawn import strided_axes


@st.composite
def tables(draw, size):
    """A table of the cells that outputs read, in any order, some of them padding."""
    cells = st.one_of(st.integers(-2, size + 1), st.just(OUTSIDE))
    rows = st.lists(st.lists(cells, max_size=3, unique=True).map(tuple), min_size=1, max_size=8)
    return IndexedAxis(size, tuple(draw(rows)))


@st.composite
def graphs(draw, axes=(1, 2), joins=True, layouts=strided_axes):
    """A map made by layers and merged branches from an input of one or two axes."""
    sizes = tuple(draw(st.lists(st.integers(1, 8), min_size=axes[0], max_size=axes[1])))
    top = FeatureMap.of_input(sizes)
    for _ in range(draw(st.integers(0, 4))):
        made = top.apply(*(draw(layouts(size)) for size in top.sizes))
        if joins and made.sizes == top.sizes and draw(st.booleans()):
            made = FeatureMap.merge(made, top)
        top = made
    return top


def paths(m, output):
    """Every path from an output to the input, as if no map had borders."""
    if not m.sources:
        yield output
        return
    for parent, steps in m.sources:
        options = [
            [place] if step is None else _read(step, place)
            for step, place in zip(steps, output, strict=True)
        ]
        for cell in product(*options):
            yield from paths(parent, cell)


def real_paths(m, output, *, around=False):
    """The paths that stay inside every map; with ``around``, also those that end in padding."""
    inside = all(0 <= place < size for place, size in zip(output, m.sizes, strict=True))
    if not inside and not (around and not m.sources and OUTSIDE not in output):
        return
    if not m.sources:
        yield output
        return
    for parent, steps in m.sources:
        options = [
            [place] if step is None else _read(step, place)
            for step, place in zip(steps, output, strict=True)
        ]
        for cell in product(*options):
            yield from real_paths(parent, cell, around=around)


def _read(step, output):
    """The cells c with c*input_dilation + low = output*stride + tap, found by trial."""
    if isinstance(step, IndexedAxis):
        return step.rows[output]
    far = abs(output) * step.stride + step.extent + abs(step.low)
    reach = range(-far, step.size + far)
    places = [output * step.stride + tap for tap in step.taps]
    return [
        cell for cell in reach for place in places if cell * step.input_dilation + step.low == place
    ]


def an_output(draw, m):
    return tuple(draw(st.integers(0, size - 1)) for size in m.sizes)


@many
@given(st.data())
def test_counts_are_the_numbers_of_paths_that_stay_inside_every_map(data):
    m = data.draw(graphs())
    assume(m.most_paths < 2000)
    output = an_output(data.draw, m)
    found = list(real_paths(m, output))
    counts = m.counts(output)
    assert counts.sum() == len(found)
    for cell in set(found):
        assert counts[cell] == found.count(cell)


@many
@given(st.data())
def test_cells_read_are_the_ends_of_paths_that_stay_inside_inner_maps(data):
    m = data.draw(graphs(axes=(1, 1), layouts=lambda n: st.one_of(strided_axes(n), tables(n))))
    assume(m.most_paths < 2000)
    (output,) = an_output(data.draw, m)
    cells = sorted({cell for (cell,) in real_paths(m, (output,), around=True)})
    assert list(m.cells_read(0, output)) == cells
    assert m.span(0, output) == ((cells[0], cells[-1]) if cells else None)
    (size,) = m.order[0].sizes
    counted = np.flatnonzero(m.counts((output,)))
    assert [cell for cell in cells if 0 <= cell < size] == counted.tolist()


AROUND = 12
"""The most cells beyond their input that drawn layers read."""


@st.composite
def layers(draw, size):
    """A layer's window or map, and its matrix of ones: outputs by cells, from -AROUND on."""
    kernel_size, stride, dilation = (draw(st.integers(1, 3)) for _ in range(3))
    low, high = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    reach = dilation * (kernel_size - 1) + 1
    if draw(st.booleans()):
        output = (size - 1) * stride + reach - low - high
        assume(output >= 1)
        window = transposed_window(
            size, kernel_size, stride=stride, padding=(low, high), dilation=dilation
        )
        step = StridedAxis.transposed(window)
        links = [
            (cell * stride + tap * dilation - low, cell)
            for cell in range(-AROUND, size + AROUND)
            for tap in range(kernel_size)
        ]
    else:
        assume(size + low + high >= reach)
        output = (size + low + high - reach) // stride + 1
        step = Window(size, kernel_size, stride, (low, high), dilation, "floor")
        links = [
            (o, o * stride + tap * dilation - low)
            for o in range(output)
            for tap in range(kernel_size)
        ]
    matrix = np.zeros((output, size + 2 * AROUND), int)
    for o, cell in links:
        if 0 <= o < output:
            matrix[o, cell + AROUND] += 1
    return step, matrix


@many
@given(st.data())
def test_a_chain_reads_the_nonzero_entries_of_the_product_of_its_layers_matrices(data):
    m = FeatureMap.of_input((data.draw(st.integers(1, 8)),))
    step, product_ = data.draw(layers(m.sizes[0]))
    m = m.apply(step)
    for _ in range(data.draw(st.integers(0, 3))):
        step, matrix = data.draw(layers(m.sizes[0]))
        product_ = matrix[:, AROUND:-AROUND] @ product_
        m = m.apply(step)
    assume(len(product_) < 60)
    for output, row in enumerate(product_):
        assert m.cells_read(0, output) == tuple((np.flatnonzero(row) - AROUND).tolist())
        assert (m.counts((output,)) == row[AROUND:-AROUND]).all()
    read = (product_ != 0).any(axis=0)[AROUND:-AROUND]
    assert m.unread() == (tuple(np.flatnonzero(~read).tolist()),)


@many
@given(st.data())
def test_padding_share_is_the_share_of_paths_that_leave_a_map(data):
    m = data.draw(graphs())
    assume(m.most_paths < 2000)
    share = m.padding_share()
    for output in {an_output(data.draw, m) for _ in range(3)}:
        total = sum(1 for _ in paths(m, output))
        real = sum(1 for _ in real_paths(m, output))
        # One division and one difference, each to within half a unit in the last place of 1.
        assert abs(share[output] - float(1 - Fraction(real, max(total, 1)))) <= 2**-52 or not total


@few
@given(st.data())
def test_unread_rows_are_those_without_a_path_from_any_output(data):
    m = data.draw(graphs())
    outputs = product(*map(range, m.sizes))
    read = sum(m.counts(output) for output in outputs) > 0
    assert (m.read() == read).all()
    for axis, rows in enumerate(m.unread()):
        lines = read.any(axis=tuple(a for a in range(read.ndim) if a != axis))
        assert list(rows) == [place for place, line in enumerate(lines) if not line]


@many
@given(drawn.chains().filter(len))
def test_the_fields_of_a_chain_of_windows_are_those_of_receptive_field(chain):
    m = FeatureMap.of_input((chain[0].size,))
    for window in chain:
        m = m.apply(window)
    assert m.fields == (receptive_field(chain),)


@many
@given(st.data())
def test_a_receptive_field_is_the_largest_span_of_paths_and_moves_by_the_jump(data):
    m = data.draw(graphs(axes=(1, 1), joins=False))
    (field,), (period,) = m.fields, m.periods
    assume(m.most_paths < 2000 and period < m.sizes[0])
    spans = []
    for output in range(2 * period):
        cells = [cell for (cell,) in paths(m, (output,))]
        spans.append((min(cells), max(cells)) if cells else None)
    assert field.size == max((last - first + 1 for first, last in filter(None, spans)), default=0)
    for first, later in zip(spans[:period], spans[period:], strict=True):
        moved = first and tuple(cell + field.jump * period for cell in first)
        assert later == moved


def test_path_counts_beyond_64_bits_are_exact():
    m = FeatureMap.of_input((400,))
    for _ in range(60):
        m = m.apply(StridedAxis.sliding_window(m.sizes[0], 3, padding=(1, 1)))
    centre = m.counts((200,))[200]
    # The central trinomial coefficient of (1 + x + x^2)^60.
    row = [1]
    for _ in range(60):
        row = [sum(row[max(0, i - 2) : i + 1]) for i in range(len(row) + 2)]
    assert centre == row[60] > 2**62


def test_merged_branches_add_their_path_counts():
    image = FeatureMap.of_input((5, 5))
    tall = image.apply(Window(5, 3, padding=(1, 1)), None)
    wide = image.apply(None, Window(5, 3, padding=(1, 1)))
    cross = FeatureMap.merge(tall, wide).counts((2, 2))
    assert cross.tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 2, 1, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert prod(tall.sizes) == cross.size


def test_layers_and_merges_of_other_sizes_are_refused():
    with pytest.raises(InputError, match="cannot read a map of sizes"):
        FeatureMap.of_input((5,)).apply(Window(6, 3))
    with pytest.raises(InputError, match="one window or axis map for each axis"):
        FeatureMap.of_input((5, 5)).apply(Window(5, 3))
    with pytest.raises(InputError, match="cannot be merged"):
        FeatureMap.merge(FeatureMap.of_input((5,)), FeatureMap.of_input((6,)))
