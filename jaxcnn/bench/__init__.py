"""Benchmarks: convolutions and pools, timed against lax and PyTorch.

Only ``cli`` and ``experiments`` import this package. It imports ``geometry``, ``convolve``,
``ops``, ``inspect``, ``testing`` and ``environment``. :mod:`jaxcnn.bench.suite` lists problems of
every class, :mod:`jaxcnn.bench.network` those of a model, and :mod:`jaxcnn.bench.measure` times
them. Rows consist of integers and need no JAX.
"""

from jaxcnn.bench.row import DIRECTIONS, DTYPES, Row
from jaxcnn.bench.suite import OVERVIEW, containing

__all__ = ["DIRECTIONS", "DTYPES", "OVERVIEW", "Row", "containing"]
