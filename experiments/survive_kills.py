"""Kills training runs with SIGKILL at random instants, and resumes them.

    python experiments/survive_kills.py [--kills 100] [--seed 0]

A small run is trained without interruption. Then the same run is trained by processes that are
killed, one after another, each at an instant drawn from the seed: a share of them while they start,
the others at any time after. The next process resumes the run. Every run must end with the weights,
optimizer, averages, statistics, keys and metrics of the uninterrupted one, bit for bit. There are
three kinds of run: with images on the device, with streamed images, and one that stops early. Needs
POSIX signals.

Result on two cores of an Intel Xeon (jax 0.10.2): after 100 kills in 27 runs, no difference.

What the processes were doing when they were killed is counted. Writes
experiments/results/survive_kills.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.progress import track

from jaxcnn.environment import environment
from jaxcnn.train import (
    Compiled,
    Event,
    Run,
    Started,
    TrainConfig,
    Warned,
    fit,
    loop,
    report,
    resume,
)
from jaxcnn.train.checkpoint import Checkpoints
from jaxcnn.train.mesh import place
from jaxcnn.train.step import Trainer

BASE = TrainConfig(
    model="conv:8:k3:p1 batchnorm relu global_avg dropout:0.2 dense:{classes}",
    epochs=4,
    batch_size=32,
    ema=0.9,
    save_steps=1,
)
KINDS = {
    "on the device": BASE,
    "streamed": replace(BASE, memory=0.0),
    "stops early": replace(
        BASE, epochs=9, patience=1, ema=0.0, learning_rate=1e-9, schedule="constant"
    ),
}
EARLY = 0.15
"""The share of the kills before a process has opened its run."""

STARTING, COMPILING = "starting", "reading or compiling programs"

PHASES: tuple[tuple[Any, str, str], ...] = (
    (Checkpoints, "restore", "restoring a checkpoint"),
    (Checkpoints, "save", "saving a checkpoint"),
    (loop, "evaluate", "validating or testing"),
    (report, "draw", "drawing pictures"),
)


def main() -> None:
    """Prints and writes how many kills a run survived."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if options.child:
        folder, kind, log = options.child
        train(Path(folder), kind, Path(log))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = survive(Path(folder), options.kills, options.seed)
    for name, value in found.items():
        print(f"{name}: {value}")
    path = options.out / "survive_kills.json"
    path.write_text(json.dumps(found | environment(), indent=1) + "\n")
    sys.exit(bool(found["failures"]))


