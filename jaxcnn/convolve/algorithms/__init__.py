"""The algorithms, one file each: kernels compute a problem, rewrites split it into smaller ones.

Every algorithm that may be chosen by default (:attr:`.Kernel.local`) obeys one law, in all three
directions: **an output depends only on its window**, the cells and weights whose products it sums.
The values of other cells, channels, groups or examples change nothing, even if they are NaN,
infinite or huge; a sum of zeros is zero; and with n terms an output is off by at most about
n * eps * sum |x||w| over its own terms. So no algorithm multiplies a cell outside the window by
zero.

Padding and the zeros of base dilation are zeros by definition. If a weight that is NaN or infinite
meets such a zero, the output is NaN or the product is skipped, depending on the algorithm. lax's
own implementations differ in this too, from shape to shape.

To add an algorithm:

1. Write ``kernels/NAME.py`` or ``rewrites/NAME.py``: a docstring with the method and its source;
   the functions of a :class:`Kernel` or a :class:`Rewrite`, pure in (problem, x, kernel); and the
   object itself, named like the file. Limits go to ``jaxcnn/convolve/tuning.py``.
2. Add the object to :data:`ALGORITHMS` below.
   Steps that algorithms share, and reasons why one does not support a problem, are in
   ``shared.py``. ``unsupported_reason`` begins with one of those reasons: complex numbers, integers
   and empty arrays are for the direct call alone.
3. Give it problems to draw in ``tests/convolve/drawn.py`` (``_MADE_FOR``). Every test of an
   algorithm then runs for it, the law above included. Until step 4 it is used by name only.
4. Measure its rates on an idle machine: ``python experiments/calibrate_convolution.py measure
   float32``, the same for bfloat16, then ``fit``, which writes ``rates.json``. On another machine
   than that of the recorded times, all algorithms are measured anew.
"""

from jaxcnn.convolve.algorithms.kernels import onednn
from jaxcnn.convolve.algorithms.kernels.depthwise_kernel_gradient import DEPTHWISE_KERNEL_GRADIENT
from jaxcnn.convolve.algorithms.kernels.direct import DIRECT
from jaxcnn.convolve.algorithms.kernels.fft import FFT
from jaxcnn.convolve.algorithms.kernels.matmul import MATMUL
from jaxcnn.convolve.algorithms.kernels.overlap_add import OVERLAP_ADD
from jaxcnn.convolve.algorithms.kernels.patches_matmul import PATCHES_MATMUL
from jaxcnn.convolve.algorithms.kernels.tap_loop import TAP_LOOP
from jaxcnn.convolve.algorithms.kernels.taps import TAPS
from jaxcnn.convolve.algorithms.protocol import Algorithm, Kernel, Rewrite, Solve, Work
from jaxcnn.convolve.algorithms.rewrites.batch_chunks import BATCH_CHUNKS
from jaxcnn.convolve.algorithms.rewrites.block_diagonal import BLOCK_DIAGONAL
from jaxcnn.convolve.algorithms.rewrites.depth_taps import DEPTH_TAPS
from jaxcnn.convolve.algorithms.rewrites.polyphase import POLYPHASE
from jaxcnn.convolve.algorithms.rewrites.space_to_batch import SPACE_TO_BATCH
from jaxcnn.convolve.algorithms.rewrites.swap_operands import SWAP_OPERANDS
from jaxcnn.convolve.algorithms.rewrites.zero_insertion import ZERO_INSERTION

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        DIRECT,
        *onednn.KERNELS,
        MATMUL,
        TAPS,
        TAP_LOOP,
        BLOCK_DIAGONAL,
        POLYPHASE,
        ZERO_INSERTION,
        SWAP_OPERANDS,
        BATCH_CHUNKS,
        PATCHES_MATMUL,
        DEPTHWISE_KERNEL_GRADIENT,
        OVERLAP_ADD,
        DEPTH_TAPS,
        SPACE_TO_BATCH,
        FFT,
    )
}
"""Every algorithm by name."""

__all__ = ["ALGORITHMS", "Algorithm", "Kernel", "Rewrite", "Solve", "Work"]
