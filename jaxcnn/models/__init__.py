"""Networks by name, for images (N, H, W, C) and any number of classes.

``build.py`` makes a network of a name, of layers in words, or of a function of the caller's;
``registry.py`` lists the package's networks, one file a family; ``network.py`` is the form that
most of them have; ``weights`` reads and writes their weights under other libraries' names;
``from_onnx`` reads any convolutional ONNX graph. Imports operations, layers, geometry and the
exchange with other formats.
"""

from jaxcnn.exchange.onnx_in import from_onnx
from jaxcnn.models.build import build, default_name
from jaxcnn.models.convnext import convnext_base, convnext_small, convnext_tiny
from jaxcnn.models.dcgan import dcgan
from jaxcnn.models.densenet import densenet121
from jaxcnn.models.digits import digits
from jaxcnn.models.efficientnet import (
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b5,
    efficientnet_b6,
    efficientnet_b7,
)
from jaxcnn.models.lenet import lenet5
from jaxcnn.models.loading import load_model
from jaxcnn.models.mobilenet_v2 import mobilenet_v2
from jaxcnn.models.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from jaxcnn.models.network import Network
from jaxcnn.models.registry import names
from jaxcnn.models.regnet import regnet_y_400mf
from jaxcnn.models.residual import residual
from jaxcnn.models.resnet import (
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    wide_resnet50_2,
)
from jaxcnn.models.unet import unet, unet_3d
from jaxcnn.models.vgg import (
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from jaxcnn.models.weights.load import load, save

__all__ = [
    "Network",
    "build",
    "convnext_base",
    "convnext_small",
    "convnext_tiny",
    "dcgan",
    "default_name",
    "densenet121",
    "digits",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "from_onnx",
    "lenet5",
    "load",
    "load_model",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "names",
    "regnet_y_400mf",
    "residual",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "save",
    "unet",
    "unet_3d",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet50_2",
]
