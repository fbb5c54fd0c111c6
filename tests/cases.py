"""The number of cases drawn for a law, the dtypes of laws, and tests on eight devices."""

import os
import subprocess
import sys
from pathlib import Path

import jax
from hypothesis import settings

DTYPES = ("float32", "bfloat16", "float16", "float64")


def scaled(factor):
    """Settings for ``factor`` times the cases of the loaded profile; at least one."""
    return settings(max_examples=max(1, round(factor * settings().max_examples)))


many = scaled(25)
"""For laws of integers, which compile nothing and take almost no time."""

few = scaled(1 / 2)
"""For laws that compile a dozen programs for each case."""

SEARCH = settings(max_examples=5000)
"""For hypothesis' find, which stops at the first case found."""


def for_cpus(function, *operands):
    """The StableHLO text for CPUs, even on a machine with an accelerator."""
    return jax.jit(function).trace(*operands).lower(lowering_platforms=("cpu",)).as_text()


EIGHT_DEVICES = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
}
"""The environment of a process with eight CPU devices, even on a machine with an accelerator."""


def run_on_eight_devices(module, function="on_eight_devices"):
    """Runs the module's ``function`` in a child process with eight virtual devices.

    The function must print the number of devices, which proves that it ran.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import {function}; {function}()"],
        cwd=Path(__file__).parents[1],
        env=os.environ | EIGHT_DEVICES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "8 devices\n"
