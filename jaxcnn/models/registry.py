"""The package's networks by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.models import (
    convnext,
    dcgan,
    densenet,
    digits,
    efficientnet,
    lenet,
    mobilenet_v2,
    mobilenet_v3,
    regnet,
    residual,
    resnet,
    unet,
    vgg,
)

if TYPE_CHECKING:
    from jaxcnn.models.published import Published

FAMILIES = (
    digits,
    residual,
    lenet,
    vgg,
    resnet,
    densenet,
    regnet,
    mobilenet_v2,
    mobilenet_v3,
    efficientnet,
    convnext,
    unet,
    dcgan,
)

NETWORKS: dict[str, Published] = {
    network.name: network for family in FAMILIES for network in family.NETWORKS
}
"""Every network of the package, in the order in which `jaxcnn models` lists them."""


def names() -> tuple[str, ...]:
    """The names of the package's networks.

    >>> names()[:2]
    ('digits', 'residual')
    """
    return tuple(NETWORKS)
