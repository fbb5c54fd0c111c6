"""IDX, the file format of MNIST: unsigned bytes in any number of axes.

The header is two zero bytes, the type (8 for unsigned bytes), the number of axes, and the size of
each axis as four bytes, the most significant first: http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from jaxcnn.errors import InputError

_UNSIGNED_BYTES = 8


def read_idx(path: str | Path, content: bytes | None = None) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, plain or compressed by gzip.

    Args:
      path: the file.
      content: its bytes, if they were read before.

    Returns:
      The array, uint8; it must not be written to.

    Raises:
      InputError: (a ValueError) if the file cannot be read, is not IDX, has another type, or has
        fewer or more bytes than its header says.

    >>> read_idx("labels", bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1])).tolist()
    [7, 2, 1]
    """
    try:
        content = Path(path).read_bytes() if content is None else content
        plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if plain[:2] != b"\0\0" or len(plain) < 4:
        raise InputError(f"{path}: {len(plain)} bytes without the header of an IDX file")
    kind, axes = plain[2], plain[3]
    if kind != _UNSIGNED_BYTES:
        raise InputError(
            f"{path}: IDX values of type {kind:#04x}; only unsigned bytes (0x08) are read"
        )
    start = 4 + 4 * axes
    sizes = np.frombuffer(plain[4:start].ljust(4 * axes, b"\0"), ">u4").tolist()
    if len(plain) != start + math.prod(sizes):
        raise InputError(
            f"{path}: the header says {sizes}, {start + math.prod(sizes)} bytes, but there are "
            f"{len(plain)}; the file is truncated or damaged"
        )
    return np.frombuffer(plain, np.uint8, offset=start).reshape(sizes)
