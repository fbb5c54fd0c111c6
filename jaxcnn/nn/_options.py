"""The options of layers: checked when a layer is built, and stored in one frozen form.

nnx.jit caches compiled programs by everything in a layer except its parameters. So the options must
be hashable: they are Python ints, tuples of ints, names, dtypes and functions. Two spellings of one
layout (stride 2 and stride (2, 2), a list, an array) give equal options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from jaxcnn.convolve.choose import check_algorithm
from jaxcnn.errors import InputError
from jaxcnn.geometry import PADDING_MODES, Padding
from jaxcnn.geometry.check import choice, integer, is_sequence, per_axis
from jaxcnn.geometry.padding import PADDING_MODE_SYNONYMS, named_padding, resolve_padding
from jaxcnn.geometry.window import ROUNDINGS
from jaxcnn.shapes.arrays import result_dtype
from jaxcnn.shapes.checks import require_floor_or_exact

if TYPE_CHECKING:
    from flax import nnx
    from jax.typing import DTypeLike

PromoteDtype = Callable[..., tuple[Any, ...]]
"""A function (arrays, *, dtype) -> the arrays in one dtype, as in Flax's layers."""


def promote_dtype(
    arrays: tuple[Any, ...], /, *, dtype: DTypeLike | None = None, **_: Any
) -> tuple[Any, ...]:
    """The arrays in ``dtype``, or in the dtype that holds them all; None stays None.

    >>> promote_dtype((jnp.uint8(3), jnp.float32(2), None))
    (Array(3., dtype=float32), Array(2., dtype=float32), None)
    """
    # A layer always promotes, even if JAX is set to strict promotion.
    with jax.numpy_dtype_promotion("standard"):
        common = jnp.result_type(*(array for array in arrays if array is not None))
    return tuple(None if array is None else jnp.asarray(array, dtype or common) for array in arrays)


@dataclass(frozen=True, kw_only=True)
class ConvOptions:
    """The options of a layer with a kernel.

    Attributes:
      kernel_size, stride, dilation, output_padding: one integer for each spatial axis.
      padding: an upper-case name, or a pair (before, after) for each spatial axis.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    rounding: str
    padding_mode: str
    output_padding: tuple[int, ...]
    dtype: np.dtype | None
    param_dtype: np.dtype
    precision: lax.PrecisionLike
    preferred_element_type: np.dtype | None
    promote_dtype: PromoteDtype
    algorithm: str | None


def conv_options(
    kernel_size: Sequence[int],
    *,
    stride: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int],
    groups: int = 1,
    rounding: str = "exact",
    padding_mode: str = "zeros",
    output_padding: int | Sequence[int] = 0,
    least_padding: int | None = 0,
    dtype: DTypeLike | None,
    param_dtype: DTypeLike,
    precision: lax.PrecisionLike,
    preferred_element_type: DTypeLike | None = None,
    promote_dtype: PromoteDtype,
    algorithm: str | None = None,
) -> ConvOptions:
    """The checked options.

    Raises:
      InputError: for an impossible value, naming the argument; TypeError for a wrong type.

    >>> options = conv_options(
    ...     [3, 3], stride=2, padding=[1, (0, 2)], dilation=np.array([1, 2]), dtype=None,
    ...     param_dtype="float32", precision=None, promote_dtype=promote_dtype,
    ... )
    >>> options.stride, options.padding, options.dilation
    ((2, 2), ((1, 1), (0, 2)), (1, 2))
    """
    sizes = without_arrays(kernel_size)
    if not is_sequence(sizes):
        integer("kernel_size", sizes, least=1)
        raise TypeError(
            f"kernel_size must list one size for each spatial axis, got {sizes!r}; use "
            f"({sizes!r}, {sizes!r}) for images, ({sizes!r},) for one axis"
        )
    if not sizes:
        raise InputError("kernel_size () lists no axis; use one size for each spatial axis")
    axes = len(sizes)
    require_floor_or_exact(choice("rounding", rounding, ROUNDINGS))
    if algorithm is not None:
        check_algorithm(algorithm)
    param_dtype = check_dtype("param_dtype", param_dtype)
    if dtype is not None:
        dtype = check_dtype("dtype", dtype)
        if not jnp.issubdtype(dtype, jnp.inexact) and jnp.issubdtype(param_dtype, jnp.inexact):
            raise InputError(
                f"dtype {dtype} cannot hold the fractions of a kernel of {param_dtype}; use a "
                f"floating dtype, such as jnp.{param_dtype}"
            )
    if preferred_element_type is not None:
        preferred_element_type = check_dtype("preferred_element_type", preferred_element_type)
        if dtype is not None:
            result_dtype("dtype", dtype, preferred_element_type)
    return ConvOptions(
        kernel_size=per_axis("kernel_size", sizes, axes, least=1),
        stride=per_axis("stride", without_arrays(stride), axes, least=1),
        padding=_padding(without_arrays(padding), axes, least_padding),
        dilation=per_axis("dilation", without_arrays(dilation), axes, least=1),
        groups=integer("groups", groups, least=1),
        rounding=rounding,
        padding_mode=choice("padding_mode", padding_mode, PADDING_MODES, PADDING_MODE_SYNONYMS),
        output_padding=per_axis("output_padding", without_arrays(output_padding), axes, least=0),
        dtype=dtype,
        param_dtype=param_dtype,
        precision=_precision(without_arrays(precision)),
        preferred_element_type=preferred_element_type,
        promote_dtype=function("promote_dtype", promote_dtype),
        algorithm=algorithm,
    )


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """The options of a pool: an int applies to all spatial axes, a tuple has an entry for each."""

    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...]
    padding: str | int | tuple[tuple[int, int], ...]
    dilation: int | tuple[int, ...]
    rounding: str


def pool_options(
    kernel_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None,
    padding: Padding,
    dilation: int | Sequence[int],
    rounding: str,
) -> PoolOptions:
    """The checked options; the first argument with an entry for each axis sets their number.

    Raises:
      InputError: for an impossible value, naming the argument; TypeError for a wrong type.

    >>> pool_options(2, stride=None, padding="same", dilation=1, rounding="exact").padding
    'SAME'
    """
    size, pads, apart = map(without_arrays, (kernel_size, padding, dilation))
    step = size if stride is None else without_arrays(stride)
    listed = {"kernel_size": size, "stride": step, "padding": pads, "dilation": apart}
    name, axes = next(((n, len(v)) for n, v in listed.items() if is_sequence(v)), ("", None))
    if axes == 0:
        raise InputError(f"{name} () lists no axis; use one entry for each spatial axis")

    def sizes(name: str, value: Any) -> int | tuple[int, ...]:
        if axes is None:
            return integer(name, value, least=1)
        return per_axis(name, value, axes, least=1)

    pairs = _padding(pads, axes or 1, 0)
    return PoolOptions(
        kernel_size=sizes("kernel_size", size),
        stride=sizes("stride", step),
        padding=pairs[0][0] if axes is None and not isinstance(pairs, str) else pairs,
        dilation=sizes("dilation", apart),
        rounding=choice("rounding", rounding, ROUNDINGS),
    )


def one_or_each(name: str, value: Any) -> int | tuple[int, ...]:
    """An integer for all spatial axes, or a tuple with one for each.

    >>> one_or_each("output_size", [3, 4]), one_or_each("output_size", 3)
    ((3, 4), 3)
    """
    value = without_arrays(value)
    if not is_sequence(value):
        return integer(name, value, least=1)
    if not value:
        raise InputError(f"{name} () lists no axis; use one entry for each spatial axis")
    return per_axis(name, value, len(value), least=1)


def without_arrays(value: Any) -> Any:
    """``value`` with arrays and lists converted to tuples of Python numbers."""
    # Convert a whole array at once: while JAX traces, an entry of a concrete JAX array is traced.
    if isinstance(value, np.ndarray | jax.Array) and not isinstance(value, Tracer):
        value = value.tolist()
    return tuple(map(without_arrays, value)) if isinstance(value, list | tuple) else value


def check_shape(input_shape: Any) -> tuple[int, ...]:
    """An input's shape without the batch axis, as Python ints."""
    shape = without_arrays(input_shape)
    if not is_sequence(shape) or not shape:
        raise TypeError(f"input_shape must list sizes, as in (28, 28, 1), got {input_shape!r}")
    return per_axis("input_shape", shape, len(shape), least=1)


