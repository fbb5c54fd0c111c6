"""``python -m jaxcnn``, the same as ``jaxcnn``."""

from jaxcnn.cli import main

main()
