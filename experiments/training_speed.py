"""Whole training steps: images a second in PyTorch, in Flax by lax, and in Flax by jaxcnn.

    python experiments/training_speed.py [--network mnist] [--seconds 4]

Trains PyTorch's MNIST example network (batch 64) and ResNet-18, MobileNetV2 and ConvNeXt-T on 32x32
images (batch 32) on random numbers. Before anything is timed, the networks' parameters are counted
and the losses and gradients under ``jaxcnn.install()`` are held to those of lax. Then all take
turns in one process.

Result on two cores of an Intel Xeon with AMX (jax 0.10.2, PyTorch 2.13), plain Flax under
install(), as a multiple of PyTorch's speed in its faster layout, by scans and by single steps:
MNIST 1.61 and 1.27, ResNet-18 1.05 and 0.97, MobileNetV2 1.26 and 1.06; ConvNeXt-T was not timed.

Writes experiments/results/training_speed.json and .png; PyTorch's rows are
there where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from training_networks import TASKS, Batch, OwnDigits, State, Step, Task, scanned, training

import jaxcnn
from jaxcnn.environment import device_name, environment
from jaxcnn.testing.tolerance import unit_roundoff

TORCH = ("torch", "torch channels_last")


@dataclass(frozen=True)
class Settings:
    """What is timed for how long, and where the results go.

    Attributes:
      networks: their names.
      seconds: about how long each contender is timed.
      rounds: in which they take turns.
      rest: seconds of sleep before a turn: PyTorch's threads wait for more work awake.
      slow: seconds a call from which on a contender is called once in all, and not warmed.
      slow_steps: those of a scan by lax, which can take seconds a step.
      seed: of the images.
      folder: for the results.
    """

    networks: tuple[str, ...] = tuple(TASKS)
    seconds: float = 8.0
    rounds: int = 5
    rest: float = 0.3
    slow: float = 3.0
    slow_steps: int = 2
    seed: int = 0
    folder: Path = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Contender:
    """Someone who trains; ``train(calls)`` makes ``calls * steps`` steps and waits for the last."""

    train: Callable[[int], Any]
    steps: int = 1


def main(settings: Settings = Settings()) -> None:
    """Times the networks one after another, printing a table for each."""
    print(f"on {device_name()}")
    settings.folder.mkdir(exist_ok=True)
    path = settings.folder / "training_speed.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    for name in settings.networks:
        record[name] = measure(name, settings)
        path.write_text(json.dumps(record, indent=1) + "\n")
        show(name, record[name])
    draw(settings.folder / "training_speed.png", record)


def measure(name: str, settings: Settings) -> dict[str, Any]:
    """One network's contenders, checked and timed."""
    task = TASKS[name]
    draws = np.random.default_rng(settings.seed)
    images = draws.normal(size=(task.steps, task.batch, *task.image)).astype(np.float32)
    labels = draws.integers(10, size=(task.steps, task.batch))
    contenders, parameters = jax_contenders(
        task, (jnp.asarray(images), jnp.asarray(labels, jnp.int32)), settings
    )
    found = environment()
    if find_spec("torch"):
        contenders = torch_contenders(name, images, labels, parameters) | contenders
        found["versions"]["torch"] = version("torch")
    times = by_turns(contenders, settings)
    torch = min(
        (who for who in TORCH if who in times), key=lambda w: median(times[w]), default=None
    )
    return {
        "batch": task.batch,
        "parameters": parameters,
        "faster_torch": torch,
        "contenders": {
            who: {
                "images_per_second": task.batch / median(seconds),
                # Of the same round each: a slow minute of the machine is everyone's.
                "times_torch": torch
                and median([t / s for t, s in zip(times[torch], seconds, strict=False)]),
                "seconds_per_step": seconds,
            }
            for who, seconds in times.items()
        },
    } | found


def median(numbers: list[float]) -> float:
    """The median, as a number that JSON takes."""
    return float(np.median(numbers))


