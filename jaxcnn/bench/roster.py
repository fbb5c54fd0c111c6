"""The contenders by name, and the flags that select XLA's convolution backends on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.bench import pytorch
from jaxcnn.bench.contenders import Contender, Operands, jax_contender, jax_contender_names

if TYPE_CHECKING:
    from jaxcnn.bench.row import Row

OFF, ON = (f"--xla_cpu_experimental_ynn_fusion_type={sign}individual_convolution" for sign in "-+")

XLA_BACKENDS = {
    "lax-ynnpack": ON,
    "lax-eigen": OFF,
    "lax-onednn": f"--xla_cpu_experimental_onednn_custom_call=true {OFF}",
}
"""XLA's convolution backends on a CPU, and the flags that select each.

The jaxlib version decides whether YNNPACK or Eigen is the default.
"""


def contender_names(row: Row, *, torch: bool) -> tuple[str, ...]:
    """The contenders that share one process; PyTorch counts once for each of its layouts."""
    return jax_contender_names(row) + (pytorch.layouts(row) if torch else ())


def make_contender(name: str, row: Row, direction: str, dtype: str, given: Operands) -> Contender:
    """A contender by name, from :func:`contender_names` or :data:`XLA_BACKENDS`.

    A backend's contender is plain lax; its flags must have been set before JAX started.
    """
    if name in pytorch.LAYOUTS:
        return pytorch.torch_contender(name, row, direction, dtype, given)
    return jax_contender("lax" if name in XLA_BACKENDS else name, row, direction, dtype, given)
