"""Against other libraries; only with ``python -m pytest -m zoo``, where they are installed."""
