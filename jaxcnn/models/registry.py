"""The package's networks by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.models import (
    digits,
    mobilenet_v2,
    residual,
    resnet,
)

if TYPE_CHECKING:
    from jaxcnn.models.published import Published

FAMILIES = (
    digits,
    residual,
    resnet,
    mobilenet_v2,
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
