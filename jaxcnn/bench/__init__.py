"""Benchmarks: named suites of convolutions and pools, timed against lax and PyTorch.

Only ``cli`` and ``experiments`` import this package. It imports ``geometry``, ``convolve``,
``ops``, ``testing`` and ``environment``. :mod:`jaxcnn.bench.suite` lists the problems,
:mod:`jaxcnn.bench.measure` times them. Rows consist of integers and need no JAX.
"""

from jaxcnn.bench.row import DIRECTIONS, DTYPES, Row
from jaxcnn.bench.suite import SUITES, rows_of

__all__ = ["DIRECTIONS", "DTYPES", "SUITES", "Row", "rows_of"]