def train(folder: Path, kind: str, log: Path) -> None:
    """Begins or resumes a run, and writes to ``log`` what it is doing."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    phases = [STARTING]

    def write() -> None:
        os.write(out, f"{phases[-1]}\n".encode())

    def watched(function: Any, phase: str) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            phases.append(phase)
            write()
            try:
                return function(*args, **more)
            finally:
                phases.pop()
                write()

        return call

    for owner, name, phase in PHASES:
        setattr(owner, name, watched(getattr(owner, name), phase))

    def listen(event: Event) -> None:
        if isinstance(event, Started | Compiled):
            phases[0] = COMPILING if isinstance(event, Started) else "training"
            write()
        if isinstance(event, Warned) and "damaged" in event.text:
            os.write(out, f"WARNED {event.text}\n".encode())

    if (folder / "config.json").exists():
        resume(folder, callbacks=[listen])
    else:
        fit(None, folder.parent / "images.npz", KINDS[kind], folder=folder, callbacks=[listen])


@dataclass
class Child:
    """A process that trains.

    Args:
      folder: the run folder.
      kind: of :data:`KINDS`.
      compiled: the folder of compiled programs, so that a life is short.
    """

    folder: Path
    kind: str
    compiled: Path
    begun: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.log = self.folder.parent / "log"
        self.log.unlink(missing_ok=True)
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115, read when the process has ended
        cache = {
            "JAX_COMPILATION_CACHE_DIR": str(self.compiled),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child", self.folder, self.kind, self.log],
            env=os.environ | cache,
            stderr=self.errors,
        )

    def lines(self) -> list[str]:
        """What the process has been doing so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def wait_for_start(self) -> float:
        """The seconds from the start until the run is open."""
        while COMPILING not in self.lines() and self.process.poll() is None:
            time.sleep(0.002)
        return time.perf_counter() - self.begun

    def wait(self, seconds: float | None = None) -> bool:
        """Whether the process ends in this time; raises if it fails."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        if self.process.returncode not in (None, 0):
            self.errors.seek(0)
            raise RuntimeError(self.errors.read().decode()[-2000:])
        return self.process.returncode == 0

    def kill(self) -> str:
        """Kills the process, and says what it was doing."""
        self.process.kill()
        self.process.wait()
        done = [line for line in self.lines() if not line.startswith("WARNED")]
        return done[-1] if done else STARTING


def survive(parent: Path, kills: int, seed: int) -> dict[str, Any]:
    """Trains until ``kills`` processes have been killed and the last run has ended."""
    rng = np.random.default_rng(seed)
    write_images(parent / "images.npz")
    wanted, starting, lasting = {}, {}, {}
    phases: Counter[str] = Counter()
    failures: list[str] = []
    for kind in KINDS:
        for folder in ("compiling", "compiled"):  # the second gives the times
            child = Child(parent / f"{kind}, {folder}", kind, parent / f"programs of {kind}")
            starting[kind] = child.wait_for_start()
            child.wait()
            lasting[kind] = time.perf_counter() - child.begun - starting[kind]
            failures += check(child, wanted.setdefault(kind, content(child.folder)))
    runs, folder, kind = 0, parent / "run 0", next(iter(KINDS))
    for _ in track(range(kills), "kills"):
        while True:
            child = Child(folder, kind, parent / f"programs of {kind}")
            if rng.random() < EARLY:
                ended = child.wait(rng.uniform(0, starting[kind]))
            else:
                child.wait_for_start()
                ended = child.wait(rng.uniform(0, lasting[kind]))
            if not ended:
                break
            failures += check(child, wanted[kind])
            runs += 1
            folder, kind = parent / f"run {runs}", list(KINDS)[runs % len(KINDS)]
        phases[child.kill()] += 1
        failures += warned(child)
    child = Child(folder, kind, parent / f"programs of {kind}")
    child.wait()
    failures += check(child, wanted[kind])
    return {
        "seed": seed,
        "kills": kills,
        "runs": runs + 1,
        "seconds of a process": {
            kind: [round(starting[kind], 1), round(lasting[kind], 1)] for kind in KINDS
        },
        "killed while": dict(phases.most_common()),
        "failures": failures,
    }


def check(child: Child, wanted: dict[str, Any]) -> list[str]:
    """What differs between a run that has ended and the uninterrupted one."""
    found = content(child.folder)
    where = f"{child.kind}, {child.folder.name}"
    wrong = [f"{where}: {name} differ" for name in wanted if found.get(name) != wanted[name]]
    return warned(child) + wrong


def warned(child: Child) -> list[str]:
    """The damaged checkpoints that a process warned of: there must be none."""
    return [line for line in child.lines() if line.startswith("WARNED")]


def content(folder: Path) -> dict[str, Any]:
    """The numbers of a run that has ended, as bytes and JSON."""
    run = Run.open(folder)
    record = run.data
    where = place(None, run.config.batch_size, record.image_shape[0])
    trainer = Trainer(run.config, run.build(), record.image_format, len(record.classes), 1, where)
    found: dict[str, Any] = {"metrics": (folder / "metrics.jsonl").read_bytes()}
    for name, step in (("last", None), ("best", run.checkpoints.best())):
        state, info = run.checkpoints.restore(trainer.abstract(), step=step)
        found[f"{name} info"] = [info["best"], info["stale"]]
        for path, leaf in jax.tree_util.tree_leaves_with_path(state):
            if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf = jax.random.key_data(leaf)
            found[f"{name} {jax.tree_util.keystr(path)}"] = np.asarray(leaf).tobytes()
    found["files"] = sorted(path.name for path in folder.iterdir() if path.name != ".lock")
    summary = run.summary() or {}
    names = ("step", "finished", "stopped_early", "test_loss", "test_accuracy")
    return found | {name: summary.get(name) for name in names}


def write_images(path: Path) -> None:
    """Images whose brightness says their class, with noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 4
    images = rng.integers(0, 60, (600, 12, 12, 3)) + 50 * labels[:, None, None, None]
    np.savez(path, images=images.astype(np.uint8), labels=labels)


if __name__ == "__main__":
    main()
