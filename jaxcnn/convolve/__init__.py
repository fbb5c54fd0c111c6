"""How a convolution is computed: by the algorithm that fits the case and the platform.

- ``problem`` describes a convolution by numbers, ``layout`` relates it to lax's layouts;
- ``algorithms`` has one file for each way to compute it, ``choose`` predicts their times from the
  measured numbers in ``tuning``;
- ``primitive`` makes it one operation for JAX, ``lower`` compiles that on CPUs (``nvidia`` on
  NVIDIA's devices, ``known_faults`` and ``partitioned`` around XLA's faults), ``drop_in`` and
  ``install`` are the two ways to call it, ``explain`` tells what is chosen;
- ``pool_primitives``, ``pool_programs`` and ``pool_lowerings`` do the same for pools, tap by tap
  (``taps``); ``materialize`` stores what several taps read;
- ``jax_internals`` is the one file that uses what JAX does not promise to keep.

Imports geometry and onednn; knows nothing of operations, modules or the reference.
"""

from jaxcnn.convolve import lower as _lower
from jaxcnn.convolve.algorithms import ALGORITHMS
from jaxcnn.convolve.drop_in import conv_general_dilated
from jaxcnn.convolve.explain import explain
from jaxcnn.convolve.install import install, uninstall
from jaxcnn.convolve.problem import Problem
from jaxcnn.onednn import onednn_closed

_lower.register()

__all__ = [
    "ALGORITHMS",
    "Problem",
    "conv_general_dilated",
    "explain",
    "install",
    "onednn_closed",
    "uninstall",
]
