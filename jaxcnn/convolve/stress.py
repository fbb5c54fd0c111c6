"""Minutes of what a program does to oneDNN: parallel branches, loops, devices, threads.

    python -m jaxcnn.convolve.stress 60      # seconds for each of the four scenes

Each scene runs in a child process of its own and holds every answer to the one that the same
calls gave one at a time, which :mod:`jaxcnn.convolve.verify` holds to float64.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxcnn.convolve import fence
from jaxcnn.convolve._verify_child import ask, drawn_operands
from jaxcnn.convolve.algorithms import onednn
from jaxcnn.convolve.draws import Convolution, Question, questions
from jaxcnn.convolve.problem import Problem
from jaxcnn.convolve.verify import CHILD_ENVIRONMENT, Failure, outlived

DEVICES = 8


def run(seconds: float, patience: float = 240) -> list[Failure]:
    """Every scene for so long, in child processes; what failed."""
    failures = []
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    for name in SCENES:
        environment = {**os.environ, **CHILD_ENVIRONMENT}
        if name == "devices":
            environment["XLA_FLAGS"] = flags.strip()
        with tempfile.TemporaryFile() as told:
            command = [sys.executable, "-m", "jaxcnn.convolve.stress", name, str(seconds)]
            child = subprocess.Popen(command, stdout=told, stderr=told, env=environment)
            hung = not outlived(child, lambda told=told: os.fstat(told.fileno()).st_size, patience)
            told.seek(0)
            last = told.read().decode(errors="replace").strip().splitlines()[-1:]
        if hung or child.returncode:
            what = "hung" if hung else "died"
            detail = " ".join([f"exit code {child.returncode}", *last])
            failures.append(Failure(f"stress scene {name}", what, detail))
    return failures


def _cases(count: int) -> list[tuple[Question, tuple[jax.Array, ...], np.ndarray]]:
    """Drawn convolutions, their operands, and their answers one at a time."""
    drawn = (q for q in questions(7, fence.dtypes()) if isinstance(q, Convolution))
    cases = []
    for number, question in enumerate(islice(drawn, count)):
        operands = tuple(map(jnp.asarray, drawn_operands(question, number)))
        cases.append((question, operands, np.asarray(ask(question, operands))))
    return cases


def _hold(got: jax.Array | np.ndarray, want: np.ndarray, what: object) -> None:
    """Entries may differ by the order of summation and one last rounding."""
    near = np.finfo(np.float32).eps * 2**10 if want.dtype == np.float32 else 2.0**-6
    got, want = np.asarray(got).astype(np.float64), want.astype(np.float64)
    if not (abs(got - want) <= near * max(1.0, abs(want).max())).all():
        raise AssertionError(f"{what}: {abs(got - want).max()} from what it was before")


def _until(seconds: float, turn: Callable[[], object]) -> None:
    """Turn after turn, a sign of life each."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        turn()
        print(".", end="", flush=True)
    print()


def branches(seconds: float) -> None:
    """28 different convolutions as independent parts of one program."""
    cases = _cases(28)
    program = jax.jit(lambda given: [ask(q, x) for (q, _, _), x in zip(cases, given, strict=True)])
    given = [operands for _, operands, _ in cases]

    def turn() -> None:
        for got, (question, _, want) in zip(program(given), cases, strict=True):
            _hold(got, want, question)

    _until(seconds, turn)


def threads(seconds: float) -> None:
    """Four Python threads, each with programs of several convolutions."""
    cases = _cases(24)
    parts = [cases[i::4] for i in range(4)]

    def work(part: list[tuple[Question, tuple[jax.Array, ...], np.ndarray]]) -> None:
        program = jax.jit(
            lambda given: [ask(q, x) for (q, _, _), x in zip(part, given, strict=True)]
        )
        for _ in range(20):
            for got, (question, _, want) in zip(
                program([x for _, x, _ in part]), part, strict=True
            ):
                _hold(got, want, question)

    with ThreadPoolExecutor(4) as pool:
        _until(seconds, lambda: list(pool.map(work, parts)))


def scan(seconds: float) -> None:
    """A chain of convolutions in a loop, fed with its own result."""
    layers = [
        Problem(4, (20, 20), 16, (3, 3), 16, padding=((1, 1),) * 2),
        Problem(4, (20, 20), 16, (3, 3), 16, groups=16, padding=((1, 1),) * 2),
        Problem(4, (20, 20), 16, (1, 1), 16),
    ]
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((4, 20, 20, 16)), "float32")
    kernels = [
        jnp.asarray(rng.standard_normal(p.kernel_shape) / (p.taps * p.group_channels[0]), "float32")
        for p in layers
    ]

    def step(x: jax.Array, _: object) -> tuple[jax.Array, None]:
        for problem, kernel in zip(layers, kernels, strict=True):
            x = onednn.call(problem, x, kernel)
        return x + 1, None

    program = jax.jit(lambda x: jax.lax.scan(step, x, length=50)[0])
    one = jax.jit(lambda x: step(x, None)[0])
    want = x
    for _ in range(50):
        want = one(want)
    want = np.asarray(want)
    _until(seconds, lambda: _hold(program(x), want, "scan"))


def devices(seconds: float) -> None:
    """Eight virtual devices, each with its part of the batch."""
    mesh = Mesh(np.array(jax.devices()), ("batch",))
    rng = np.random.default_rng(0)
    problems = [
        Problem(2, (24, 24), 16, (3, 3), 32, padding=((1, 1),) * 2),
        Problem(2, (24, 24), 32, (3, 3), 32, groups=32, padding=((1, 1),) * 2),
        Problem(2, (24, 24), 32, (3, 3), 32, groups=8),
    ]
    pieces = []
    for problem in problems:
        x = jnp.asarray(rng.standard_normal((2 * DEVICES, *problem.x_shape[1:])), "float32")
        kernel = jnp.asarray(rng.standard_normal(problem.kernel_shape), "float32")
        want = np.concatenate(
            [ask(Convolution(problem), (part, kernel)) for part in jnp.split(x, DEVICES)]
        )
        program = jax.jit(
            jax.shard_map(
                lambda x, kernel, problem=problem: onednn.call(problem, x, kernel),
                mesh=mesh,
                in_specs=(PartitionSpec("batch"), PartitionSpec()),
                out_specs=PartitionSpec("batch"),
            )
        )
        pieces.append((program, x, kernel, want, problem))

    def turn() -> None:
        for program, x, kernel, want, problem in pieces:
            _hold(program(x, kernel), want, problem)

    _until(seconds, turn)


SCENES = {"branches": branches, "scan": scan, "devices": devices, "threads": threads}


if __name__ == "__main__":
    if sys.argv[1] in SCENES:
        SCENES[sys.argv[1]](float(sys.argv[2]))
    else:
        failed = run(float(sys.argv[1]))
        print("\n".join(map(str, failed)) or "no failure")
        sys.exit(bool(failed))
