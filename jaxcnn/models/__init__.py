"""Networks by name, for images (N, H, W, C) and any number of classes.

``build.py`` makes a network of a name, of layers in words, or of a function of the caller's;
``loading.py`` finds that function; ``digits.py`` and ``residual.py`` have the package's networks.
Imports layers and geometry.
"""

from jaxcnn.models.build import build, default_name, names
from jaxcnn.models.loading import load_model
from jaxcnn.models.residual import ResNet

__all__ = ["ResNet", "build", "default_name", "load_model", "names"]
