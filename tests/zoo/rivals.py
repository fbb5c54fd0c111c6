"""The networks of other libraries that the package's networks must agree with.

A family's line in :data:`FAMILIES` matches the names of its networks. A rival takes the name and
the number of classes, and is built with random weights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import timm
import torchvision
import transformers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

CLASSES = 10

Rival = "Callable[[str, int], nn.Module]"


@dataclass(frozen=True, kw_only=True)
class Family:
    """How to compare the networks of a family.

    Attributes:
      rivals: for each library of :attr:`jaxcnn.models.published.Published.names`, its network. The
        first is compared in everything, the others in names and logits.
      stages: the names of the first rival's modules whose outputs are the stages' maps: a regular
        expression for whole names, or a function of the network.
      quick: the member that is compared also where slow tests are not asked for.
      sizes: two inputs' shapes, (*spatial, C).
    """

    rivals: Mapping[str, Rival]
    stages: str | Callable[[nn.Module], list[str]]
    quick: str
    sizes: tuple[tuple[int, ...], tuple[int, ...]] = ((64, 64, 3), (71, 65, 3))

    def stage_names(self, network: nn.Module) -> list[str]:
        """The names of the modules whose outputs are the stages' maps."""
        if callable(self.stages):
            return self.stages(network)
        return [name for name, _ in network.named_modules() if re.fullmatch(self.stages, name)]


def _torchvision(name: str, classes: int) -> nn.Module:
    return torchvision.models.get_model(name, weights=None, num_classes=classes)


def _timm(name: str, classes: int) -> nn.Module:
    return timm.create_model(name, num_classes=classes)


def _huggingface_resnet(name: str, classes: int) -> nn.Module:
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


FAMILIES = {
    r"resnet\d+": Family(
        rivals={"torchvision": _torchvision, "timm": _timm, "huggingface": _huggingface_resnet},
        stages=r"layer\d",
        quick="resnet18",
    ),
    r"(resnext|wide_resnet)\w+": Family(
        rivals={"torchvision": _torchvision, "timm": _timm}, stages=r"layer\d", quick=""
    ),
}


def family_of(name: str) -> Family:
    """The family of a network of the package."""
    (found,) = (family for names, family in FAMILIES.items() if re.fullmatch(names, name))
    return found
