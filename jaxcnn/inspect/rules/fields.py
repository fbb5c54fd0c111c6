"""Rules on what outputs read of the whole input: holes, reach, padding.

They say nothing of layers of which it is not known what they read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.geometry.text import format_count, format_shape
from jaxcnn.inspect.network import CONVOLUTIONS, POOLS, Layer, Network
from jaxcnn.inspect.rules.rule import MOSTLY, Flaw, Option, Rule, real_share

FAR_LARGER = 4
"""A field is far larger than the input from so many times its size on."""


def _holes(network: Network) -> Iterable[Flaw]:
    dilated = [layer for layer in network.layers if _dilated(layer) and not layer.unknown]
    for layer in dilated:
        later = [other for other in dilated if other is not layer]
        if any(layer.reads in other.reads.order for other in later):
            continue  # what the series makes shows at its end
        found = {}
        for axis, size in enumerate(layer.reads.sizes):
            cells = layer.reads.cells_read(axis, size // 2, until=lambda m, a=axis: _resized(m, a))
            span = cells[-1] - cells[0] + 1 if cells else 0
            if len(cells) < span:
                found[(len(cells), span)] = True
        if not found:
            continue
        series = [_dilation(other) for other in dilated if other.reads in layer.reads.order]
        (read, span), *_ = found
        dense = _without_holes([other for other in dilated if other.reads in layer.reads.order])
        yield Flaw(
            layer,
            f"dilation{'s' if len(series) > 1 else ''} {', '.join(map(str, series))} leave holes: "
            f"an output reads {read} of the {span} rows that its field spans",
            f"dilations {', '.join(map(str, dense))}, or an undilated filter of {max(series)} or "
            f"more before them",
            (Option("", {"dilations": dense}),),
        )


def _without_holes(series: Sequence[Layer]) -> tuple[int, ...]:
    """For filters one after the other, the dilations nearest to theirs that leave no holes: none is
    larger than what the filters before it, without holes, span.
    """
    spans, dilations = 1, []
    for layer in series:
        dilations.append(min(_dilation(layer), spans))
        filters = [len(slide.taps) for _, slide in layer.slides if len(slide.taps) > 1]
        spans += dilations[-1] * (min(filters, default=1) - 1)
    return tuple(dilations)


def _dilated(layer: Layer) -> bool:
    return layer.kind in (*CONVOLUTIONS, *POOLS) and _dilation(layer) > 1


def _dilation(layer: Layer) -> int:
    return max(
        (slide.dilation for _, slide in layer.slides if slide.input_dilation == 1), default=1
    )


def _resized(m: FeatureMap, axis: int) -> bool:
    laid = (steps[axis] for _, steps in m.sources)
    return any(step is not None and step.jump != 1 for step in laid)


def _ends(network: Network) -> list[Layer]:
    """The layers along whose outputs the input's axes still run, and that no other such follows."""
    if not network.spatial:
        return []
    windowed = [
        layer
        for layer in network.layers
        if layer.steps
        and not layer.unknown
        and (layer.kind in (*CONVOLUTIONS, *POOLS) or layer.kind == "dense")
    ]
    return [
        layer
        for layer in windowed
        if not any(layer.reads in other.before.order for other in windowed if other is not layer)
    ]


def _too_small(network: Network) -> Iterable[Flaw]:
    for layer in _ends(network):
        sizes, reach = layer.reads.order[0].sizes, [f.size for f in layer.fields or ()]
        if any(seen < size for seen, size in zip(reach, sizes, strict=True)) and not any(
            _sees_all(other, layer, network) for other in network.layers
        ):
            share = prod(min(1, seen / size) for seen, size in zip(reach, sizes, strict=True))
            yield Flaw(
                layer,
                f"the last outputs see {format_shape(reach)} of an input of {format_shape(sizes)}, {share:.0%} of it: "
                f"what lies further apart is never seen together",
                "more layers, strides or dilations before it; or leave it, where the task is local",
            )


