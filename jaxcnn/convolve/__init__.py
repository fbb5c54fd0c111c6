"""The computation of convolutions: each call gets the algorithm that fits the case and platform.

- ``problem`` describes a convolution by numbers, ``layout`` relates it to lax's layouts;
- ``algorithms`` has one file for each algorithm, ``choose`` predicts the times from the measured
  numbers in ``tuning``;
- ``primitive`` defines the JAX primitive, ``lower`` compiles it on CPUs (``nvidia`` on NVIDIA's
  devices; ``known_faults`` and ``partitioned`` avoid XLA's faults), ``drop_in`` and ``install`` are
  the two ways to call it, ``explain`` shows the choice;
- ``pool_primitives``, ``pool_programs`` and ``pool_lowerings`` do the same for pools, tap by tap
  (``taps``); ``materialize`` stores arrays that several taps read;
- ``jax_internals`` is the only file that uses unstable parts of JAX.

This package imports geometry and onednn, and does not know operations, layers or the reference.
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
