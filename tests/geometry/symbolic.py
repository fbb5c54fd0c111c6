"""Symbolic sizes, with the constraints that errors advise, and numbers for them."""

import operator
import re

from jax.export import symbolic_shape

from jaxcnn.errors import InputError
from jaxcnn.geometry._symbolic import is_symbolic

NUMBERS = range(1, 9)


def size_of(text, constraints=()):
    (size,) = symbolic_shape(text, constraints=constraints)
    return size


def at(value, number):
    """A symbolic value with ``number`` for h, computed by Python."""
    names = {"floordiv": operator.floordiv, "mod": operator.mod, "max": max, "min": min}
    return eval(str(value), names | {"h": number}) if is_symbolic(value) else value


def by_advice(ask, text):
    """The result of ``ask`` for a size with all constraints that its errors advise, or None."""
    constraints = []
    for _ in range(4):
        try:
            return ask(size_of(text, constraints)), constraints
        except InputError as error:
            stated = re.search(r'constraints=\["(.*?)"\]', str(error))
            if not stated:
                return None, constraints
            constraints.append(stated[1])
    raise AssertionError(f"never enough: {constraints}")


def fitting(constraints):
    """The numbers that satisfy the constraints."""
    names = {"mod": operator.mod, "floordiv": operator.floordiv}
    return [n for n in NUMBERS if all(eval(each, names | {"h": n}) for each in constraints)]
