"""LeNet-5: the first convolutional network for handwritten digits in wide use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.geometry import output_sizes
from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.network import Chain, Network, check_input, check_multiple
from jaxcnn.models.published import Published
from jaxcnn.nn import AvgPool, Conv, Dense

if TYPE_CHECKING:
    from collections.abc import Sequence

READS = (
    *(tuple((i + k) % 6 for k in range(3)) for i in range(6)),
    *(tuple((i + k) % 6 for k in range(4)) for i in range(6)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    tuple(range(6)),
)
"""For each of the 16 maps of the second convolution, the maps that it reads: table I."""


def squash(x: jax.Array) -> jax.Array:
    """1.7159 tanh(2x/3): 1 at 1, and -1 at -1 (appendix A).

    >>> float(squash(jnp.array(1.0)).round(4))
    1.0
    """
    return 1.7159 * jnp.tanh(2 / 3 * x)


class Subsample(nnx.Module):
    """squash(scale * mean of 2x2 cells + bias), one scale and bias for each channel.

        x: (N, H, W, channels)      returns (N, H/2, W/2, channels)

    >>> Subsample(4)(jnp.ones((2, 6, 6, 4))).shape
    (2, 3, 3, 4)
    """

    def __init__(self, channels: int) -> None:
        self.pool = AvgPool((2, 2), stride=2)
        self.scale = nnx.Param(jnp.ones((channels,), "float32"))
        self.bias = nnx.Param(jnp.zeros((channels,), "float32"))

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.pool(x)
        scale, bias = (
            value[...].astype(y.dtype).reshape(1, 1, 1, -1) for value in (self.scale, self.bias)
        )
        return squash(y * scale + bias)


class LeNet5(Network):
    """Two convolutions, each subsampled; one over all cells; two dense layers.

        x: (N, H, W, C)      returns (N, classes)
        features=True        the maps after the three convolutions, two of them subsampled

    The last layer is dense, where the paper has distances from drawn letters. A map of the second
    convolution reads some maps of the first (``READS``); its other weights have no effect.

    Args:
      input_shape: (H, W, C): H and W multiples of 4, 16 or more; the paper's are 32.
      classes: the number of outputs; None returns the 84 outputs of the layer before.
      rngs: random streams for the parameters.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of
    the IEEE 86(11), 1998, section II.B.

    >>> network = nnx.eval_shape(lambda: LeNet5((28, 28, 1), 10, rngs=nnx.Rngs(0)))
    >>> maps = nnx.eval_shape(lambda m: m(jnp.ones((2, 28, 28, 1)), features=True), network)
    >>> [feature_map.shape for feature_map in maps]
    [(2, 12, 12, 6), (2, 4, 4, 16), (2, 1, 1, 120)]
    """

    def __init__(self, input_shape: Sequence[int], classes: int | None, *, rngs: nnx.Rngs) -> None:
        *size, channels = input_shape
        mask = np.zeros((5, 5, 6, 16), bool)
        for out, reads in enumerate(READS):
            mask[..., reads, out] = True
        for _ in range(2):
            size = output_sizes(output_sizes(size, 5), 2, stride=2)
        conv1 = Conv(channels, 6, (5, 5), activation=squash, rngs=rngs)
        conv2 = Conv(6, 16, (5, 5), mask=mask, activation=squash, rngs=rngs)
        self.stem = Chain([])
        self.stages = nnx.List(
            [
                Chain([conv1, Subsample(6)]),
                Chain([conv2, Subsample(16)]),
                Chain([Conv(16, 120, size, activation=squash, rngs=rngs)]),
            ]
        )
        dense = [Dense(120, 84, activation=squash, rngs=rngs)]
        dense += [] if classes is None else [Dense(84, classes, rngs=rngs)]
        self.head = Chain([_flat, *dense])


def _flat(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0], -1)


@suggest_keywords
def lenet5(input_shape: Sequence[int], classes: int | None = 10, *, rngs: nnx.Rngs) -> LeNet5:
    """:class:`LeNet5` by its name.

    Raises:
      InputError: (a ValueError) if H or W is less than 16 or not a multiple of 4.

    >>> lenet5((32, 32, 1), rngs=nnx.Rngs(0))(jnp.ones((2, 32, 32, 1))).shape
    (2, 10)
    """
    shape = check_multiple(check_input(input_shape, classes, least=16), 4)
    return LeNet5(shape, classes, rngs=rngs)


DEAD = 5 * 5 * (6 * 16 - sum(map(len, READS)))
"""The weights of the second convolution that are zero."""

NETWORKS = (
    Published(
        build=lenet5,
        source="LeCun et al., 1998",
        input_shape=(32, 32, 1),
        classes=10,
        # The paper has 60,000 without a dense layer of 84 inputs and 10 outputs.
        parameters=60_000 + (84 + 1) * 10 + DEAD,
    ),
)
