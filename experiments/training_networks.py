"""The networks of ``training_speed.py`` in Flax NNX, and their training steps.

The networks are the variants for images of 32x32: ResNet-18 and MobileNetV2 start without reducing
the size, and ConvNeXt-T uses patches of 2x2. ``training_pytorch.py`` has the same networks in
PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax

import jaxcnn

CLASSES = 10
INVERTED = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""MobileNetV2's expansion, channels, repeats and first stride (arXiv:1801.04381, table 2)."""

STAGES = ((96, 3), (192, 3), (384, 9), (768, 3))
"""ConvNeXt-T's channels and blocks (arXiv:2201.03545)."""


class Digits(nnx.Module):
    """PyTorch's example network for MNIST, with Flax's layers."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(1, 32, (3, 3), padding="VALID", rngs=rngs)
        self.second = nnx.Conv(32, 64, (3, 3), padding="VALID", rngs=rngs)
        self.head = _digits_head(rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.second(nnx.relu(self.first(x))))
        return self.head(nnx.max_pool(x, (2, 2), strides=(2, 2)))


class DigitsOfJaxcnn(nnx.Module):
    """PyTorch's example network for MNIST, with jaxcnn's layers."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = jaxcnn.nn.Conv(1, 32, (3, 3), activation="relu", rngs=rngs)
        self.second = jaxcnn.nn.Conv(32, 64, (3, 3), activation="relu", rngs=rngs)
        self.head = _digits_head(rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(jaxcnn.max_pool(self.second(self.first(x)), 2))


def _digits_head(rngs: nnx.Rngs) -> nnx.Sequential:
    return nnx.Sequential(
        nnx.Dropout(0.25, rngs=rngs),
        lambda x: x.reshape(len(x), -1),
        nnx.Linear(12 * 12 * 64, 128, rngs=rngs),
        nnx.relu,
        nnx.Dropout(0.5, rngs=rngs),
        nnx.Linear(128, CLASSES, rngs=rngs),
    )


class ConvNorm(nnx.Sequential):
    """A convolution without bias, which keeps the size at stride 1, and BatchNorm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        groups: int = 1,
        rngs: nnx.Rngs,
    ) -> None:
        conv = nnx.Conv(
            in_channels,
            out_channels,
            (kernel_size, kernel_size),
            strides=stride,
            padding=kernel_size // 2,
            feature_group_count=groups,
            use_bias=False,
            rngs=rngs,
        )
        super().__init__(conv, nnx.BatchNorm(out_channels, momentum=0.9, rngs=rngs))


class Residual(nnx.Module):
    """The sum of the body and the shortcut, by default the identity."""

    def __init__(
        self,
        body: Callable[[jax.Array], jax.Array],
        shortcut: Callable[[jax.Array], jax.Array] = lambda x: x,
    ) -> None:
        self.body, self.shortcut = body, shortcut

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.shortcut(x) + self.body(x)


def _mean(x: jax.Array) -> jax.Array:
    return x.mean((1, 2))


def resnet18(rngs: nnx.Rngs) -> nnx.Sequential:
    """He et al., arXiv:1512.03385, with a 3x3 stem of stride 1 and no pool."""
    layers, c = [ConvNorm(3, 64, 3, rngs=rngs), nnx.relu], 64
    for channels, stride in (
        (64, 1),
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
    ):
        body = nnx.Sequential(
            ConvNorm(c, channels, 3, stride, rngs=rngs),
            nnx.relu,
            ConvNorm(channels, channels, 3, rngs=rngs),
        )
        shortcut = () if c == channels else (ConvNorm(c, channels, 1, stride, rngs=rngs),)
        layers += [Residual(body, *shortcut), nnx.relu]
        c = channels
    return nnx.Sequential(*layers, _mean, nnx.Linear(c, CLASSES, rngs=rngs))


def mobilenetv2(rngs: nnx.Rngs) -> nnx.Sequential:
    """Sandler et al., arXiv:1801.04381, with stride 1 instead of the first two strides of 2."""
    layers, c = [ConvNorm(3, 32, 3, rngs=rngs), nnx.relu6], 32
    for expansion, channels, repeats, first in INVERTED:
        for stride in (first, *(1,) * (repeats - 1)):
            wide = expansion * c
            widen = [ConvNorm(c, wide, 1, rngs=rngs), nnx.relu6] if expansion > 1 else []
            body = nnx.Sequential(
                *widen,
                ConvNorm(wide, wide, 3, stride, groups=wide, rngs=rngs),
                nnx.relu6,
                ConvNorm(wide, channels, 1, rngs=rngs),
            )
            layers.append(Residual(body) if stride == 1 and c == channels else body)
            c = channels
    layers += [ConvNorm(c, 1280, 1, rngs=rngs), nnx.relu6, _mean]
    return nnx.Sequential(*layers, nnx.Linear(1280, CLASSES, rngs=rngs))


class Scale(nnx.Module):
    """A learnt factor for each channel, initially 1e-6."""

    def __init__(self, channels: int) -> None:
        self.factor = nnx.Param(jnp.full(channels, 1e-6))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.factor[...] * x


def convnext_t(rngs: nnx.Rngs) -> nnx.Sequential:
    """Liu et al., arXiv:2201.03545, with patches of 2x2, without stochastic depth."""

    def patches(c: int, channels: int) -> nnx.Conv:
        return nnx.Conv(c, channels, (2, 2), strides=2, padding="VALID", rngs=rngs)

    def norm(channels: int) -> nnx.LayerNorm:
        return nnx.LayerNorm(channels, epsilon=1e-6, rngs=rngs)

    layers, c = [patches(3, 96), norm(96)], 96
    for channels, blocks in STAGES:
        if channels != c:
            layers += [norm(c), patches(c, channels)]
        for _ in range(blocks):
            body = nnx.Sequential(
                nnx.Conv(
                    channels, channels, (7, 7), padding=3, feature_group_count=channels, rngs=rngs
                ),
                norm(channels),
                nnx.Linear(channels, 4 * channels, rngs=rngs),
                lambda x: nnx.gelu(x, approximate=False),
                nnx.Linear(4 * channels, channels, rngs=rngs),
                Scale(channels),
            )
            layers.append(Residual(body))
        c = channels
    return nnx.Sequential(*layers, _mean, norm(c), nnx.Linear(c, CLASSES, rngs=rngs))


@dataclass(frozen=True)
class Task:
    """A network and its training.

    Attributes:
      build: makes the network.
      image: (H, W, C).
      batch: images in a step.
      optimiser: the optimiser.
      steps: the steps of one scan.
      depth: the number of layers with weights, one after another.
      terms: the largest number of products summed into one element.
    """

    build: Callable[[nnx.Rngs], nnx.Module]
    image: tuple[int, int, int]
    batch: int
    optimiser: optax.GradientTransformation
    steps: int
    depth: int
    terms: int


SGD = optax.sgd(0.01, momentum=0.9)
TASKS = {
    "mnist": Task(Digits, (28, 28, 1), 64, optax.adadelta(1.0), 10, 4, 9216),
    "resnet18": Task(resnet18, (32, 32, 3), 32, SGD, 2, 18, 9 * 512),
    "mobilenetv2": Task(mobilenetv2, (32, 32, 3), 32, SGD, 3, 53, 1280),
    "convnext_t": Task(convnext_t, (32, 32, 3), 32, SGD, 2, 59, 4 * 768),
}


class State(NamedTuple):
    """Everything that training changes."""

    params: nnx.State
    rest: nnx.State  # running statistics and random number counters
    optimiser: optax.OptState


Batch = tuple[jax.Array, jax.Array]
"""Images (N, H, W, C) and labels (N,); a further first axis holds the batches of many steps."""

Step = Callable[[State, Batch], tuple[State, jax.Array]]
"""A training step: returns the new state, and the loss before the update."""


def training(task: Task, build: Callable[[nnx.Rngs], nnx.Module]) -> tuple[State, Step]:
    """Splits a network once; returns its initial state and its training step."""
    graph, params, rest = nnx.split(build(nnx.Rngs(0)), nnx.Param, ...)

    def step(state: State, batch: Batch) -> tuple[State, jax.Array]:
        images, labels = batch

        def loss(params: nnx.State) -> tuple[jax.Array, nnx.State]:
            network = nnx.merge(graph, params, state.rest, copy=True)
            nats = optax.softmax_cross_entropy_with_integer_labels(network(images), labels)
            return nats.mean(), nnx.split(network, nnx.Param, ...)[2]

        (nats, rest), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        updates, optimiser = task.optimiser.update(gradient, state.optimiser, state.params)
        return State(optax.apply_updates(state.params, updates), rest, optimiser), nats

    return State(params, rest, task.optimiser.init(params)), step


def scanned(step: Step) -> Step:
    """Scans a step over many batches; returns the losses of all steps."""
    return lambda state, batches: lax.scan(step, state, batches)
