"""How a convolution is computed: by the algorithm that fits the case and the platform.

``problem`` describes a convolution by numbers, ``algorithms`` holds one file for each way to
compute it, ``choose`` counts their costs. ``primitive`` makes it one operation for JAX and
``lower`` is where that is compiled. Imports geometry and onednn; knows nothing of operations,
modules or the reference.
"""

from jaxcnn.convolve import lower  # registers how the primitives are compiled
from jaxcnn.convolve.algorithms import ALGORITHMS
from jaxcnn.convolve.explain import explain
from jaxcnn.convolve.install import install, uninstall
from jaxcnn.convolve.primitive import conv_general_dilated
from jaxcnn.convolve.problem import Problem
from jaxcnn.onednn import onednn_closed

__all__ = [
    "ALGORITHMS",
    "Problem",
    "conv_general_dilated",
    "explain",
    "install",
    "lower",
    "onednn_closed",
    "uninstall",
]