def jax_contenders(
    task: Task, batches: Batch, settings: Settings
) -> tuple[dict[str, Contender], int]:
    """Flax by lax and by jaxcnn, and the number of parameters.

    Raises:
      AssertionError: where jaxcnn's losses or gradients are not those of lax.
    """
    state, step = training(task, task.build)
    one = jax.tree.map(lambda leaf: leaf[0], batches)
    few = jax.tree.map(lambda leaf: leaf[: settings.slow_steps], batches)
    plain, installed = nullcontext, jaxcnn.install
    programs = {"flax, lax": (step, one, plain), "flax, installed": (step, one, installed)}
    scans = {"flax, installed, scan": (step, batches, installed)}
    if task.build is TASKS["mnist"].build:
        _, own = training(task, OwnDigits)
        scans = {
            "flax, lax, scan": (step, few, plain),
            **scans,
            "jaxcnn's layers, scan": (own, batches, plain),
        }
    programs |= {who: (scanned(f), data, inside) for who, (f, data, inside) in scans.items()}
    # What was compiled stays as it is, whatever is installed later.
    compiled: dict[str, Step] = {}
    for who, (function, data, inside) in programs.items():
        with inside():
            compiled[who] = jax.jit(function, donate_argnums=0).lower(state, data).compile()
    check(task, state, {who: (compiled[who], programs[who][1]) for who in compiled})
    contenders = {
        who: Contender(
            jax_trainer(program, copy(state), programs[who][1]),
            1 if who not in scans else len(programs[who][1][1]),
        )
        for who, program in compiled.items()
    }
    return contenders, sum(leaf.size for leaf in jax.tree.leaves(state.params))


def copy(state: State) -> State:
    """The same numbers in memory of their own: a step takes over the memory of its state."""
    return jax.tree.map(lambda leaf: leaf.copy(), state)


def jax_trainer(program: Step, state: State, data: Batch) -> Callable[[int], None]:
    """Goes on training from where the last call stopped."""

    def train(calls: int) -> None:
        nonlocal state
        for _ in range(calls):
            state, loss = program(state, data)
        jax.block_until_ready((state, loss))

    return train


def check(task: Task, state: State, programs: dict[str, tuple[Step, Batch]]) -> None:
    """Holds two losses on one batch, and the gradients between them, to those of lax.

    A sum of n products is rounded by about sqrt(n) u of its size (Higham and Mary,
    doi:10.1137/18M1226312), and each of ``depth`` layers adds as much: ``error``. The second loss
    has gone forward, back, and forward again, in either program. A rectifier whose input is within
    the error of 0 may let the gradient pass in one program and not in the other; their share is
    about the error too, and the norm of the difference they make is its square root. Gradients are
    read from the optimiser's state, tensor by tensor; one that is zero but for rounding, as that of
    a bias before BatchNorm, has the error of the whole gradient.
    """
    error = task.depth * np.sqrt(task.terms) * unit_roundoff("float32")
    losses, gradients = {}, {}
    for who, (program, data) in programs.items():
        many = data[1].ndim > 1
        repeated = (
            jax.tree.map(lambda leaf: jnp.stack([leaf[0]] * len(leaf)), data) if many else data
        )
        after, found = program(copy(state), repeated)
        if not many:
            gradients[who] = [np.asarray(leaf) for leaf in jax.tree.leaves(after.optimiser)]
            found = jnp.stack([found, program(after, data)[1]])
        losses[who] = np.asarray(found[:2], np.float64)
    first, second = losses["flax, lax"]
    bound = 2 * 3 * error * abs(first)
    # Or the second loss would say nothing about the gradient.
    assert abs(first - second) > 10 * bound, (losses, bound)
    for who, found in losses.items():
        off = np.abs(found - (first, second)).max()
        assert off <= bound, f"{who}: losses {found}, by lax {first, second}, allowed {bound:.2g}"
    whole = np.sqrt(sum(np.sum(leaf**2) for leaf in gradients["flax, lax"]))
    for who, found in gradients.items():
        for got, want in zip(found, gradients["flax, lax"], strict=True):
            off, size = np.linalg.norm(got - want), np.linalg.norm(want)
            assert off <= 2 * np.sqrt(error) * size + error * whole, (
                f"{who}: a gradient {want.shape} of norm {size:.3g} is {off:.3g} from that of lax"
            )


