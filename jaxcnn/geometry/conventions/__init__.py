"""Converts other frameworks' arguments to jaxcnn's keyword arguments.

    from jaxcnn.geometry.conventions import keras, onnx, pytorch

    jaxcnn.conv(x, kernel, bias, **pytorch.conv((3, 3), stride=2, padding=1))
    jaxcnn.max_pool(x, **onnx.max_pool((3, 3), auto_pad="SAME_UPPER"))
    jaxcnn.conv_transpose(x, kernel, **keras.conv_transpose((4, 4), strides=2, padding="same"))

Each framework has a module, with a function for each operation of jaxcnn that the framework has.
The function has jaxcnn's name and the framework's arguments and defaults. The keyword arguments
that it returns give the framework's sizes and values on arrays with the channels last; layers
accept them too. :mod:`jaxcnn.ops.layouts` converts kernels.

Each function states what differs from jaxcnn. All frameworks drop cells at the end that no window
reads (``rounding="floor"``), which jaxcnn refuses by default. The kernel size is a tuple with one
entry for each spatial axis.
"""

from jaxcnn.geometry.conventions import keras, onnx, pytorch

__all__ = ["keras", "onnx", "pytorch"]
