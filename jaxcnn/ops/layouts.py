"""Conversions of kernels between jaxcnn's layout and those of PyTorch and Keras.

jaxcnn       conv             (*F, C_in/groups, C_out)
             conv_transpose   (*F, C/groups, K), from K channels to C
             depthwise_conv   (*F, C, multiplier)
PyTorch      Conv             (C_out, C_in/groups, *F)
             ConvTranspose    (K, C/groups, *F)
Keras        Conv             (*F, C_in/groups, C_out)
             ConvTranspose    (*F, C, K)
             DepthwiseConv    (*F, C, multiplier)

In PyTorch and Keras, as here, a transposed convolution is the adjoint of the convolution with the
same kernel, so nothing is flipped and both kinds are converted alike. The functions take and return
NumPy or JAX arrays with any number of spatial axes.
"""

from __future__ import annotations

from typing import TypeVar

import jax
import numpy as np

from jaxcnn.errors import InputError, error_prefix
from jaxcnn.keywords import suggest_keywords

Array = TypeVar("Array", np.ndarray, jax.Array)


@suggest_keywords
def kernel_from_torch(weight: Array) -> Array:
    """The weight of a PyTorch Conv or ConvTranspose as a kernel of conv or conv_transpose.

        weight: (A, B, *F)      returns (*F, B, A)

    A grouped kernel (*F, 1, C*multiplier), reshaped to (*F, C, multiplier), also fits
    :func:`jaxcnn.depthwise_conv`.

    Raises:
      InputError: (a ValueError) if the array has fewer than 3 axes.
      TypeError: if the argument is neither a NumPy nor a JAX array.

    >>> kernel_from_torch(np.ones((8, 3, 5, 7))).shape
    (5, 7, 3, 8)
    """
    with error_prefix("kernel_from_torch"):
        _require_kernel("weight", weight, "(8, 3, 5, 5): C_out, C_in/groups, *kernel_size")
    return weight.transpose(*range(2, weight.ndim), 1, 0)


@suggest_keywords
def kernel_to_torch(kernel: Array) -> Array:
    """A kernel of conv or conv_transpose as the weight of a PyTorch Conv or ConvTranspose.

        kernel: (*F, B, A)      returns (A, B, *F)

    Raises:
      InputError: (a ValueError) if the array has fewer than 3 axes.
      TypeError: if the argument is neither a NumPy nor a JAX array.

    >>> kernel_to_torch(np.ones((5, 7, 3, 8))).shape
    (8, 3, 5, 7)
    """
    with error_prefix("kernel_to_torch"):
        _require_kernel("kernel", kernel, "(5, 5, 3, 8): *kernel_size, C_in/groups, C_out")
    last = kernel.ndim - 1
    return kernel.transpose(last, last - 1, *range(last - 1))


@suggest_keywords
def kernel_from_keras(weight: Array) -> Array:
    """The kernel of a Keras Conv, ConvTranspose, DepthwiseConv or SeparableConv: the same array.

    Keras's axes are in jaxcnn's order already. The function only checks the type and the rank.

    Raises:
      InputError: (a ValueError) if the array has fewer than 3 axes.
      TypeError: if the argument is neither a NumPy nor a JAX array.

    >>> kernel_from_keras(np.ones((5, 7, 3, 8))).shape
    (5, 7, 3, 8)
    """
    with error_prefix("kernel_from_keras"):
        _require_kernel("weight", weight, "(5, 5, 3, 8): *kernel_size, C_in/groups, C_out")
    return weight


@suggest_keywords
def kernel_to_keras(kernel: Array) -> Array:
    """A kernel as the Keras layer of the same kind takes it: the same array.

    Raises:
      InputError: (a ValueError) if the array has fewer than 3 axes.
      TypeError: if the argument is neither a NumPy nor a JAX array.

    >>> kernel_to_keras(np.ones((5, 7, 3, 8))).shape
    (5, 7, 3, 8)
    """
    with error_prefix("kernel_to_keras"):
        _require_kernel("kernel", kernel, "(5, 5, 3, 8): *kernel_size, C_in/groups, C_out")
    return kernel


def _require_kernel(name: str, array: Array, example: str) -> None:
    if not isinstance(array, np.ndarray | jax.Array):
        raise TypeError(
            f"{name} must be a NumPy or JAX array, got {type(array).__name__}; use "
            f"{name}.detach().cpu().numpy() for a PyTorch tensor, numpy.asarray({name}) otherwise"
        )
    if array.ndim < 3:
        raise InputError(
            f"{name} of shape {array.shape} has {array.ndim} axes; a kernel has at least 3, as in "
            f"{example}"
        )
