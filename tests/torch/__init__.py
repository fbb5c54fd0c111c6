"""Against PyTorch; only with ``python -m pytest -m torch``, where torch is installed."""