def torch_contenders(
    name: str, images: np.ndarray, labels: np.ndarray, parameters: int
) -> dict[str, Contender]:
    """PyTorch in both memory layouts, and compiled where that takes seconds and not minutes."""
    import torch
    import training_pytorch

    torch.set_num_threads(os.cpu_count())
    counted = training_pytorch.parameters(name)
    assert counted == parameters, f"{name}: {counted} parameters in torch, {parameters} in Flax"
    data = torch.from_numpy(images.transpose(0, 1, 4, 2, 3).copy()), torch.from_numpy(labels)
    forms = {who: (last, False) for who, last in zip(TORCH, (False, True), strict=True)}
    if name == "mnist":
        forms["torch.compile"] = (False, True)
    found = {}
    for who, (last, compiled) in forms.items():
        train = training_pytorch.trainer(name, *data, channels_last=last, compiled=compiled)
        try:
            train(1)
        except Exception as error:  # torch.compile wants a C++ compiler and says so in many ways
            if not compiled:
                raise
            print(f"{who} does not work here: {type(error).__name__}")
        else:
            found[who] = Contender(train)
    return found


def by_turns(contenders: dict[str, Contender], settings: Settings) -> dict[str, list[float]]:
    """Seconds a step: for each contender a number a round, over a burst of calls."""
    calls = {}
    for who, contender in contenders.items():
        time.sleep(settings.rest)
        once = seconds_of(contender, 1)
        if once < settings.slow:
            once = min(once, seconds_of(contender, 1))
        # A slow contender may be slow out of bad luck; one call tells all the same.
        calls[who] = (
            0 if once >= settings.slow else max(1, round(settings.seconds / settings.rounds / once))
        )
    taken: dict[str, list[float]] = {who: [] for who in contenders}
    for number in range(settings.rounds):
        for who, contender in contenders.items():
            if number and not calls[who]:
                continue
            time.sleep(settings.rest)
            if calls[who]:
                contender.train(1)
            burst = calls[who] or 1
            taken[who].append(seconds_of(contender, burst) / burst / contender.steps)
    return taken


def seconds_of(contender: Contender, calls: int) -> float:
    """What so many calls take."""
    start = time.perf_counter()
    contender.train(calls)
    return time.perf_counter() - start


def show(name: str, found: dict[str, Any]) -> None:
    """A network's table."""
    print(f"\n{name}, {found['parameters']:,} parameters, batch {found['batch']}")
    print(f"{'':24}  images/s  ms/step  fastest..slowest  of torch's speed")
    for who, row in found["contenders"].items():
        ms = [1e3 * seconds for seconds in row["seconds_per_step"]]
        ratio = f"{row['times_torch']:.2f}x" if row["times_torch"] else ""
        print(
            f"{who:24}  {row['images_per_second']:8.1f}  {median(ms):7.1f}  "
            f"{f'{min(ms):.1f}..{max(ms):.1f}':>16}  {ratio:>16}",
            flush=True,
        )


def draw(path: Path, record: dict[str, Any]) -> None:
    """A panel a network, a bar a contender."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    for axes in panels[len(record) :]:
        axes.set_visible(False)
    for axes, (name, found) in zip(panels, record.items(), strict=False):
        rows = found["contenders"]
        speeds = [row["images_per_second"] for row in rows.values()]
        colors = [
            "#E69F00" if "torch" in who else "#D55E00" if ", lax" in who else "#0072B2"
            for who in rows
        ]
        bars = axes.barh(list(rows), speeds, color=colors)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.set(title=f"{name}, batch {found['batch']}", xlabel="images a second")
        axes.margins(x=0.12)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Training, float32, on {next(iter(record.values()))['device']}")
    figure.savefig(path, dpi=120)


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=TASKS, help="one alone; the others' results are kept")
    parser.add_argument("--seconds", type=float, default=Settings.seconds, help="a contender")
    given = parser.parse_args()
    networks = (given.network,) if given.network else Settings.networks
    return Settings(networks, given.seconds)


if __name__ == "__main__":
    main(_settings())
