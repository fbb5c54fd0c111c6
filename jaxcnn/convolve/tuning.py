"""All tuned numbers: the limits below, and the rates in ``rates.json``.

Each limit states what was measured for it, or that nothing was. The rates are milliseconds for a
call, a multiply-add and a byte of each algorithm, fitted by
``experiments/calibrate_convolution.py``. Limits marked "not measured" were set by hand when the
algorithm was written. They keep programs small or skip cases in which an algorithm gains nothing;
another value may be as good.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import NamedTuple

# -- the choice of an algorithm --------------------------------------------------------------------

WORTH = 0.9
"""An algorithm replaces the direct call only if its predicted time is below this share of the
direct call's time. Not measured by itself: ``experiments/choice_regret.py`` measures the choices of
the whole model."""

MOST_PROGRAMS = 128
"""The most programs to compile for one convolution. XLA takes some 10 to 50 ms for each (2 cores of
an AMD EPYC, jax 0.10.2). A named algorithm may compile more."""

TRANSPOSE_MS_PER_BYTE = 2e-7
"""Milliseconds per byte for XLA to transpose a float32 array: 6.9 ms for the 32 MB of a 1x1
convolution with channels first, 2.0 ms for a kernel of 9.4 MB (2 cores of an AMD EPYC, jax 0.10.2,
the same convolution with and without)."""

LARGEST_TEMPORARY = 32 * 2**20
"""Bytes. A new buffer beyond this size costs page faults: about 0.3 ms per MB on the machine of the
measurement."""

VECTOR_LANES = 16
"""Float32 numbers in a vector of AVX-512. A group's filters are counted in multiples of it."""

# -- kernels ---------------------------------------------------------------------------------------

TAPS_MOST_PRODUCTS = 96
"""The most products for one output that ``taps`` unrolls; longer kernels go to ``tap_loop``. Beyond
this number XLA's compile time becomes too long; the figures were not kept."""

TAPS_MOST_CHANNELS = 4
"""The most channels of a group in ``taps``. Not measured."""

TAPS_FUSED_PRODUCTS = 9
"""Products in one fused expression of ``taps``; a barrier ends each expression. Not measured by
itself."""

TAP_LOOP_TAPS_A_TURN = 16
"""Taps in one iteration of ``tap_loop``. Not measured by itself."""

TAP_LOOP_ROW_MULTIPLE = 16
"""``tap_loop`` rounds a row of outputs up to a multiple of this many numbers: with rows of odd
length XLA's loops take ten times as long. The extra outputs are cut off at the end."""

PATCHES_MOST_TAPS = 128
"""The most slices that ``patches_matmul`` concatenates, unrolled. Not measured."""

DEPTHWISE_GRADIENT_MOST_TAPS = 64
"""The most taps that ``depthwise_kernel_gradient`` unrolls. Not measured."""

DEPTHWISE_GRADIENT_ROWS = range(10, 3, -1)
"""Rows that ``depthwise_kernel_gradient`` sums in one expression: the first of these numbers that
divides the number of rows. Not measured by itself."""

OVERLAP_ADD_MOST_PIECES = 64
"""The most pieces of a patch on one axis that ``overlap_add`` adds, unrolled. Not measured."""

FFT_FEWEST_TAPS = 25
"""The fewest taps that ``fft`` supports: with fewer, other algorithms are as fast, and their short
sums have less error than a transform."""

ONEDNN_FEW_CHANNELS = 8
"""oneDNN's dense convolutions with fewer input channels have a separate rate ("image"). The bound
itself was not measured."""

ONEDNN_MOST_OUTPUTS_A_TAP = 4
"""``onednn_backward_weights`` supports problems with at most this many outputs for each tap: with
more it is not the gradient of a kernel. Not measured."""

# -- rewrites --------------------------------------------------------------------------------------

POLYPHASE_MOST_PHASES = 64
"""The most convolutions in ``polyphase``. Not measured."""

BATCH_CHUNK = 16
"""Examples in one iteration of ``batch_chunks``. Not measured by itself."""

BLOCK_DIAGONAL_WIDTH = 16
"""Channels that ``block_diagonal`` merges into a block, if there are so many. Not measured by
itself."""

BLOCK_DIAGONAL_MOST_BLOCKS = 32
"""The most convolutions in ``block_diagonal``. Not measured."""

DEPTH_TAPS_MOST_TAPS = 16
"""The most taps on the first axis that ``depth_taps`` unrolls. Not measured."""

# -- pools -----------------------------------------------------------------------------------------

POOL_JOINT_TAPS = 16
"""Several axes are pooled in one step if they have at most this many taps together. Not measured by
itself."""

POOL_MOST_TAPS = 64
"""A pool of at most this many taps is unrolled, one slice for each tap. The gradient of a maximum
compiles in 0.7 s for 128 taps, in 91 s for 2,000 (2 cores of an AMD EPYC, jax 0.10.2)."""

# -- 8-bit integers --------------------------------------------------------------------------------

INTEGER_FEW_CHANNELS = 8
"""With fewer channels an integer convolution joins them with the taps of the last axis. A 7x7
kernel at stride 2 over 224x224 cells of 3 channels takes 1.2 ms instead of 14 ms, of 8 channels
1.3 ms as it is (2 cores of an Intel Xeon with AMX, jax 0.10.2)."""

INTEGER_MOST_UNROLLED_TAPS = 64
"""A depthwise integer convolution of at most this many taps is unrolled: 3x3 taps over 56x56 cells
of 64 channels take 0.2 ms instead of 16 ms, 7x7 taps 0.6 ms instead of 39 ms (the same machine)."""

# -- partitioned programs and other platforms ------------------------------------------------------

PARTITIONED_MOST_TAPS = 128
"""The most matrix products in the kernel gradient of a partitioned program. Not measured."""

CUDA_MOST_IMAGES = 64
"""The most images into which an image is split on NVIDIA's devices. Not measured."""

CUDA_FEWEST_TAPS_AN_OUTPUT = 4
"""A dilated kernel gradient is split into images on NVIDIA's devices if it has at least this many
taps for each output. Not measured."""

CUDA_CHANNEL_MULTIPLE = 8
"""cuDNN's bfloat16 kernels are 1.1 to 2.0 times as fast with channels in multiples of this (H100,
jax 0.11.2; ``experiments/results/convolution_on_gpu.json``)."""

# -- rates -----------------------------------------------------------------------------------------


class Rates(NamedTuple):
    """Milliseconds for a call or a loop iteration, for a multiply-add, and for a byte."""

    turn: float
    operation: float
    byte: float


@cache
def rates() -> dict[str, Rates]:
    """The measured rates, by ``algorithm/kind/dtype`` or ``algorithm/dtype``."""
    text = (files("jaxcnn.convolve") / "rates.json").read_text()
    return {key: Rates(*numbers) for key, numbers in json.loads(text)["rates"].items()}


@cache
def is_rated(name: str) -> bool:
    """Whether any rates of the algorithm have been measured."""
    return any(key.startswith(f"{name}/") for key in rates())


def rates_for(name: str, kind: str, dtype: str) -> Rates:
    """The rates of an algorithm; for a kind or dtype that was not measured, the nearest ones.

    Args:
      name: the algorithm.
      kind: as in :attr:`jaxcnn.convolve.algorithms.Work.kind`.
      dtype: the operands' dtype. A dtype without rates uses those of float32; float64 with twice
        the time for a multiply-add.

    Raises:
      KeyError: if the algorithm has no measured rates.
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
