"""Runs jaxcnn.lint on two well-known networks, written in plain Flax as published.

ResNet-18 (He et al., arXiv:1512.03385) on 224x224 images, with the padding of its reference code,
and the generator of DCGAN (Radford et al., arXiv:1511.06434), with its 5x5 kernels at stride 2.
The networks do not use jaxcnn. The reports are printed and, with --out, written as JSON:

    python experiments/lint_known_networks.py --out runs/lint
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import jax
from flax import nnx

from jaxcnn.inspect import Report, lint, plan_of


@dataclass(frozen=True)
class Settings:
    """The settings of the experiment.

    Attributes:
      image: the height and width of ResNet's images.
      noise: the size of the generator's input.
      out: the folder for the reports as JSON; if empty, none are written.
    """

    image: int = 224
    noise: int = 100
    out: str = ""


class Block(nnx.Module):
    """Two 3x3 convolutions and a shortcut, a 1x1 convolution if shapes change."""

    def __init__(self, before: int, channels: int, stride: int, *, rngs: nnx.Rngs) -> None:
        def conv(inputs: int, size: int, stride: int) -> nnx.Conv:
            around = ((size // 2, size // 2),) * 2
            shape = (size, size)
            return nnx.Conv(
                inputs, channels, shape, stride, padding=around, use_bias=False, rngs=rngs
            )

        self.conv1, self.norm1 = conv(before, 3, stride), nnx.BatchNorm(channels, rngs=rngs)
        self.conv2, self.norm2 = conv(channels, 3, 1), nnx.BatchNorm(channels, rngs=rngs)
        changes = stride > 1 or before != channels
        self.shortcut = conv(before, 1, stride) if changes else None
        self.shortcut_norm = nnx.BatchNorm(channels, rngs=rngs) if changes else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.shortcut is not None:
            x = self.shortcut_norm(self.shortcut(x))
        return nnx.relu(x + y)


class ResNet18(nnx.Module):
    """The 18-layer residual network for 1000 classes."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        around = ((3, 3), (3, 3))
        self.stem = nnx.Conv(3, 64, (7, 7), 2, padding=around, use_bias=False, rngs=rngs)
        self.stem_norm = nnx.BatchNorm(64, rngs=rngs)
        widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        self.blocks = nnx.List(
            Block(before if first else after, after, stride if first else 1, rngs=rngs)
            for before, after, stride in widths
            for first in (True, False)
        )
        self.head = nnx.Linear(512, 1000, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.stem_norm(self.stem(x)))
        x = nnx.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


class Generator(nnx.Module):
    """A generator of 64x64 images from noise: a projection, then four transposed convolutions."""

    def __init__(self, noise: int, *, kernel_size: int = 5, rngs: nnx.Rngs) -> None:
        widths = (1024, 512, 256, 128, 3)
        self.project = nnx.Linear(noise, 4 * 4 * widths[0], rngs=rngs)
        self.norms = nnx.List(nnx.BatchNorm(width, rngs=rngs) for width in widths[:-1])
        self.grow = nnx.List(
            nnx.ConvTranspose(before, after, (kernel_size, kernel_size), (2, 2), rngs=rngs)
            for before, after in pairwise(widths)
        )

    def __call__(self, z: jax.Array) -> jax.Array:
        x = self.project(z).reshape(*z.shape[:-1], 4, 4, -1)
        for norm, grow in zip(self.norms, self.grow, strict=True):
            x = grow(nnx.relu(norm(x)))
        return nnx.tanh(x)


def reports(settings: Settings) -> dict[str, Report]:
    """The reports of the networks, by name."""
    noise = settings.noise
    return {
        "resnet18": lint(shapes_of(ResNet18), (settings.image, settings.image, 3)),
        "dcgan": lint(shapes_of(Generator, noise), (noise,)),
        "dcgan_kernel4": lint(shapes_of(Generator, noise, kernel_size=4), (noise,)),
    }


def shapes_of(network: type[nnx.Module], *args: int, **options: int) -> nnx.Module:
    """The network with shapes in place of its weights, which lint does not need."""
    return nnx.eval_shape(lambda: network(*args, **options, rngs=nnx.Rngs(0)))


def main(settings: Settings) -> None:
    """Prints ResNet's plan and every report, and writes the reports to the folder."""
    print(f"jax {jax.__version__} (networks are traced; nothing is computed)\n")
    print(plan_of(shapes_of(ResNet18), (settings.image, settings.image, 3)))
    for name, report in reports(settings).items():
        print(f"\n== {name} ==\n{report}")
        if settings.out:
            folder = Path(settings.out)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").write_text(report.to_json() + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for setting in fields(Settings):
        default = setting.default
        parser.add_argument(f"--{setting.name}", type=type(default), default=default)
    main(Settings(**vars(parser.parse_args())))
