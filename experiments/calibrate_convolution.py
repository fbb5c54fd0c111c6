"""Measures every algorithm on layers of known networks and fits the rates of the cost model.

    python experiments/calibrate_convolution.py measure float32     (on an idle machine)
    python experiments/calibrate_convolution.py measure bfloat16
    python experiments/calibrate_convolution.py fit

``measure`` adds the times that results/convolution_times.json does not contain yet. ``fit`` writes
jaxcnn/convolve/rates.json, and prints the differences between predictions and measurements, and the
loss of the choices against the best algorithm measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.convolve import choose, tuning
from jaxcnn.convolve.algorithms import ALGORITHMS, Rewrite
from jaxcnn.convolve.problem import Problem
from jaxcnn.environment import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Container

HERE = Path(__file__).parent
TIMES = HERE / "results" / "convolution_times.json"
RATES = HERE.parent / "jaxcnn" / "convolve" / "rates.json"
SECONDS = 0.07  # for each algorithm
LONGEST = 0.5  # seconds of a run that is timed more than once
HOPELESS = 8  # times the fastest run; an algorithm that takes longer is also timed only once


def layer(n, size, c, f, o, g=1, s=1, p=None, d=1, base=1):
    """A convolution of n examples of this size; by default padding keeps the size."""
    axes = len(size)
    pairs = tuple((d * (k - 1) // 2,) * 2 for k in f) if p is None else ((p, p),) * axes
    return Problem(n, size, c, f, o, g, (s,) * axes, pairs, (base,) * axes, (d,) * axes)


LAYERS = [
    layer(8, (56, 56), 64, (3, 3), 64),
    layer(8, (28, 28), 128, (3, 3), 128),
    layer(8, (14, 14), 256, (3, 3), 256),
    layer(8, (7, 7), 512, (3, 3), 512),
    layer(1, (56, 56), 64, (3, 3), 64),
    layer(1, (14, 14), 256, (3, 3), 256),
    layer(32, (32, 32), 64, (3, 3), 64),
    layer(32, (8, 8), 256, (3, 3), 256),
    layer(32, (4, 4), 512, (3, 3), 512),
    layer(8, (56, 56), 256, (1, 1), 64),
    layer(8, (56, 56), 64, (1, 1), 256),
    layer(8, (14, 14), 256, (1, 1), 1024),
    layer(8, (7, 7), 960, (1, 1), 160),
    layer(32, (8, 8), 384, (1, 1), 64),
    layer(8, (112, 112), 16, (1, 1), 96),
    layer(8, (224, 224), 3, (7, 7), 64, s=2, p=3),
    layer(8, (224, 224), 3, (3, 3), 32, s=2, p=1),
    layer(32, (32, 32), 3, (3, 3), 64),
    layer(8, (56, 56), 128, (3, 3), 128, s=2, p=1),
    layer(8, (14, 14), 512, (3, 3), 512, s=2, p=1),
    layer(8, (56, 56), 256, (1, 1), 512, s=2, p=0),
    layer(32, (32, 32), 64, (1, 1), 128, s=2, p=0),
    layer(8, (14, 14), 576, (3, 3), 576, 576),
    layer(8, (112, 112), 96, (3, 3), 96, 96),
    layer(8, (112, 112), 96, (3, 3), 96, 96, s=2, p=1),
    layer(8, (28, 28), 192, (3, 3), 192, 192, s=2, p=1),
    layer(8, (56, 56), 96, (3, 3), 96, 96),
    layer(8, (56, 56), 96, (3, 3), 96, 96, s=2, p=1),
    layer(8, (14, 14), 576, (3, 3), 576, 576, s=2, p=1),
    layer(32, (16, 16), 192, (3, 3), 192, 192, s=2, p=1),
    layer(8, (28, 28), 192, (3, 3), 192, 192),
    layer(8, (7, 7), 960, (3, 3), 960, 960),
    layer(32, (8, 8), 384, (3, 3), 384, 384),
    layer(32, (4, 4), 960, (3, 3), 960, 960),
    layer(8, (56, 56), 96, (7, 7), 96, 96),
    layer(8, (7, 7), 768, (7, 7), 768, 768),
    layer(32, (8, 8), 96, (7, 7), 96, 96),
    layer(8, (56, 56), 128, (3, 3), 128, 32),
    layer(8, (14, 14), 512, (3, 3), 512, 32),
    layer(8, (28, 28), 128, (3, 3), 128, 4),
    layer(8, (56, 56), 128, (3, 3), 128, 32, d=2),
    layer(8, (28, 28), 96, (3, 3), 96, 2),
    layer(8, (14, 14), 240, (3, 3), 240, 10),
    layer(4, (7, 7), 768, (3, 3), 768, 16),
    layer(2, (28, 28), 64, (3, 3), 64, 8),
    layer(16, (28, 28), 64, (3, 3), 128, 4, s=2, p=1),
    layer(2, (16, 16, 16), 32, (3, 3, 3), 64),
    layer(2, (16, 16, 16), 16, (3, 3, 3), 16, 16),
    layer(8, (1000,), 64, (9,), 64),
    layer(8, (1000,), 256, (5,), 256, 256, d=4),
    layer(8, (1000,), 64, (3,), 64, d=4),
    layer(8, (28, 28), 64, (3, 3), 64, d=2),
    layer(64, (28, 28), 1, (3, 3), 32, p=0),
    layer(64, (26, 26), 32, (3, 3), 64, p=0),
    layer(32, (28, 28), 32, (5, 5), 32),
    layer(128, (28, 28), 16, (3, 3), 32, p=0),
    layer(8, (224, 224), 3, (4, 4), 96, s=4, p=0),
    layer(8, (56, 56), 96, (2, 2), 192, s=2, p=0),
    layer(32, (4, 4), 100, (4, 4), 512, s=1, p=3),
    layer(32, (8, 8), 256, (4, 4), 128, s=1, p=2, base=2),
    layer(8, (28, 28), 128, (2, 2), 64, s=1, p=1, base=2),
    layer(4, (32,), 64, (1024,), 1, s=1, p=896, base=256),
    layer(1, (300, 300), 1, (31, 31), 1, p=0),
    layer(1, (300, 300), 1, (7, 7), 1, p=0),
    layer(4, (64, 64), 1, (7, 7), 4, p=0),
    layer(1, (256, 256), 4, (15, 15), 4),
    layer(1, (300, 300), 1, (300, 300), 1, p=150),
    layer(2, (7,), 8, (3,), 8),
    layer(2, (7, 7), 4, (3, 3), 4),
]


def directions(problem: Problem) -> list[Problem]:
    """The problem and its two gradients, trimmed; for some also a part of a rewrite."""
    found = [
        each.trimmed()[0] for each in (problem, problem.input_gradient(), problem.kernel_gradient())
    ]
    if not ALGORITHMS["space_to_batch"].unsupported_reason(found[-1]):
        found.append(ALGORITHMS["space_to_batch"].parts(found[-1])[0][0].trimmed()[0])
    return found


def operands(problem: Problem, gradient: bool) -> tuple[jax.Array, jax.Array]:
    """The operands of a problem; for a kernel gradient those of the forward convolution."""
    draws = np.random.default_rng(0)
    shapes = (problem.x_shape, problem.kernel_shape)
    if gradient:
        forward = problem.kernel_gradient()
        shapes = (forward.x_shape, forward.output_shape)
    x, kernel = (jnp.asarray(draws.normal(size=s), problem.dtype) for s in shapes)
    return x, kernel


def measure(dtype: str) -> None:
    """Add every algorithm's median on every problem to the file of times."""
    times = recorded()
    found = times.setdefault(dtype, {"environment": environment(), "rows": []})
    if found["environment"] != environment():
        raise SystemExit(
            f"{TIMES} has times of another machine or of other versions, which do not mix with new "
            f"ones; remove its {dtype} part to measure all algorithms again"
        )
    known = {problem_of(row["problem"]): row for row in found["rows"]}
    for one in LAYERS:
        for place, problem in enumerate(directions(replace(one, dtype=dtype, out_dtype=dtype))):
            if problem.is_empty:
                continue
            if problem not in known:
                known[problem] = {"problem": asdict(problem), "milliseconds": {}}
                found["rows"].append(known[problem])
            row = known[problem]["milliseconds"]
            new = algorithms_on(problem, gradient=place == 2, known=row)
            if new:
                row |= new
                TIMES.write_text(json.dumps(times, indent=1) + "\n")
                print(problem, {k: round(v, 3) for k, v in new.items()}, flush=True)


