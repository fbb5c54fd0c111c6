"""Laws of derivatives and of JAX's transformations."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.testing.definition import Definition
from jaxcnn.testing.failure import checking
from jaxcnn.testing.problems import Arrays, PoolProblem, Problem
from jaxcnn.testing.tolerance import assert_sums_close

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jax.typing import ArrayLike

# The streams of the problem's seed for these arrays.
_COTANGENT, _TANGENT, _OTHER = 10, 20, 30


def assert_gradients_match(
    fn: Callable[..., jax.Array],
    problem: Problem,
    *,
    reference: Callable[..., jax.Array] | None = None,
) -> None:
    """Checks the gradients of x, kernel and bias against the definition and central differences.

    For a random cotangent, reverse mode through ``fn`` in the problem's dtype is compared with
    reverse mode through the definition in float64, entry by entry. Then, in float64, it is compared
    with central differences of ``fn`` along a random direction. Those are exact except for
    rounding: a convolution is linear in each argument, and a pool is linear within a small step.

    Args:
      fn, problem, reference: as in :func:`jaxcnn.testing.assert_matches_reference`.

    Raises:
      AssertionError: with the problem, the argument, both numbers and the bound.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_gradients_match(jaxcnn.conv, ConvProblem(size=(5,), kernel_size=(3,), use_bias=True))
    """
    definition = Definition(problem, reference)
    with checking("gradient of fn = gradient of reference", problem):
        with problem.x64():
            arrays, cotangent = (
                problem.arrays(),
                problem.random_array(problem.output_shape, _COTANGENT),
            )
            got = jax.jit(partial(_gradients, partial(problem.call, fn)))(arrays, cotangent)
        want, magnitudes = definition.gradients(arrays, cotangent)
        _assert_gradients_close(got, want, magnitudes, problem)
    problem, step = replace(problem, dtype="float64"), 1.0
    if isinstance(problem, PoolProblem) and problem.kind == "max":
        # The step is less than half the gap between two cells, so the maximum stays the same cell.
        problem = replace(problem, ties=False)
        step = problem.gap / 4
    with checking("gradient of fn = central difference, in float64", problem), problem.x64():
        _assert_differences_match(partial(problem.call, fn), problem, definition, step)


def assert_transforms(
    fn: Callable[..., jax.Array],
    problem: Problem,
    *,
    reference: Callable[..., jax.Array] | None = None,
) -> None:
    """Checks that ``fn`` can be compiled, mapped, differentiated in both modes and rematerialised.

        jit(fn) = fn      vmap(fn) over x, kernel or bias = fn on each
        <J v, u> = <v, J^T u>, with J v by jvp and J^T u by vjp
        the gradients of jax.checkpoint(fn) are those of fn

    Args:
      fn, problem, reference: as in :func:`jaxcnn.testing.assert_matches_reference`; the definition
        gives the magnitudes that the error bound needs.

    Raises:
      AssertionError: with the problem, the transformation, both numbers and the bound.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_transforms(jaxcnn.conv, ConvProblem(size=(5,), kernel_size=(3,)))
    """
    definition = Definition(problem, reference)
    call = partial(problem.call, fn)
    compiled = jax.jit(call)

    def same(got: ArrayLike, want: ArrayLike, arrays: Arrays, what: str) -> None:
        _, magnitude = definition.values(arrays)
        assert_sums_close(got, want, magnitude, roundings=problem.roundings, what=what)

    with problem.x64():
        arrays = problem.arrays()
        with checking("jit(fn) = fn", problem):
            same(compiled(*arrays), call(*arrays), arrays, "jit")
        for i, name, (array,) in _each_argument(arrays):
            with checking(f"vmap(fn) over {name} = fn on each", problem):
                versions = [array, problem.random_array(array.shape, _OTHER + i)]
                axes = tuple(0 if j == i else None for j in range(len(arrays)))
                mapped = jax.jit(jax.vmap(call, axes))(*_replaced(arrays, i, jnp.stack(versions)))
                for got, version in zip(mapped, versions, strict=True):
                    one = _replaced(arrays, i, version)
                    same(got, compiled(*one), one, "vmap")
        _assert_derivatives_agree(call, problem, definition, arrays)


def _assert_derivatives_agree(
    call: Callable[..., jax.Array], problem: Problem, definition: Definition, arrays: Arrays
) -> None:
    cotangent = problem.random_array(problem.output_shape, _COTANGENT)
    tangents = tuple(
        None if a is None else problem.random_array(a.shape, _TANGENT + i)
        for i, a in enumerate(arrays)
    )
    _, magnitudes = definition.gradients(arrays, cotangent)
    with checking("<J v, u> = <v, J^T u>", problem):
        backward = jax.jit(partial(_gradients, call))(arrays, cotangent)
        _, forward = jax.jit(partial(jax.jvp, call))(arrays, tangents)
        arguments = [each for *_, each in _each_argument(backward, tangents, magnitudes)]
        assert_sums_close(
            _inner_product(forward, cotangent),
            math.fsum(_inner_product(gradient, tangent) for gradient, tangent, _ in arguments),
            math.fsum(
                _inner_product(magnitude, abs(tangent)) for _, tangent, magnitude in arguments
            ),
            roundings=max(problem.tangent_roundings, *problem.gradient_roundings) + 2,
            dtype=problem.dtype,
            what="inner product of jvp and vjp",
        )
    with checking("gradients of jax.checkpoint(fn) = gradients of fn", problem):
        again = jax.jit(partial(_gradients, jax.checkpoint(call)))(arrays, cotangent)
        _assert_gradients_close(again, backward, magnitudes, problem)


def _assert_differences_match(
    call: Callable[..., jax.Array], problem: Problem, definition: Definition, step: float
) -> None:
    arrays, cotangent = problem.arrays(), problem.random_array(problem.output_shape, _COTANGENT)
    gradients = jax.jit(partial(_gradients, call))(arrays, cotangent)
    _, magnitudes = definition.gradients(arrays, cotangent)
    for i, name, (array, gradient, magnitude) in _each_argument(arrays, gradients, magnitudes):
        direction = problem.random_array(array.shape, _TANGENT + i)
        before, after = (
            call(*_replaced(arrays, i, array + sign * step * direction)) for sign in (-1, 1)
        )
        reach = _replaced(arrays, i, abs(array) + step * abs(direction))
        _, values = definition.values(jax.tree.map(jnp.abs, reach))
        assert_sums_close(
            _inner_product(gradient, direction),
            (_inner_product(cotangent, after) - _inner_product(cotangent, before)) / (2 * step),
            _inner_product(magnitude, abs(direction))
            + _inner_product(abs(cotangent), values) / step,
            roundings=max(problem.roundings, problem.gradient_roundings[i]) + 5,
            what=f"gradient of {name}, along a direction",
        )


def _assert_gradients_close(
    got: Arrays, want: Arrays, magnitudes: Arrays, problem: Problem
) -> None:
    for i, name, each in _each_argument(got, want, magnitudes):
        assert_sums_close(
            *each,
            roundings=problem.gradient_roundings[i],
            what=f"gradient of {name}",
        )


def _gradients(call: Callable[..., jax.Array], arrays: Arrays, cotangent: jax.Array) -> Arrays:
    """J^T u: the gradients of <u, call(...)> with respect to each of ``arrays``."""
    _, pull_back = jax.vjp(call, *arrays)
    return pull_back(cotangent)


def _each_argument(*sets: Arrays) -> Iterator[tuple[int, str, list[jax.Array]]]:
    """(index, name, its array in each of ``sets``) for each argument that is not None."""
    for i, (name, *each) in enumerate(zip(("x", "kernel", "bias"), *sets, strict=False)):
        arrays = [array for array in each if array is not None]
        if arrays:
            yield i, name, arrays


def _replaced(arrays: Arrays, i: int, array: jax.Array) -> Arrays:
    return (*arrays[:i], array, *arrays[i + 1 :])


def _inner_product(a: ArrayLike, b: ArrayLike) -> float:
    """The inner product in float64: each product is rounded once, and so is their sum."""
    return math.fsum(np.ravel(np.asarray(a, np.float64) * np.asarray(b, np.float64)))
