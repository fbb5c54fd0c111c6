"""Augmentation on the device: pure functions of a key and a batch of images.

``images.py`` and ``mixing.py`` have the functions, ``words.py`` their text form and chains of them.
Imports geometry alone.

An image's result depends on the key, on its place in the batch and on the image itself; in
:func:`mixup` and :func:`cutmix` also on the image before it. So it is the same however the batch is
sharded.
"""

from jaxcnn.data.augment.images import color, crop, cutout, elastic, flip, rotate, scale, shift
from jaxcnn.data.augment.mixing import cutmix, mixup
from jaxcnn.data.augment.words import Augmentation, compose, parse, views

__all__ = [
    "Augmentation",
    "color",
    "compose",
    "crop",
    "cutmix",
    "cutout",
    "elastic",
    "flip",
    "mixup",
    "parse",
    "rotate",
    "scale",
    "shift",
    "views",
]
