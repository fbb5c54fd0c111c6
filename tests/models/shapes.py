"""The networks of the package at their published sizes, as shapes; nothing is computed."""

from __future__ import annotations

from functools import lru_cache

from flax import nnx

from jaxcnn.models.registry import NETWORKS


@lru_cache(maxsize=2)
def published_model(name: str) -> nnx.Module:
    """The network for its published input and classes."""
    network = NETWORKS[name]
    return nnx.eval_shape(
        lambda: network.build(network.input_shape, network.classes, rngs=nnx.Rngs(0))
    )
