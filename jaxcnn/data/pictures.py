"""Picture files as arrays of one shape, through Pillow.

A picture becomes grey (1 channel), RGB (3) or RGB with alpha (4):

- A palette is looked up. CMYK, YCbCr and Lab become RGB, and RGB becomes grey, as Pillow does it:
  grey is 0.299 R + 0.587 G + 0.114 B.
- Of 16 bits the upper 8 are taken.
- Where fewer than 4 channels are asked for, a transparent picture is laid on white.
- EXIF's orientation is applied. Of an animation the first frame is taken.

Sizes change by Pillow's bicubic filter, which is widened where a picture shrinks (anti-aliasing).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.extra import requires_extra
from jaxcnn.geometry.check import choice, per_axis

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
"""The ends of the names of pictures, in lower case."""

RESIZES = ("crop", "stretch")
"""How pictures are brought to one size: see :class:`Resize`."""

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_TRANSPARENT = ("LA", "PA", "RGBA", "RGBa")
_KNOWN = ("1", "L", "P", "RGB", *_TRANSPARENT)


@dataclass(frozen=True)
class Resize:
    """How pictures are brought to one size.

    Attributes:
      size: (height, width) of the result.
      how: ``"crop"``: the picture is scaled until it just covers ``size``, so that for a square its
        shorter side fits, and its centre is cut out; ``"stretch"``: each side is scaled by itself.

    Raises:
      InputError: (a ValueError) if a side is below 1, or ``how`` is another word.

    >>> print(Resize((32, 48)))
    32x48, scaled to cover it and cut at the centre, bicubic with anti-aliasing
    """

    size: tuple[int, int]
    how: str = "crop"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", per_axis("image_size", self.size, 2, least=1))
        choice("resize", self.how, RESIZES)

    def __str__(self) -> str:
        how = "scaled to cover it and cut at the centre" if self.how == "crop" else "stretched"
        return f"{self.size[0]}x{self.size[1]}, {how}, bicubic with anti-aliasing"


def read_picture(
    path: str | Path, image_shape: tuple[int, int, int], resize: Resize | str | None
) -> np.ndarray:
    """The picture in a file.

    Args:
      path: a file that Pillow can read.
      image_shape: (H, W, C) of the result, with C 1, 3 or 4.
      resize: how the picture gets the size (H, W), ``"crop"`` or ``"stretch"``; None if it must
        have it.

    Returns:
      (H, W, C), uint8.

    Raises:
      InputError: (a ValueError) if the file cannot be read or decoded, or has another size and
        ``resize`` is None.
      TypeError: if ``resize`` is anything else.

    >>> import tempfile, PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     PIL.Image.new("RGB", (9, 7), "red").save(f"{folder}/red.png")
    ...     read_picture(f"{folder}/red.png", (4, 4, 3), "crop")[0, 0].tolist()
    [255, 0, 0]
    """
    if isinstance(resize, str):
        resize = Resize(image_shape[:2], resize)
    elif not isinstance(resize, Resize | None):
        raise TypeError(f"resize must be one of {', '.join(RESIZES)} or None, got {resize!r}")
    return pixels_of(decode(path, read_bytes(path)), image_shape, resize, path)


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file; an InputError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def decode(path: str | Path, content: bytes) -> Image:
    """The picture in the bytes of a file, upright, in one of the modes ``_KNOWN``."""
    images, operations = _pillow()
    try:
        image = images.open(io.BytesIO(content))
        most = images.MAX_IMAGE_PIXELS
        if most is None or image.width * image.height <= most:
            image.load()
            return _eight_bits(operations.exif_transpose(image), path)
    except InputError:
        raise
    except images.DecompressionBombError as error:
        raise InputError(f"{path}: {error}") from None
    except images.UnidentifiedImageError:
        raise InputError(
            f"{path}: is no picture, or of a kind that Pillow does not know ({len(content)} bytes)"
        ) from None
    except Exception as error:  # Pillow's decoders raise many kinds
        raise InputError(f"{path}: cannot be decoded ({error})") from None
    raise InputError(
        f"{path}: {image.height}x{image.width} pixels are more than the {most} allowed"
    )


def is_grey(image: Image) -> bool:
    """Whether the mode of a picture is grey; for a palette, whether all its colors are."""
    if image.mode == "P":
        colors = np.asarray(image.convert("RGB"))
        return bool((colors == colors[..., :1]).all())
    return image.mode in ("1", "L", "LA")


def pixels_of(
    image: Image, image_shape: tuple[int, int, int], resize: Resize | None, path: str | Path
) -> np.ndarray:
    """The pixels (H, W, C) of a picture; the arguments are those of :func:`read_picture`."""
    height, width, channels = image_shape
    if resize is None and (image.height, image.width) != (height, width):
        raise InputError(
            f"{path}: the picture is {image.height}x{image.width}, not {height}x{width}; resize it"
        )
    try:
        image = fit(_convert(image, _MODES[channels]), resize)
    except KeyError:
        raise InputError(f"pictures have 1, 3 or 4 channels, got channels {channels}") from None
    return np.asarray(image).reshape(image_shape)


def fit(image: Image, resize: Resize | None) -> Image:
    """The picture in the size of ``resize``."""
    images, operations = _pillow()
    if resize is None or resize.size == (image.height, image.width):
        return image
    size, bicubic = (resize.size[1], resize.size[0]), images.Resampling.BICUBIC
    return (
        image.resize(size, bicubic)
        if resize.how == "stretch"
        else operations.fit(image, size, method=bicubic)
    )


def fit_arrays(
    images: np.ndarray, channels: int | None = None, resize: Resize | None = None
) -> np.ndarray:
    """Images (N, H, W, C) with other channels and sizes, uint8.

    Args:
      images: (N, H, W, C), uint8.
      channels: 3 for grey images, which are repeated, or 1 for RGB images; None keeps them.
      resize: as for pictures; each channel is resized by itself. None keeps the size.

    Raises:
      InputError: (a ValueError) if the channels cannot be converted.

    >>> fit_arrays(np.zeros((2, 8, 8, 1), np.uint8), 3, Resize((4, 6))).shape
    (2, 4, 6, 3)
    """
    given = images.shape[-1]
    if channels not in (None, given):
        if (given, channels) == (1, 3):
            images = images.repeat(3, -1)
        elif (given, channels) == (3, 1):
            images = np.stack(
                [np.asarray(_picture(each).convert("L"))[..., None] for each in images]
            )
        else:
            raise InputError(
                f"images of {given} channels cannot become images of {channels}; use channels "
                f"{given}{' or 3' if given == 1 else ' or 1' if given == 3 else ''}"
            )
    if resize is None or images.shape[1:3] == resize.size:
        return images
    shape = (len(images), *resize.size, images.shape[-1])
    fitted = np.empty(shape, np.uint8)
    for index, image in enumerate(images):
        for channel in range(shape[-1]):
            fitted[index, ..., channel] = np.asarray(fit(_picture(image[..., channel]), resize))
    return fitted


def _eight_bits(image: Image, path: str | Path) -> Image:
    """``image`` with 8 bits a channel, which are grey, a palette or RGB."""
    images, _ = _pillow()
    if image.mode == "F":
        raise InputError(f"{path}: the pixels are floating-point; save them with 8 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(
                f"{path}: pixels from {values.min()} to {values.max()} are not of 16 bits; save "
                f"them with 8 bits"
            )
        return images.fromarray((values >> 8).astype(np.uint8))
    return image if image.mode in _KNOWN else image.convert("RGB")


def _convert(image: Image, mode: str) -> Image:
    """``image`` in ``mode``; see the docstring of this file."""
    images, _ = _pillow()
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        image = image.convert("RGBA")
        if mode != "RGBA":
            white = images.new("RGBA", image.size, "white")
            image = images.alpha_composite(white, image).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _picture(array: np.ndarray) -> Image:
    return _pillow()[0].fromarray(np.ascontiguousarray(array))


def _pillow() -> tuple[Any, Any]:
    """Pillow's ``Image`` and ``ImageOps``."""
    with requires_extra("reading pictures"):
        from PIL import Image, ImageOps
    return Image, ImageOps
