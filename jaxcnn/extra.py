"""The extras: packages that only a part of jaxcnn needs, such as the command line and training.

The rest of jaxcnn works without them. If one is missing, the import error says what to install.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {
    "grain": "stream",
    "matplotlib": "train",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "orbax": "train",
    "PIL": "train",
    "rich": "train",
    "safetensors": "weights",
    "tensorboardX": "tensorboard",
    "typer": "train",
}
"""The extra of each package, by the name to import."""


class MissingExtraError(ImportError):
    """A package of an extra is not installed; the message says what to type."""


@contextmanager
def requires_extra(user: str) -> Iterator[None]:
    """Turns a failed import of one of :data:`PACKAGES` into advice to install its extra.

    Args:
      user: what needs the package, for the message.

    Raises:
      MissingExtraError: if an import inside the block finds one of the packages missing.

    >>> with requires_extra("jaxcnn.train"):
    ...     raise ModuleNotFoundError("No module named 'orbax'", name="orbax")
    Traceback (most recent call last):
    jaxcnn.extra.MissingExtraError: jaxcnn.train needs orbax; type: pip install 'jaxcnn[train]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        advice = f"{user} needs {package}; type: pip install 'jaxcnn[{PACKAGES[package]}]'"
        raise MissingExtraError(advice, name=error.name) from None
