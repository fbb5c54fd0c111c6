"""Data sets that come with the package, so that nothing is downloaded."""

from jaxcnn.data.mnist import Digits, load_mnist

__all__ = ["Digits", "load_mnist"]
