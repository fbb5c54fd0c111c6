"""A model as a function of a batch of any size, as both formats need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.extend.core import jaxpr_as_fun

from jaxcnn.errors import InputError
from jaxcnn.geometry.check import choice
from jaxcnn.inspect.program import checked, closed_over, first_line, split_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.typing import DTypeLike

LAYOUTS = ("nhwc", "nchw")


@dataclass(frozen=True)
class Source:
    """A model as a function of its arrays and of images.

    Attributes:
      call: (arrays, images) -> a list of arrays.
      arrays, paths: the arrays that the model has or closes over, and their names; some have none.
      images: shape and dtype of the images; the first size is symbolic.
      outputs: shapes and dtypes of the outputs.
      names: the name of each output.
    """

    call: Callable[[list[Any], Any], list[Any]]
    arrays: list[Any]
    paths: tuple[str, ...]
    images: jax.ShapeDtypeStruct
    outputs: tuple[jax.ShapeDtypeStruct, ...]
    names: tuple[str, ...]

    @property
    def batch(self) -> Any:
        """The symbolic number of images."""
        return self.images.shape[0]


def source_of(
    model: Callable[..., Any], input_shape: Sequence[int], dtype: DTypeLike, layout: str
) -> Source:
    """The model in evaluation mode, with the given layout of its inputs and outputs.

    Raises:
      InputError: if the model does not accept such images, or not every number of them.
    """
    layout = choice("layout", layout, LAYOUTS)
    shape, dtype = checked(model, input_shape, dtype)
    if not any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.integer, bool)):
        raise InputError(f"dtype {dtype} is none of images; use one such as float32 or uint8")
    inner, held, weights = split_model(model)
    batched = _with_batch(inner, held, shape, dtype)
    found_paths: list[Any] = []

    def leaves_of(held: list[Any], images: Any) -> list[Any]:
        found = batched(held, jnp.moveaxis(images, 1, -1) if layout == "nchw" else images)
        leaves = jax.tree_util.tree_flatten_with_path(found)[0]
        found_paths[:] = [path for path, _ in leaves]
        return [
            jnp.moveaxis(jnp.asarray(leaf), -1, 1)
            if layout == "nchw" and np.ndim(leaf) > 2
            else jnp.asarray(leaf)
            for _, leaf in leaves
        ]

    def call(arrays: list[Any], images: Any) -> list[Any]:
        """The program, with other arrays in place of those that it closes over."""
        count = len(held)
        program = jax.make_jaxpr(leaves_of)(arrays[:count], images)
        program = program.replace(consts=arrays[count:])
        return jaxpr_as_fun(program)(*arrays[:count], images)

    sizes = (shape[-1], *shape[:-1]) if layout == "nchw" else shape
    images = jax.ShapeDtypeStruct((*export.symbolic_shape("N"), *sizes), dtype)
    try:
        program = jax.make_jaxpr(leaves_of)(held, images)
    except Exception as error:  # the model may raise anything
        raise InputError(
            f"the model accepts {sizes}, but not with a number of images that is left open: "
            f"{first_line(error)}; use x.shape[0] for it, "
            f"not len(x) or a number"
        ) from None
    others = {} if weights else closed_over(model)
    paths = [weight.name for weight in weights]
    paths += [others.get(id(array), "") for array in program.consts]
    outputs = tuple(jax.ShapeDtypeStruct(y.shape, y.dtype) for y in program.out_avals)
    names = tuple(_name(path) or "logits" for path in found_paths)
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"the model returns outputs with the names {names}; use one array, or arrays with "
            f"different names"
        )
    return Source(call, [*held, *program.consts], tuple(paths), images, outputs, names)


def _with_batch(
    call: Callable[..., Any], arrays: list[Any], shape: tuple[int, ...], dtype: Any
) -> Callable[..., Any]:
    """The function of a batch: ``call`` itself, or mapped over the images."""
    reasons = []
    for function in (call, jax.vmap(call, in_axes=(None, 0))):
        images = jax.ShapeDtypeStruct((2, *shape), dtype)
        try:
            jax.eval_shape(function, arrays, images)
        except Exception as error:  # the model may raise anything
            given = shape if reasons else images.shape
            reasons.append(f"given {given}, {first_line(error)}")
            continue
        return function
    raise InputError(
        f"the model does not accept an input of shape {shape}: {'; '.join(reasons)}. Use the shape "
        f"of one example, as the model expects it"
    )


def _name(path: Sequence[Any]) -> str:
    keys = (getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))) for key in path)
    return ".".join(f"output{key}" if isinstance(key, int) else str(key) for key in keys)
