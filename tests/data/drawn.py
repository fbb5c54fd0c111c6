"""Arrays and folders of pictures for the tests of data sets."""

from pathlib import Path

import numpy as np
from PIL import Image


def drawn_images(count, shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def save_picture(path, pixels, **options):
    """Writes (H, W, C) pixels, with 1, 3 or 4 channels, and makes the folders above."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, **options)
    return path


def save_folder(root, images, names):
    """Each image as ``root/NAME/000.png`` and so on."""
    for index, (image, name) in enumerate(zip(images, names, strict=True)):
        save_picture(root / name / f"{index:03}.png", image)
    return root
