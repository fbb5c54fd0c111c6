"""The speed of training steps: images per second in PyTorch, in Flax with lax, and with jaxcnn.

    python experiments/training_speed.py [--network mnist] [--seconds 4]

Trains PyTorch's MNIST example network (batch 64), and ResNet-18, MobileNetV2 and ConvNeXt-T on
32x32 images (batch 32), with random images. Before the timing, the numbers of parameters are
compared, and the losses and gradients under ``jaxcnn.install()`` are checked against those of lax.
Then the contenders take turns in one process.

Result on two cores of an Intel Xeon with AMX (jax 0.10.2, PyTorch 2.13), plain Flax under
install(), as a multiple of PyTorch's speed in its faster layout, by scans and by single steps:
MNIST 1.61 and 1.27, ResNet-18 1.05 and 0.97, MobileNetV2 1.26 and 1.06; ConvNeXt-T was not timed.

Writes experiments/results/training_speed.json and .png, with rows for PyTorch if it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from training_networks import TASKS, Batch, DigitsOfJaxcnn, State, Step, Task, scanned, training

import jaxcnn
from jaxcnn.environment import device_name, environment
from jaxcnn.testing.tolerance import unit_roundoff

if TYPE_CHECKING:
    from collections.abc import Callable

TORCH = ("torch", "torch channels_last")


@dataclass(frozen=True)
class Settings:
    """What to time, and for how long.

    Attributes:
      networks: the names of the networks.
      seconds: the approximate time to spend on each contender.
      rounds: the number of turns of each contender.
      rest: seconds of sleep before a turn, so that PyTorch's waiting threads stop spinning.
      slow: a contender whose call takes more seconds is called once, without a warm-up.
      slow_steps: the steps in a scan with lax, which can take seconds per step.
      seed: the seed of the images.
      folder: the folder of the results.
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
    """A training program; ``train(calls)`` takes ``calls * steps`` steps and waits for the last."""

    train: Callable[[int], Any]
    steps: int = 1


def main(settings: Settings = Settings()) -> None:
    """Times the networks one after another, and prints a table for each."""
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
    """Checks and times the contenders of one network."""
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
    times = time_interleaved(contenders, settings)
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
                # The ratio within each round: a slow minute of the machine affects both.
                "times_torch": torch
                and median([t / s for t, s in zip(times[torch], seconds, strict=False)]),
                "seconds_per_step": seconds,
            }
            for who, seconds in times.items()
        },
    } | found


def median(numbers: list[float]) -> float:
    """The median, as a float that JSON accepts."""
    return float(np.median(numbers))


def jax_contenders(
    task: Task, batches: Batch, settings: Settings
) -> tuple[dict[str, Contender], int]:
    """The contenders in Flax, with lax and with jaxcnn, and the number of parameters.

    Raises:
      AssertionError: if jaxcnn's losses or gradients differ from those of lax.
    """
    state, step = training(task, task.build)
    one = jax.tree.map(lambda leaf: leaf[0], batches)
    few = jax.tree.map(lambda leaf: leaf[: settings.slow_steps], batches)
    plain, installed = nullcontext, jaxcnn.install
    programs = {"flax, lax": (step, one, plain), "flax, installed": (step, one, installed)}
    scans = {"flax, installed, scan": (step, batches, installed)}
    if task.build is TASKS["mnist"].build:
        _, own = training(task, DigitsOfJaxcnn)
        scans = {
            "flax, lax, scan": (step, few, plain),
            **scans,
            "jaxcnn's layers, scan": (own, batches, plain),
        }
    programs |= {who: (scanned(f), data, inside) for who, (f, data, inside) in scans.items()}
    # A compiled program keeps its convolutions, whatever is installed later.
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
    """A copy of the state, because a step donates the memory of its argument."""
    return jax.tree.map(lambda leaf: leaf.copy(), state)


def jax_trainer(program: Step, state: State, data: Batch) -> Callable[[int], None]:
    """Makes a function that trains on, from where its last call stopped."""

    def train(calls: int) -> None:
        nonlocal state
        for _ in range(calls):
            state, loss = program(state, data)
        jax.block_until_ready((state, loss))

    return train


def check(task: Task, state: State, programs: dict[str, tuple[Step, Batch]]) -> None:
    """Checks the losses of two steps on one batch, and the gradient between them, against lax.

    The relative rounding error of a sum of n products is about sqrt(n) u (Higham and Mary,
    doi:10.1137/18M1226312), and each of ``depth`` layers adds as much; their total is ``error``.
    The second loss has the error of a forward pass, a backward pass and another forward pass, in
    both programs.

    A ReLU whose input is closer to 0 than the error may pass the gradient in one program and block
    it in the other. The share of such ReLUs is about ``error``, so the norm of the difference is
    about its square root. Gradients are read from the optimiser's state, tensor by tensor. A
    gradient that is zero up to rounding, such as that of a bias before BatchNorm, has the error of
    the whole gradient.
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
    # Otherwise the second loss would not depend visibly on the gradient.
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
    """PyTorch in both memory layouts, and compiled for MNIST, where compiling takes seconds."""
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
        except Exception as error:  # torch.compile needs a C++ compiler; its errors vary
            if not compiled:
                raise
            print(f"{who} does not work here: {type(error).__name__}")
        else:
            found[who] = Contender(train)
    return found


def time_interleaved(
    contenders: dict[str, Contender], settings: Settings
) -> dict[str, list[float]]:
    """Times the contenders in turns; returns the seconds a step takes in each round."""
    calls = {}
    for who, contender in contenders.items():
        time.sleep(settings.rest)
        once = seconds_of(contender, 1)
        if once < settings.slow:
            once = min(once, seconds_of(contender, 1))
        # One call of a slow contender is enough; 0 stands for that.
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
    """The duration of ``calls`` calls."""
    start = time.perf_counter()
    contender.train(calls)
    return time.perf_counter() - start


def show(name: str, found: dict[str, Any]) -> None:
    """Prints the table of a network."""
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
    """Draws a panel for each network, with a bar for each contender."""
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
        axes.set(title=f"{name}, batch {found['batch']}", xlabel="images per second")
        axes.margins(x=0.12)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Training, float32, on {next(iter(record.values()))['device']}")
    figure.savefig(path, dpi=120)


def _settings() -> Settings:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=TASKS, help="time this network only")
    parser.add_argument(
        "--seconds", type=float, default=Settings.seconds, help="for each contender"
    )
    given = parser.parse_args()
    networks = (given.network,) if given.network else Settings.networks
    return Settings(networks, given.seconds)


if __name__ == "__main__":
    main(_settings())
