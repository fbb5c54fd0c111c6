"""The networks of other libraries that the package's networks must agree with.

A family's line in :data:`FAMILIES` matches the names of its networks. A rival takes the name,
the shape of one input (*spatial, C) and the number of classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import timm
import torch
import torchvision
import transformers
from timm.models.vgg import ConvMlp
from torch import nn

from tests.models.formula import DCGAN, HIDDEN, UNET, UNET_3D, narrow
from tests.zoo.dcgan import Generator
from tests.zoo.lenet import LeNet5
from tests.zoo.unet import UNet, UNet3D

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Rival = "Callable[[str, tuple[int, ...], int], nn.Module]"


@dataclass(frozen=True, kw_only=True)
class Family:
    """How to compare the networks of a family.

    Attributes:
      rivals: for each library of :attr:`jaxcnn.models.published.Published.names`, its network. The
        first is compared in everything, the others in names and logits. A network of no library is
        written in these tests, with the names of ours.
      stages: the names of the first rival's modules whose outputs are the stages' maps: a regular
        expression for whole names, or a function of the network.
      quick: the member that is compared also where slow tests are not asked for.
      sizes: two inputs' shapes, (*spatial, C).
    """

    rivals: Mapping[str, Rival]
    stages: str | Callable[[nn.Module], list[str]]
    quick: str = ""
    sizes: tuple[tuple[int, ...], tuple[int, ...]] = ((32, 32, 3), (39, 33, 3))

    def stage_names(self, network: nn.Module) -> list[str]:
        """The names of the modules whose outputs are the stages' maps."""
        if callable(self.stages):
            return self.stages(network)
        return [name for name, _ in network.named_modules() if re.fullmatch(self.stages, name)]


narrow(setattr)


