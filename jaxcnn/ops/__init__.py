"""What people call on arrays: pure functions, checked by the geometry, computed fast.

Each has a from-scratch twin of the same name and signature in :mod:`jaxcnn.reference`. Imports
geometry; knows nothing of modules, training or the reference.
"""

from jaxcnn.ops.conv import conv
from jaxcnn.ops.pool import avg_pool, max_pool

__all__ = ["avg_pool", "conv", "max_pool"]
