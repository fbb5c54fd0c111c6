"""Inverted residuals with depthwise convolutions: the block of MobileNet and EfficientNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flax import nnx

from jaxcnn.models.network import Chain, stochastic_depth
from jaxcnn.nn import BatchNorm, ConvNorm, SqueezeExcite

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    import jax

    from jaxcnn.models.published import Rules
    from jaxcnn.nn._conv_base import ActivationLike


class Block(NamedTuple):
    """What an :class:`InvertedResidual` is built from.

    Attributes:
      kernel_size: cells of the depthwise kernel on both axes.
      hidden: channels of the depthwise convolution.
      channels: channels of the output.
      stride: of the depthwise convolution.
      squeeze: channels of the squeezed means; 0 for a block without squeeze and excitation.
      activation: after the expansion and the depthwise convolution.
    """

    kernel_size: int
    hidden: int
    channels: int
    stride: int
    squeeze: int
    activation: ActivationLike


class InvertedResidual(nnx.Module):
    """project(excite(depthwise(expand(x)))), plus x where the shapes agree.

        x: (N, H, W, in_channels)      returns (N, H', W', block.channels)

    The first and the last are 1x1 convolutions; the first is left out where it would not widen.
    Stride 2 halves an even size by dropping the last row of the padding.

    Args:
      in_channels: channels of x.
      block: see :class:`Block`.
      squeeze_activation, gate: the activations of the squeeze and excitation.
      norm: as in :class:`jaxcnn.nn.ConvNorm`.
      drop_rate: the share of examples for which training leaves the block out.
      rngs: random streams.

    Attributes:
      layers: the two to four layers in order.

    Source: Sandler et al., arXiv:1801.04381, section 3.4; Hu et al., arXiv:1709.01507.

    >>> import jax, jax.numpy as jnp
    >>> block = Block(3, 24, 8, 2, 6, jax.nn.relu6)
    >>> x = jnp.ones((2, 9, 12, 4))
    >>> nnx.eval_shape(lambda: InvertedResidual(4, block, rngs=nnx.Rngs(0))(x)).shape
    (2, 5, 6, 8)
    """

    def __init__(
        self,
        in_channels: int,
        block: Block,
        *,
        squeeze_activation: ActivationLike = "relu",
        gate: ActivationLike = "sigmoid",
        norm: Callable[..., nnx.Module] = BatchNorm,
        drop_rate: float = 0.0,
        rngs: nnx.Rngs,
    ) -> None:
        hidden, channels, stride = block.hidden, block.channels, block.stride
        common = {"norm": norm, "rngs": rngs}
        act = {"activation": block.activation, **common}
        layers: list[nnx.Module] = []
        if hidden != in_channels:
            layers.append(ConvNorm(in_channels, hidden, (1, 1), **act))
        size = block.kernel_size
        window = {"stride": stride, "padding": size // 2, "groups": hidden}
        rounding = "floor" if stride > 1 else "exact"
        layers.append(ConvNorm(hidden, hidden, (size, size), rounding=rounding, **window, **act))
        if block.squeeze:
            options = {"activation": squeeze_activation, "gate": gate, "rngs": rngs}
            layers.append(SqueezeExcite(hidden, block.squeeze, **options))
        layers.append(ConvNorm(hidden, channels, (1, 1), **common))
        self.layers = Chain(layers)
        self.adds = stride == 1 and in_channels == channels
        self.drop = stochastic_depth(drop_rate if self.adds else 0.0, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.layers(x)
        return x + self.drop(y) if self.adds else y


def stages_of(
    rows: Sequence[Sequence[Block]],
    in_channels: int,
    *,
    drop_rate: float = 0.0,
    rngs: nnx.Rngs,
    **options: Any,
) -> nnx.List:
    """The stages of a network: ``stages[i]`` has the rows of one resolution, a row its blocks.

    Args:
      rows: the rows of the paper's table, each with its blocks, of which only the first may have
        a stride.
      in_channels: channels of the input.
      drop_rate: the rate that one more block would have; the rates rise from 0 in equal steps.
      rngs: random streams.
      options: those of :class:`InvertedResidual`.

    >>> rows = [[Block(3, 16, 8, stride, 0, "relu")] for stride in (1, 2, 1)]
    >>> [len(stage) for stage in stages_of(rows, 16, rngs=nnx.Rngs(0))]
    [1, 2]
    """
    stages: list[list[Chain]] = []
    total, done = sum(map(len, rows)), 0
    for row in rows:
        blocks = []
        for block in row:
            rate = drop_rate * done / total
            blocks.append(
                InvertedResidual(in_channels, block, drop_rate=rate, rngs=rngs, **options)
            )
            in_channels, done = block.channels, done + 1
        if row[0].stride > 1 or not stages:
            stages.append([])
        stages[-1].append(Chain(blocks))
    return nnx.List(Chain(rows) for rows in stages)


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8; the next one if 10 percent or more would be lost.

    The rule of TensorFlow's MobileNet, with which the published channels were computed.

    >>> multiple_of_8(18), multiple_of_8(30), multiple_of_8(2)
    (24, 32, 8)
    """
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8


def row_of(found: re.Match[str], rows: Sequence[int]) -> int:
    """The number of a row among all, from a match of its stage and of its number there.

    ``rows`` has the number of rows of each stage.

    >>> import re
    >>> row_of(re.match(r"stages.(.).(.)", "stages.3.1.0"), (1, 1, 1, 2, 2))
    4
    """
    return sum(rows[: int(found[1])]) + int(found[2])


def block_of(found: re.Match[str], depths: Sequence[Sequence[int]]) -> int:
    """The number of a block among all, from a match of its stage, row and number in the row.

    ``depths`` has the number of blocks of each row of each stage.

    >>> import re
    >>> block_of(re.match(r"stages.(.).(.).(.)", "stages.1.1.0"), ((1,), (4, 3)))
    5
    """
    stage, row, block = map(int, found.groups())
    return sum(map(sum, depths[:stage])) + sum(depths[stage][:row]) + block


ROWS_OF_STAGES = (1, 1, 1, 2, 2)
"""The rows of the stages of MobileNetV2 and EfficientNet."""

TIMM: Rules = (
    (r"^stem\.conv$", "conv_stem"),
    (r"^stem\.norm$", "bn1"),
    (r"^head\.0\.conv$", "conv_head"),
    (r"^head\.0\.norm$", "bn2"),
    (r"^head\.1\.dense$", "classifier"),
    (r"^stages\.(\d+)\.(\d+)", lambda found: f"blocks.{row_of(found, ROWS_OF_STAGES)}"),
    (r"layers\.\d\.squeeze$", "se.conv_reduce@4"),
    (r"layers\.\d\.expand$", "se.conv_expand@4"),
    (r"^(blocks\.0\.\d+)\.layers\.0", r"\1.dw1"),
    (r"^(blocks\.0\.\d+)\.layers\.\d", r"\1.pw2"),
    (r"layers\.0", "pw1"),
    (r"layers\.1", "dw2"),
    (r"layers\.\d", "pwl3"),
    (r"(dw|pw|pwl)\d\.conv$", r"conv_\1"),
    (r"(?:dw|pw|pwl)(\d)\.norm$", r"bn\1"),
)
"""timm's names, where the blocks of the first row, and no others, have no expansion."""
