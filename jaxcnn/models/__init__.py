"""Networks by name, for images (N, H, W, C) and any number of classes.

``build.py`` makes a network of a name, of layers in words, or of a function of the caller's;
``registry.py`` lists the package's networks, one file a family; ``network.py`` is the form that
most of them have; ``weights`` reads and writes their weights under other libraries' names. Imports
operations, layers and geometry.
"""

from jaxcnn.models.build import build, default_name
from jaxcnn.models.digits import digits
from jaxcnn.models.loading import load_model
from jaxcnn.models.network import Network
from jaxcnn.models.registry import names
from jaxcnn.models.residual import residual
from jaxcnn.models.weights.compare import compare
from jaxcnn.models.weights.load import load, save

__all__ = [
    "Network",
    "build",
    "compare",
    "default_name",
    "digits",
    "load",
    "load_model",
    "names",
    "residual",
    "save",
]
