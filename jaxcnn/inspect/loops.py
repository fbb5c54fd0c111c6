"""Loops and choices: what is inside of them is read like the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect.elementwise import learnt_in
from jaxcnn.inspect.equations import where
from jaxcnn.inspect.moves import cut_at, stacked
from jaxcnn.inspect.tracer import Rule, Tracer
from jaxcnn.inspect.values import Value

MOST_REPEATS = 64
"""A loop over layers is unrolled; one over more steps than this is read as one step."""

_AxisMap = tuple[list[Value], list[Value]]
"""What is carried out of a step of a loop, and what it gives out."""


def scan(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``scan``: a loop over layers, unrolled."""
    body, length = eqn.params["jaxpr"], eqn.params["length"]
    # What is carried keeps its rank on the way out; what the loop goes along loses an axis.
    carried = sum(map(_same_rank, eqn.outvars, body.jaxpr.outvars))
    along = sum(not same for same in map(_same_rank, eqn.invars, body.jaxpr.invars))
    consts = len(values) - carried - along
    fixed, state, inputs = (
        values[:consts],
        values[consts : consts + carried],
        values[consts + carried :],
    )
    labels = {label for value in inputs if value.base is not None for label in value.labels_on(0)}

    def run(state: list[Value], step: int = 0) -> _AxisMap:
        given = [cut_at(tracer, eqn, value, step) for value in inputs]
        found = tracer.run(body.jaxpr, body.consts, [*fixed, *state, *given])
        return found[:carried], found[carried:]

    if length > MOST_REPEATS:
        what = f"a loop of {length} steps ({where(eqn)}) is read as one"
        with _repeated(tracer, length, what):
            state, outputs = _first_step(tracer, eqn, run, state)
        state = [_unsure(tracer, eqn, value, what) for value in state]
        each = [[_unsure(tracer, eqn, value, what) for value in outputs]] * length
    else:
        steps = range(length)[::-1] if eqn.params["reverse"] else range(length)
        each = []
        for number, step in enumerate(steps):
            at = partial(run, step=step)
            state, outputs = at(state) if number else _first_step(tracer, eqn, at, state)
            each.append(outputs)
        each = each[::-1] if eqn.params["reverse"] else each
    label = next(iter(labels)) if len(labels) == 1 else None
    return [*state, *(stacked(tracer, eqn, list(of), label) for of in zip(*each, strict=True))]


def _first_step(
    tracer: Tracer, eqn: Any, run: Callable[[list[Value]], _AxisMap], state: list[Value]
) -> _AxisMap:
    """What a loop's first step makes of what is carried.

    What starts as a constant, as zeros do, and comes to depend on the input is multiplied in every
    step, the first included: it is taken for an array of the input that reads nothing of it.
    """
    while True:
        before = tracer.snapshot()
        after, outputs = run(state)
        begun = [b.base is None and a.base is not None for b, a in zip(state, after, strict=True)]
        if not any(begun):
            return after, outputs
        after = [_settled(tracer, eqn, value) for value in after]
        tracer.restore(before)
        for value, new in zip(state, begun, strict=True):
            if new:
                tracer.give(learnt_in([value]), -1)
        state = [
            _reading_nothing(a) if new else b for b, a, new in zip(state, after, begun, strict=True)
        ]


def _reading_nothing(value: Value) -> Value:
    nothing = value.map.apply(*(StridedAxis(size, size, taps=()) for size in value.map.sizes))
    return replace(value, base=nothing, layer=-1, biased=None, centred=None)


def _same_rank(outer: Any, inner: Any) -> bool:
    return len(outer.aval.shape) == len(inner.aval.shape)


def _unsure(tracer: Tracer, eqn: Any, value: Value, why: str) -> Value:
    return value if value.base is None else tracer.unsure(value, eqn, why)


@contextmanager
def _repeated(tracer: Tracer, times: int | None, why: str) -> Iterator[None]:
    """What is met inside is computed so often, and reads more than its first step does."""
    before, first = tracer.times, len(tracer.layers)
    tracer.times = None if times is None or before is None else times * before
    yield
    tracer.times = before
    for layer in tracer.layers[first:]:
        layer.unknown = layer.unknown or why


def loop(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``while``: its body, once."""
    body, consts = eqn.params["body_jaxpr"], eqn.params["body_nconsts"]
    values = values[eqn.params["cond_nconsts"] :]
    fixed, state = values[:consts], values[consts:]

    def run(state: list[Value]) -> _AxisMap:
        return tracer.run(body.jaxpr, body.consts, [*fixed, *state]), []

    what = f"how often a loop ({where(eqn)}) runs its program does not say"
    with _repeated(tracer, None, what):
        found, _ = _first_step(tracer, eqn, run, state)
    return [_unsure(tracer, eqn, value, what) for value in found]


def branches(tracer: Tracer, eqn: Any, values: list[Value]) -> list[Value]:
    """``cond`` and ``switch``: the branch that is taken, or the last, the one for true.

    Where it is not known which is taken, what comes out reads what it reads in any.
    """
    (chooser, *values), programs = values, eqn.params["branches"]
    known = chooser.known.numbers if chooser.known is not None else None
    if known is not None:
        program = programs[min(max(int(known), 0), len(programs) - 1)]
        return tracer.run(program.jaxpr, program.consts, values)
    first, found, products = len(tracer.layers), [], set()
    for number, program in enumerate(programs):
        before = tracer.snapshot()
        found.append(tracer.run(program.jaxpr, program.consts, values))
        products.add(sum(layer.multiply_adds or 0 for layer in tracer.layers[first:]))
        if number < len(programs) - 1:
            found[-1] = [_settled(tracer, eqn, value) for value in found[-1]]
            tracer.restore(before)
    if len(products) > 1:
        for layer in tracer.layers[first:]:
            layer.multiply_adds = layer.multiply_adds and None
        tracer.notes[
            f"which branch of a choice ({where(eqn)}) runs is not known: its last is listed"
        ] = None
    return [_either(tracer, eqn, chooser, options) for options in zip(*found, strict=True)]


def _settled(tracer: Tracer, eqn: Any, value: Value) -> Value:
    return value if value.base is None else tracer.settle(tracer.paid(value, eqn), eqn)


def _either(tracer: Tracer, eqn: Any, chooser: Value, options: Sequence[Value]) -> Value:
    last = options[-1]
    moving = [value for value in (chooser, *options) if value.base is not None]
    moving = [_settled(tracer, eqn, value) for value in moving]
    if len({(value.base, value.rows) for value in moving}) <= 1 and last.base is not None:
        return last
    if not moving:
        return last
    shaped = next((v for v in reversed(moving) if v.shape == last.shape), moving[-1])
    return replace(tracer.join(moving, eqn), axes=shaped.axes, biased=None)


RULES: dict[str, Rule] = {"scan": scan, "while": loop, "cond": branches}
