"""Shapes are formulas: an axis takes no longer for more cells."""

from jaxcnn.geometry import PADDING_MODES
from jaxcnn.shapes import (
    adaptive_shapes,
    blur_shapes,
    causal_shapes,
    conv_shapes,
    conv_transpose_shapes,
    depthwise_shapes,
    fold_shapes,
    global_shapes,
    local_shapes,
    pad_shapes,
    pool_shapes,
    shuffle_shapes,
    unfold_shapes,
    unpool_shapes,
    unshuffle_shapes,
)

FAR = 10**9  # cells: too many to visit one by one while a test runs


def test_shapes_of_an_axis_of_a_billion_cells_take_no_time():
    line = (1, FAR, 4)
    for padding_mode in PADDING_MODES:
        for padding in ("VALID", "SAME", ((999, 0),)):
            shapes = conv_shapes(line, (1999, 4, 6), padding=padding, padding_mode=padding_mode)
            assert shapes.spatial[0] > FAR - 2000
    assert pool_shapes(line, 1024, stride=1, padding=512).spatial == (FAR + 1,)
    assert pool_shapes(line, 3, stride=2, dilation=7, padding=6, rounding="ceil").spatial[0] > 0
    wide = pool_shapes((1, 4, 4), 2, stride=1, dilation=FAR, padding=((0, FAR - 1),))
    assert wide.spatial == (3,)
    assert pool_shapes(line, FAR).spatial == (1,)
    assert adaptive_shapes(line, FAR - 1).spatial == (FAR - 1,)
    assert global_shapes(line).spatial == (1,)
    assert blur_shapes(line).spatial == (FAR // 2,)
    assert pad_shapes(line, 7, padding_mode="reflect").spatial[0] == FAR + 14
    assert causal_shapes(line, (1999, 4, 6)).spatial == (FAR,)
    assert depthwise_shapes(line, (3, 4, 1)).spatial == (FAR - 2,)
    assert conv_transpose_shapes(line, (4, 6, 4), stride=2, padding=1).input == (1, 2 * FAR, 6)
    assert local_shapes(line, (FAR - 2, 3, 4, 5)).spatial == (FAR - 2,)
    assert shuffle_shapes(line, 2).fine == (2 * FAR,)
    assert unshuffle_shapes(line, 2).coarse == (FAR // 2,)
    assert unfold_shapes(line, 3, stride=2, rounding="floor").spatial == (FAR // 2 - 1,)
    assert fold_shapes(line, 2, output_size=FAR + 1).input == (1, FAR + 1, 2)
    assert unpool_shapes(line, line, 2 * FAR).output == (1, 2 * FAR, 4)
