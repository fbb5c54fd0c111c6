"""The walk through a traced program: layers are written down as they are met.

What each kind of operation does to the arrays is said in ``elementwise``, ``moves``, ``windows``
and ``loops``; here are the walk itself, and what they share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from jaxcnn.errors import InputError
from jaxcnn.geometry.axis_maps import AxisMap, StridedAxis, axis_map_of
from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.geometry.text import format_count
from jaxcnn.inspect.equations import Recipe, inner_of, may_multiply, power_of, where
from jaxcnn.inspect.network import LEARNING, Layer
from jaxcnn.inspect.program import Program, learnt_of
from jaxcnn.inspect.values import (
    BATCH,
    CHANNEL,
    Axis,
    Value,
    axis_of,
    label_of,
    replaced,
    union,
    unmerged,
)

Rule = Callable[["Tracer", Any, list[Value]], list[Value]]


class Tracer:
    """One walk through a program, with the given axes of x as the spatial ones and those of which
    every place is treated alike.

    Attributes:
      layers: those met so far.
      windowed: the spatial axes along which a filter was laid.
      alike: those of whose places a convolution makes the same each, as of a batch's.
      pooled, summed: those along which cells were pooled, and those that are a filter's channels.
      origin: the map that what is read is counted on.
      times: how often what is met now is computed; None where that is not known.
      doubts: the maps of which it is not known what they read, each with the reason.
      notes: what else is not known.
      running: names of arrays that act as the mean or the variance of a normalisation.
    """

    def __init__(
        self,
        program: Program,
        spatial: Sequence[int],
        rules: dict[str, Rule],
        batches: Sequence[int] = (),
    ) -> None:
        self.layers: list[Layer] = []
        self.windowed: set[int] = set()
        self.alike: set[int] = set()
        self.pooled: set[int] = set()
        self.summed: set[int] = set()
        self.origin: FeatureMap | None = None
        self.times: int | None = 1
        self.doubts: dict[FeatureMap, str] = {}
        self.notes: dict[str, None] = {}
        self.running: frozenset[str] = frozenset()
        self._program, self._rules = program, rules
        self._learnt: dict[str, int] = {}
        self._unsaid: set[str] = set()
        self._given: set[str] = set()
        self._waiting: frozenset[str] = frozenset()
        self._settled: dict[Any, tuple[FeatureMap, int]] = {}
        self._constants: dict[int, str] = {}
        self._modules: dict[int, str] = {}
        self._spatial, self._batches = tuple(spatial), tuple(batches)

    def walk(self) -> None:
        """FeatureMap the whole program."""
        jaxpr = self._program.jaxpr
        *weights, x = [variable.aval for variable in jaxpr.jaxpr.invars]
        inputs = []
        for weight, aval in zip(self._program.weights, weights, strict=True):
            if weight.learnt is not False:
                self._learnt[weight.name] = prod(aval.shape)
            if weight.learnt is None:
                self._unsaid.add(weight.name)
            inputs.append(Value(_fixed_axes(aval.shape), weights=frozenset({weight.name})))
        axes = []
        for dim, size in enumerate(x.shape):
            batch = (self._program.batched and dim == 0) or dim in self._batches
            number = self._spatial.index(dim) if dim in self._spatial else CHANNEL
            axes.append(axis_of(size, BATCH if batch else number))
        base = FeatureMap.of_input([x.shape[dim] for dim in self._spatial])
        self.origin = base if self._spatial else None
        inputs.append(Value(tuple(axes), base, (None,) * len(self._spatial)))
        for value in self.run(jaxpr.jaxpr, jaxpr.consts, inputs):
            if value.base is not None:
                self.settle(self.paid(value, None), None)
        self.name_layers()
        self._doubt_layers()
        self._say_parameters()

    def run(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """The outputs of a jaxpr, given its inputs."""
        known: dict[Any, Value] = {}

        def value_of(atom: Any) -> Value:
            if isinstance(atom, Literal):
                return Value(_fixed_axes(np.shape(atom.val)), known=Recipe(atom.val))
            return known[atom]

        known.update(zip(jaxpr.constvars, map(self._constant, consts), strict=True))
        known.update(zip(jaxpr.invars, inputs, strict=True))
        for eqn in jaxpr.eqns:
            outputs = self._outputs(eqn, [value_of(atom) for atom in eqn.invars])
            known.update(zip(eqn.outvars, outputs, strict=True))
        return [value_of(atom) for atom in jaxpr.outvars]

    def _outputs(self, eqn: Any, values: list[Value]) -> list[Value]:
        if not any(prod(variable.aval.shape) for variable in eqn.outvars):  # empty arrays
            _refuse_nothing_left(eqn, values)
            return self.fixed(eqn, values)
        rule = self._rules.get(eqn.primitive.name)
        if rule is not None and any(value.base is not None for value in values):
            if rule is not self._rules["add"]:  # only that goes on with a window begun
                values = [self.settle(v, eqn) if v.patchy else v for v in values]
                if rule is not self._rules["reduce_sum"]:  # and these with a normalisation
                    values = [self.paid(value, eqn) for value in values]
            return rule(self, eqn, values)
        inner = inner_of(eqn) if rule is None else None
        if inner is not None:
            return self.run(*inner, values)
        if any(value.base is not None for value in values):
            return self.opaque(eqn, values, products=None if may_multiply(eqn) else 0)
        return self.fixed(eqn, values)

    def fixed(self, eqn: Any, values: list[Value]) -> list[Value]:
        """The outputs of an operation on weights and constants."""
        weights = frozenset().union(*(value.weights for value in values))
        power = power_of(eqn, [value.power for value in values])
        spread = frozenset().union(*(value.spread for value in values))
        if weights and not power and eqn.primitive.name in ("sqrt", "rsqrt", "pow"):
            power, spread = power_of(eqn, [Fraction(1)] * len(values)), weights
        recipe = None if weights else Recipe(eqn, tuple(value.known for value in values))
        return [
            Value(
                _fixed_axes(variable.aval.shape),
                weights=weights,
                power=power,
                spread=spread,
                known=recipe and replace(recipe, output=number),
            )
            for number, variable in enumerate(eqn.outvars)
        ]

    def opaque(self, eqn: Any, values: list[Value], *, products: int | None = 0) -> list[Value]:
        """The outputs of an operation that is not read: what they depend on is not known.

        It is a layer where it sums products, or, None, may do so.
        """
        name = eqn.primitive.name
        what = f"{name}{f' ({place})' if (place := where(eqn)) else ''}"
        moving = [self.settle(self.paid(v, eqn), eqn) for v in values if v.base is not None]
        axes = max(len(value.map.sizes) for value in moving)
        maps = {v.map: None for v in moving if len(v.map.sizes) == axes}
        base = FeatureMap.merge(*(m.apply(*map(StridedAxis.reduction, m.sizes)) for m in maps))
        self.doubts[base] = f"{what} is not read"
        layer = max(value.layer for value in moving)
        if products != 0:
            sizes = Value(_fixed_axes(eqn.outvars[0].aval.shape), base, (None,) * axes)
            shown = self.shown(sizes)
            layer = self.write(name, eqn, (), base, base, shown, 0, multiply_adds=products)
        outputs = []
        for variable in eqn.outvars:
            shape = variable.aval.shape
            like = next((v for v in moving if v.shape == shape and v.labels), None)
            if like is not None:  # the axes are likely the same, for what is laid along them later
                outputs.append(replace(self.unsure(like, eqn, self.doubts[base]), layer=layer))
            else:
                outputs.append(Value(_fixed_axes(shape), base, (None,) * axes, layer=layer))
        return outputs

    def unsure(self, value: Value, eqn: Any, why: str) -> Value:
        """``value`` with its map one of which it is not known what it reads."""
        value = self.settle(self.paid(value, eqn), eqn)
        base = FeatureMap.merge(value.map)
        self.doubts[base] = why
        return replace(value, base=base, biased=None, centred=None)

    def along_one(self, value: Value, eqn: Any, dim: int) -> Value:
        """``value`` with an axis that runs along one spatial axis at most, several places a cell.

        Where it is a whole axis of the input's with parts of another dealt into it, as channels are
        by pixel shuffling, it runs along the whole one; where it is made of several whole ones, it
        is not known what its neighbouring places read.
        """
        labels = value.labels_on(dim)
        if len(labels) > 1:
            dealt = {n for n in labels if value.folded(n) or value.map.jumps[n] > 1}
            parts = dealt - self.windowed
            if len(labels - parts) != 1:
                parts = labels
                what = f"{eqn.primitive.name} along an axis made of several"
                value = self.unsure(value, eqn, what)
            rows = {label: (union(*value.rows_of(label)),) for label in parts}
            axis = tuple((n, None if label in parts else label) for n, label in value.axes[dim])
            value = value.with_rows(rows, axes=replaced(value.axes, dim, axis))
        return unmerged(value, dim)

    def paid(self, value: Value, eqn: Any) -> Value:
        """``value`` with the statistics that were taken from it among what it reads."""
        if not value.owed:
            return value
        return replace(self.join([replace(value, owed=()), *value.owed], eqn), biased=None)

    def aligned(self, values: list[Value], eqn: Any) -> list[Value]:
        """The values with axes that some have along a spatial axis so in all."""
        if len({len(value.axes) for value in values}) > 1:
            return values
        for dim in range(len(values[0].axes)):
            if any(isinstance(label_of(value.axes[dim]), int) for value in values):
                values = [self.along_one(value, eqn, dim) for value in values]
        return values

    def join(self, values: Sequence[Value], eqn: Any) -> Value:
        """Branches that meet: every place reads what it reads in each."""
        most = max(len(v.rows) for v in values)  # others are of before a generator's first map
        values = [value for value in values if len(value.rows) == most]
        values = [self.settle(value, eqn) for value in self.aligned(values, eqn)]
        bases = (value.map.sizes for value in values)
        sizes = tuple(max(each) for each in zip(*bases, strict=True))
        maps = {}
        for value in values:
            layout = [
                None if size == full else StridedAxis(size, full, tuple(range(size)), stride=0)
                for size, full in zip(value.map.sizes, sizes, strict=True)
            ]
            spread = any(layout)
            maps[value.map] = value.map.apply(*layout) if spread else value.map
        base = FeatureMap.merge(*maps.values()) if len(maps) > 1 else next(iter(maps.values()))
        biased = next((value.biased for value in values if value.biased is not None), None)
        layer = max(value.layer for value in values)
        return Value(values[0].axes, base, (None,) * len(sizes), layer=layer, biased=biased)

    def settle(self, value: Value, eqn: Any, keep: Sequence[int] = ()) -> Value:
        """``value`` with its rows made a map, and a layer where they are one.

        Rows of the axes in ``keep`` stay as they are.
        """
        kept = tuple(rows if axis in keep else None for axis, rows in enumerate(value.rows))
        rows = tuple(None if axis in keep else rows for axis, rows in enumerate(value.rows))
        if not any(rows):
            return value
        key = (value.base, rows, value.fold, value.pieces if value.patchy else None)
        if key not in self._settled:
            sizes = zip(value.map.sizes, rows, strict=True)
            steps = tuple(None if row is None else axis_map_of(size, row) for size, row in sizes)
            reads = _made(value, steps)
            kind, layer = _kind(steps, value.fold), value.layer
            if kind:
                if value.fold and "global" not in kind:
                    wide = [a for a, s in enumerate(steps) if s and _pools(s)]
                    self.pooled.update(value.leading.intersection(wide))
                shown = tuple(
                    StridedAxis(n, n) if step is None else step
                    for n, step in zip(value.map.sizes, steps, strict=True)
                )
                layer = self.write(
                    kind,
                    eqn,
                    shown,
                    value.map,
                    reads,
                    self.shown(value),
                    channels_of(value),
                    multiply_adds=value.products,
                )
            self._settled[key] = reads, layer
        reads, layer = self._settled[key]
        changed = replace(
            value,
            base=reads,
            rows=kept,
            fold="",
            pieces=frozenset(),
            layer=layer,
            statistic=False,
            products=0,
        )
        return changed if layer == value.layer else replace(changed, biased=None, centred=None)

    def shown(self, value: Value) -> tuple[int, ...]:
        """The shape of an array as the plan writes it: (*spatial, C)."""
        spatial = tuple(value.sizes[axis] for axis in sorted(value.labels))
        if not spatial:  # before a generator's first map, or after the last
            own = [[n for n, label in axis if label != BATCH] for axis in value.axes]
            return tuple(prod(sizes) for sizes in own if prod(sizes) > 1) or (1,)
        return (*spatial, channels_of(value))

    def write(
        self,
        kind: str,
        eqn: Any,
        steps: tuple[AxisMap, ...],
        before: FeatureMap,
        reads: FeatureMap,
        output: tuple[int, ...],
        in_channels: int,
        weights: frozenset[str] = frozenset(),
        **more: Any,
    ) -> int:
        """Adds a layer and gives its number."""
        itemsize = eqn.outvars[0].aval.dtype.itemsize if eqn is not None else 4
        self.layers.append(
            Layer(
                kind, "", where(eqn), steps, before, reads, output, in_channels, itemsize=itemsize
            )
        )
        for key, entry in more.items():
            setattr(self.layers[-1], key, entry)
        layer = self.layers[-1]
        if layer.multiply_adds and self.times != 1:
            layer.multiply_adds = self.times and layer.multiply_adds * self.times
        self.give(weights, len(self.layers) - 1)
        self.give(self._waiting, len(self.layers) - 1)
        self._waiting = frozenset()
        return len(self.layers) - 1

    def snapshot(self) -> tuple[Any, ...]:
        """What :meth:`restore` needs to forget the layers that are met from now on."""
        layers = [dict(vars(layer), weights=dict(layer.weights)) for layer in self.layers]
        weights = set(self._given), self._waiting
        return layers, *weights, dict(self._modules), dict(self._settled)

    def restore(self, before: tuple[Any, ...]) -> None:
        """Forgets the layers that were met since a :meth:`snapshot`."""
        layers, self._given, self._waiting, self._modules, self._settled = before
        del self.layers[len(layers) :]
        for layer, entries in zip(self.layers, layers, strict=True):
            vars(layer).update(entries)

    def name_layers(self) -> None:
        """Names the layers: by the module whose arrays they use, else by kind and number."""
        count: Counter[str] = Counter()
        for number, layer in enumerate(self.layers):
            own = self._modules.get(number, "")
            name = own or layer.kind.replace(" ", "_")
            count[name] += 1
            again = count[name] > 1
            layer.name = name if own and not again else f"{name}{'#' if own else ''}{count[name]}"

    def _doubt_layers(self) -> None:
        if self.doubts:
            for layer in self.layers:
                reasons = (self.doubts[m] for m in layer.reads.order if m in self.doubts)
                layer.unknown = layer.unknown or next(reasons, "")

    def _say_parameters(self) -> None:
        """Takes back what was counted as learnt but acts as a normalisation's mean or variance, and
        says so, and what else the numbers of parameters do not tell.
        """
        running = self.running & self._unsaid
        if running:
            for layer in self.layers:
                layer.weights = {k: n for k, n in layer.weights.items() if k not in running}
            numbers = sum(self._learnt.pop(name) for name in running)
            what = f"{format_count(numbers, 'number')} of running means and variances"
            self.notes[f"not counted as parameters: {what}"] = None
        unsure = {name for name in self._given & self._unsaid if name.startswith("<")}
        closed = sum(self._learnt[name] for name in unsure - running)
        if closed:
            what = f"{format_count(closed, 'number')} in arrays that the model closes over"
            self.notes[
                f"counted as parameters: {what}; whether they are learnt its program does not say"
            ] = None
        left = sum(size for name, size in self._learnt.items() if name not in self._given)
        if left:
            what = f"{format_count(left, 'number')} in arrays that belong to no layer"
            self.notes[f"not counted as parameters: {what}"] = None

    def give(self, weights: frozenset[str], layer: int) -> bool:
        """Counts learnt arrays to a layer, if no layer has them yet; whether any is learnt.

        Those met before the first layer go to that one.
        """
        if layer >= 0:
            paths = sorted(name.rpartition(".")[0] for name in weights)
            if paths and self.layers[layer].kind in LEARNING:
                self._modules.setdefault(layer, paths[0])
            for name in sorted(weights - self._given):
                if name in self._learnt:
                    self._given.add(name)
                    self.layers[layer].weights[name] = self._learnt[name]
        else:
            self._waiting |= weights
        return any(name in self._learnt for name in weights)

    def take(self, weights: frozenset[str]) -> None:
        """Takes learnt arrays back from the layers that have them, other than normalisations."""
        self._waiting -= weights
        for layer in self.layers:
            for name in weights & layer.weights.keys() if layer.kind != "norm" else ():
                del layer.weights[name]
                self._given.discard(name)

    def rooted(self, value: Value, dims: Sequence[int]) -> Value:
        """``value`` with its spatial axes labelled, if it is the first that has any."""
        if value.map.sizes or self._spatial:
            return value
        sizes = [value.shape[dim] for dim in dims]
        if self.origin is None:
            self.origin = FeatureMap.of_input(sizes)
        if self.origin.sizes != tuple(sizes):
            return value
        doubts = [self.doubts[m] for m in value.map.order if m in self.doubts]
        if doubts:
            self.doubts[self.origin] = doubts[0]
        axes = list(value.axes)
        for number, dim in enumerate(dims):
            axes[dim] = axis_of(value.shape[dim], number)
        return replace(value, axes=tuple(axes), base=self.origin, rows=(None,) * len(dims))

    def _constant(self, array: Any) -> Value:
        if jax.numpy.issubdtype(jax.numpy.result_type(array), jax.dtypes.extended):
            return Value(_fixed_axes(array.shape))  # random keys
        array_is_weight = jax.numpy.issubdtype(jax.numpy.result_type(array), np.floating)
        if self._program.weights or not array_is_weight or not np.ndim(array):
            return Value(_fixed_axes(np.shape(array)), known=Recipe(array))
        name = self._constants.setdefault(id(array), f"<array {len(self._constants) + 1}>")
        learnt = learnt_of(self._program.closed_over.get(id(array), ""), array)
        if learnt is not False:
            self._learnt[name] = prod(array.shape)
        if learnt is None:
            self._unsaid.add(name)
        return Value(_fixed_axes(array.shape), weights=frozenset({name}))


def channels_of(value: Value) -> int:
    """Entries of an array at each place: all its axes but the spatial ones and the batch.

    A spatial axis that lies along two axes, as of queries and keys, counts once as such.
    """
    met, found = set(), 1
    for size, label in (atom for axis in value.axes for atom in axis):
        if isinstance(label, int) and label not in met:
            met.add(label)
        elif label != BATCH:
            found *= size
    return found


def _refuse_nothing_left(eqn: Any, values: Sequence[Value]) -> None:
    """Refuses a filter that fits nowhere: JAX goes on with an empty array, and says nothing."""
    if eqn.primitive.name.startswith(("conv_general", "reduce_window")) and prod(values[0].shape):
        names = sorted(name for value in values[1:] for name in value.weights)
        asked = names[0].rpartition(".")[0] if names else ""
        raise InputError(
            f"{asked or eqn.primitive.name}{f' ({place})' if (place := where(eqn)) else ''} makes "
            f"an empty array of shape {eqn.outvars[0].aval.shape} out of {values[0].shape}: its "
            f"filter is larger than the padded input; use a larger input, more padding or a "
            f"smaller filter"
        )


def _fixed_axes(shape: Sequence[int]) -> tuple[Axis, ...]:
    return tuple(axis_of(size, CHANNEL) for size in shape)


def _pools(step: AxisMap) -> bool:
    """Whether a layer's outputs read some cells each; those over channels read all of them."""
    whole = all(len(step.cells(o)) == step.size for o in range(step.output))
    return (step.most_cells > 1 or step.jump > 1) and not whole


