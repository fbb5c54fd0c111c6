"""Other frameworks' arithmetic, by name: their arguments in, jaxcnn's keyword arguments out.

    from jaxcnn.geometry.conventions import keras, onnx, pytorch

    jaxcnn.conv(x, kernel, bias, **pytorch.conv((3, 3), stride=2, padding=1))
    jaxcnn.max_pool(x, **onnx.max_pool((3, 3), auto_pad="SAME_UPPER"))
    jaxcnn.conv_transpose(x, kernel, **keras.conv_transpose((4, 4), strides=2, padding="same"))

A module for each framework; in it a function for each of jaxcnn's operations that the framework
has, named as in jaxcnn, whose arguments and defaults are the framework's own. What it returns gives
the framework's sizes and values, on arrays with the channels last; layers take it too. Kernels are
converted by :mod:`jaxcnn.ops.layouts`.

What differs is stated by each function; in all of them cells that the last window does not reach
are dropped (``rounding="floor"``), where jaxcnn refuses. The filter's or window's size is given for
each spatial axis, since its length says how many there are.
"""

from jaxcnn.geometry.conventions import keras, onnx, pytorch

__all__ = ["keras", "onnx", "pytorch"]
