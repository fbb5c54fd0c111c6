"""Rules on receptive fields: holes, size, padding. Layers of unknown field are left out."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from jaxcnn.geometry.text import format_count, format_shape
from jaxcnn.inspect.network import CONVOLUTIONS, POOLS, Layer, Network
from jaxcnn.inspect.rules.reads import real_share
from jaxcnn.inspect.rules.rule import MOSTLY, Flaw, Option, rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from fractions import Fraction

    from jaxcnn.geometry.feature_map import FeatureMap

FAR_LARGER = 4
"""A field of this many times the input's size is far larger than the input."""


@rule(
    "JC005",
    "dilations leave holes",
    example="3x3 kernels with dilations 2, 2, 2 read every other row; dilations 1, 2, 3 read all.",
)
def dilations_leave_holes(network: Network) -> Iterable[Flaw]:
    """A series of dilated kernels reads a grid with holes if their dilations share a divisor or
    grow too fast: neighbouring outputs then read disjoint cells. Wang et al., arXiv:1702.08502.
    """
    dilated = [layer for layer in network.layers if _is_dilated(layer) and not layer.unknown_reason]
    for layer in dilated:
        if any(_follows(other, layer) for other in dilated if other is not layer):
            continue  # the holes of a series are reported at its end
        counts = _cells_and_span(layer)
        if counts is None:
            continue
        read, span = counts
        series = [other for other in dilated if _follows(layer, other)]
        dilations = [_dilation(other) for other in series]
        dense = _without_holes(series)
        yield Flaw(
            layer,
            f"dilation{'s' if len(dilations) > 1 else ''} {', '.join(map(str, dilations))} leave "
            f"holes: an output reads {read} of the {span} rows that its field spans",
            f"dilations {', '.join(map(str, dense))}, or a layer of kernel_size {max(dilations)} "
            f"or more without dilation before them",
            (Option("", {"dilations": dense}),),
        )


def _follows(later: Layer, layer: Layer) -> bool:
    """Whether ``later`` depends on the output of ``layer``, or is the same layer."""
    return layer.output_map in later.output_map.order


def _cells_and_span(layer: Layer) -> tuple[int, int] | None:
    """The cells that a middle output reads on the first axis with holes, and their span."""
    for axis, size in enumerate(layer.output_map.sizes):
        cells = layer.output_map.cells_read(
            axis, size // 2, until=lambda m, axis=axis: _is_strided(m, axis)
        )
        span = cells[-1] - cells[0] + 1 if cells else 0
        if len(cells) < span:
            return len(cells), span
    return None


def _is_strided(m: FeatureMap, axis: int) -> bool:
    axis_maps = (each[axis] for _, each in m.sources)
    return any(axis_map is not None and axis_map.jump != 1 for axis_map in axis_maps)


def _without_holes(series: Sequence[Layer]) -> tuple[int, ...]:
    """The dilations nearest to those of a series that leave no holes.

    No dilation is larger than the span of the kernels before it, which has no holes.
    """
    span, dilations = 1, []
    for layer in series:
        dilations.append(min(_dilation(layer), span))
        kernels = [len(window.taps) for _, window in layer.windows if len(window.taps) > 1]
        span += dilations[-1] * (min(kernels, default=1) - 1)
    return tuple(dilations)


def _is_dilated(layer: Layer) -> bool:
    return layer.kind in (*CONVOLUTIONS, *POOLS) and _dilation(layer) > 1


def _dilation(layer: Layer) -> int:
    return max(
        (window.dilation for _, window in layer.windows if window.input_dilation == 1), default=1
    )


def _last_layers(network: Network) -> list[Layer]:
    """The windowed and dense layers after which no other such layer follows."""
    if not network.spatial:
        return []
    kinds = (*CONVOLUTIONS, *POOLS, "dense")
    windowed = [
        layer
        for layer in network.layers
        if layer.axis_maps and not layer.unknown_reason and layer.kind in kinds
    ]
    return [
        layer
        for layer in windowed
        if not any(
            layer.output_map in other.input_map.order for other in windowed if other is not layer
        )
    ]


def _sizes_and_fields(layer: Layer) -> tuple[tuple[int, ...], tuple[int | Fraction, ...]]:
    """The sizes of the input, and the sizes of the layer's field on it."""
    fields = tuple(field.size for field in layer.fields or ())
    return layer.output_map.order[0].sizes, fields