def check_dtype(name: str, value: Any) -> np.dtype:
    """``value`` as a numeric dtype."""
    try:
        dtype = None if value is None else jnp.dtype(value)
    except TypeError:
        dtype = None
    if dtype is None or not jnp.issubdtype(dtype, jnp.number):
        raise TypeError(f"{name} must be a dtype of numbers, as in jnp.float32, got {value!r}")
    return dtype


def function(name: str, value: Any) -> Any:
    """``value``, if it is callable."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")
    return value


def flag(name: str, value: Any) -> bool:
    """``value``, if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def require_real(name: str, value: Any, fits: Callable[[float], bool], form: str) -> None:
    """Refuses ``value`` unless it is a real number that ``fits``; ``form`` says which ones do."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number {form}, got {value!r}")
    if not fits(value):
        raise InputError(f"{name} must be a number {form}, got {value}")


def require_channels(layer: nnx.Module, x: Any, name: str, count: int) -> None:
    """Refuses x whose last axis has not the size with which the layer was built, as ``name``."""
    shape = jnp.shape(x)
    if not shape or shape[-1] != count:
        found = shape[-1] if shape else "no"
        advice = f"build it with {name}={found}, or use" if shape else "use"
        raise InputError(
            f"{type(layer).__name__}: x of shape {shape} has {found} channels, but the layer was "
            f"built for {name}={count}; {advice} x with {count} channels on its last axis"
        )


def _padding(padding: Any, axes: int, least: int | None) -> str | tuple[tuple[int, int], ...]:
    if isinstance(padding, str):
        named_padding(padding, 1, 1)
        return padding.upper()
    ones = (1,) * axes
    return resolve_padding(padding, ones, ones, least=least)


def _precision(precision: Any) -> Any:
    if precision is None:
        return None
    one = jax.ShapeDtypeStruct((1, 1), "float32")
    convolve = partial(lax.conv_general_dilated, window_strides=(), padding=(), precision=precision)
    try:
        jax.eval_shape(convolve, one, one)
        hash(precision)
    except (TypeError, ValueError):
        raise InputError(
            f"precision must be None, 'default', 'high', 'highest', a jax.lax.Precision or a pair "
            f"of these, got {precision!r}"
        ) from None
    return precision
