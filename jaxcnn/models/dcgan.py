"""The generator of DCGAN."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jax
from flax import nnx

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.network import Chain, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.nn import BatchNorm, ConvTranspose, Dense

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTHS = (1024, 512, 256, 128)
"""The channels of the maps of 4x4 to 32x32 cells."""

DOUBLING: dict[str, Any] = {
    "kernel_size": (5, 5),
    "stride": 2,
    "padding": 2,
    "output_padding": 1,
}
"""A transposed convolution that doubles the sizes."""


class Projection(nnx.Module):
    """relu(norm(a map of 4x4 cells that depends linearly on x)).

        x: (N, features)      returns (N, 4, 4, channels)

    >>> import jax.numpy as jnp
    >>> Projection(10, 8, rngs=nnx.Rngs(0))(jnp.ones((2, 10))).shape
    (2, 4, 4, 8)
    """

    def __init__(self, features: int, channels: int, *, rngs: nnx.Rngs) -> None:
        self.dense = Dense(features, 16 * channels, use_bias=False, rngs=rngs)
        self.norm = BatchNorm(channels, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.norm(self.dense(x).reshape(x.shape[0], 4, 4, -1)))


class Doubling(nnx.Module):
    """relu(norm(conv(x))) with a transposed convolution of stride 2.

        x: (N, H, W, in_channels)      returns (N, 2H, 2W, out_channels)

    >>> import jax.numpy as jnp
    >>> Doubling(8, 4, rngs=nnx.Rngs(0))(jnp.ones((2, 4, 4, 8))).shape
    (2, 8, 8, 4)
    """

    def __init__(self, in_channels: int, out_channels: int, *, rngs: nnx.Rngs) -> None:
        self.conv = ConvTranspose(in_channels, out_channels, **DOUBLING, use_bias=False, rngs=rngs)
        self.norm = BatchNorm(out_channels, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.norm(self.conv(x)))


class DCGAN(Network):
    """A dense layer to 4x4 cells, then four transposed convolutions, each doubling the sizes.

        x: (N, features)      returns (N, 64, 64, channels) with values in (-1, 1)
        features=True         returns the 3 maps of 8x8x512, 16x16x256 and 32x32x128 cells

    Args:
      features: entries of x, which training draws from one distribution.
      channels: channels of the images; None for the last map.
      rngs: random streams.

    Source: Radford et al., arXiv:1511.06434, figure 1.
    """

    def __init__(self, features: int, channels: int | None, *, rngs: nnx.Rngs) -> None:
        self.stem = Projection(features, WIDTHS[0], rngs=rngs)
        self.stages = nnx.List([Doubling(*pair, rngs=rngs) for pair in pairwise(WIDTHS)])
        last: list[Any] = []
        if channels is not None:
            last = [ConvTranspose(WIDTHS[-1], channels, **DOUBLING, activation="tanh", rngs=rngs)]
        self.head = Chain(last)


@suggest_keywords
def dcgan(input_shape: Sequence[int], classes: int | None = 3, *, rngs: nnx.Rngs) -> DCGAN:
    """:class:`DCGAN` for inputs (features,); the paper has 100 features, uniform in (-1, 1).

    ``classes``, as the outputs are called in all networks, are the channels of the images.

    >>> import jax.numpy as jnp
    >>> x = jnp.ones((2, 100))
    >>> nnx.eval_shape(lambda: dcgan((100,), rngs=nnx.Rngs(0))(x)).shape
    (2, 64, 64, 3)
    """
    shape = check_input(input_shape, classes, 0)
    return DCGAN(shape[0], classes, rngs=rngs)


NETWORKS = (
    Published(
        build=dcgan,
        source="Radford et al., 2015",
        input_shape=(100,),
        classes=3,
        parameters=18_855_043,
        multiply_adds=640_614_400,
        task="generate",
    ),
)