def algorithms_on(
    problem: Problem, *, gradient: bool, known: Container[str], seconds: float = SECONDS
) -> dict[str, float]:
    """The median times of the algorithms that are not ``known``, measured in turn."""
    x, kernel = operands(problem, gradient)
    runs: dict[str, Callable] = {}
    once: dict[str, float] = {}
    for name, algorithm in ALGORITHMS.items():
        if name in known or algorithm.unsupported_reason(problem):
            continue
        if name == "batch_chunks" and problem.output_cells > 4096:
            continue  # meant for kernel gradients; its time elsewhere does not matter
        solve = partial(choose.solve, problem, name=name, given_forward_operands=gradient)
        program = jax.jit(lambda x, w, solve=solve: solve(x, w))
        program(x, kernel).block_until_ready()
        start = time.perf_counter()
        program(x, kernel).block_until_ready()
        once[name] = time.perf_counter() - start
        if once[name] < LONGEST:
            runs[name] = program
    least = min(once.values(), default=0.0)
    runs = {name: run for name, run in runs.items() if once[name] < HOPELESS * least}
    taken: dict[str, list[float]] = defaultdict(list)
    start = time.perf_counter()
    while runs and (
        time.perf_counter() - start < seconds * len(runs) or len(taken[next(iter(runs))]) < 5
    ):
        for name, program in runs.items():
            # The first run brings the caches into this program's state.
            program(x, kernel).block_until_ready()
            for _ in range(2):
                begin = time.perf_counter()
                program(x, kernel).block_until_ready()
                taken[name].append(time.perf_counter() - begin)
    medians = {name: float(np.median(seconds)) for name, seconds in taken.items()}
    return {name: 1e3 * value for name, value in (once | medians).items()}


