"""The laws of derivatives and of JAX's transformations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn.testing.definition import Definition
from jaxcnn.testing.problems import Arrays, PoolProblem, Problem
from jaxcnn.testing.report import stating
from jaxcnn.testing.tolerance import assert_sums_close

_COTANGENT, _TANGENT, _OTHER = 10, 20, 30  # streams of the problem's seed


def assert_gradients_match(
    fn: Callable[..., jax.Array],
    problem: Problem,
    *,
    reference: Callable[..., jax.Array] | None = None,
) -> None:
    """The gradients through ``fn`` are those through the definition, and those of differences.

    With a drawn cotangent, with respect to x, kernel and bias: reverse mode through ``fn`` in the
    problem's dtype against reverse mode through the definition in float64, entry by entry; then, in
    float64, against central differences of ``fn`` along a drawn direction. These are exact but for
    rounding, because a convolution is linear in each argument, and a pool within a small step.

    Args:
      fn, problem, reference: as in :func:`jaxcnn.testing.assert_matches_reference`.

    Raises:
      AssertionError: with the problem, the argument, both numbers and the bound.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_gradients_match(jaxcnn.conv, ConvProblem(size=(5,), kernel_size=(3,), use_bias=True))
    """
    definition = Definition(problem, reference)
    with stating("gradient of fn = gradient of reference", problem):
        with problem.x64():
            arrays, cotangent = problem.arrays(), problem.draw(problem.output_shape, _COTANGENT)
            got = jax.jit(partial(_gradients, partial(problem.call, fn)))(arrays, cotangent)
        want, magnitudes = definition.gradients(arrays, cotangent)
        _assert_gradients_close(got, want, magnitudes, problem)
    problem, step = replace(problem, dtype="float64"), 1.0
    if isinstance(problem, PoolProblem) and problem.kind == "max":
        # Less than half the gap between any two cells: no step changes which is the largest.
        problem = replace(problem, ties=False)
        step = problem.gap / 4
    with stating("gradient of fn = central difference, in float64", problem), problem.x64():
        _assert_differences_match(partial(problem.call, fn), problem, definition, step)


def assert_transforms(
    fn: Callable[..., jax.Array],
    problem: Problem,
    *,
    reference: Callable[..., jax.Array] | None = None,
) -> None:
    """``fn`` may be compiled, mapped, differentiated both ways and rematerialised.

        jit(fn) = fn      vmap(fn) over x, kernel or bias = fn on each
        <J v, u> = <v, J^T u>, with J v by jvp and J^T u by vjp
        the gradients of jax.checkpoint(fn) are those of fn

    Args:
      fn, problem, reference: as in :func:`jaxcnn.testing.assert_matches_reference`; the definition
        serves to know how much rounding is allowed.

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
        with stating("jit(fn) = fn", problem):
            same(compiled(*arrays), call(*arrays), arrays, "jit")
        for i, name, (array,) in _given(arrays):
            with stating(f"vmap(fn) over {name} = fn on each", problem):
                versions = [array, problem.draw(array.shape, _OTHER + i)]
                axes = tuple(0 if j == i else None for j in range(len(arrays)))
                mapped = jax.jit(jax.vmap(call, axes))(*_with(arrays, i, jnp.stack(versions)))
                for got, version in zip(mapped, versions, strict=True):
                    one = _with(arrays, i, version)
                    same(got, compiled(*one), one, "vmap")
        _assert_derivatives_agree(call, problem, definition, arrays)


def _assert_derivatives_agree(
    call: Callable[..., jax.Array], problem: Problem, definition: Definition, arrays: Arrays
) -> None:
    cotangent = problem.draw(problem.output_shape, _COTANGENT)
    tangents = tuple(
        None if a is None else problem.draw(a.shape, _TANGENT + i) for i, a in enumerate(arrays)
    )
    _, magnitudes = definition.gradients(arrays, cotangent)
    with stating("<J v, u> = <v, J^T u>", problem):
        backward = jax.jit(partial(_gradients, call))(arrays, cotangent)
        _, forward = jax.jit(partial(jax.jvp, call))(arrays, tangents)
        given = [each for *_, each in _given(backward, tangents, magnitudes)]
        assert_sums_close(
            _inner(forward, cotangent),
            math.fsum(_inner(gradient, tangent) for gradient, tangent, _ in given),
            math.fsum(_inner(magnitude, abs(tangent)) for _, tangent, magnitude in given),
            roundings=max(problem.tangent_roundings, *problem.gradient_roundings) + 2,
            dtype=problem.dtype,
            what="inner product of jvp and vjp",
        )
    with stating("gradients of jax.checkpoint(fn) = gradients of fn", problem):
        again = jax.jit(partial(_gradients, jax.checkpoint(call)))(arrays, cotangent)
        _assert_gradients_close(again, backward, magnitudes, problem)


def _assert_differences_match(
    call: Callable[..., jax.Array], problem: Problem, definition: Definition, step: float
) -> None:
    arrays, cotangent = problem.arrays(), problem.draw(problem.output_shape, _COTANGENT)
    gradients = jax.jit(partial(_gradients, call))(arrays, cotangent)
    _, magnitudes = definition.gradients(arrays, cotangent)
    for i, name, (array, gradient, magnitude) in _given(arrays, gradients, magnitudes):
        direction = problem.draw(array.shape, _TANGENT + i)
        before, after = (
            call(*_with(arrays, i, array + sign * step * direction)) for sign in (-1, 1)
        )
        reach = _with(arrays, i, abs(array) + step * abs(direction))
        _, values = definition.values(jax.tree.map(jnp.abs, reach))
        assert_sums_close(
            _inner(gradient, direction),
            (_inner(cotangent, after) - _inner(cotangent, before)) / (2 * step),
            _inner(magnitude, abs(direction)) + _inner(abs(cotangent), values) / step,
            roundings=max(problem.roundings, problem.gradient_roundings[i]) + 5,
            what=f"gradient of {name}, along a direction",
        )


def _assert_gradients_close(
    got: Arrays, want: Arrays, magnitudes: Arrays, problem: Problem
) -> None:
    for i, name, each in _given(got, want, magnitudes):
        assert_sums_close(
            *each,
            roundings=problem.gradient_roundings[i],
            what=f"gradient of {name}",
        )


def _gradients(call: Callable[..., jax.Array], arrays: Arrays, cotangent: jax.Array) -> Arrays:
    """J^T u: the gradients of <u, call(...)> with respect to each of ``arrays``."""
    _, pull_back = jax.vjp(call, *arrays)
    return pull_back(cotangent)


def _given(*sets: Arrays) -> Iterator[tuple[int, str, list[jax.Array]]]:
    """Which arguments there are, with their names and what each of ``sets`` holds for them."""
    for i, (name, *each) in enumerate(zip(("x", "kernel", "bias"), *sets, strict=False)):
        arrays = [array for array in each if array is not None]
        if arrays:
            yield i, name, arrays


def _with(arrays: Arrays, i: int, array: jax.Array) -> Arrays:
    return (*arrays[:i], array, *arrays[i + 1 :])


def _inner(a: ArrayLike, b: ArrayLike) -> float:
    """The inner product in float64: one rounding for each product, none for their sum but one."""
    return math.fsum(np.ravel(np.asarray(a, np.float64) * np.asarray(b, np.float64)))
