"""Who can take part, by name, and the flags that open the roads XLA does not take by itself."""

from __future__ import annotations

from jaxcnn.bench import pytorch
from jaxcnn.bench.contenders import Contender, Operands, jax_contender, jax_names
from jaxcnn.bench.row import Row

OFF, ON = (f"--xla_cpu_experimental_ynn_fusion_type={sign}individual_convolution" for sign in "-+")

XLA_BACKENDS = {
    "lax-ynnpack": ON,
    "lax-eigen": OFF,
    "lax-onednn": f"--xla_cpu_experimental_onednn_custom_call=true {OFF}",
}
"""XLA's own roads for a convolution on a CPU, and the flags that open each.

Which of the first two is taken unasked depends on the jaxlib; oneDNN gets what YNNPACK leaves.
"""


def names(row: Row, *, torch: bool) -> tuple[str, ...]:
    """Who can compute the row in one process; PyTorch once for each of its layouts."""
    return jax_names(row) + (pytorch.layouts(row) if torch else ())


def contender(name: str, row: Row, direction: str, dtype: str, given: Operands) -> Contender:
    """One of :func:`names` or :data:`XLA_BACKENDS`; the latter are lax where its flags are set."""
    if name in pytorch.LAYOUTS:
        return pytorch.torch_contender(name, row, direction, dtype, given)
    return jax_contender("lax" if name in XLA_BACKENDS else name, row, direction, dtype, given)