def _made(value: Value, steps: Sequence[AxisMap | None]) -> FeatureMap:
    """The map that the rows of a value make; of slices that are no whole window, their sum."""
    if not value.patchy:
        return value.map.apply(*steps)
    sizes = value.map.sizes
    pieces = [
        value.map.apply(*(axis_map_of(*each) for each in zip(sizes, piece, strict=True)))
        for piece in sorted(value.pieces)
    ]
    return FeatureMap.merge(*pieces)


def _kind(steps: Sequence[AxisMap | None], fold: str) -> str:
    """What the layer that rows make is called; nothing where they only pad, crop or place."""
    changed = [step for step in steps if step is not None]
    slides = [step for step in changed if isinstance(step, StridedAxis)]
    if fold == "resize":
        return "resize"
    if fold and len(slides) == len(changed):
        if all(step.output == 1 and len(step.taps) == step.size for step in slides):
            return f"global {fold} pool"
        if any(len(step.taps) > 1 for step in slides):
            return f"{fold} pool"
    if any(step.output > step.size and step.jump not in (0, 1) for step in changed):
        return "resize"
    if any(isinstance(step, StridedAxis) and step.stride > 1 for step in changed):
        return "patches" if any(len(step.taps) > 1 for step in slides) else "slice"
    return ""
