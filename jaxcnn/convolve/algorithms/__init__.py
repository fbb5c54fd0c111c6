"""The algorithms, one file each: pure functions of (problem, x, kernel).

``direct`` and ``onednn`` compute; so do ``matmul``, ``taps``, ``rows``, ``products``, ``fft`` and
``overlap_add``. ``phases``, ``zeros``, ``swapped``, ``blocks``, ``diagonal``, ``portions``,
``slabs``, ``space_to_batch``, ``volume`` and ``wide`` rewrite a problem as others, for which the
choice is made again.
"""

from jaxcnn.convolve.algorithms import (
    blocks,
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
    taps,
    volume,
    wide,
    zeros,
)
from jaxcnn.convolve.algorithms.algorithm import Algorithm, Solve, Work

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        direct.ALGORITHM,
        onednn.ALGORITHM,
        matmul.ALGORITHM,
        taps.ALGORITHM,
        blocks.ALGORITHM,
        diagonal.ALGORITHM,
        phases.ALGORITHM,
        zeros.ALGORITHM,
        swapped.ALGORITHM,
        portions.ALGORITHM,
        wide.ALGORITHM,
        products.ALGORITHM,
        products.ONEDNN,
        rows.ALGORITHM,
        overlap_add.ALGORITHM,
        slabs.ALGORITHM,
        space_to_batch.ALGORITHM,
        volume.ALGORITHM,
        fft.ALGORITHM,
    )
}
"""Every algorithm by its name."""

__all__ = ["ALGORITHMS", "Algorithm", "Solve", "Work"]
