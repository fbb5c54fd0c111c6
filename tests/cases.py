"""How many cases a law gets, the dtypes that all laws are put to, and eight devices to run on."""

import os
import subprocess
import sys
from pathlib import Path

import jax
from hypothesis import settings

DTYPES = ("float32", "bfloat16", "float16", "float64")


def scaled(factor):
    """So many times the cases that a law gets in the profile that is loaded; at least one."""
    return settings(max_examples=max(1, round(factor * settings().max_examples)))


many = scaled(25)
"""For laws of integers, which cost nothing beside those that compile a program for each case."""

few = scaled(1 / 2)
"""For laws that compile a dozen programs for each case."""

SEARCH = settings(max_examples=5000)
"""For hypothesis' find, which ends with the first case that is what is looked for."""


def for_cpus(function, *operands):
    """The program that XLA is given for CPUs, on a machine with an accelerator too."""
    return jax.jit(function).trace(*operands).lower(lowering_platforms=("cpu",)).as_text()


EIGHT_DEVICES = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
}
"""The environment of such a process, on a machine with an accelerator too."""


def run_on_eight_devices(module):
    """Runs the module's ``on_eight_devices`` in a child process that has so many virtual ones.

    It must print their number, so that a child that ran nothing is not taken for one that passed.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import on_eight_devices; on_eight_devices()"],
        cwd=Path(__file__).parents[1],
        env=os.environ | EIGHT_DEVICES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "8 devices\n"