def _sees_all(other: Layer, layer: Layer, network: Network) -> bool:
    """Whether ``other`` brings together all that ``layer`` made, other than by its mean, or may."""
    pools = [each.reads for each in network.layers if each.kind.startswith("global")]
    order = other.reads.order
    return (
        layer.reads in order
        and not any(pool in order for pool in pools)
        and _spans(other, order[0].sizes)
    )


def _spans(layer: Layer, sizes: Sequence[int]) -> bool:
    """Whether the layer's field is as large as that on every axis, or not known."""
    fields = layer.fields
    return fields is None or all(f.size >= n for f, n in zip(fields, sizes, strict=True))


def _too_large(network: Network) -> Iterable[Flaw]:
    for layer in _ends(network):
        sizes, reach = layer.reads.order[0].sizes, [f.size for f in layer.fields or ()]
        if layer.kind == "dense" or not sizes:
            continue
        if not all(s >= FAR_LARGER * n for s, n in zip(reach, sizes, strict=True)):
            continue
        full = next(
            other
            for other in network.layers
            if other.reads in layer.reads.order and _spans(other, sizes)
        )
        times = min(seen / size for seen, size in zip(reach, sizes, strict=True))
        yield Flaw(
            layer,
            f"the last outputs span {format_shape(reach)}, {times:.1f} times the input of {format_shape(sizes)}: from "
            f"{full.name} on, filters reach beyond it on all sides",
            "fewer strides at the start, fewer layers, or a larger input",
        )


def _mostly_padding(network: Network) -> Iterable[Flaw]:
    shares = {}
    for layer in _ends(network):
        shares.update(layer.reads.padding_shares())
    noisy = []
    for layer in network.layers:
        if not layer.slides or layer.kind not in (*CONVOLUTIONS, *POOLS):
            continue
        own = 1 - prod(real_share(slide) for _, slide in layer.slides)
        if own > MOSTLY:
            taps = prod(len(slide.taps) for _, slide in layer.slides)
            yield Flaw(
                layer,
                f"{own:.0%} of what its windows read is its own padding: {format_count(taps, 'tap')} "
                f"over an input of {format_shape([slide.size for _, slide in layer.slides])}",
                "a smaller filter or dilation, or less padding",
            )
        share = shares.get(layer.reads)
        if share is not None and share.size and (share > MOSTLY).mean() > MOSTLY:
            noisy.append((layer, (share > MOSTLY).mean(), share.max()))
    if noisy:
        layer, most, worst = noisy[0]
        more = f"; so are those of {format_count(len(noisy) - 1, 'layer')} after it"
        yield Flaw(
            layer,
            f"{most:.0%} of its outputs are made mostly of padding, the worst to {worst:.0%} (the "
            f"share of their paths through the network that end outside of the input)"
            + (more if len(noisy) > 1 else ""),
            "fewer padded layers at this size, a larger input, or padding by reflection",
        )


RULES = (
    Rule(
        "JC005",
        "dilations leave holes",
        "Dilated filters one after another read a grid with holes where their dilations share a "
        "divisor or grow too fast: neighbouring outputs then come from disjoint cells. Wang et "
        "al., arXiv:1702.08502.",
        "3x3 filters with dilations 2, 2, 2 read every other row; dilations 1, 2, 3 read all.",
        _holes,
    ),
    Rule(
        "JC006",
        "field smaller than the input",
        "No output sees the whole input: what depends on parts that lie far apart cannot be "
        "learnt. Araujo et al., doi:10.23915/distill.00021.",
        "three 3x3 filters see 7x7 cells of 224x224; strides or pools between them see more.",
        _too_small,
    ),
    Rule(
        "JC007",
        "field far larger than the input",
        "Where the field is several times the input the last layers see nothing new, only "
        "padding: their cost buys no context. Richter et al., arXiv:2106.12307.",
        "a network for 224x224 on images of 32x32; without its first stride and pool it fits.",
        _too_large,
    ),
    Rule(
        "JC008",
        "mostly padding",
        "Zeros that padding lets in are no data: where they are most of what an output is made of, "
        "it says more of its place than of the input. Alsallakh et al., arXiv:2010.02178.",
        "3x3, dilation 6, padding 6 on 7x7 cells: most taps read zeros; dilation 2 reads cells.",
        _mostly_padding,
    ),
)
