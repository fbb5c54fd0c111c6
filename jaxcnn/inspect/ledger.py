"""Ledger: the layers found in a program, and the learnt arrays of each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from jaxcnn.geometry.text import format_count
from jaxcnn.inspect.network import LEARNING, Layer

if TYPE_CHECKING:
    from jaxcnn.geometry.feature_map import FeatureMap


class Ledger:
    """The layers and learnt arrays of a program.

    Attributes:
      layers: the layers found so far.
      repeats: how often the current part of the program runs; None if not known.
      unknown_maps: the maps whose receptive fields are unknown, each with the reason.
      notes: other unknown facts, in order, as the keys of a dictionary.
      running_statistics: names of arrays that act as the mean or variance of a normalisation.
      layers_of_rows: the map and the layer made from given rows of a map, so that a value that is
        used twice is one layer.
    """

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.repeats: int | None = 1
        self.unknown_maps: dict[FeatureMap, str] = {}
        self.notes: dict[str, None] = {}
        self.running_statistics: frozenset[str] = frozenset()
        self.layers_of_rows: dict[Any, tuple[FeatureMap, int]] = {}
        self._learnt: dict[str, int] = {}
        self._undeclared: set[str] = set()
        self._assigned: set[str] = set()
        self._before_first: frozenset[str] = frozenset()
        self._module_paths: dict[int, str] = {}

    def add_array(self, name: str, size: int, learnt: bool | None) -> None:
        """Registers an array of the program; ``learnt`` is None if it is not declared."""
        if learnt is not False:
            self._learnt[name] = size
        if learnt is None:
            self._undeclared.add(name)

    def add_layer(self, layer: Layer, weights: frozenset[str] = frozenset()) -> int:
        """Adds a layer that uses the named learnt arrays, and returns its number."""
        if layer.multiply_adds and self.repeats != 1:
            layer.multiply_adds = self.repeats and layer.multiply_adds * self.repeats
        self.layers.append(layer)
        number = len(self.layers) - 1
        self.assign(weights, number)
        self.assign(self._before_first, number)
        self._before_first = frozenset()
        return number

    def assign(self, weights: frozenset[str], layer: int) -> bool:
        """Assigns arrays to a layer, unless another has them; returns whether any is learnt.

        Layer -1 stands for the first layer, before it is found.
        """
        if layer >= 0:
            paths = sorted(name.rpartition(".")[0] for name in weights)
            if paths and self.layers[layer].kind in LEARNING:
                self._module_paths.setdefault(layer, paths[0])
            for name in sorted(weights - self._assigned):
                if name in self._learnt:
                    self._assigned.add(name)
                    self.layers[layer].weights[name] = self._learnt[name]
        else:
            self._before_first |= weights
        return any(name in self._learnt for name in weights)

    def unassign(self, weights: frozenset[str]) -> None:
        """Removes learnt arrays from the layers that have them, except normalisations."""
        self._before_first -= weights
        for layer in self.layers:
            for name in weights & layer.weights.keys() if layer.kind != "norm" else ():
                del layer.weights[name]
                self._assigned.discard(name)

    def snapshot(self) -> tuple[Any, ...]:
        """A copy of the state, for :meth:`restore`."""
        layers = [dict(vars(layer), weights=dict(layer.weights)) for layer in self.layers]
        weights = set(self._assigned), self._before_first
        return layers, *weights, dict(self._module_paths), dict(self.layers_of_rows)

    def restore(self, before: tuple[Any, ...]) -> None:
        """Removes the layers added since a :meth:`snapshot`."""
        layers, self._assigned, self._before_first = before[:3]
        self._module_paths, self.layers_of_rows = before[3:]
        del self.layers[len(layers) :]
        for layer, entries in zip(self.layers, layers, strict=True):
            vars(layer).update(entries)

    def finish(self) -> None:
        """Names the layers, marks the unknown ones, and notes how parameters are counted."""
        self._name_layers()
        if self.unknown_maps:
            self._mark_unknown_layers()
        self._note_parameters()

    def _name_layers(self) -> None:
        """Names each layer after the module whose arrays it uses, or its scope, or its kind."""
        count: Counter[str] = Counter()
        for number, layer in enumerate(self.layers):
            path = self._module_paths.get(number) or layer.name
            name = path or layer.kind.replace(" ", "_")
            count[name] += 1
            again = count[name] > 1
            layer.name = name if path and not again else f"{name}{'#' if path else ''}{count[name]}"

    def _mark_unknown_layers(self) -> None:
        for layer in self.layers:
            order = layer.output_map.order
            reasons = (self.unknown_maps[m] for m in order if m in self.unknown_maps)
            layer.unknown_reason = layer.unknown_reason or next(reasons, "")

    def _note_parameters(self) -> None:
        """Notes what the numbers of parameters leave out or assume.

        Arrays that the program does not declare were counted as learnt. Those that act as a
        normalisation's mean or variance are removed here.
        """
        running = self.running_statistics & self._undeclared
        if running:
            for layer in self.layers:
                layer.weights = {k: n for k, n in layer.weights.items() if k not in running}
            numbers = sum(self._learnt.pop(name) for name in running)
            what = f"{format_count(numbers, 'number')} of running means and variances"
            self.notes[f"not counted as parameters: {what}"] = None
        closed_over = {name for name in self._assigned & self._undeclared if name.startswith("<")}
        numbers = sum(self._learnt[name] for name in closed_over - running)
        if numbers:
            what = f"{format_count(numbers, 'number')} in arrays that the model closes over"
            self.notes[
                f"counted as parameters: {what}; the program does not say whether they are learnt"
            ] = None
        left = sum(size for name, size in self._learnt.items() if name not in self._assigned)
        if left:
            what = f"{format_count(left, 'number')} in arrays that belong to no layer"
            self.notes[f"not counted as parameters: {what}"] = None
