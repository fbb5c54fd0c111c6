"""Options of layers as a layer keeps them: names, Python ints and tuples of these, already checked.

What a layer keeps beside its parameters is part of what nnx.jit knows a compiled program by, so it
must hash and compare; NumPy's arrays and lists do neither.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxcnn.geometry import PADDING_MODES
from jaxcnn.geometry.check import choice, integer, is_sequence, per_axis
from jaxcnn.geometry.padding import PADDING_NAMES, resolve_padding
from jaxcnn.geometry.window import ROUNDINGS

LEAST = {"kernel_size": 1, "window": 1, "stride": 1, "dilation": 1, "output_padding": 0}


def option(name: str, value: Any, axes: int | None = None) -> Any:
    """The option ``name``, for a layer over ``axes`` spatial axes or, with None, any number.

    Raises:
      InputError: (a ValueError) where it cannot be; TypeError for a wrong type.

    >>> option("stride", np.array([2, 1])), option("padding", [np.int64(1), [0, 2]], 2)
    ((2, 1), (1, (0, 2)))
    """
    value = _without_arrays(value)
    if name == "padding":
        return _padding(value, axes)
    if name == "padding_mode":
        return choice(name, value, PADDING_MODES)
    if name == "rounding":
        return choice(name, value, ROUNDINGS)
    if name in ("dtype", "param_dtype"):
        return _dtype(name, value)
    if name in LEAST:
        if not is_sequence(value):
            return integer(name, value, least=LEAST[name])
        return per_axis(name, value, len(value) if axes is None else axes, least=LEAST[name])
    return value


def _without_arrays(value: Any) -> Any:
    # Whole: while a program is traced, an entry that is taken from an array of JAX's is traced too.
    if isinstance(value, np.ndarray | jax.Array) and not isinstance(value, Tracer):
        value = value.tolist()
    return tuple(map(_without_arrays, value)) if isinstance(value, list | tuple) else value


def _dtype(name: str, value: Any) -> np.dtype:
    try:
        return jnp.dtype(value)
    except TypeError:
        raise TypeError(f"{name} must be a dtype, as in jnp.float32, got {value!r}") from None


def _padding(padding: Any, axes: int | None) -> str | int | tuple[int | tuple[int, int], ...]:
    if isinstance(padding, str):
        return choice("padding", padding.upper(), PADDING_NAMES)
    if not is_sequence(padding):
        return resolve_padding(padding, (1,), (1,))[0][0]
    ones = (1,) * (len(padding) if axes is None else axes)
    pairs = resolve_padding(padding, ones, ones)
    return tuple(
        pair if is_sequence(entry) else pair[0] for entry, pair in zip(padding, pairs, strict=True)
    )
