"""The laws of values: shapes, numbers, refusals and lowering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxcnn.testing.definition import Definition
from jaxcnn.testing.problems import Problem
from jaxcnn.testing.report import stating
from jaxcnn.testing.tolerance import assert_sums_close


def assert_obeys_geometry(fn: Callable[..., jax.Array], problem: Problem) -> None:
    """The formula's shape is what ``fn`` is traced to and what it returns, in the input's dtype.

    Args:
      fn: called as :func:`jaxcnn.conv` or, for a pool, as :func:`jaxcnn.max_pool`.
      problem: one that the geometry allows.

    Raises:
      AssertionError: with the problem, and the shapes that differ.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_obeys_geometry(jaxcnn.conv, ConvProblem(size=(7,), kernel_size=(3,), stride=(2,)))
    """
    shape = problem.output_shape
    with stating("formula = jax.eval_shape = shape of the value", problem), problem.x64():
        arrays = problem.arrays()
        traced = jax.eval_shape(lambda *a: problem.call(fn, *a), *arrays)
        value = problem.call(fn, *arrays)
        chex.assert_shape([traced, value], shape)
        chex.assert_type([traced, value], jnp.dtype(problem.dtype))


def assert_refuses(fn: Callable[..., jax.Array], problem: Problem) -> None:
    """``fn`` raises ValueError or TypeError on a problem that the geometry calls impossible.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_refuses(jaxcnn.conv, ConvProblem(size=(7,), kernel_size=(3,), stride=(3,)))
    """
    with stating("what the geometry refuses is refused", problem), problem.x64():
        arrays = problem.arrays()
        try:
            value = problem.call(fn, *arrays)
        except (ValueError, TypeError):
            return
        raise AssertionError(f"a value of shape {jnp.shape(value)} was returned")


def assert_matches_reference(
    fn: Callable[..., jax.Array],
    problem: Problem,
    *,
    reference: Callable[..., jax.Array] | None = None,
) -> None:
    """``fn`` gives, entry by entry, the numbers of the definition computed in float64.

    Within the error that rounding can cause: :mod:`jaxcnn.testing.tolerance`. A maximum is exact.
    Where ``fn`` computes in less than its dtype, as float32 convolutions do by default on GPU and
    TPU, ask it for ``precision="highest"``.

    Args:
      fn: called as :func:`jaxcnn.conv` or, for a pool, as :func:`jaxcnn.max_pool`.
      problem: one that the geometry allows.
      reference: the definition; None takes :mod:`jaxcnn.reference`'s for the kind of problem.

    Raises:
      AssertionError: with the problem, both numbers and the bound, where they are furthest apart.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem, PoolProblem
    >>> assert_matches_reference(jaxcnn.conv, ConvProblem(size=(7,), kernel_size=(3,)))
    >>> assert_matches_reference(jaxcnn.avg_pool, PoolProblem(kind="avg", size=(4,)))
    """
    with stating("fn = reference", problem):
        with problem.x64():
            arrays = problem.arrays()
            got = np.asarray(problem.call(fn, *arrays))
        want, magnitude = Definition(problem, reference).values(arrays)
        assert_sums_close(got, want, magnitude, roundings=problem.roundings, what="output")


def assert_lowers(
    fn: Callable[..., Any],
    args: Sequence[Any],
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    *,
    returns: Any = None,
) -> None:
    """``fn`` can be compiled as far as StableHLO for these platforms; none of them is needed.

    Args:
      fn: a function of arrays.
      args: its arguments, arrays or :class:`jax.ShapeDtypeStruct`.
      platforms: for what it is lowered.
      returns: the predicted output, as :class:`jax.ShapeDtypeStruct`; None predicts what
        :func:`jax.eval_shape` does.

    Raises:
      AssertionError: with the types, where it does not lower or gives another type.

    >>> import jaxcnn
    >>> x, kernel = jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6))
    >>> assert_lowers(jaxcnn.conv, (x, kernel), returns=jax.ShapeDtypeStruct((5, 5, 6), "float32"))
    """
    types = jax.tree.map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)), args)
    with stating(f"lowers for {', '.join(platforms)}", types):
        exported = jax.export.export(jax.jit(fn), platforms=tuple(platforms))(*types)
        predicted = jax.eval_shape(fn, *types) if returns is None else returns
        want = [(tuple(t.shape), jnp.dtype(t.dtype)) for t in jax.tree.leaves(predicted)]
        got = [(tuple(t.shape), jnp.dtype(t.dtype)) for t in exported.out_avals]
        assert got == want, f"lowered to {got}, predicted {want}"
        assert exported.platforms == tuple(platforms), f"lowered for {exported.platforms}"
