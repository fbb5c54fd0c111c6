"""What a trace finds: the layers of a network, and what each reads of its input."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxcnn.geometry.axis_maps import AxisMap, StridedAxis
from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.geometry.receptive_field import ReceptiveField
from jaxcnn.geometry.window import axis_names

CONVOLUTIONS = ("conv", "transposed conv", "depthwise conv")
POOLS = ("max pool", "average pool", "min pool", "pool")
LEARNING = (*CONVOLUTIONS, "dense", "norm")


@dataclass(eq=False)
class Layer:
    """One layer of a traced network, for one example.

    Attributes:
      kind: ``"conv"``, ``"transposed conv"``, ``"depthwise conv"``, ``"dense"``, ``"max pool"``,
        ``"average pool"``, ``"global average pool"``, ``"norm"``, ``"resize"`` and the like.
      name: the path of its module, or its kind with a number.
      where: file and line that asked for it, as far as the trace knows.
      steps: the layout on each of its own spatial axes.
      before, reads: the map it reads and the map it makes, by what they read of the input.
      output: its output's shape, (*spatial, C), without the batch axis.
      in_channels, groups: as of a convolution; for a dense layer what one output sums over.
      multiply_adds: products that are summed, how often it runs counted; those with the zeros that
        a transposed convolution lays between cells do not count. None where it is not known how
        often it runs.
      itemsize: bytes of one entry of the output.
      weights: the learnt arrays it uses that no layer before it used: names and sizes.
      bias: whether a learnt array is added to its output.
      cancels: of a normalisation, the layer whose bias it takes away again.
      unknown: why it is not known what it reads of the input; empty where it is.
    """

    kind: str
    name: str
    where: str
    steps: tuple[AxisMap, ...]
    before: FeatureMap
    reads: FeatureMap
    output: tuple[int, ...]
    in_channels: int = 0
    groups: int = 1
    multiply_adds: int | None = 0
    itemsize: int = 4
    weights: dict[str, int] = field(default_factory=dict)
    bias: bool = False
    cancels: Layer | None = None
    unknown: str = ""

    @property
    def channels(self) -> int:
        """C_out, the last entry of :attr:`output`."""
        return self.output[-1] if self.output else 1

    @property
    def parameters(self) -> int:
        """Numbers that are learnt."""
        return sum(self.weights.values())

    @property
    def slides(self) -> tuple[tuple[str, StridedAxis], ...]:
        """The regular layouts among :attr:`steps`, each with the name of its axis."""
        named = zip(axis_names(len(self.steps)), self.steps, strict=True)
        return tuple((name, step) for name, step in named if isinstance(step, StridedAxis))

    @property
    def fields(self) -> tuple[ReceptiveField, ...] | None:
        """The receptive field of one output on each spatial axis of the network's input; None
        where it is not known.
        """
        return None if self.unknown else self.reads.fields

    def __str__(self) -> str:
        """The layer in a few words: ``conv1 (conv 7x7 s2 p3)``."""
        words = [self.kind]
        slides = [slide for _, slide in self.slides]
        windowed = self.kind in CONVOLUTIONS or self.kind in POOLS
        if slides and windowed:
            words.append("x".join(str(len(s.taps)) for s in slides))
            words += _unless(1, "s", [max(s.stride, s.input_dilation) for s in slides])
            words += _unless(0, "p", [_pair(s) for s in slides if s.input_dilation == 1])
            words += _unless(1, "d", [s.dilation for s in slides])
        words += [f"g{self.groups}"] if self.groups != 1 else []
        return f"{self.name} ({' '.join(words)})"


@dataclass(frozen=True)
class Network:
    """A traced network.

    Attributes:
      input_shape: of one example, as it was given.
      spatial: which of the input's axes are spatial, in order.
      layers: in the order in which they are computed.
      origin: the map that receptive fields are relative to: the input, or, where the input has no
        spatial axes (a generator's noise), the first map that has; None where there is none.
      notes: what is not known of it, in words.
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


def _pair(slide: StridedAxis) -> int | str:
    return slide.low if slide.low == slide.high else f"{slide.low}-{slide.high}"
