"""Rows computed by PyTorch in eager mode, in either of its memory layouts."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.bench.contenders import Contender, Operands
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from jaxcnn.bench.row import Row

LAYOUTS = ("torch-contiguous", "torch-channels-last")


def is_installed() -> bool:
    """Whether PyTorch is installed; does not import it."""
    return find_spec("torch") is not None


def layouts(row: Row) -> tuple[str, ...]:
    """The memory layouts PyTorch has for the row: in 1-D only the contiguous one."""
    return LAYOUTS if row.axes > 1 else LAYOUTS[:1]


def torch_contender(name: str, row: Row, direction: str, dtype: str, given: Operands) -> Contender:
    """PyTorch in one of :func:`layouts`.

    A convolution's forward pass runs beforehand; the call computes the gradient of one operand. A
    pool's forward pass is part of the call, as it is for the other contenders.
    """
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    memory_format = torch.contiguous_format
    if name != LAYOUTS[0]:
        memory_format = torch.channels_last if row.axes == 2 else torch.channels_last_3d

    def tensor(array: np.ndarray) -> torch.Tensor:
        made = torch.from_numpy(np.ascontiguousarray(array)).to(getattr(torch, dtype))
        return made.contiguous(memory_format=memory_format)

    x, g = (tensor(_channels_first(row, array)) for array in (given.x, given.g))
    if given.kernel is None:
        return _pool(row, direction, x, g)
    return _convolution(row, direction, x, tensor(_kernel_to_torch(row, given.kernel)), g)


def _convolution(
    row: Row, direction: str, x: torch.Tensor, w: torch.Tensor, g: torch.Tensor
) -> Contender:
    import torch

    function = _function(row)
    if direction == "forward":

        def forward() -> torch.Tensor:
            with torch.inference_mode():
                return function(x, w)

        return Contender(forward, lambda y: _from_channels_first(row, _numpy(y)))
    wanted = (x if direction == "input" else w).requires_grad_()
    y = function(x, w)

    def gradient() -> torch.Tensor:
        return torch.autograd.grad(y, wanted, g, retain_graph=True)[0]

    if direction == "input":
        return Contender(gradient, lambda dx: _from_channels_first(row, _numpy(dx)))
    return Contender(gradient, lambda dw: _kernel_from_torch(row, _numpy(dw)))


def _pool(row: Row, direction: str, x: torch.Tensor, g: torch.Tensor) -> Contender:
    import torch

    function = _function(row)
    if direction == "forward":

        def forward() -> torch.Tensor:
            with torch.inference_mode():
                return function(x)

        return Contender(forward, lambda y: _from_channels_first(row, _numpy(y)))
    x = x.requires_grad_()

    def gradient() -> torch.Tensor:
        return torch.autograd.grad(function(x), x, g)[0]

    return Contender(gradient, lambda dx: _from_channels_first(row, _numpy(dx)))


def _function(row: Row) -> Callable[..., torch.Tensor]:
    from torch.nn import functional

    def named(name: str) -> Callable[..., torch.Tensor]:
        return getattr(functional, f"{name}{row.axes}d")

    windows: dict[str, Any] = {"stride": row.stride}
    low = tuple(lo for lo, _ in row.padding)
    even = all(lo == hi for lo, hi in row.padding)
    if row.is_pool:
        if not even or set(row.dilation) != {1}:
            raise InputError(f"row {row.name}: PyTorch's pools pad evenly and have no dilation")
        pool = named(row.operation.replace(" ", "_"))
        return lambda x: pool(x, row.kernel_size, padding=low, **windows)
    windows |= {"dilation": row.dilation, "groups": row.groups}
    if row.operation == "transposed":
        # Less padding at the end than at the start is PyTorch's output_padding.
        more = tuple(lo - hi for lo, hi in row.padding)
        transposed = named("conv_transpose")
        return lambda x, w: transposed(x, w, padding=low, output_padding=more, **windows)
    convolution = named("conv")
    if even:
        return lambda x, w: convolution(x, w, padding=low, **windows)
    pairs = [side for pair in reversed(row.padding) for side in pair]
    return lambda x, w: convolution(functional.pad(x, pairs), w, **windows)


def _channels_first(row: Row, image: np.ndarray) -> np.ndarray:
    return image if row.layout == "first" else np.moveaxis(image, -1, 1)


def _from_channels_first(row: Row, image: np.ndarray) -> np.ndarray:
    return image if row.layout == "first" else np.moveaxis(image, 1, -1)


def _kernel_to_torch(row: Row, kernel: np.ndarray) -> np.ndarray:
    """The kernel as (O, C // groups, *F).

    A transposed convolution has (C, O // groups, *F), with flipped taps.
    """
    if row.layout == "last":
        kernel = np.moveaxis(kernel, (-1, -2), (0, 1))
    if row.operation != "transposed":
        return kernel
    kernel = np.flip(kernel, tuple(range(2, kernel.ndim)))
    return _swap_channels(row, kernel)


def _kernel_from_torch(row: Row, kernel: np.ndarray) -> np.ndarray:
    if row.operation == "transposed":
        kernel = _swap_channels(row, kernel)
        kernel = np.flip(kernel, tuple(range(2, kernel.ndim)))
    return kernel if row.layout == "first" else np.moveaxis(kernel, (0, 1), (-1, -2))


def _swap_channels(row: Row, kernel: np.ndarray) -> np.ndarray:
    """Turns (groups * a, b, *F) into (groups * b, a, *F); its own inverse."""
    split = kernel.reshape(row.groups, -1, *kernel.shape[1:]).swapaxes(1, 2)
    return split.reshape(-1, *split.shape[2:])


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    import torch

    return tensor.detach().to(torch.float32).contiguous().numpy()