def _torchvision(name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    return torchvision.models.get_model(name, weights=None, num_classes=classes)


def _timm(name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    return timm.create_model(name, num_classes=classes)


def _huggingface_resnet(name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    depths = {"18": (2, 2, 2, 2), "34": (3, 4, 6, 3), "50": (3, 4, 6, 3)}
    depths |= {"101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}
    size = name.removeprefix("resnet")
    basic = size in ("18", "34")
    config = transformers.ResNetConfig(
        depths=depths[size],
        hidden_sizes=[(64 if basic else 256) * 2**i for i in range(4)],
        layer_type="basic" if basic else "bottleneck",
        num_labels=classes,
    )
    return transformers.ResNetForImageClassification(config)


def _huggingface_regnet(_name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    config = transformers.RegNetConfig(
        depths=[1, 3, 6, 6], hidden_sizes=[48, 104, 208, 440], groups_width=8, num_labels=classes
    )
    return transformers.RegNetForImageClassification(config)


def _timm_regnet(_name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    return timm.create_model("regnety_004", num_classes=classes)


def _lenet(_name: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    return LeNet5(shape, classes)


def _vgg(name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    with torch.device("meta"):  # without a time for 0.1e9 weights
        network = torchvision.models.get_model(name, weights=None, num_classes=classes)
        network.classifier[0] = nn.Linear(512 * 7 * 7, HIDDEN)
        network.classifier[3] = nn.Linear(HIDDEN, HIDDEN)
        network.classifier[6] = nn.Linear(HIDDEN, classes)
    return network.to_empty(device="cpu")


def _timm_vgg(name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    with torch.device("meta"):
        network = timm.create_model(name, num_classes=classes)
        network.pre_logits = ConvMlp(512, HIDDEN, 7)
        network.head.fc = nn.Linear(HIDDEN, classes)
    return network.to_empty(device="cpu")


def _timm_mobilenet(_name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    return timm.create_model("mobilenetv2_100", num_classes=classes)


class HardSigmoid(nn.Module):
    """PyTorch's own takes 1/6 in float32 for its gradient, also in float64."""

    def forward(self, x):
        return nn.functional.relu6(x + 3) / 6


def _mobilenet_v3(name: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    network = _torchvision(name, shape, classes)
    for module in list(network.modules()):
        for child, layer in module.named_children():
            if isinstance(layer, nn.Hardsigmoid):
                setattr(module, child, HardSigmoid())
    return network


def _huggingface_convnext(name: str, _shape: tuple[int, ...], classes: int) -> nn.Module:
    config = transformers.ConvNextConfig(
        depths=[3, 3, 9 if name == "convnext_tiny" else 27, 3],
        hidden_sizes=[(128 if name == "convnext_base" else 96) * 2**i for i in range(4)],
        num_labels=classes,
    )
    return transformers.ConvNextForImageClassification(config)


def _unet(_name: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    return UNet(shape[-1], classes, UNET)


def _unet_3d(_name: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    return UNet3D(shape[-1], classes, UNET_3D)


def _dcgan(_name: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    return Generator(shape[0], classes, DCGAN)


def _before_pools(network: nn.Module) -> list[str]:
    """VGG's layers before the pools, and its last pool."""
    pools = [i for i, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)]
    return [f"features.{i}" for i in (*(pool - 1 for pool in pools), pools[-1])]


EVEN_AND_ODD = ((40, 36, 3), (39, 33, 3))
"""Sizes whose last map has 2x2 cells.

With one cell, some channels nearly agree in all examples, and BatchNorm divides every rounding by
almost nothing: PyTorch's MobileNetV2 with weights that differ by 1e-15 is 1e-4 from itself after
three steps, and 1e-12 with these sizes.
"""

LARGER = ((64, 64, 3), (71, 65, 3))
"""For deep networks whose last map would have one cell: its norms would divide by the deviation of
four values, and each would enlarge the roundings before it."""

FAMILIES = {
    r"lenet5": Family(
        rivals={"tests": _lenet},
        stages=r"stages\.\d",
        quick="lenet5",
        sizes=((32, 32, 1), (28, 36, 3)),
    ),
    r"vgg\w+": Family(
        rivals={"torchvision": _vgg, "timm": _timm_vgg},
        stages=_before_pools,
        quick="vgg11_bn",
        sizes=((32, 32, 3), (39, 65, 3)),
    ),
    r"resnet(18|34)": Family(
        rivals={"torchvision": _torchvision, "timm": _timm, "huggingface": _huggingface_resnet},
        stages=r"layer\d",
        quick="resnet18",
    ),
    r"resnet(50|101|152)": Family(
        rivals={"torchvision": _torchvision, "timm": _timm, "huggingface": _huggingface_resnet},
        stages=r"layer\d",
        sizes=LARGER,
    ),
    r"(resnext|wide_resnet)\w+": Family(
        rivals={"torchvision": _torchvision, "timm": _timm}, stages=r"layer\d", sizes=LARGER
    ),
    r"densenet\d+": Family(
        rivals={"torchvision": _torchvision, "timm": _timm},
        stages=r"features\.(denseblock[123]|norm5)",
        quick="densenet121",
    ),
    r"regnet_y_400mf": Family(
        rivals={
            "torchvision": _torchvision,
            "timm": _timm_regnet,
            "huggingface": _huggingface_regnet,
        },
        stages=r"trunk_output\.block\d",
        quick="regnet_y_400mf",
        sizes=LARGER,
    ),
    r"mobilenet_v2": Family(
        rivals={"torchvision": _torchvision, "timm": _timm_mobilenet},
        stages=r"features\.(1|3|6|13|17)",
        quick="mobilenet_v2",
        sizes=EVEN_AND_ODD,
    ),
    r"mobilenet_v3_large": Family(
        rivals={"torchvision": _mobilenet_v3},
        stages=r"features\.(1|3|6|12|16)",
        sizes=EVEN_AND_ODD,
    ),
    r"mobilenet_v3_small": Family(
        rivals={"torchvision": _mobilenet_v3},
        stages=r"features\.(1|3|8|12)",
        quick="mobilenet_v3_small",
        sizes=EVEN_AND_ODD,
    ),
    r"efficientnet_b[0-4]": Family(
        rivals={"torchvision": _torchvision, "timm": _timm},
        stages=r"features\.[12357]",
        quick="efficientnet_b0",
        sizes=EVEN_AND_ODD,
    ),
    r"efficientnet_b[5-7]": Family(
        rivals={"torchvision": _torchvision},
        stages=r"features\.[12357]",
        sizes=EVEN_AND_ODD,
    ),
    r"convnext_\w+": Family(
        rivals={
            "torchvision": _torchvision,
            "timm": _timm,
            "huggingface": _huggingface_convnext,
        },
        stages=r"features\.[1357]",
        quick="convnext_tiny",
        sizes=((32, 64, 3), (96, 32, 3)),
    ),
    r"unet": Family(
        rivals={"tests": _unet}, stages=r"stages\.\d", sizes=((32, 32, 1), (16, 48, 3))
    ),
    r"unet_3d": Family(
        rivals={"tests": _unet_3d},
        stages=r"stages\.\d",
        quick="unet_3d",
        sizes=((8, 16, 8, 1), (16, 8, 24, 3)),
    ),
    r"dcgan": Family(
        rivals={"tests": _dcgan}, stages=r"stages\.\d", quick="dcgan", sizes=((100,), (37,))
    ),
}


def families(names: Iterable[str]) -> dict[str, Family]:
    """The family of each network of the package that has one."""
    return {
        name: family
        for name in names
        for pattern, family in FAMILIES.items()
        if re.fullmatch(pattern, name)
    }
