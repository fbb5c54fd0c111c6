"""A small residual network for images of any size."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import jax
from flax import nnx

from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.halving import halved, halving_kernel
from jaxcnn.models.network import Chain, Classifier, Network, check_input
from jaxcnn.models.published import Published
from jaxcnn.nn import AvgPool, BatchNorm, Conv

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNELS = (32, 64, 128)
"""The channels of each stage; the sizes are halved between stages."""

STEM_CELLS = 32
"""The stem halves larger images until their longer side has this many cells or fewer."""


class Block(nnx.Module):
    """relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)).

        x: (N, H, W, in_channels)
        returns (N, H, W, out_channels); sizes are halved if the channels differ

    The scale of the last norm is zero at first, so that the block begins as its shortcut (Goyal et
    al., arXiv:1706.02677, section 5.1). A shortcut that halves the sizes takes means, so that no
    cell is skipped (He et al., arXiv:1812.01187, ResNet-D).

    >>> import jax.numpy as jnp
    >>> x = jnp.ones((2, 9, 12, 4))
    >>> nnx.eval_shape(lambda: Block((9, 12), 4, 8, rngs=nnx.Rngs(0))(x)).shape
    (2, 5, 6, 8)
    """

    def __init__(
        self, size: Sequence[int], in_channels: int, out_channels: int, *, rngs: nnx.Rngs
    ) -> None:
        halves = in_channels != out_channels
        kernel, stride = (halving_kernel(size), 2) if halves else ((3, 3), 1)
        plain = {"padding": 1, "use_bias": False, "rngs": rngs}
        self.conv1 = Conv(in_channels, out_channels, kernel, stride=stride, **plain)
        self.norm1 = BatchNorm(out_channels, rngs=rngs)
        self.conv2 = Conv(out_channels, out_channels, (3, 3), **plain)
        self.norm2 = BatchNorm(out_channels, scale_init=nnx.initializers.zeros, rngs=rngs)
        # Two cells of an even size, three of an odd one: the padding is the same on both sides.
        window = tuple(3 if cells % 2 else 2 for cells in size)
        projection = (
            AvgPool(window, stride=2, padding="SAME"),
            Conv(in_channels, out_channels, (1, 1), use_bias=False, rngs=rngs),
            BatchNorm(out_channels, rngs=rngs),
        )
        self.shortcut = nnx.List(projection if halves else ())

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jax.nn.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        for layer in self.shortcut:
            x = layer(x)
        return jax.nn.relu(y + x)


class ResidualNet(Network):
    """A residual network: a stem, three stages of two blocks, the mean, a linear layer.

        x: (N, H, W, C)      returns (N, classes), or (N, 128) without classes
        features=True        returns the 3 maps, of 1, 1/2 and 1/4 of the stem's sizes, rounded up

    For images of any size and any number of channels; the stages have 32, 64 and 128 channels. The
    stem is one 3x3 convolution, or, for images of more than 32 cells, convolutions that halve them.

    Args:
      input_shape: (H, W, C).
      classes: the number of outputs; None returns the means.
      rngs: random streams for the parameters.

    Source: He et al., arXiv:1512.03385, section 4.2.

    >>> import jax.numpy as jnp
    >>> network = nnx.eval_shape(lambda: ResidualNet((9, 12, 3), 5, rngs=nnx.Rngs(0)))
    >>> maps = nnx.eval_shape(lambda m: m(jnp.ones((2, 9, 12, 3)), features=True), network)
    >>> [feature_map.shape for feature_map in maps]
    [(2, 9, 12, 32), (2, 5, 6, 64), (2, 3, 3, 128)]
    """

    def __init__(self, input_shape: Sequence[int], classes: int | None, *, rngs: nnx.Rngs) -> None:
        before, size, convs = CHANNELS[0], tuple(input_shape[:2]), []
        plain = {"padding": 1, "use_bias": False, "rngs": rngs}
        if max(size) <= STEM_CELLS:
            convs += [Conv(input_shape[-1], before, (3, 3), **plain)]
        while max(size) > STEM_CELLS:
            inputs = before if convs else input_shape[-1]
            convs += [Conv(inputs, before, halving_kernel(size), stride=2, **plain)]
            size = halved(size)
        layers = [(conv, BatchNorm(before, rngs=rngs), jax.nn.relu) for conv in convs]
        self.stem, stages = Chain(chain.from_iterable(layers)), []
        for channels in CHANNELS:
            first = Block(size, before, channels, rngs=rngs)
            size = size if channels == before else halved(size)
            stages.append(Chain([first, Block(size, channels, channels, rngs=rngs)]))
            before = channels
        self.stages = nnx.List(stages)
        self.head = Classifier(before, classes, rngs=rngs)


@suggest_keywords
def residual(
    input_shape: Sequence[int], classes: int | None = 10, *, rngs: nnx.Rngs
) -> ResidualNet:
    """:class:`ResidualNet` by its name.

    >>> import jax.numpy as jnp
    >>> residual((9, 12, 3), 5, rngs=nnx.Rngs(0))(jnp.ones((2, 9, 12, 3))).shape
    (2, 5)
    """
    return ResidualNet(check_input(input_shape, classes), classes, rngs=rngs)


NETWORKS = (
    Published(
        build=residual,
        source="small, for any images; after He et al., 2015",
        input_shape=(32, 32, 3),
        classes=10,
        parameters=768_298,
        multiply_adds=113_083_648,
    ),
)
