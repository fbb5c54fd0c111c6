"""Laws of values: shapes, numbers, refusals and lowering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxcnn.testing.definition import Definition
from jaxcnn.testing.failure import checking
from jaxcnn.testing.tolerance import assert_sums_close

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.testing.problems import Problem


def assert_obeys_geometry(fn: Callable[..., jax.Array], problem: Problem) -> None:
    """Checks that ``fn``, traced or run, returns the formula's shape in the input's dtype.

    Args:
      fn: called as :func:`jaxcnn.conv` or, for a pool, as :func:`jaxcnn.max_pool`.
      problem: a problem that the geometry allows.

    Raises:
      AssertionError: with the problem and the shapes that differ.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_obeys_geometry(jaxcnn.conv, ConvProblem(size=(7,), kernel_size=(3,), stride=(2,)))
    """
    shape = problem.output_shape
    with checking("formula = jax.eval_shape = shape of the value", problem), problem.x64():
        arrays = problem.arrays()
        traced = jax.eval_shape(lambda *a: problem.call(fn, *a), *arrays)
        value = problem.call(fn, *arrays)
        chex.assert_shape([traced, value], shape)
        chex.assert_type([traced, value], jnp.dtype(problem.dtype))


def assert_refuses(fn: Callable[..., jax.Array], problem: Problem) -> None:
    """Checks that ``fn`` raises ValueError or TypeError for an impossible problem.

    Args:
      fn: called as :func:`jaxcnn.conv` or, for a pool, as :func:`jaxcnn.max_pool`.
      problem: a problem that the geometry refuses.

    Raises:
      AssertionError: with the problem and the shape that ``fn`` returned.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem
    >>> assert_refuses(jaxcnn.conv, ConvProblem(size=(7,), kernel_size=(3,), stride=(3,)))
    """
    with checking("what the geometry refuses is refused", problem), problem.x64():
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
    """Checks that ``fn`` returns, entry by entry, the numbers of the definition in float64.

    They may differ by the error that rounding can cause (:mod:`jaxcnn.testing.tolerance`); a
    maximum must be equal. If ``fn`` computes in less than its dtype, as float32 convolutions on GPU
    and TPU do by default, pass it ``precision="highest"``.

    Args:
      fn: called as :func:`jaxcnn.conv` or, for a pool, as :func:`jaxcnn.max_pool`.
      problem: a problem that the geometry allows.
      reference: the definition; None takes that of :mod:`jaxcnn.reference` for this problem.

    Raises:
      AssertionError: with the problem, both numbers, the bound and the place of the largest excess.

    >>> import jaxcnn
    >>> from jaxcnn.testing import ConvProblem, PoolProblem
    >>> assert_matches_reference(jaxcnn.conv, ConvProblem(size=(7,), kernel_size=(3,)))
    >>> assert_matches_reference(jaxcnn.avg_pool, PoolProblem(kind="avg", size=(4,)))
    """
    with checking("fn = reference", problem):
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
    """Checks that ``fn`` lowers to StableHLO for these platforms, which need not be present.

    Args:
      fn: a function of arrays.
      args: its arguments, arrays or :class:`jax.ShapeDtypeStruct`.
      platforms: the platforms to lower for.
      returns: the expected output, as :class:`jax.ShapeDtypeStruct`; None expects what
        :func:`jax.eval_shape` gives.

    Raises:
      AssertionError: if lowering fails or returns another type; gives the types.

    >>> import jaxcnn
    >>> x, kernel = jnp.ones((7, 7, 3)), jnp.ones((3, 3, 3, 6))
    >>> assert_lowers(jaxcnn.conv, (x, kernel), returns=jax.ShapeDtypeStruct((5, 5, 6), "float32"))
    """
    types = jax.tree.map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)), args)
    with checking(f"lowers for {', '.join(platforms)}", types):
        exported = jax.export.export(jax.jit(fn), platforms=tuple(platforms))(*types)
        expected = jax.eval_shape(fn, *types) if returns is None else returns
        chex.assert_trees_all_equal_shapes_and_dtypes(
            list(exported.out_avals), jax.tree.leaves(expected)
        )
        assert exported.platforms == tuple(platforms), f"lowered for {exported.platforms}"
