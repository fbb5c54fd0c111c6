"""PyTorch and jaxcnn on one problem: equal values, shapes and gradients, in float64.

PyTorch's arrays have their channels second, jaxcnn's last. Functions here take PyTorch's layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jaxcnn.testing import assert_sums_close

if TYPE_CHECKING:
    from collections.abc import Callable


def last(array: np.ndarray) -> np.ndarray:
    """(N, C, *spatial) as (N, *spatial, C)."""
    return np.moveaxis(array, 1, -1)


def second(array: np.ndarray) -> np.ndarray:
    """(N, *spatial, C) as (N, C, *spatial)."""
    return np.moveaxis(np.asarray(array), -1, 1)


def assert_same(
    theirs: Callable[..., torch.Tensor],
    ours: Callable[..., jax.Array],
    arrays: tuple[np.ndarray, ...],
    *,
    roundings: int,
    linear: bool = True,
) -> None:
    """Checks theirs = ours: the value, its shape and the gradients of all arrays.

    Args:
      theirs: a function of tensors.
      ours: a function of JAX arrays in the same layouts, which it converts itself.
      arrays: float64.
      roundings: the most roundings that a term of any of the sums goes through.
      linear: whether ``theirs`` of magnitudes is the sum of magnitudes. If not, the values are
        cells of x and must be equal.
    """
    value, gradients, cotangent = _torch(theirs, arrays)
    magnitude, magnitudes, _ = _torch(theirs, tuple(map(abs, arrays)), abs(cotangent))
    with jax.enable_x64(True):

        @jax.jit
        def both(arrays, cotangent):
            y, pull_back = jax.vjp(ours, *arrays)
            return y, pull_back(cotangent)

        shape = jax.eval_shape(ours, *map(jnp.asarray, arrays)).shape
        assert shape == value.shape, f"jaxcnn has shape {shape}, PyTorch {value.shape}"
        y, ours_gradients = both(tuple(map(jnp.asarray, arrays)), jnp.asarray(cotangent))
    if not linear:
        np.testing.assert_array_equal(y, value)
        total = sum(abs(cotangent).ravel())
        magnitudes = tuple(np.full(g.shape, total) for g in gradients)
    else:
        assert_sums_close(y, value, magnitude, roundings=roundings, what="value")
    for i, pair in enumerate(zip(ours_gradients, gradients, magnitudes, strict=True)):
        got, want, size = pair
        assert_sums_close(got, want, size, roundings=roundings, what=f"gradient of array {i}")


def _torch(
    theirs: Callable[..., torch.Tensor],
    arrays: tuple[np.ndarray, ...],
    cotangent: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray]:
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = theirs(*tensors)
    if cotangent is None:
        cotangent = np.random.default_rng(1).normal(size=y.shape)
    gradients = torch.autograd.grad(y, tensors, torch.tensor(cotangent))
    return y.detach().numpy(), tuple(g.numpy() for g in gradients), cotangent
