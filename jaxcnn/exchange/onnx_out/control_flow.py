"""Control flow: loops whose number of steps is known, and branches whose choice is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.exchange.onnx_out.data_movement import sliced, squeezed, stacked

if TYPE_CHECKING:
    from jaxcnn.exchange.onnx_out.operation import Operation
    from jaxcnn.exchange.onnx_out.value import Value

MOST_STEPS = 64
"""The steps of the longest loop that is written out."""


def scan(op: Operation) -> list[Value]:
    """``scan``, its steps one after the other."""
    body, length = op.params["jaxpr"], op.params["length"]
    if not isinstance(length, int) or length > MOST_STEPS:
        op.refuse(f"has {length} steps, and at most {MOST_STEPS} are written out")
    inner = [variable.aval.shape for variable in body.jaxpr.invars]
    scanned = [len(v.shape) > len(shape) for v, shape in zip(op.values, inner, strict=True)]
    carried = sum(
        len(outer.aval.shape) == len(inside.aval.shape)
        for outer, inside in zip(op.eqn.outvars, body.jaxpr.outvars, strict=True)
    )
    first = scanned.index(True) if True in scanned else len(scanned)
    consts, carry = op.values[: first - carried], op.values[first - carried : first]
    steps = range(length)[::-1] if op.params["reverse"] else range(length)
    each = []
    for step in steps:
        here = [_entry(op, value, step) for value in op.values[first:]]
        found = op.run(body.jaxpr, body.consts, [*consts, *carry, *here])
        carry, outputs = found[:carried], found[carried:]
        each.append(outputs)
    each = each[::-1] if op.params["reverse"] else each
    return [*carry, *(stacked(op, list(outputs), 0) for outputs in zip(*each, strict=True))]


def _entry(op: Operation, x: Value, step: int) -> Value:
    """``x[step]``."""
    if x.is_constant:
        return x.with_array(op.whole(x).array[step])
    rest = len(x.shape) - 1
    taken = sliced(op, x, (step, *(0,) * rest), (step + 1, *x.shape[1:]), (1,) * (rest + 1))
    return squeezed(op, taken, (0,))


def cond(op: Operation) -> list[Value]:
    """``cond`` whose branch is known."""
    which, *values = op.values
    if which.scalar is None:
        op.refuse("takes the branch that the input says")
    branches = op.params["branches"]
    branch = branches[min(max(int(which.scalar), 0), len(branches) - 1)]
    return op.run(branch.jaxpr, branch.consts, values)


def loop(op: Operation) -> list[Value]:
    """``while``, whose number of steps is not known."""
    op.refuse("repeats as often as the input says")


RULES = {"cond": cond, "scan": scan, "while": loop}
