"""Rules on cost: wasted computation and memory."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from jaxcnn.geometry.text import format_count
from jaxcnn.inspect.network import CONVOLUTIONS, Layer, Network
from jaxcnn.inspect.rules.rule import Flaw, Option, any_of, rule

if TYPE_CHECKING:
    from collections.abc import Iterable

TILE, WIDE_TILE = 8, 128
"""Matrix units work on multiples of 8 channels, those of TPUs on 128."""

MOST_WASTE = 1 / 3
"""The largest share of extra computation that is accepted above 128 channels."""

NAMED = 4
"""How many of the largest layers a finding names."""


@rule(
    "JC009",
    "bias before a normalisation",
    example="Conv(3, 64, (3, 3)) then BatchNorm(64); Conv(..., use_bias=False) does the same.",
)
def bias_before_normalization(network: Network) -> Iterable[Flaw]:
    """A normalisation that subtracts each channel's mean also removes a bias before it: the bias
    is learnt, stored and moved for nothing. Ioffe and Szegedy, arXiv:1502.03167, section 3.2.
    """
    for norm in network.layers:
        layer = norm.cancels
        if layer is not None:
            yield Flaw(
                layer,
                f"{norm.name} subtracts each channel's mean, and with it the bias of "
                f"{format_count(layer.out_channels, 'number')} that was added just before",
                f"use_bias=False in {layer.name}",
                (Option("", {"use_bias": False}),),
            )


@rule(
    "JC010",
    "channels waste matrix units",
    example="30 channels cost as much as 32.",
)
def channels_waste_matrix_units(network: Network) -> Iterable[Flaw]:
    """Matrix units compute whole tiles: 8 channels in half precision on GPUs (NVIDIA, Deep Learning
    Performance Guide), 128 on TPUs (Google, Cloud TPU performance guide); the rest of a tile is
    computed and discarded. All layers except the last should have multiples of 8 channels; above
    128 channels, less than a third more should reach the next multiple of 128.
    """
    counted = [layer for layer in network.layers if layer.kind in (*CONVOLUTIONS, "dense")]
    for layer in counted[:-1]:  # the task decides the number of outputs of the last one
        if layer.kind == "depthwise conv":  # no matrix product
            continue
        channels = layer.out_channels // layer.groups
        part = f" in each of {layer.groups} groups" if layer.groups > 1 else ""
        tile = _wasted_tile(channels)
        if not tile:
            continue
        padded = channels + -channels % tile
        steps = range(1, channels + WIDE_TILE)
        below = next((channels - n for n in steps if not _wasted_tile(channels - n)), 0)
        above = next(channels + n for n in steps if not _wasted_tile(channels + n))
        near = [n for n in (below, above) if n > 0]
        yield Flaw(
            layer,
            f"{format_count(channels, 'channel')}{part} fill {channels / padded:.0%} of the "
            f"{padded} that matrix units compute (multiples of {tile})",
            f"{any_of(near)} channels{part}",
            tuple(Option("", {"out_channels": n * layer.groups}) for n in near),
        )


def _wasted_tile(channels: int) -> int:
    """The tile size that this number of channels fills too little; 0 if there is none."""
    if channels % TILE:
        return TILE
    if channels > WIDE_TILE and -channels % WIDE_TILE > MOST_WASTE * channels:
        return WIDE_TILE
    return 0


@rule(
    "JC011",
    "activations in few layers",
    example="full resolution for the first two of twelve layers; a stride in the first halves each "
    "side.",
)
def activations_in_few_layers(network: Network) -> Iterable[Flaw]:
    """Training keeps every layer's output for the gradient; if few layers have most of it, they
    alone limit the batch size. Chen et al., arXiv:1604.06174.
    """
    layers = sorted(network.layers, key=_activation_bytes, reverse=True)
    total, held, largest = sum(map(_activation_bytes, layers)), 0, []
    for layer in layers:
        if 2 * held > total:
            break
        largest.append(layer)
        held += _activation_bytes(layer)
    if not layers or len(largest) * 4 > len(layers):
        return
    named = [f"{layer.name} {_bytes(_activation_bytes(layer))}" for layer in largest[:NAMED]]
    named += [f"{len(largest) - NAMED} more"] if len(largest) > NAMED else []
    yield Flaw(
        largest[0],
        f"{len(largest)} of {format_count(len(layers), 'layer')} hold {held / total:.0%} of the "
        f"{_bytes(total)} of activations of one example: {', '.join(named)}",
        "a stride or a pool earlier, or recompute them when training (nnx.remat, jax.checkpoint)",
    )


def _activation_bytes(layer: Layer) -> int:
    return prod(layer.output_shape) * layer.itemsize


def _bytes(number: int) -> str:
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
