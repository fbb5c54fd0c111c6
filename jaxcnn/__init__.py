"""jaxcnn: exact, tested, trainable convolutions for JAX.

Names are imported on first use, so that ``jaxcnn.geometry`` works without JAX, and ``jaxcnn size``
starts without importing it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcnn import (
        convolve,
        data,
        exchange,
        geometry,
        inspect,
        nn,
        ops,
        reference,
        shapes,
        testing,
        train,
    )
    from jaxcnn.convolve import conv_general_dilated, explain, install, onednn_closed, uninstall
    from jaxcnn.errors import InputError
    from jaxcnn.exchange import export
    from jaxcnn.inspect import lint
    from jaxcnn.ops import (
        adaptive_avg_pool,
        adaptive_max_pool,
        avg_pool,
        blur_pool,
        causal_conv,
        causal_conv_state,
        causal_conv_stream,
        conv,
        conv_integer,
        conv_transpose,
        deform_conv,
        depthwise_conv,
        fold,
        global_avg_pool,
        global_lp_pool,
        global_max_pool,
        kernel_from_keras,
        kernel_from_torch,
        kernel_to_keras,
        kernel_to_torch,
        local_conv,
        lp_pool,
        max_pool,
        max_pool_with_indices,
        max_unpool,
        min_pool,
        pad,
        pixel_shuffle,
        pixel_unshuffle,
        quantized_conv,
        separable_conv,
        unfold,
        upsample,
    )

__version__ = "0.1.0"

_MODULES = (
    "convolve",
    "data",
    "exchange",
    "geometry",
    "inspect",
    "models",
    "nn",
    "ops",
    "reference",
    "shapes",
    "testing",
    "train",
)
_OPS = (
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "blur_pool",
    "causal_conv",
    "causal_conv_state",
    "causal_conv_stream",
    "conv",
    "conv_integer",
    "conv_transpose",
    "deform_conv",
    "depthwise_conv",
    "fold",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "kernel_from_keras",
    "kernel_from_torch",
    "kernel_to_keras",
    "kernel_to_torch",
    "local_conv",
    "lp_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "min_pool",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "quantized_conv",
    "separable_conv",
    "upsample",
    "unfold",
)
_CONVOLVE = ("conv_general_dilated", "explain", "install", "onednn_closed", "uninstall")
_NAMES = (
    {"InputError": "jaxcnn.errors", "export": "jaxcnn.exchange", "lint": "jaxcnn.inspect"}
    | dict.fromkeys(_CONVOLVE, "jaxcnn.convolve")
    | dict.fromkeys(_OPS, "jaxcnn.ops")
)

# Not in __all__: train, because it needs the extra, and `import *` should work without it.
__all__ = sorted({*_MODULES, *_NAMES} - {"train"})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"jaxcnn.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'jaxcnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "train", "__version__"]
