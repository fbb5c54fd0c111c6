"""Resize and Upsample: nearest, linear and cubic, one axis after the other.

Each cell of the result is a weighted sum of a few cells of x on each axis. The cells and the
weights depend on sizes alone, so NumPy computes them when the graph is traced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.exchange.onnx_in.node import Operator
from jaxcnn.exchange.onnx_in.values import integers, layout_of
from jaxcnn.shapes import widened

if TYPE_CHECKING:
    import jax

    from jaxcnn.exchange.onnx_in.node import Node
    from jaxcnn.exchange.onnx_in.values import Value

_COORDINATES = (
    *("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"),
    *("tf_crop_and_resize", "tf_half_pixel_for_nn"),
)


def _resize(
    node: Node,
    x: Value,
    roi: np.ndarray | None = None,
    scales: np.ndarray | None = None,
    sizes: np.ndarray | None = None,
) -> Value:
    if node.opset == 10:  # its second input is the scales
        roi, scales = None, roi
    if node.get("coordinate_transformation_mode") != "tf_crop_and_resize":
        roi = None  # nothing else reads it; older exporters write an empty array
    array, axis_of, back = layout_of(x)
    axes = [axis % array.ndim for axis in node.get("axes") or range(array.ndim)]
    lengths = [array.shape[axis_of(axis)] for axis in axes]
    factors, outputs = _outputs(node, lengths, scales, sizes)
    y = widened(jnp.asarray(array))
    for i, axis in enumerate(axes):
        if outputs[i] == lengths[i] and factors[i] == 1 and roi is None:
            continue
        if not isinstance(lengths[i], int):
            raise InputError(f"axis {axis} has the symbolic size {lengths[i]}, but is resized")
        ends = None if roi is None or not roi.size else (roi[i], roi[i + len(axes)])
        places = _places(node, lengths[i], outputs[i], factors[i], ends)
        y = _resample(node, y, axis_of(axis), places, min(factors[i], 1.0))
    return back(y.astype(array.dtype))


def _outputs(
    node: Node, lengths: list[Any], scales: np.ndarray | None, sizes: np.ndarray | None
) -> tuple[list[float], list[Any]]:
    """The factor and the new size of each axis."""
    if sizes is None or not sizes.size:
        given = node.get("scales") if scales is None else scales
        factors = [float(each) for each in given]
        # In float32, as the scales are: 10 cells times 0.7 are 7.
        outputs = [
            n if factor == 1 else int(np.floor(np.float32(n) * np.float32(factor)))
            for n, factor in zip(lengths, factors, strict=True)
        ]
        return factors, outputs
    outputs = list(integers(sizes))
    factors = [1.0 if new == n else new / n for n, new in zip(lengths, outputs, strict=True)]
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return factors, outputs
    factor = min(factors) if policy == "not_larger" else max(factors)
    return [factor] * len(lengths), [int(np.floor(factor * n + 0.5)) for n in lengths]


def _places(
    node: Node, length: int, output: int, factor: float, ends: tuple[Any, Any] | None
) -> np.ndarray:
    """The place in the input, in cells, of each cell of the result."""
    usual = "asymmetric" if node.opset == 10 or node.op_type == "Upsample" else "half_pixel"
    mode = node.get("coordinate_transformation_mode", usual)
    cells = np.arange(output, dtype=float)
    if mode == "asymmetric":
        return cells / factor
    if mode == "align_corners":
        span = factor * length - 1
        return cells * (length - 1) / span if output > 1 else cells
    if mode == "tf_half_pixel_for_nn":
        return (cells + 0.5) / factor
    if mode == "tf_crop_and_resize":
        if ends is None:
            raise InputError("tf_crop_and_resize needs the input roi")
        start, end = (float(each) for each in ends)
        if output == 1:
            return np.array([(start + end) * (length - 1) / 2])
        return start * (length - 1) + cells * (end - start) * (length - 1) / (output - 1)
    places = (cells + 0.5) / factor - 0.5
    if mode == "pytorch_half_pixel" and output == 1:
        return np.zeros(1)
    if mode == "half_pixel_symmetric":
        return places + length / 2 * (1 - output / (factor * length))
    return places


def _resample(node: Node, x: jax.Array, axis: int, places: np.ndarray, shrink: float) -> jax.Array:
    """The cells of ``x`` at these places of one axis."""
    length = x.shape[axis]
    cells, weights = _taps(node, places, shrink if node.get("antialias", 0) else 1.0)
    if node.get("exclude_outside", 0):
        weights = np.where((cells >= 0) & (cells < length), weights, 0)
        weights = weights / weights.sum(1, keepdims=True)
    cells = np.clip(cells, 0, length - 1)
    along = (-1,) + (1,) * (x.ndim - axis - 1)
    y = jnp.zeros((), x.dtype)
    for cell, weight in zip(cells.T, weights.T, strict=True):
        taken = jnp.take(x, cell, axis)
        if not (weight == 1).all():
            taken = taken * weight.astype(x.dtype).reshape((1,) * axis + along)
        y = taken if y.ndim == 0 else y + taken
    if node.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        outside = ((places < 0) | (places > length - 1)).reshape((1,) * axis + along)
        y = jnp.where(outside, jnp.asarray(node.get("extrapolation_value", 0.0), x.dtype), y)
    return y


def _taps(node: Node, places: np.ndarray, shrink: float) -> tuple[np.ndarray, np.ndarray]:
    """(outputs, taps) cells, which may be outside of the axis, and their weights."""
    mode = node.get("mode", "nearest")
    if mode == "nearest":
        usual = "floor" if node.opset == 10 or node.op_type == "Upsample" else "round_prefer_floor"
        rounded = {
            "round_prefer_floor": np.ceil(places - 0.5),
            "round_prefer_ceil": np.floor(places + 0.5),
            "floor": np.floor(places),
            "ceil": np.ceil(places),
        }[node.get("nearest_mode", usual)]
        return rounded.astype(int)[:, None], np.ones((len(places), 1))
    reach, weigh = (2, _cubic) if mode == "cubic" else (1, _triangle)
    before = int(np.floor(-reach / shrink)) + 1
    offsets = np.arange(before, 2 * reach - before)[: 2 * reach - 2 * before]
    whole = np.floor(places)
    distance = (offsets - (places - whole)[:, None]) * shrink
    weights = weigh(distance, node.get("cubic_coeff_a", -0.75))
    if shrink != 1:
        weights = weights / weights.sum(1, keepdims=True)
    return whole.astype(int)[:, None] + offsets, weights


def _triangle(distance: np.ndarray, _: float) -> np.ndarray:
    return np.clip(1 - np.abs(distance), 0, 1)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """The cubic convolution of Keys, IEEE Trans. ASSP 29 (1981)."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


OPERATORS = {
    "Resize": Operator(
        _resize,
        "values",
        settings=(1, 2, 3),
        accepts={
            "mode": ("nearest", "linear", "cubic"),
            "coordinate_transformation_mode": _COORDINATES,
            "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
            "keep_aspect_ratio_policy": ("stretch", "not_larger", "not_smaller"),
        },
    ),
    "Upsample": Operator(
        lambda node, x, scales=None: _resize(node, x, None, scales),
        "values",
        settings=(1,),
        accepts={"mode": ("nearest", "linear")},
    ),
}
