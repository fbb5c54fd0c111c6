"""``jaxcnn doctor``: what this machine has, which fast roads are open on it, and why."""

from __future__ import annotations

ENVIRONMENT = (
    *("JAXCNN_ONEDNN", "ONEDNN_MAX_CPU_ISA"),
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"),
    *("XLA_FLAGS", "JAX_PLATFORMS"),
)
"""Variables that change what is computed with, or how fast."""


def doctor() -> None:
    """Say what this machine has, which roads a convolution can take on it, and why.

    Where oneDNN is closed, its row says what is missing and what to type.
    """
    rows = state()
    width = max(len(name) for name, _ in rows)
    for name, what in rows:  # unbroken lines: what is to be typed can be copied
        print(f"{name:<{width}}  {what}")


def state() -> list[tuple[str, str]]:
    """What the table shows: a word and what is so."""
    import os
    import platform
    from importlib.metadata import version

    from jaxcnn.environment import device_name

    return [
        (
            "platform",
            f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        ),
        ("jax, jaxlib", f"{version('jax')}, {version('jaxlib')}"),
        ("device", device_name()),
        ("XLA's own convolution", "open"),
        ("plain JAX algorithms", "open"),
        *_onednn(),
        ("XLA's reductions", _reductions()),
        *((name, os.environ.get(name, "not set")) for name in ENVIRONMENT),
    ]


def _onednn() -> list[tuple[str, str]]:
    from jaxcnn import onednn

    if reason := onednn.unavailable_reason():
        return [("oneDNN", f"not asked: {reason}")]
    return [
        ("oneDNN", f"open: {onednn.version()}, {onednn.path()}"),
        ("oneDNN computes with", f"{onednn.instruction_set()}, threads: {onednn.threads()}"),
    ]


def _reductions() -> str:
    """Whether XLA's fault with them shows in this process, and what to type then."""
    from jaxcnn.convolve.known_faults import WITHOUT_YNNPACK, reduces_rightly

    if reduces_rightly():
        return "right"
    return f'wrong numbers (jax #39103): export XLA_FLAGS="$XLA_FLAGS {WITHOUT_YNNPACK}"'
