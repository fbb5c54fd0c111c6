"""How fast a convolution is: named suites of problems, timed against lax and PyTorch.

May be imported by ``cli`` and ``experiments`` alone; takes from ``geometry``, ``convolve``, ``ops``
and ``environment``. :mod:`jaxcnn.bench.suite` says what is timed, :mod:`jaxcnn.bench.measure` how.
The rows are integers and need no JAX.
"""

from jaxcnn.bench.row import DIRECTIONS, DTYPES, Row
from jaxcnn.bench.suite import SUITES, rows_of

__all__ = ["DIRECTIONS", "DTYPES", "SUITES", "Row", "rows_of"]
