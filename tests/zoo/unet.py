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
    def __init__(self, channels, classes, widths):
        super().__init__()

        def double(before, after):
            return nn.Sequential(Plain(before, after), Plain(after, after))

        def up(before, after):
            upsample = nn.ConvTranspose2d(before, after, 2, 2)
            return Up(upsample, Plain(before, after), Plain(after, after))

        a, b, c, d, e = widths
        self.stages = nn.ModuleList(
            [
                nn.Sequential(double(channels, a)),
                nn.Sequential(nn.MaxPool2d(2), double(a, b)),
                nn.Sequential(nn.MaxPool2d(2), double(b, c)),
                nn.Sequential(nn.MaxPool2d(2), double(c, d)),
                nn.Sequential(nn.MaxPool2d(2), double(d, e), nn.Dropout(0.5)),
                up(e, d),
                up(d, c),
                up(c, b),
                up(b, a),
            ]
        )
        self.head = nn.Sequential(nn.Conv2d(a, classes, 1))


class UNet3D(Paths):
    def __init__(self, channels, classes, widths):
        super().__init__()

        def double(before, after):
            # The paper doubles the channels before a pool, not after it.
            return nn.Sequential(Rectified(before, after // 2), Rectified(after // 2, after))

        def up(before, skip):
            upsample = nn.ConvTranspose3d(before, before, 2, 2, bias=False)
            return Up(upsample, Rectified(before + skip, skip), Rectified(skip, skip))

        a, b, c, d = widths
        self.stages = nn.ModuleList(
            [
                nn.Sequential(double(channels, a)),
                nn.Sequential(nn.MaxPool3d(2), double(a, b)),
                nn.Sequential(nn.MaxPool3d(2), double(b, c)),
                nn.Sequential(nn.MaxPool3d(2), double(c, d)),
                up(d, c),
                up(c, b),
                up(b, a),
            ]
        )
        self.head = nn.Sequential(nn.Conv3d(a, classes, 1))
