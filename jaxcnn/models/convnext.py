"""ConvNeXt, tiny, small and base: a convolutional network built like a transformer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
from flax import nnx

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.network import (
    Chain,
    Classifier,
    Network,
    check_input,
    stochastic_depth,
)
from jaxcnn.models.published import Published
from jaxcnn.nn import Conv, Dense, LayerNorm
from jaxcnn.ops.pool import avg_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.models.published import Rules

DIVISOR = 32
"""The strides of all layers, multiplied."""

GELU = partial(jax.nn.gelu, approximate=False)
"""x times the normal distribution's function of x; not the usual approximation by tanh."""


class LayerScale(nnx.Module):
    """x times a learnt number for each channel, small at first.

        x: (N, *spatial, channels)      returns the same shape

    Source: Touvron et al., arXiv:2103.17239, section 2.

    >>> import jax.numpy as jnp
    >>> LayerScale(3, rngs=nnx.Rngs(0))(jnp.ones((2, 5, 5, 3))).shape
    (2, 5, 5, 3)
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        init = nnx.initializers.constant(1e-6)
        self.scale = nnx.Param(init(rngs.params(), (channels,), "float32"))

    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.scale[...]
        return x * scale.astype(x.dtype).reshape((1,) * (x.ndim - 1) + scale.shape)


class ConvNeXtBlock(nnx.Module):
    """x + layer_scale(project(gelu(expand(norm(depthwise(x)))))).

        x: (N, H, W, channels)      returns the same shape

    Args:
      channels: channels of x; four times as many between the dense layers.
      drop_rate: the share of examples for which training leaves the block out.
      rngs: random streams.

    Source: Liu et al., arXiv:2201.03545, figure 4.

    >>> import jax.numpy as jnp
    >>> x = jnp.ones((2, 5, 5, 4))
    >>> nnx.eval_shape(lambda: ConvNeXtBlock(4, drop_rate=0.0, rngs=nnx.Rngs(0))(x)).shape
    (2, 5, 5, 4)
    """

    def __init__(self, channels: int, *, drop_rate: float, rngs: nnx.Rngs) -> None:
        window: dict[str, Any] = {"padding": 3, "groups": channels}
        self.depthwise = Conv(channels, channels, (7, 7), **window, rngs=rngs)
        self.norm = LayerNorm(channels, rngs=rngs)
        self.expand = Dense(channels, 4 * channels, activation=GELU, rngs=rngs)
        self.project = Dense(4 * channels, channels, rngs=rngs)
        self.layer_scale = LayerScale(channels, rngs=rngs)
        self.drop = stochastic_depth(drop_rate, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.project(self.expand(self.norm(self.depthwise(x))))
        return x + self.drop(self.layer_scale(y))


class ConvNeXt(Network):
    """A 4x4 stem of stride 4, four stages with 2x2 convolutions of stride 2 between, a dense layer.

        x: (N, H, W, C)      returns (N, classes), or (N, channels[3]) without classes
        features=True        returns the 4 maps, at 1/4 to 1/32 of the sizes

    H and W are multiples of 32, so that no cell is dropped.

    Args:
      in_channels: C.
      classes: the number of outputs; None for the normalised means of the last channels.
      depths, channels: the blocks and the channels of each stage.
      drop_rate: that of the last block; the rates rise from 0 in equal steps.
      rngs: random streams.

    Attributes:
      stages: each a chain of two: the halving (empty in the first) and the blocks.

    Weights of Hugging Face give slightly other outputs there: the last norm has epsilon 1e-12 in
    transformers, 1e-6 here, in the paper's code, in torchvision and in timm.

    Source: Liu et al., arXiv:2201.03545.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int | None,
        *,
        depths: Sequence[int],
        channels: Sequence[int],
        drop_rate: float,
        rngs: nnx.Rngs,
    ) -> None:
        stem = Conv(in_channels, channels[0], (4, 4), stride=4, rngs=rngs)
        self.stem = Chain([stem, LayerNorm(channels[0], rngs=rngs)])
        before, done, stages = channels[0], 0, []
        for depth, wide in zip(depths, channels, strict=True):
            halving = []
            if stages:
                conv = Conv(before, wide, (2, 2), stride=2, rngs=rngs)
                halving = [LayerNorm(before, rngs=rngs), conv]
            rates = [drop_rate * (done + i) / (sum(depths) - 1) for i in range(depth)]
            blocks = [ConvNeXtBlock(wide, drop_rate=rate, rngs=rngs) for rate in rates]
            stages.append(Chain([Chain(halving), Chain(blocks)]))
            before, done = wide, done + depth
        self.stages = nnx.List(stages)
        norm = LayerNorm(before, rngs=rngs)
        self.head = Chain([_pooled, norm, Classifier(before, classes, rngs=rngs)])


