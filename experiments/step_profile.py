"""Profiles a training step, operation by operation.

    python experiments/step_profile.py [--network resnet18] [--rows 25] [--lax]

Runs the steps of training_speed.py's networks under ``jaxcnn.install()`` (or by lax) with JAX's
profiler, and sums the times of the compiled program's operations by kind: oneDNN's calls by
direction and size, XLA's fusions by their operations. Also prints the new pages that a step
touches, as counted by the system, and the bytes that XLA plans for temporaries.
"""

from __future__ import annotations

import argparse
import re
import resource
import tempfile
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from training_networks import TASKS, training

import jaxcnn

REPEATS = 5


def main() -> None:
    """Prints the table of one network."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", choices=TASKS, default="resnet18")
    parser.add_argument("--rows", type=int, default=25)
    parser.add_argument("--lax", action="store_true", help="by lax, not by jaxcnn")
    options = parser.parse_args()
    task = TASKS[options.network]
    draws = np.random.default_rng(0)
    images = jnp.asarray(draws.normal(size=(task.batch, *task.image)), "float32")
    labels = jnp.asarray(draws.integers(10, size=task.batch), "int32")
    state, step = training(task, task.build)
    with nullcontext() if options.lax else jaxcnn.install():
        program = jax.jit(step, donate_argnums=0).lower(state, (images, labels)).compile()
    for _ in range(2):
        state, _ = program(state, (images, labels))
    jax.block_until_ready(state)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(REPEATS):
                state, _ = program(state, (images, labels))
                jax.block_until_ready(state)
        pages = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // REPEATS
        times = operations(next(Path(folder).rglob("*.xplane.pb")))
    named = descriptions(program.as_text())
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for name, (nanoseconds, count) in times.items():
        if name in named:
            total = totals[named[name]]
            total[0] += nanoseconds / 1e6 / REPEATS
            total[1] += count // REPEATS
    whole = sum(total for total, _ in totals.values())
    planned = program.memory_analysis().temp_size_in_bytes / 2**20
    print(
        f"{options.network}: {whole:.1f} ms of operations per step, {pages:,} new pages per step, "
        f"{planned:.0f} MiB of temporaries"
    )
    ordered = sorted(totals.items(), key=lambda item: -item[1][0])
    for name, (total, count) in ordered[: options.rows]:
        print(f"{total:8.2f} ms {100 * total / whole:5.1f} %  {count:4d}x  {name}")


def operations(path: Path) -> dict[str, tuple[float, int]]:
    """The nanoseconds and calls of each operation, by name, over all threads that run thunks."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
        for line in plane.lines:
            for event in line.events:
                found[event.name][0] += event.duration_ns
                found[event.name][1] += 1
    return {name: (total, int(count)) for name, (total, count) in found.items()}


def descriptions(text: str) -> dict[str, str]:
    """The kind and result of each operation of the compiled program, by name."""
    found = {}
    entry = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (\S+) ([\w\-]+)\(")
    for line in text.splitlines():
        match = entry.match(line)
        if not match:
            continue
        name, shape, kind = match.groups()
        shape = re.sub(r"\{[^}]*\}", "", shape)
        label = kind
        if kind == "custom-call":
            target = re.search(r'custom_call_target="([^"]*)"', line)
            label = target.group(1) if target else kind
        elif kind == "fusion":
            label = "fusion: " + re.sub(r"[.\d]+$", "", name)
        scope = re.search(r'op_name="([^"]*)"', line)
        if kind == "custom-call" and scope:
            label += " " + ("transposed" if "transpose" in scope.group(1) else "forward")
        found[name] = f"{label} {shape[:60]}"
    return found


if __name__ == "__main__":
    main()
