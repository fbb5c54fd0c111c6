"""The machine's limits: how fast it multiplies matrices and copies memory."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.bench.timing import time_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.bench.row import Row


@dataclass(frozen=True)
class Ceilings:
    """The machine's measured speeds.

    Attributes:
      gflops: 10^9 operations a second in the best matrix product; a multiply-add counts as two.
      copy_gbs: 10^9 bytes a second, read and written, in a copy larger than any cache.
    """

    gflops: float
    copy_gbs: float

    def floor(self, row: Row, itemsize: int) -> float:
        """The seconds the row takes at these speeds, in any direction.

        It assumes the definition's multiply-adds and traffic to main memory. An algorithm with
        fewer operations (FFT) and arrays that fit into a cache can be faster.

        >>> from jaxcnn.bench import OVERVIEW, containing
        >>> Ceilings(400, 40).floor(containing(OVERVIEW, "3x3 64-64")[0], 4) * 1e3
        4.62422016
        """
        operations = 2 * row.multiply_adds / (self.gflops * 1e9)
        return max(operations, row.numbers_moved() * itemsize / (self.copy_gbs * 1e9))


def measure_ceilings(dtype: str, torch: bool, *, seconds: float = 0.5) -> Ceilings:
    """Measures both speeds.

    Args:
      dtype: the matrices' dtype.
      torch: whether to try PyTorch's matrix product too; the faster one counts.
      seconds: the approximate time to spend on each product and on the copy.
    """
    products = [_jax_product]
    if torch:
        products.append(_torch_product)
    best = 0.0
    for size in (512, 1024, 2048):
        for product in products:
            best = max(best, 2 * size**3 / _best(product(size, dtype), seconds))
    return Ceilings(best / 1e9, _copy_speed(seconds) / 1e9)


def _jax_product(size: int, dtype: str) -> Callable[[], object]:
    a, b = jax.random.normal(jax.random.key(0), (2, size, size), jnp.dtype(dtype))
    product = jax.jit(jnp.matmul)
    return lambda: product(a, b).block_until_ready()


def _torch_product(size: int, dtype: str) -> Callable[[], object]:
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    a, b = torch.randn(2, size, size).to(getattr(torch, dtype))
    return lambda: torch.mm(a, b)


def _copy_speed(seconds: float) -> float:
    """Bytes a second, copied by all processors at once.

    NumPy releases the interpreter lock while it copies, and the target has been written before.
    """
    threads = os.cpu_count() or 1
    size = 1 << 28
    source, target = (np.full(size // 4, i, np.float32) for i in range(2))
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        return 2 * size / _best(lambda: list(pool.map(lambda p: np.copyto(*p), parts)), seconds)


def _best(function: Callable[[], object], seconds: float) -> float:
    """The shortest of the calls that fit into ``seconds``: at least three, after a warm-up."""
    function()
    taken, start = [], time.perf_counter()
    while len(taken) < 3 or time.perf_counter() - start < seconds:
        taken.append(time_once(function)[1])
    return min(taken)
