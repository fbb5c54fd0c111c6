"""LeNet-5 in PyTorch, which no library has: by section II.B and table I of the paper.

LeCun et al., "Gradient-based learning applied to document recognition", 1998. The modules have the
names of ours.
"""

from __future__ import annotations

import torch
from torch import nn

TABLE = """
    X...XXX..XXXX.XX
    XX...XXX..XXXX.X
    XXX...XXX..X.XXX
    .XXX..XXXX..X.XX
    ..XXX..XXXX.XX.X
    ...XXX..XXXX.XXX
"""
"""Row by row, the maps of the second convolution that read a map of the first."""


def squash(x):
    return 1.7159 * torch.tanh(2 * x / 3)


class Convolution(nn.Conv2d):
    def forward(self, x):
        return squash(super().forward(x))


class PartialConvolution(nn.Conv2d):
    def forward(self, x):
        reads = torch.tensor([[cell == "X" for cell in row] for row in TABLE.split()])
        weight = self.weight * reads.T[:, :, None, None]
        return squash(nn.functional.conv2d(x, weight, self.bias))


class Subsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        means = nn.functional.avg_pool2d(x, 2)
        return squash(means * self.weight[:, None, None] + self.bias[:, None, None])


class Dense(nn.Linear):
    def forward(self, x):
        return squash(super().forward(x))


class LeNet5(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        height, width, channels = shape
        last = tuple(((n - 4) // 2 - 4) // 2 for n in (height, width))
        self.stages = nn.Sequential(
            nn.Sequential(Convolution(channels, 6, 5), Subsample(6)),
            nn.Sequential(PartialConvolution(6, 16, 5), Subsample(16)),
            nn.Sequential(Convolution(16, 120, last)),
        )
        self.head = nn.Sequential(nn.Flatten(), Dense(120, 84), nn.Linear(84, classes))

    def forward(self, x):
        return self.head(self.stages(x))
