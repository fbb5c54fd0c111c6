"""Control flow: ``scan``, ``while`` and ``cond``; their bodies are read like other programs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from jaxcnn.geometry.axis_maps import StridedAxis
from jaxcnn.inspect.joining import complete, join, mark_unknown
from jaxcnn.inspect.primitives.concatenation import stack_first_axis
from jaxcnn.inspect.primitives.data_movement import index_first_axis
from jaxcnn.inspect.primitives.elementwise import learnt_in
from jaxcnn.inspect.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxcnn.inspect.operation import Handler, Operation

MOST_STEPS = 64
"""A ``scan`` with at most this many steps is unrolled; of a longer one, one step is read."""

_Step = tuple[list[Value], list[Value]]
"""The carry and the outputs of one step of a loop."""


def scan(op: Operation) -> list[Value]:
    """``scan``, unrolled."""
    body, length, values = op.params["jaxpr"], op.params["length"], op.values
    # A carry keeps its rank; an array that the loop runs over loses its first axis.
    carried = sum(map(_same_rank, op.eqn.outvars, body.jaxpr.outvars))
    scanned = sum(not same for same in map(_same_rank, op.eqn.invars, body.jaxpr.invars))
    first, end = len(values) - carried - scanned, len(values) - scanned
    consts, carry, inputs = values[:first], values[first:end], values[end:]
    labels = {label for value in inputs if not value.is_constant for label in value.labels_on(0)}

    def run(carry: list[Value], step: int = 0) -> _Step:
        here = [index_first_axis(op, value, step) for value in inputs]
        found = op.run(body.jaxpr, body.consts, [*consts, *carry, *here])
        return found[:carried], found[carried:]

    if length > MOST_STEPS:
        reason = f"of a loop of {length} steps{op.place}, only one is read"
        with _repeated(op, length, reason):
            carry, outputs = _first_step(op, run, carry)
        carry = [_unknown(op, value, reason) for value in carry]
        each = [[_unknown(op, value, reason) for value in outputs]] * length
    else:
        steps = range(length)[::-1] if op.params["reverse"] else range(length)
        each = []
        for number, step in enumerate(steps):
            at = partial(run, step=step)
            carry, outputs = at(carry) if number else _first_step(op, at, carry)
            each.append(outputs)
        each = each[::-1] if op.params["reverse"] else each
    label = next(iter(labels)) if len(labels) == 1 else None
    return [*carry, *(stack_first_axis(op, list(of), label) for of in zip(*each, strict=True))]


def _first_step(op: Operation, run: Callable[[list[Value]], _Step], carry: list[Value]) -> _Step:
    """The first step of a loop, from its initial carry.

    A carry that starts as a constant, such as zeros, and depends on the input after a step, is
    multiplied in every step, including the first. So it counts as an array that depends on the
    input but reads no cells.
    """
    while True:
        before = op.ledger.snapshot()
        after, outputs = run(carry)
        begun = [b.is_constant and not a.is_constant for b, a in zip(carry, after, strict=True)]
        if not any(begun):
            return after, outputs
        after = [_complete(op, value) for value in after]
        op.ledger.restore(before)
        for value, new in zip(carry, begun, strict=True):
            if new:
                op.ledger.assign(learnt_in([value]), -1)
        carry = [
            _reading_nothing(a) if new else b for b, a, new in zip(carry, after, begun, strict=True)
        ]


def _reading_nothing(value: Value) -> Value:
    nothing = value.map.apply(*(StridedAxis(size, size, taps=()) for size in value.map.sizes))
    return replace(value, base=nothing, layer=-1, bias_layer=None, subtracted_mean=None)


def _same_rank(outer: Any, inner: Any) -> bool:
    return len(outer.aval.shape) == len(inner.aval.shape)


def _unknown(op: Operation, value: Value, reason: str) -> Value:
    return value if value.is_constant else mark_unknown(op, value, reason)


def _complete(op: Operation, value: Value) -> Value:
    return value if value.is_constant else complete(op, value)


@contextmanager
def _repeated(op: Operation, times: int | None, reason: str) -> Iterator[None]:
    """A context whose layers run ``times`` times, and read more than their first step reads."""
    ledger = op.ledger
    before, first = ledger.repeats, len(ledger.layers)
    ledger.repeats = None if times is None or before is None else times * before
    yield
    ledger.repeats = before
    for layer in ledger.layers[first:]:
        layer.unknown_reason = layer.unknown_reason or reason


def while_loop(op: Operation) -> list[Value]:
    """``while``: reads the body once."""
    body, count = op.params["body_jaxpr"], op.params["body_nconsts"]
    values = op.values[op.params["cond_nconsts"] :]
    consts, carry = values[:count], values[count:]

    def run(carry: list[Value]) -> _Step:
        return op.run(body.jaxpr, body.consts, [*consts, *carry]), []

    reason = f"the number of steps of a while loop{op.place} is not known"
    with _repeated(op, None, reason):
        found, _ = _first_step(op, run, carry)
    return [_unknown(op, value, reason) for value in found]


def cond(op: Operation) -> list[Value]:
    """``cond`` and ``switch``: reads the branch that is taken, if it is known.

    Otherwise the output reads what it reads in any branch, and the layers of the last branch (the
    one for true) are listed.
    """
    (index, *values), programs = op.values, op.params["branches"]
    if index.numbers is not None:
        program = programs[min(max(int(index.numbers), 0), len(programs) - 1)]
        return op.run(program.jaxpr, program.consts, values)
    layers = op.ledger.layers
    first, found, products = len(layers), [], set()
    for number, program in enumerate(programs):
        before = op.ledger.snapshot()
        found.append(op.run(program.jaxpr, program.consts, values))
        products.add(sum(layer.multiply_adds or 0 for layer in layers[first:]))
        if number < len(programs) - 1:
            found[-1] = [_complete(op, value) for value in found[-1]]
            op.ledger.restore(before)
    if len(products) > 1:
        for layer in layers[first:]:
            layer.multiply_adds = layer.multiply_adds and None
        op.ledger.notes[
            f"it is not known which branch of a cond{op.place} runs: its last one is listed"
        ] = None
    return [_any_of(op, index, options) for options in zip(*found, strict=True)]


def _any_of(op: Operation, index: Value, options: Sequence[Value]) -> Value:
    """The output of a cond, from the output of each branch."""
    last = options[-1]
    dependent = [complete(op, v) for v in (index, *options) if not v.is_constant]
    if not dependent:
        return last
    if len({(value.base, value.rows) for value in dependent}) == 1 and not last.is_constant:
        return last
    shaped = next((v for v in reversed(dependent) if v.shape == last.shape), dependent[-1])
    return replace(join(op, dependent), axes=shaped.axes, bias_layer=None)


HANDLERS: dict[str, Handler] = {"scan": scan, "while": while_loop, "cond": cond}
