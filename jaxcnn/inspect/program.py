"""Traces a model to a program: its jaxpr, and the names of the arrays it uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from inspect import getclosurevars
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.extend.core import ClosedJaxpr
    from jax.typing import DTypeLike


@dataclass(frozen=True)
class Weight:
    """An array that a program uses besides its input.

    Flax declares which arrays are learnt: those of ``nnx.Param``, and those in Linen's collection
    ``params``. Elsewhere ``learnt`` is None: a floating-point array counts as learnt unless it acts
    as a mean or variance in a normalisation.
    """

    name: str
    learnt: bool | None


@dataclass(frozen=True)
class Program:
    """A traced program.

    Attributes:
      jaxpr: the jaxpr; its inputs are the weights, then x.
      weights: one for each of the jaxpr's inputs except the last.
      batched: whether x has a batch axis.
      closed_over: the paths of the arrays that a function closes over, by their ``id``.
    """

    jaxpr: ClosedJaxpr
    weights: tuple[Weight, ...]
    batched: bool
    closed_over: dict[int, str]


def read_program(
    model: Callable[..., Any], shape: Sequence[int], dtype: DTypeLike, *, batch: int = 1
) -> Program:
    """Traces ``model`` on ``batch`` examples of the given shape; the model is not changed.

    A Flax NNX module is traced in evaluation mode. Any other callable is called with x alone. The
    weights of a pytree, such as an Equinox module, are its arrays; those of a function are the
    arrays that it closes over. A model that takes no batch axis is traced on one example.

    Raises:
      InputError: if ``dtype`` is not a dtype, or if the model accepts x neither with nor without
        a batch axis; gives the model's reasons.
    """
    shape, dtype = checked(model, shape, dtype)
    call, arrays, weights = split_model(model)
    reasons = []
    for batched in (True, False):
        x = jax.ShapeDtypeStruct((batch, *shape) if batched else shape, dtype)
        try:
            jaxpr = jax.make_jaxpr(call)(arrays, x)
        except Exception as error:  # the model may raise anything
            reasons.append(f"given {x.shape}, {first_line(error)}")
            continue
        return Program(jaxpr, weights, batched, {} if weights else closed_over(model))
    raise InputError(
        f"the model does not accept an input of shape {shape}: {'; '.join(reasons)}. Use the shape "
        f"of one example, as the model expects it"
    )


def checked(
    model: Any, shape: Sequence[int], dtype: DTypeLike
) -> tuple[tuple[int, ...], jnp.dtype]:
    """Shape and dtype of one example, if the model can be called and JAX has the dtype.

    Raises:
      InputError: if not.
    """
    shape = tuple(integer("input_shape", size, least=1) for size in shape)
    if not callable(model):
        raise InputError(
            f"model of type {type(model).__name__} cannot be called; use a Flax NNX module or a "
            f"function of one array"
        )
    try:
        dtype = jnp.dtype(dtype)
    except TypeError:
        raise InputError(
            f"dtype {dtype!r} is not a dtype; use one such as float32, bfloat16 or uint8"
        ) from None
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise InputError(
            f"dtype {dtype} becomes {jax.dtypes.canonicalize_dtype(dtype)} in JAX; set "
            f"JAX_ENABLE_X64=1, or use {jax.dtypes.canonicalize_dtype(dtype)}"
        )
    return shape, dtype


def split_model(model: Any) -> tuple[Callable[..., Any], list[Any], tuple[Weight, ...]]:
    """A function of (arrays, x), the arrays, and their names; a Flax module in evaluation mode."""
    if isinstance(model, nnx.Module):
        definition, state = nnx.split(model)
        leaves, tree = jax.tree_util.tree_flatten(state)
        variables = jax.tree_util.tree_flatten_with_path(
            state, is_leaf=lambda node: isinstance(node, nnx.Variable)
        )[0]
        weights = tuple(
            Weight(_path(path), isinstance(variable, nnx.Param))
            for path, variable in variables
            for _ in jax.tree_util.tree_leaves(variable)
        )

        def call_module(arrays: list[Any], x: jax.Array) -> Any:
            copy = nnx.merge(definition, jax.tree_util.tree_unflatten(tree, arrays))
            copy.eval()
            return copy(x)

        return call_module, leaves, weights
    found, tree = jax.tree_util.tree_flatten_with_path(model)
    array_at = [i for i, (_, leaf) in enumerate(found) if _is_array(leaf)]
    weights = tuple(
        Weight(name, learnt_of(name, found[i][1]))
        for i in array_at
        for name in (_path(found[i][0]),)
    )

    def call_pytree(arrays: list[Any], x: jax.Array) -> Any:
        leaves = [leaf for _, leaf in found]
        for i, array in zip(array_at, arrays, strict=True):
            leaves[i] = array
        return jax.tree_util.tree_unflatten(tree, leaves)(x)

    return call_pytree, [found[i][1] for i in array_at], weights


def learnt_of(path: str, array: Any) -> bool | None:
    """Whether an array is learnt, by its path and dtype; None if these do not decide it."""
    if not jnp.issubdtype(jnp.result_type(array), jnp.inexact):
        return False
    parts = set(path.split("."))
    return True if "params" in parts else False if "batch_stats" in parts else None


def closed_over(function: Any) -> dict[int, str]:
    """The paths of the arrays that a function closes over, by their ``id``."""
    found: dict[int, str] = {}
    waiting, met = [function], set()
    while waiting:
        each = waiting.pop()
        if id(each) in met:
            continue
        met.add(id(each))
        held: dict[str | int, Any] = {}
        if isinstance(each, partial):
            held = {"function": each.func, **each.keywords} | dict(enumerate(each.args))
        elif isinstance(each, MethodType):
            held = {"function": each.__func__, "self": each.__self__}
        elif isinstance(each, FunctionType):
            closed = getclosurevars(each)
            waiting += filter(callable, closed.nonlocals.values())
            held = {**closed.globals, **closed.nonlocals}
        waiting += [held["function"]] if "function" in held else []
        waiting += filter(None, [getattr(each, "__wrapped__", None)])
        for name, value in held.items():
            try:
                leaves = jax.tree_util.tree_flatten_with_path(value)[0]
            except (TypeError, ValueError):  # a dictionary whose keys have no order
                continue
            for path, leaf in leaves:
                if _is_array(leaf):
                    found.setdefault(id(leaf), f"{name}.{_path(path)}")
    return found


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _path(path: Sequence[Any]) -> str:
    names = (getattr(key, "name", getattr(key, "key", getattr(key, "idx", key))) for key in path)
    return ".".join(str(name) for name in names)


def first_line(error: Exception) -> str:
    """The class of an error, and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