def fit() -> None:
    """Fits the rates by least logarithmic error: first kernels, then the rewrites' own work."""
    times = recorded()
    found: dict[str, list[float]] = {}
    rows = [
        (problem_of(row["problem"]), row["milliseconds"])
        for each in times.values()
        for row in each["rows"]
    ]
    leaves = [name for name in ALGORITHMS if name not in REWRITES]
    for names in (leaves, REWRITES):
        samples = defaultdict(list)
        for problem, measured in rows:
            for name, milliseconds in measured.items():
                if name not in names or ALGORITHMS[name].unsupported_reason(problem):
                    continue
                work = ALGORITHMS[name].work(problem)
                # The rates found so far predict the time of the parts.
                rest = milliseconds - parts_of(name, problem, found)
                key = f"{name}/{work.kind}" if work.kind else name
                samples[f"{key}/{problem.dtype}"].append((work, rest, milliseconds))
        for key, several in samples.items():
            found[key] = nonnegative(several)
    RATES.write_text(
        json.dumps(
            {
                "environment": {dtype: each["environment"] for dtype, each in times.items()},
                "rates": {key: found[key] for key in sorted(found)},
            },
            indent=1,
        )
        + "\n"
    )
    report(rows)


REWRITES = [name for name, each in ALGORITHMS.items() if isinstance(each, Rewrite)]


