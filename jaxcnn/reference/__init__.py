"""The definitions, from scratch: written to be read and believed, not to be fast.

Each function is the twin of one in :mod:`jaxcnn.ops`, with the same signature, in plain
``jax.numpy``: loops over the taps of the filter in the order of the definition. Autodiff
differentiates them. They call no convolution or pooling of JAX's, and the fast forms and they never
import each other; they meet in tests.
"""

from jaxcnn.reference.conv import conv
from jaxcnn.reference.pool import avg_pool, max_pool

__all__ = ["avg_pool", "conv", "max_pool"]
