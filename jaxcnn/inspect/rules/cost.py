"""Rules on what is computed or kept for nothing."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from jaxcnn.geometry.text import format_count
from jaxcnn.inspect.network import CONVOLUTIONS, Layer, Network
from jaxcnn.inspect.rules.rule import Flaw, Option, Rule, any_of

TILE, WIDE_TILE = 8, 128
"""Matrix units work on multiples of 8 channels, those of TPUs on 128."""

WASTE = 1 / 3
"""Above 128 channels, so much more computed than asked is too much."""

NAMED = 4
"""So many of the largest layers are named."""


def _cancelled_bias(network: Network) -> Iterable[Flaw]:
    for norm in network.layers:
        layer = norm.cancels
        if layer is not None:
            yield Flaw(
                layer,
                f"{norm.name} takes each channel's mean away, and with it the bias of "
                f"{format_count(layer.channels, 'number')} that was added just before",
                f"use_bias=False in {layer.name}",
                (Option("", {"use_bias": False}),),
            )


def _wasted_channels(network: Network) -> Iterable[Flaw]:
    counted = [layer for layer in network.layers if layer.kind in (*CONVOLUTIONS, "dense")]
    for layer in counted[:-1]:  # how many outputs the last one has is the task's to say
        if layer.kind == "depthwise conv":  # no matrix product
            continue
        channels = layer.channels // layer.groups
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
            f"{format_count(channels, 'channel')}{part} fill {channels / padded:.0%} of the {padded} "
            f"that matrix units compute (multiples of {tile})",
            f"{any_of(near)} channels{part}",
            tuple(Option("", {"channels": n * layer.groups}) for n in near),
        )


def _wasted_tile(channels: int) -> int:
    """The tile of which so many channels waste too much; 0 where they do not."""
    if channels % TILE:
        return TILE
    if channels > WIDE_TILE and -channels % WIDE_TILE > WASTE * channels:
        return WIDE_TILE
    return 0


def _memory(network: Network) -> Iterable[Flaw]:
    layers = sorted(network.layers, key=_held, reverse=True)
    total, held, largest = sum(map(_held, layers)), 0, []
    for layer in layers:
        if 2 * held > total:
            break
        largest.append(layer)
        held += _held(layer)
    if not layers or len(largest) * 4 > len(layers):
        return
    named = [f"{layer.name} {_bytes(_held(layer))}" for layer in largest[:NAMED]]
    named += [f"{len(largest) - NAMED} more"] if len(largest) > NAMED else []
    yield Flaw(
        largest[0],
        f"{len(largest)} of {format_count(len(layers), 'layer')} hold {held / total:.0%} of the "
        f"{_bytes(total)} of activations of one example: {', '.join(named)}",
        "a stride or a pool earlier, or recompute them when training (nnx.remat, jax.checkpoint)",
    )


def _held(layer: Layer) -> int:
    return prod(layer.output) * layer.itemsize


def _bytes(number: int) -> str:
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


RULES = (
    Rule(
        "JC009",
        "bias before a normalisation",
        "A normalisation that takes each channel's mean away takes a bias before it with it: its "
        "parameters are learnt, kept and moved for nothing. Ioffe and Szegedy, arXiv:1502.03167, "
        "section 3.2.",
        "Conv(3, 64, (3, 3)) then BatchNorm(64); Conv(..., use_bias=False) does the same.",
        _cancelled_bias,
    ),
    Rule(
        "JC010",
        "channels waste matrix units",
        "Matrix units compute whole tiles: 8 channels in half precision on GPUs (NVIDIA, Deep "
        "Learning Performance Guide), 128 on TPUs (Google, Cloud TPU performance guide); the rest "
        "of a tile is computed and thrown away. Asked of all layers but the last: multiples of "
        "8, and above 128 channels less than a third on top to the next multiple of 128.",
        "30 filters cost as much as 32.",
        _wasted_channels,
    ),
    Rule(
        "JC011",
        "activations in few layers",
        "Training keeps every layer's output for the gradient; where few layers hold most of it, "
        "they alone decide the batch that fits. Chen et al., arXiv:1604.06174.",
        "full resolution for the first two of twelve layers; a stride in the first halves each "
        "side.",
        _memory,
    ),
)
