"""``jaxcnn doctor``: the machine, and which ways to compute a convolution it can use."""

from __future__ import annotations

ENVIRONMENT = (
    *("JAXCNN_ONEDNN", "ONEDNN_MAX_CPU_ISA"),
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"),
    *("XLA_FLAGS", "JAX_PLATFORMS"),
)
"""Environment variables that affect how, or how fast, convolutions are computed."""


def doctor() -> None:
    """Report the machine, the versions, and what is missing.

    It lists the ways to compute a convolution here. If oneDNN is not available, its row says what
    is missing and what to type.
    """
    rows = state()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:  # lines are not wrapped, so that commands in them can be copied
        print(f"{name:<{width}}  {value}")


def state() -> list[tuple[str, str]]:
    """The rows of the report: name and value."""
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
        ("XLA's convolution", "available"),
        ("plain JAX algorithms", "available"),
        *_onednn(),
        ("XLA's reductions", _reductions()),
        *((name, os.environ.get(name, "not set")) for name in ENVIRONMENT),
    ]


def _onednn() -> list[tuple[str, str]]:
    from jaxcnn import onednn

    if reason := onednn.unavailable_reason():
        return [("oneDNN", f"not used: {reason}")]
    return [
        ("oneDNN", f"available: {onednn.version()}, {onednn.path()}"),
        ("oneDNN instruction set", onednn.instruction_set()),
        ("oneDNN threads", str(onednn.threads())),
    ]


def _reductions() -> str:
    """Whether XLA's bug in reductions affects this process, and the flag that avoids it."""
    from jaxcnn.convolve.known_faults import WITHOUT_YNNPACK, reduces_rightly

    if reduces_rightly():
        return "right"
    return f'wrong numbers (jax #39103): export XLA_FLAGS="$XLA_FLAGS {WITHOUT_YNNPACK}"'
