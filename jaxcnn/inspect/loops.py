"""Loops and choices: what is inside of them is read like the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jaxcnn.inspect.tracer import Rule, Tracer
from jaxcnn.inspect.values import Value, axis_of, union

MOST_REPEATS = 64
"""A loop over layers is unrolled; one over more steps than this is read as one step."""


def scan(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``scan``: a loop over layers, unrolled."""
    body, length = eqn.params["jaxpr"], eqn.params["length"]
    # What is carried keeps its rank on the way out; what the loop goes along loses an axis.
    carried = sum(map(_same_rank, eqn.outvars, body.jaxpr.outvars))
    along = sum(not same for same in map(_same_rank, eqn.invars, body.jaxpr.invars))
    consts = len(values) - carried - along
    fixed, state, inputs = values[:consts], values[consts : consts + carried], values[-along:]
    inputs = inputs if along else []
    inputs = [_step_of(value) for value in inputs]
    outputs: list[Value] = []
    for _ in range(length if length <= MOST_REPEATS else 1):
        found = tracer.run(body.jaxpr, body.consts, [*fixed, *state, *inputs])
        state, outputs = found[:carried], found[carried:]
    stacked = [replace(v, axes=(axis_of(length, None), *v.axes)) for v in outputs]
    return [*state, *stacked]


def _same_rank(outer: Any, inner: Any) -> bool:
    return len(outer.aval.shape) == len(inner.aval.shape)


def _step_of(value: Value) -> Value:
    """What one step of a loop gets of an array that it goes along."""
    gone = {label for _, label in value.axes[0] if isinstance(label, int)}
    rows = {label: (union(*value.rows_of(label)),) for label in gone}
    value = value.with_rows(rows) if gone else value
    return replace(value, axes=value.axes[1:], known=None)


def loop(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``while``: its body, once."""
    body = eqn.params["body_jaxpr"]
    return tracer.run(body.jaxpr, body.consts, values[eqn.params["cond_nconsts"] :])


def branches(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``cond``: the last of its branches, the one for true."""
    chosen = eqn.params["branches"][-1]
    return tracer.run(chosen.jaxpr, chosen.consts, values[1:])


RULES: dict[str, Rule] = {"scan": scan, "while": loop, "cond": branches}
