"""Operations of which each place reads other places of its own axis: running sums, sorts, FFTs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from jaxcnn.inspect.moves import spatial_axis
from jaxcnn.inspect.tracer import Rule, Tracer
from jaxcnn.inspect.values import Rows, Value, union

LONGEST = 1024
"""The cells that each place of a longer axis reads are not written down."""


def running(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``cumsum`` and its kin: each place reads those before it, or after it, and itself."""
    (x,), reverse = values, eqn.params["reverse"]
    return [_reading(tracer, eqn, x, [eqn.params["axis"]], -1 if reverse else 1)]


def whole(tracer: Tracer, eqn: Any, values: list[Value], *, along: str) -> list[Value]:
    """``sort`` and ``fft``: each place reads the whole of an axis, or of some."""
    dims = eqn.params[along]
    dims = range(-len(dims), 0) if along == "fft_lengths" else [dims]
    read = [v if v.base is None else _reading(tracer, eqn, v, dims, 0) for v in values]
    moving = [value for value in read if value.base is not None]
    if len(moving) > 1:  # sorted together
        read = [tracer.join(moving, eqn)] * len(eqn.outvars)
    return read if len(read) == len(eqn.outvars) else [moving[0]] * len(eqn.outvars)


def _reading(tracer: Tracer, eqn: Any, x: Value, dims: Any, direction: int) -> Value:
    if x.fold:
        x = tracer.settle(x, eqn)
    for dim in dims:
        if x.shape[dim] > LONGEST:
            return tracer.unsure(x, eqn, f"{eqn.primitive.name} is not read")
        x = spatial_axis(tracer, eqn, x, dim % len(x.axes))
        for label in x.labels_on(dim):
            x = x.with_rows({label: _run(x.rows_of(label), direction)})
    return replace(x, biased=None, centred=None, scaled=False)


def _run(rows: Rows, direction: int) -> Rows:
    if not direction:
        return (union(*rows),) * len(rows)
    found: list[tuple[int, ...]] = []
    for row in rows[::direction]:
        found.append(union(*found[-1:], row))
    return tuple(found[::direction])


RULES: dict[str, Rule] = {
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), running),
    "sort": partial(whole, along="dimension"),
    "fft": partial(whole, along="fft_lengths"),
}
