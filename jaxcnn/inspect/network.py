"""The result of a trace: a network's layers, and the input cells that each reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jaxcnn.geometry.axis_maps import AxisMap, StridedAxis
from jaxcnn.geometry.window import axis_names

if TYPE_CHECKING:
    from jaxcnn.geometry.feature_map import FeatureMap
    from jaxcnn.geometry.receptive_field import ReceptiveField

CONVOLUTIONS = ("conv", "transposed conv", "depthwise conv")
POOLS = ("max pool", "average pool", "min pool", "pool")
LEARNING = (*CONVOLUTIONS, "dense", "norm")


@dataclass(eq=False)
class Layer:
    """One layer of a traced network, for one example.

    Attributes:
      kind: ``"conv"``, ``"transposed conv"``, ``"depthwise conv"``, ``"dense"``, ``"max pool"``,
        ``"average pool"``, ``"global average pool"``, ``"norm"``, ``"resize"`` and others.
      name: the path of its module, or its ``jax.named_scope``, or its kind with a number.
      where: file and line of the model's code; empty if not known.
      axis_maps: on each spatial axis, the cells of the input that the outputs read.
      input_map, output_map: the feature maps that the layer reads and computes.
      output_shape: (*spatial, C), without the batch axis.
      in_channels: as in a convolution; for a dense layer, the number of terms of one output.
      groups: as in a convolution.
      multiply_adds: the number of products summed in all runs, without products with the zeros
        between the cells of a transposed convolution; None if the number of runs is not known.
      itemsize: bytes of one entry of the output.
      weights: names and sizes of the learnt arrays that no earlier layer uses.
      bias: whether a learnt array is added to the output.
      cancels: for a normalisation, the layer whose bias it removes.
      unknown_reason: why the receptive fields are not known; empty if they are.
    """

    kind: str
    name: str
    where: str
    axis_maps: tuple[AxisMap, ...]
    input_map: FeatureMap
    output_map: FeatureMap
    output_shape: tuple[int, ...]
    in_channels: int = 0
    groups: int = 1
    multiply_adds: int | None = 0
    itemsize: int = 4
    weights: dict[str, int] = field(default_factory=dict)
    bias: bool = False
    cancels: Layer | None = None
    unknown_reason: str = ""

    @property
    def out_channels(self) -> int:
        """C_out, the last entry of :attr:`output_shape`."""
        return self.output_shape[-1] if self.output_shape else 1

    @property
    def parameters(self) -> int:
        """The number of learnt entries in :attr:`weights`."""
        return sum(self.weights.values())

    @property
    def windows(self) -> tuple[tuple[str, StridedAxis], ...]:
        """The :attr:`axis_maps` that are regular windows, each with the name of its axis."""
        named = zip(axis_names(len(self.axis_maps)), self.axis_maps, strict=True)
        return tuple((name, each) for name, each in named if isinstance(each, StridedAxis))

    @property
    def fields(self) -> tuple[ReceptiveField, ...] | None:
        """The receptive field on each spatial axis of the network's input; None if not known."""
        return None if self.unknown_reason else self.output_map.fields

    def __str__(self) -> str:
        """The layer in a few words, such as ``conv1 (conv 7x7 s2 p3)``."""
        words = [self.kind]
        windows = [window for _, window in self.windows]
        if windows and (self.kind in CONVOLUTIONS or self.kind in POOLS):
            words.append("x".join(str(len(w.taps)) for w in windows))
            words += _unless(1, "s", [max(w.stride, w.input_dilation) for w in windows])
            words += _unless(0, "p", [_pair(w) for w in windows if w.input_dilation == 1])
            words += _unless(1, "d", [w.dilation for w in windows])
        words += [f"g{self.groups}"] if self.groups != 1 else []
        return f"{self.name} ({' '.join(words)})"


@dataclass(frozen=True)
class Network:
    """A traced network.

    Attributes:
      input_shape: the given shape of one example.
      spatial: the spatial axes of the input, in order.
      layers: the layers, in the order of computation.
      origin: the map that receptive fields are relative to: the input, or the first map of a
        generator, whose input (noise) has no spatial axes; None if there is none.
      notes: unknown facts about the network, in words.
    """

    input_shape: tuple[int, ...]
    spatial: tuple[int, ...]
    layers: tuple[Layer, ...]
    origin: FeatureMap | None
    notes: tuple[str, ...] = ()


def _unless(usual: int, letter: str, values: list[object]) -> list[str]:
    if all(value == usual for value in values):
        return []
    same = values[:1] if len(set(values)) == 1 else values
    return [letter + "x".join(map(str, same))]


def _pair(window: StridedAxis) -> int | str:
    return window.low if window.low == window.high else f"{window.low}-{window.high}"
