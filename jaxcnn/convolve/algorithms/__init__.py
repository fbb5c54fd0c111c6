"""The algorithms, one file each: pure functions of (problem, x, kernel).

``direct`` and oneDNN's three (``onednn``, ``onednn_backward_data``, ``onednn_backward_weights``)
compute; so do ``matmul``, ``taps``, ``tap_loop``, ``rows``, ``products``, ``fft`` and
``overlap_add``. ``phases``, ``zeros``, ``swapped``, ``diagonal``, ``portions``, ``slabs`` and
``space_to_batch`` rewrite a problem as others, for which the choice is made again.

The law that every algorithm keeps which is taken without being named (:attr:`.Algorithm.local`), in
all three directions: **an output depends on its window alone**, on the cells and weights whose
products it sums. What any other cell, channel, group or example holds changes nothing, be it NaN,
infinite or huge; a sum of zeros is zero; and with n terms an output is off by at most about
n * eps * sum |x||w| over its own terms. So no algorithm multiplies a cell by a zero that stands for
"not seen".

Padding, and the zeros that base dilation puts between cells, are zeros as the definition has it: a
weight that is NaN or infinite and lies on them makes NaN of that output, or is passed over, as the
algorithm has it. lax's own ways differ in that too, from shape to shape.
"""

from jaxcnn.convolve.algorithms import (
    diagonal,
    direct,
    fft,
    matmul,
    onednn,
    overlap_add,
    phases,
    portions,
    products,
    rows,
    slabs,
    space_to_batch,
    swapped,
    tap_loop,
    taps,
    zeros,
)
from jaxcnn.convolve.algorithms.algorithm import Algorithm, Solve, Work

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        direct.ALGORITHM,
        *onednn.ALGORITHMS,
        matmul.ALGORITHM,
        taps.ALGORITHM,
        tap_loop.ALGORITHM,
        diagonal.ALGORITHM,
        phases.ALGORITHM,
        zeros.ALGORITHM,
        swapped.ALGORITHM,
        portions.ALGORITHM,
        products.ALGORITHM,
        rows.ALGORITHM,
        overlap_add.ALGORITHM,
        slabs.ALGORITHM,
        space_to_batch.ALGORITHM,
        fft.ALGORITHM,
    )
}
"""Every algorithm by its name."""

__all__ = ["ALGORITHMS", "Algorithm", "Solve", "Work"]
