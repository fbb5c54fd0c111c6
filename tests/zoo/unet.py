"""U-Net in PyTorch, which torchvision and timm do not have: by the figures of the papers, padded.

Ronneberger et al., arXiv:1505.04597, figure 1; Çiçek et al., arXiv:1606.06650, figure 2. The
modules have the names of ours.
"""

from __future__ import annotations

import torch
from torch import nn


class Rectified(nn.Module):
    """relu(norm(conv(x))), in three axes."""

    def __init__(self, before, after):
        super().__init__()
        self.conv = nn.Conv3d(before, after, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(after)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class Plain(nn.Conv2d):
    """relu(conv(x)), in two axes."""

    def __init__(self, before, after):
        super().__init__(before, after, 3, padding=1)

    def forward(self, x):
        return torch.relu(super().forward(x))


class Up(nn.Module):
    def __init__(self, upsample, *convs):
        super().__init__()
        self.upsample, self.convs = upsample, nn.Sequential(*convs)

    def forward(self, x, skip):
        return self.convs(torch.cat([skip, self.upsample(x)], 1))


class Paths(nn.Module):
    def forward(self, x):
        down = [stage for stage in self.stages if not isinstance(stage, Up)]
        skips = []
        for stage in down[:-1]:
            x = stage(x)
            skips.append(x)
        x = down[-1](x)
        for stage in self.stages[len(down) :]:
            x = stage(x, skips.pop())
        return self.head(x)


class UNet(Paths):
    def __init__(self, channels, classes):
        super().__init__()
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Sequential(Plain(channels, 64), Plain(64, 64))),
                nn.Sequential(nn.MaxPool2d(2), nn.Sequential(Plain(64, 128), Plain(128, 128))),
                nn.Sequential(nn.MaxPool2d(2), nn.Sequential(Plain(128, 256), Plain(256, 256))),
                nn.Sequential(nn.MaxPool2d(2), nn.Sequential(Plain(256, 512), Plain(512, 512))),
                nn.Sequential(
                    nn.MaxPool2d(2),
                    nn.Sequential(Plain(512, 1024), Plain(1024, 1024)),
                    nn.Dropout(0.5),
                ),
                Up(nn.ConvTranspose2d(1024, 512, 2, 2), Plain(1024, 512), Plain(512, 512)),
                Up(nn.ConvTranspose2d(512, 256, 2, 2), Plain(512, 256), Plain(256, 256)),
                Up(nn.ConvTranspose2d(256, 128, 2, 2), Plain(256, 128), Plain(128, 128)),
                Up(nn.ConvTranspose2d(128, 64, 2, 2), Plain(128, 64), Plain(64, 64)),
            ]
        )
        self.head = nn.Sequential(nn.Conv2d(64, classes, 1))


class UNet3D(Paths):
    def __init__(self, channels, classes):
        super().__init__()

        def double(before, between, after):
            return nn.Sequential(Rectified(before, between), Rectified(between, after))

        def up(channels, skip):
            upsample = nn.ConvTranspose3d(channels, channels, 2, 2, bias=False)
            return Up(upsample, Rectified(channels + skip, skip), Rectified(skip, skip))

        self.stages = nn.ModuleList(
            [
                nn.Sequential(double(channels, 32, 64)),
                nn.Sequential(nn.MaxPool3d(2), double(64, 64, 128)),
                nn.Sequential(nn.MaxPool3d(2), double(128, 128, 256)),
                nn.Sequential(nn.MaxPool3d(2), double(256, 256, 512)),
                up(512, 256),
                up(256, 128),
                up(128, 64),
            ]
        )
        self.head = nn.Sequential(nn.Conv3d(64, classes, 1))
