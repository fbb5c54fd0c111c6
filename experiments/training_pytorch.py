"""The same networks as in ``training_networks.py``, layer by layer, in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from training_networks import CLASSES, INVERTED, STAGES

if TYPE_CHECKING:
    from collections.abc import Callable


def digits() -> nn.Sequential:
    """PyTorch's example network for MNIST."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, CLASSES),
    )


def conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    """A convolution without bias, which keeps the size at stride 1, and BatchNorm."""
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
        ),
        nn.BatchNorm2d(out_channels),
    )


class Residual(nn.Module):
    """The sum of the body and the shortcut, by default the identity."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + self.body(x)


def pooled(c: int, *between: nn.Module) -> tuple[nn.Module, ...]:
    """The layers of the head: a global mean, ``between``, and the scores of the classes."""
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), *between, nn.Linear(c, CLASSES)


def resnet18() -> nn.Sequential:
    """ResNet-18 with a 3x3 stem of stride 1 and no pool."""
    layers, c = [conv_norm(3, 64, 3), nn.ReLU()], 64
    for channels, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (first, 1):
            body = nn.Sequential(
                conv_norm(c, channels, 3, stride), nn.ReLU(), conv_norm(channels, channels, 3)
            )
            shortcut = conv_norm(c, channels, 1, stride) if c != channels else None
            layers += [Residual(body, shortcut), nn.ReLU()]
            c = channels
    return nn.Sequential(*layers, *pooled(c))


def mobilenetv2() -> nn.Sequential:
    """MobileNetV2 with stride 1 instead of the first two strides of 2."""
    layers, c = [conv_norm(3, 32, 3), nn.ReLU6()], 32
    for expansion, channels, repeats, first in INVERTED:
        for stride in (first, *(1,) * (repeats - 1)):
            wide = expansion * c
            body = nn.Sequential(
                *((conv_norm(c, wide, 1), nn.ReLU6()) if expansion > 1 else ()),
                conv_norm(wide, wide, 3, stride, groups=wide),
                nn.ReLU6(),
                conv_norm(wide, channels, 1),
            )
            layers.append(Residual(body) if stride == 1 and c == channels else body)
            c = channels
    return nn.Sequential(*layers, conv_norm(c, 1280, 1), nn.ReLU6(), *pooled(1280))


class Permute(nn.Module):
    """Permutes the axes."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(*self.order)


class Scale(nn.Module):
    """A learnt factor for each channel, initially 1e-6."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def convnext_t() -> nn.Sequential:
    """ConvNeXt-T with patches of 2x2, without stochastic depth; norms have channels last."""

    def last(*layers: nn.Module) -> nn.Module:
        return nn.Sequential(Permute(0, 2, 3, 1), *layers, Permute(0, 3, 1, 2))

    def norm(channels: int) -> nn.Module:
        return nn.LayerNorm(channels, eps=1e-6)

    layers, c = [nn.Conv2d(3, 96, 2, 2), last(norm(96))], 96
    for channels, blocks in STAGES:
        if channels != c:
            layers += [last(norm(c)), nn.Conv2d(c, channels, 2, 2)]
        for _ in range(blocks):
            body = nn.Sequential(
                nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
                last(
                    norm(channels),
                    nn.Linear(channels, 4 * channels),
                    nn.GELU(),
                    nn.Linear(4 * channels, channels),
                    Scale(channels),
                ),
            )
            layers.append(Residual(body))
        c = channels
    return nn.Sequential(*layers, *pooled(c, norm(c)))


NETWORKS = {
    "mnist": digits,
    "resnet18": resnet18,
    "mobilenetv2": mobilenetv2,
    "convnext_t": convnext_t,
}


def parameters(name: str) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in NETWORKS[name]().parameters())


def trainer(
    name: str, images: torch.Tensor, labels: torch.Tensor, *, channels_last: bool, compiled: bool
) -> Callable[[int], float]:
    """Makes a function that trains for a number of steps and returns the last loss.

    Args:
      name: the network.
      images, labels: (steps, N, C, H, W) and (steps, N), repeated cyclically.
      channels_last: whether to use the channels-last memory layout.
      compiled: whether to use ``torch.compile``.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = NETWORKS[name]().to(memory_format=layout)
    if name == "mnist":
        optimiser = torch.optim.Adadelta(network.parameters(), lr=1.0)
    else:
        optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    forward = torch.compile(network) if compiled else network
    batches = [each.contiguous(memory_format=layout) for each in images]

    def train(steps: int) -> float:
        for number in range(steps):
            place = number % len(batches)
            optimiser.zero_grad()
            loss = functional.cross_entropy(forward(batches[place]), labels[place])
            loss.backward()
            optimiser.step()
        return loss.item()

    return train
