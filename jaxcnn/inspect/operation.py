"""Operation: one equation of a program with its inputs, the argument of primitives' handlers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.inspect.equations import scope, where
from jaxcnn.inspect.network import Layer
from jaxcnn.inspect.values import Value, axis_of

if TYPE_CHECKING:
    from jaxcnn.geometry.axis_maps import AxisMap
    from jaxcnn.inspect.ledger import Ledger


@dataclass
class SpatialAxes:
    """The facts that a walk has found about the axes of the network's input.

    Attributes:
      numbered: whether the input has axes that are numbered as spatial axes.
      origin: the map that receptive fields are relative to.
      windowed: the axes along which windows of more than one cell move.
      pooled: the axes along which cells are pooled.
      channels: the channel axes of a convolution.
      batch: the batch axes of a convolution.
    """

    numbered: bool
    origin: FeatureMap | None = None
    windowed: set[int] = field(default_factory=set)
    pooled: set[int] = field(default_factory=set)
    channels: set[int] = field(default_factory=set)
    batch: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Operation:
    """One equation of a traced program, with its inputs and the state of the walk.

    Attributes:
      eqn: JAX's equation; None for the end of the program.
      values: its inputs.
      ledger: the layers found so far.
      spatial: the facts about the input's axes found so far.
      run: a function ``run(jaxpr, consts, inputs)`` that returns the outputs of an inner program.
    """

    eqn: Any
    values: list[Value]
    ledger: Ledger
    spatial: SpatialAxes
    run: Callable[[Any, Sequence[Any], Sequence[Value]], list[Value]]

    @property
    def name(self) -> str:
        """The name of the primitive."""
        return self.eqn.primitive.name

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the primitive."""
        return self.eqn.params

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first output."""
        return self.eqn.outvars[0].aval.shape

    @property
    def place(self) -> str:
        """File and line of the model's code, as ``" (model.py:12)"``; empty if not known."""
        found = where(self.eqn)
        return f" ({found})" if found else ""

    def add_layer(
        self,
        kind: str,
        axis_maps: tuple[AxisMap, ...],
        input_map: FeatureMap,
        output_map: FeatureMap,
        output_shape: tuple[int, ...],
        in_channels: int,
        weights: frozenset[str] = frozenset(),
        *,
        groups: int = 1,
        multiply_adds: int | None = 0,
    ) -> int:
        """Adds a layer that this operation forms to the ledger, and returns its number."""
        layer = Layer(
            kind,
            scope(self.eqn),
            where(self.eqn),
            axis_maps,
            input_map,
            output_map,
            output_shape,
            in_channels,
            groups,
            multiply_adds,
            itemsize=4 if self.eqn is None else self.eqn.outvars[0].aval.dtype.itemsize,
        )
        return self.ledger.add_layer(layer, weights)

    def number_spatial_axes(self, value: Value, dims: Sequence[int]) -> Value:
        """``value`` with these axes as the spatial axes, if the network has none yet.

        The first image of a generator, whose input is noise, becomes the origin in this way.
        """
        if value.map.sizes or self.spatial.numbered:
            return value
        sizes = [value.shape[dim] for dim in dims]
        if self.spatial.origin is None:
            self.spatial.origin = FeatureMap.of_input(sizes)
        origin, unknown_maps = self.spatial.origin, self.ledger.unknown_maps
        if origin.sizes != tuple(sizes):
            return value
        reasons = [unknown_maps[m] for m in value.map.order if m in unknown_maps]
        if reasons:
            unknown_maps[origin] = reasons[0]
        axes = list(value.axes)
        for number, dim in enumerate(dims):
            axes[dim] = axis_of(value.shape[dim], number)
        return replace(value, axes=tuple(axes), base=origin, rows=(None,) * len(dims))


Handler = Callable[[Operation], list[Value]]
"""Returns the outputs of an operation, and adds the layers that it forms to the ledger."""
