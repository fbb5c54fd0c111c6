"""U-Net for segmentation, of images and of volumes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.network import Chain, Network, check_input, check_multiple
from jaxcnn.models.published import Published
from jaxcnn.nn import Conv, ConvNorm, ConvTranspose, MaxPool

if TYPE_CHECKING:
    from collections.abc import Sequence


WIDTHS = (64, 128, 256, 512, 1024)
"""The channels of each level of the network for images."""

WIDTHS_3D = (64, 128, 256, 512)
"""The channels of each level of the network for volumes."""


class Up(nnx.Module):
    """convs(concatenate([skip, upsample(x)])): one step of the expanding path.

        x: (N, *spatial, in_channels)      skip: (N, *(2*spatial), skip_channels)
        returns (N, *(2*spatial), skip_channels)

    Args:
      in_channels, skip_channels: channels of x and of skip.
      channels: channels of the upsampled x.
      axes, norm: as in :class:`UNet`.
      rngs: random streams.

    >>> x, skip = jnp.ones((2, 3, 4, 8)), jnp.ones((2, 6, 8, 4))
    >>> Up(8, 4, 4, axes=2, norm=False, rngs=nnx.Rngs(0))(x, skip).shape
    (2, 6, 8, 4)
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        channels: int,
        *,
        axes: int,
        norm: bool,
        rngs: nnx.Rngs,
    ) -> None:
        self.upsample = ConvTranspose(
            in_channels, channels, (2,) * axes, stride=2, use_bias=not norm, rngs=rngs
        )
        widths = (skip_channels + channels, skip_channels, skip_channels)
        self.convs = _convs(widths, axes, norm, rngs)

    def __call__(self, x: jax.Array, skip: jax.Array) -> jax.Array:
        return self.convs(jnp.concatenate([skip, self.upsample(x)], axis=-1))


class UNet(Network):
    """A contracting path, an expanding path that also reads its maps, a 1x1 convolution.

        x: (N, *spatial, C)      returns (N, *spatial, classes), or the last map without classes
        features=True            returns the maps of the contracting path, then of the expanding

    The sizes are multiples of 2**(levels - 1). The convolutions are padded, so that the output has
    the sizes of the input; those of the papers are not, and give the centre alone.

    Args:
      in_channels: C.
      classes: channels of the output; None for the channels of the first level.
      axes: spatial axes.
      widths: for each level of the contracting path, the channels of its two convolutions.
      upsampled: for each level of the expanding path, the channels of the upsampled map.
      norm: whether a batch normalisation follows each convolution but the last.
      dropout: the share of cells of the deepest map that training sets to zero.
      rngs: random streams.

    Attributes:
      stages: the levels of the contracting path, then those of the expanding path.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int | None,
        *,
        axes: int,
        widths: Sequence[tuple[int, int]],
        upsampled: Sequence[int],
        norm: bool,
        dropout: float,
        rngs: nnx.Rngs,
    ) -> None:
        down: list[Any] = []
        before = in_channels
        for first, second in widths:
            halving = [MaxPool((2,) * axes, stride=2)] if down else []
            down.append(Chain([*halving, _convs((before, first, second), axes, norm, rngs)]))
            before = second
        if dropout:
            down[-1].append(nnx.Dropout(dropout, rngs=rngs))
        skips, up = [second for _, second in widths[-2::-1]], []
        for skip, channels in zip(skips, upsampled, strict=True):
            up.append(Up(before, skip, channels, axes=axes, norm=norm, rngs=rngs))
            before = skip
        self.stem = Chain([])
        self.stages = nnx.List([*down, *up])
        last = () if classes is None else (Conv(before, classes, (1,) * axes, rngs=rngs),)
        self.head = Chain(last)

    def __call__(self, x: jax.Array, *, features: bool = False) -> Any:
        maps: list[jax.Array] = []
        levels = (len(self.stages) + 1) // 2
        for i, stage in enumerate(self.stages):
            x = stage(x) if i < levels else stage(x, maps[2 * (levels - 1) - i])
            maps.append(x)
        return tuple(maps) if features else self.head(x)


def _convs(widths: Sequence[int], axes: int, norm: bool, rngs: nnx.Rngs) -> Chain:
    """3x3 convolutions that keep the sizes, each with a ReLU."""
    layer = ConvNorm if norm else Conv
    options: dict[str, Any] = {"padding": 1, "activation": "relu", "rngs": rngs}
    return Chain([layer(*pair, (3,) * axes, **options) for pair in pairwise(widths)])


@suggest_keywords
def unet(input_shape: Sequence[int], classes: int | None = 2, *, rngs: nnx.Rngs) -> UNet:
    """U-Net of five levels with 64 to 1024 channels, for inputs (H, W, C).

        x: (N, H, W, C)      returns (N, H, W, classes); H and W are multiples of 16

    As published, without batch normalisation, and with a dropout after the deepest level.

    Raises:
      InputError: (a ValueError) if H or W is not a multiple of 16.

    Source: Ronneberger et al., arXiv:1505.04597, figure 1.

    >>> x = jnp.ones((2, 32, 48, 1))
    >>> nnx.eval_shape(lambda: unet((32, 48, 1), rngs=nnx.Rngs(0))(x)).shape
    (2, 32, 48, 2)
    """
    shape = check_multiple(check_input(input_shape, classes), 16)
    widths = [(channels, channels) for channels in WIDTHS]
    options = {"axes": 2, "widths": widths, "upsampled": WIDTHS[-2::-1]}
    return UNet(shape[-1], classes, norm=False, dropout=0.5, rngs=rngs, **options)


@suggest_keywords
def unet_3d(input_shape: Sequence[int], classes: int | None = 3, *, rngs: nnx.Rngs) -> UNet:
    """U-Net of four levels with 64 to 512 channels, for volumes (D, H, W, C).

        x: (N, D, H, W, C)      returns (N, D, H, W, classes); D, H and W are multiples of 8

    The paper counts 19,069,955 parameters, without the scales of the batch normalisations (2,336).

    Raises:
      InputError: (a ValueError) if D, H or W is not a multiple of 8.

    Source: Çiçek et al., arXiv:1606.06650, figure 2.

    >>> x = jnp.ones((2, 8, 16, 16, 1))
    >>> nnx.eval_shape(lambda: unet_3d((8, 16, 16, 1), rngs=nnx.Rngs(0))(x)).shape
    (2, 8, 16, 16, 3)
    """
    shape = check_multiple(check_input(input_shape, classes, 3), 8)
    widths = [(channels // 2, channels) for channels in WIDTHS_3D]
    options = {"axes": 3, "widths": widths, "upsampled": WIDTHS_3D[:0:-1]}
    return UNet(shape[-1], classes, norm=True, dropout=0.0, rngs=rngs, **options)


NETWORKS = (
    Published(
        build=unet,
        source="Ronneberger et al., 2015",
        input_shape=(512, 512, 1),
        classes=2,
        parameters=31_030_658,
        multiply_adds=192_384_335_872,
        task="segment",
    ),
    Published(
        build=unet_3d,
        source="Çiçek et al., 2016",
        input_shape=(128, 128, 112, 3),
        classes=3,
        parameters=19_072_291,
        multiply_adds=1_712_928_587_776,
        task="segment",
    ),
)
