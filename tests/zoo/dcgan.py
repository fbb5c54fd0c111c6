"""DCGAN's generator in PyTorch: by figure 1 of Radford et al., arXiv:1511.06434.

The modules have the names of ours.
"""

from __future__ import annotations

import torch
from torch import nn


class Projection(nn.Module):
    def __init__(self, features, after):
        super().__init__()
        self.dense = nn.Linear(features, 4 * 4 * after, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x):
        cells = self.dense(x).unflatten(1, (4, 4, -1))
        return torch.relu(self.norm(cells.permute(0, 3, 1, 2)))


class Doubling(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.conv = nn.ConvTranspose2d(before, after, 5, 2, 2, output_padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class Generator(nn.Module):
    def __init__(self, features, channels, widths):
        super().__init__()
        a, b, c, d = widths
        self.stem = Projection(features, a)
        self.stages = nn.Sequential(Doubling(a, b), Doubling(b, c), Doubling(c, d))
        last = nn.ConvTranspose2d(d, channels, 5, 2, 2, output_padding=1)
        self.head = nn.Sequential(last, nn.Tanh())

    def forward(self, x):
        return self.head(self.stages(self.stem(x)))