@rule(
    "JC006",
    "field smaller than the input",
    example="three 3x3 kernels see 7x7 cells of 224x224; strides or pools between them see more.",
)
def field_smaller_than_input(network: Network) -> Iterable[Flaw]:
    """No output sees the whole input, so relations between distant parts cannot be learnt. Araujo
    et al., doi:10.23915/distill.00021.
    """
    for layer in _last_layers(network):
        sizes, fields = _sizes_and_fields(layer)
        pairs = list(zip(fields, sizes, strict=True))
        if any(field < size for field, size in pairs) and not any(
            _sees_all_of(other, layer, network) for other in network.layers
        ):
            share = prod(min(1, field / size) for field, size in pairs)
            yield Flaw(
                layer,
                f"the last outputs see {format_shape(fields)} of an input of "
                f"{format_shape(sizes)}, {share:.0%} of it: parts that are further apart are never "
                f"seen together",
                "more layers, strides or dilations before it; or ignore this for a local task",
            )


def _sees_all_of(other: Layer, layer: Layer, network: Network) -> bool:
    """Whether ``other`` sees, or may see, all of ``layer``'s output other than by its mean."""
    pools = [each.output_map for each in network.layers if each.kind.startswith("global")]
    order = other.output_map.order
    return (
        layer.output_map in order
        and not any(pool in order for pool in pools)
        and _spans(other, order[0].sizes)
    )


def _spans(layer: Layer, sizes: Sequence[int]) -> bool:
    """Whether the layer's field has at least these sizes on every axis, or is not known."""
    fields = layer.fields
    return fields is None or all(f.size >= n for f, n in zip(fields, sizes, strict=True))


@rule(
    "JC007",
    "field far larger than the input",
    example="a network for 224x224 on images of 32x32; without its first stride and pool it fits.",
)
def field_far_larger_than_input(network: Network) -> Iterable[Flaw]:
    """If the field is several times the input, the last layers see nothing new, only padding:
    their cost adds no context. Richter et al., arXiv:2106.12307.
    """
    for layer in _last_layers(network):
        sizes, fields = _sizes_and_fields(layer)
        pairs = list(zip(fields, sizes, strict=True))
        if layer.kind == "dense" or not sizes:
            continue
        if not all(field >= FAR_LARGER * size for field, size in pairs):
            continue
        full = next(
            other for other in network.layers if _follows(layer, other) and _spans(other, sizes)
        )
        times = min(field / size for field, size in pairs)
        yield Flaw(
            layer,
            f"the last outputs span {format_shape(fields)}, {times:.1f} times the input of "
            f"{format_shape(sizes)}: from {full.name} on, kernels reach beyond it on all sides",
            "fewer strides at the start, fewer layers, or a larger input",
        )


@rule(
    "JC008",
    "mostly padding",
    example="3x3, dilation 6, padding 6 on 7x7 cells: most taps read zeros; dilation 2 reads "
    "cells.",
)
def mostly_padding(network: Network) -> Iterable[Flaw]:
    """Padding is not data: an output that reads mostly padding depends more on its place than on
    the input. Alsallakh et al., arXiv:2010.02178.
    """
    shares = {}
    for layer in _last_layers(network):
        shares.update(layer.output_map.padding_shares())
    padded = []
    for layer in network.layers:
        if not layer.windows or layer.kind not in (*CONVOLUTIONS, *POOLS):
            continue
        own = 1 - prod(real_share(window) for _, window in layer.windows)
        if own > MOSTLY:
            taps = prod(len(window.taps) for _, window in layer.windows)
            sizes = format_shape([window.size for _, window in layer.windows])
            yield Flaw(
                layer,
                f"{own:.0%} of what its windows read is its own padding: "
                f"{format_count(taps, 'tap')} over an input of {sizes}",
                "a smaller kernel_size or dilation, or less padding",
            )
        share = shares.get(layer.output_map)
        if share is not None and share.size and (share > MOSTLY).mean() > MOSTLY:
            padded.append((layer, (share > MOSTLY).mean(), share.max()))
    if padded:
        layer, most, worst = padded[0]
        more = f"; so are those of {format_count(len(padded) - 1, 'layer')} after it"
        yield Flaw(
            layer,
            f"{most:.0%} of its outputs are made mostly of padding, the worst to {worst:.0%} (the "
            f"share of their paths through the network that end outside the input)"
            + (more if len(padded) > 1 else ""),
            "fewer padded layers at this size, a larger input, or reflected padding",
        )
