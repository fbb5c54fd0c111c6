"""Every number that was tuned, in one place: the limits below, and the rates in ``rates.json``.

A limit states what was measured for it, or that nothing was. The rates are milliseconds for a call,
a multiply-add and a byte of each algorithm, fitted by ``experiments/calibrate_convolution.py``.
Limits marked "not measured" were set by hand while the algorithm was written; they keep programs
small or skip cases in which an algorithm gains nothing, and another value may be as good.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple

# -- the choice of an algorithm --------------------------------------------------------------------

WORTH = 0.9
"""An algorithm replaces the direct call only if its predicted time is below this share of the
direct call's. Not measured by itself: ``experiments/choice_regret.py`` measures the choices that
the whole model makes."""

MOST_PROGRAMS = 128
"""Programs that are compiled for one convolution at most. XLA takes some 10 to 50 ms for each (2
cores of an AMD EPYC, jax 0.10.2). An algorithm that is named may compile more."""

TRANSPOSE_MS_PER_BYTE = 2e-7
"""Milliseconds a byte for XLA to transpose a float32 array: 6.9 ms for the 32 MB of a 1x1
convolution with channels first, 2.0 ms for a kernel of 9.4 MB (2 cores of an AMD EPYC, jax 0.10.2,
the same convolution with and without)."""

LARGEST_TEMPORARY = 32 * 2**20
"""Bytes. A fresh buffer beyond this size costs page faults: about 0.3 ms a MB where it was
measured."""

VECTOR_LANES = 16
"""Float32 numbers in a vector of AVX-512. A group's filters are counted in multiples of it."""

# -- kernels ---------------------------------------------------------------------------------------

TAPS_MOST_PRODUCTS = 96
"""Products for one output that ``taps`` unrolls; longer filters go to ``tap_loop``. Beyond it XLA's
compile time grows out of hand; the figures were not kept."""

TAPS_MOST_CHANNELS = 4
"""Channels of a group in ``taps``. Not measured."""

TAPS_FUSED_PRODUCTS = 9
"""Products in one fused expression of ``taps``; a barrier ends each expression. Not measured by
itself."""

TAP_LOOP_TAPS_A_TURN = 16
"""Taps in one turn of ``tap_loop``. Not measured by itself."""

TAP_LOOP_ROW_MULTIPLE = 16
"""``tap_loop`` rounds a row of outputs up to a multiple of this many numbers: with rows of odd
length XLA's loops take ten times as long. The extra outputs are cut off at the end."""

PATCHES_MOST_TAPS = 128
"""Slices that ``patches_matmul`` concatenates, unrolled. Not measured."""

DEPTHWISE_GRADIENT_MOST_TAPS = 64
"""Taps that ``depthwise_kernel_gradient`` unrolls. Not measured."""

DEPTHWISE_GRADIENT_ROWS = range(10, 3, -1)
"""Rows that ``depthwise_kernel_gradient`` sums in one expression: the first of these numbers that
divides them. Not measured by itself."""

OVERLAP_ADD_MOST_PIECES = 64
"""Pieces of a patch on one axis that ``overlap_add`` adds up, unrolled. Not measured."""

FFT_FEWEST_TAPS = 25
"""Taps below which ``fft`` is not supported: other algorithms are as fast there, and add up a few
terms with less error than a transform has."""

ONEDNN_FEW_CHANNELS = 8
"""Input channels below which oneDNN's dense convolutions have a rate of their own ("image"). The
bound itself was not measured."""

ONEDNN_MOST_OUTPUTS_A_TAP = 4
"""``onednn_backward_weights`` supports problems with at most this many outputs for each tap: more
are not the gradient of a kernel. Not measured."""

# -- rewrites --------------------------------------------------------------------------------------

POLYPHASE_MOST_PHASES = 64
"""Convolutions that ``polyphase`` writes. Not measured."""

BATCH_CHUNK = 16
"""Examples in one turn of ``batch_chunks``. Not measured by itself."""

BLOCK_DIAGONAL_WIDTH = 16
"""Channels that ``block_diagonal`` merges into a block, if there are so many. Not measured by
itself."""

BLOCK_DIAGONAL_MOST_BLOCKS = 32
"""Convolutions that ``block_diagonal`` writes. Not measured."""

DEPTH_TAPS_MOST_TAPS = 16
"""Taps on the first axis that ``depth_taps`` unrolls. Not measured."""

# -- pools -----------------------------------------------------------------------------------------

POOL_JOINT_TAPS = 16
"""Several axes are pooled in one step if they have at most this many taps together. Not measured by
itself."""

POOL_MOST_TAPS = 64
"""A pool of at most this many taps is unrolled, one slice for each tap. The gradient of a maximum
over 128 taps compiles for 0.7 s, over 2,000 for 91 s (2 cores of an AMD EPYC, jax 0.10.2)."""

# -- partitioned programs and other platforms ------------------------------------------------------

PARTITIONED_MOST_TAPS = 128
"""Matrix products in the kernel gradient of a partitioned program. Not measured."""

CUDA_MOST_IMAGES = 64
"""The most images into which one is split on NVIDIA's devices. Not measured."""

CUDA_FEWEST_TAPS_AN_OUTPUT = 4
"""A dilated kernel gradient is split into images on NVIDIA's devices if it has at least this many
taps for each output. Not measured."""

CUDA_CHANNEL_MULTIPLE = 8
"""cuDNN's bfloat16 kernels want channels in multiples of this: 1.1 to 2.0 times as fast (H100, jax
0.11.2; ``experiments/results/convolution_on_gpu.json``)."""

# -- rates -----------------------------------------------------------------------------------------


class Rates(NamedTuple):
    """Milliseconds for a call or a turn of a loop, for a multiply-add, and for a byte."""

    turn: float
    operation: float
    byte: float


@cache
def rates() -> dict[str, Rates]:
    """The measured rates, by ``algorithm/kind/dtype`` or ``algorithm/dtype``."""
    text = (files("jaxcnn.convolve") / "rates.json").read_text()
    return {key: Rates(*numbers) for key, numbers in json.loads(text)["rates"].items()}


def rates_for(name: str, kind: str, dtype: str) -> Rates:
    """The rates of an algorithm; for a kind or dtype that was not measured, the nearest ones.

    Args:
      name: the algorithm.
      kind: as :attr:`jaxcnn.convolve.algorithms.Work.kind`.
      dtype: of the operands. Rates of float32 serve for others; float64 takes twice as long.

    Raises:
      KeyError: if the algorithm was not measured at all.
    """
    measured = rates()
    plain = kind.removeprefix("thin ").removeprefix("large ")
    for near_kind in dict.fromkeys((kind, kind.removeprefix("thin "), plain, "dense", "")):
        for near_dtype in (dtype, "float32"):
            key = f"{name}/{near_kind}/{near_dtype}" if near_kind else f"{name}/{near_dtype}"
            if key in measured:
                turn, operation, byte = measured[key]
                wider = 2 if dtype == "float64" and near_dtype == "float32" else 1
                return Rates(turn, operation * wider, byte)
    raise KeyError(f"no rates for {name}/{kind}/{dtype}")