def recorded() -> dict[str, dict]:
    """The times of earlier runs by dtype; none if there is no file."""
    return json.loads(TIMES.read_text()) if TIMES.exists() else {}


def problem_of(record: dict) -> Problem:
    """The problem of a record."""
    tuples = {
        key: tuple(tuple(v) if isinstance(v, list) else v for v in value)
        for key, value in record.items()
        if isinstance(value, list)
    }
    return Problem(**(record | tuples))


def parts_of(name: str, problem: Problem, found: dict[str, list[float]]) -> float:
    """Predicted milliseconds of a rewrite's parts, each by its cheapest kernel."""
    total = 0.0
    for part, times in ALGORITHMS[name].parts(problem):
        part, _ = part.trimmed()
        options = []
        for leaf in (n for n in ALGORITHMS if n not in REWRITES):
            if ALGORITHMS[leaf].unsupported_reason(part) or not ALGORITHMS[leaf].local:
                continue
            work = ALGORITHMS[leaf].work(part)
            key = f"{leaf}/{work.kind}" if work.kind else leaf
            if f"{key}/{part.dtype}" in found:
                rates = tuning.Rates(*found[f"{key}/{part.dtype}"])
                options.append(choose.milliseconds(work, rates))
        total += times * min(options)
    return total


def nonnegative(samples: list) -> list[float]:
    """turn, operation and byte > 0 with the least squared error of the logarithms of times."""
    from scipy.optimize import least_squares

    rows = np.array([[w.turns, w.operations, w.traffic] for w, _, _ in samples], float)
    wanted = np.array([max(rest, 0.05 * whole) for _, rest, whole in samples])
    used = rows.max(0) > 0
    rows = rows[:, used]
    scale = np.median(wanted) / rows.mean(axis=0)
    most = np.full(used.sum(), 10.0)
    # A call takes at most the time of the fastest sample.
    most[0] = np.log((wanted / rows[:, 0]).min() / scale[0])

    def off(logs: np.ndarray) -> np.ndarray:
        return np.log(rows @ (scale * np.exp(logs))) - np.log(wanted)

    # From each corner: one term explains nearly all, the others little.
    starts = np.where(np.eye(rows.shape[1], dtype=bool), 0.0, -6.0)
    tries = [
        least_squares(off, np.minimum(start, most - 0.1), loss="soft_l1", bounds=(-25, most))
        for start in starts
    ]
    solution = scale * np.exp(min(tries, key=lambda one: one.cost).x)
    found = np.zeros(3)
    found[used] = solution
    return [float(f"{number:.4g}") for number in found]


def report(rows: list) -> None:
    """Prints, for each problem, the loss of the choice against the best algorithm measured."""
    tuning.rates.cache_clear()
    choose._cheapest.cache_clear()
    losses = []
    for problem, measured in rows:
        name = choose.choose(problem)
        best = min((each for each in measured if ALGORITHMS[each].local), key=measured.get)
        if name not in measured:
            print("unmeasured", problem, name)
            continue
        predicted = choose.costs(problem)
        losses.append(measured[name] / measured[best])
        note = "" if measured[name] <= 1.05 * measured["direct"] else "  SLOWER THAN DIRECT"
        if losses[-1] > 1.25 or note:
            says = ", ".join(
                f"{each} {measured[each]:.3f} (predicted {predicted[each]})"
                for each in dict.fromkeys((name, best, "direct"))
            )
            print(f"{losses[-1]:5.2f}x {problem}\n       {says}{note}")
    mean = np.exp(np.mean(np.log(losses)))
    print(f"choice / best: geometric mean {mean:.3f}, max {max(losses):.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["fit"]:
        fit()
    elif sys.argv[1:2] == ["measure"] and sys.argv[2:] in (["float32"], ["bfloat16"]):
        measure(sys.argv[2])
    else:
        sys.exit(__doc__)