def _pooled(x: jax.Array) -> jax.Array:
    """The mean of each channel, as a map of one cell, which is normalised like any map."""
    return avg_pool(x, x.shape[1:-1])


def _built(input_shape: Sequence[int], classes: int | None, **options: Any) -> ConvNeXt:
    shape = check_input(input_shape, classes, multiple=DIVISOR)
    return ConvNeXt(shape[-1], classes, **options)


@suggest_keywords
def convnext_tiny(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> ConvNeXt:
    """:class:`ConvNeXt` of 18 blocks with 96 to 768 channels, for inputs (H, W, C).

    Raises:
      InputError: (a ValueError) if H or W is not a multiple of 32.

    >>> model = nnx.eval_shape(lambda: convnext_tiny((224, 224, 3), rngs=nnx.Rngs(0)))
    >>> len(model.stages), model.head[2].dense.in_features
    (4, 768)
    """
    depths, channels = (3, 3, 9, 3), (96, 192, 384, 768)
    scale = {"depths": depths, "channels": channels, "drop_rate": 0.1}
    return _built(input_shape, classes, rngs=rngs, **scale)


@suggest_keywords
def convnext_small(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> ConvNeXt:
    """:class:`ConvNeXt` of 36 blocks with 96 to 768 channels; called as :func:`convnext_tiny`."""
    depths, channels = (3, 3, 27, 3), (96, 192, 384, 768)
    scale = {"depths": depths, "channels": channels, "drop_rate": 0.4}
    return _built(input_shape, classes, rngs=rngs, **scale)


@suggest_keywords
def convnext_base(
    input_shape: Sequence[int], classes: int | None = 1000, *, rngs: nnx.Rngs
) -> ConvNeXt:
    """:class:`ConvNeXt` of 36 blocks with 128 to 1024 channels; called as :func:`convnext_tiny`."""
    depths, channels = (3, 3, 27, 3), (128, 256, 512, 1024)
    scale = {"depths": depths, "channels": channels, "drop_rate": 0.5}
    return _built(input_shape, classes, rngs=rngs, **scale)


TORCHVISION: Rules = (
    (r"^stem\.", "features.0."),
    (r"^stages\.(\d)\.(\d)", lambda found: f"features.{2 * int(found[1]) + int(found[2])}"),
    (r"^head\.1$", "classifier.0"),
    (r"^head\.2\.dense$", "classifier.2"),
    (r"\.depthwise$", ".block.0"),
    (r"\.norm$", ".block.2"),
    (r"\.expand$", ".block.3"),
    (r"\.project$", ".block.5"),
    (r"\.layer_scale$", ".layer_scale=@3"),
)

TIMM: Rules = (
    (r"^stages\.(\d)\.0", r"stages.\1.downsample"),
    (r"^stages\.(\d)\.1", r"stages.\1.blocks"),
    (r"^head\.1$", "head.norm"),
    (r"^head\.2\.dense$", "head.fc"),
    (r"\.depthwise$", ".conv_dw"),
    (r"\.expand$", ".mlp.fc1"),
    (r"\.project$", ".mlp.fc2"),
    (r"\.layer_scale$", ".gamma="),
)

HUGGINGFACE: Rules = (
    (r"^stem\.0$", "convnext.embeddings.patch_embeddings"),
    (r"^stem\.1$", "convnext.embeddings.layernorm"),
    (r"^stages\.(\d)\.0", r"convnext.encoder.stages.\1.downsampling_layer"),
    (r"^stages\.(\d)\.1", r"convnext.encoder.stages.\1.layers"),
    (r"^head\.1$", "convnext.layernorm"),
    (r"^head\.2\.dense$", "classifier"),
    (r"\.depthwise$", ".dwconv"),
    (r"\.norm$", ".layernorm"),
    (r"\.expand$", ".pwconv1"),
    (r"\.project$", ".pwconv2"),
    (r"\.layer_scale$", ".layer_scale_parameter="),
)


def _published(build: Callable[..., ConvNeXt], parameters: int, millions: int) -> Published:
    """An entry; the numbers are those of torchvision's documentation of weights."""
    return Published(
        build=build,
        source="Liu et al., 2022",
        parameters=parameters,
        multiply_adds=millions * 10**6,
        names={"torchvision": TORCHVISION, "timm": TIMM, "huggingface": HUGGINGFACE},
    )


NETWORKS = (
    _published(convnext_tiny, 28_589_128, 4456),
    _published(convnext_small, 50_223_688, 8684),
    _published(convnext_base, 88_591_464, 15_355),
)
