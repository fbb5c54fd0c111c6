"""Trains the digits network with several seeds: test accuracy, its spread, and time.

    python experiments/train_digits.py

Result on two cores of an Intel Xeon (jax 0.10.2): test accuracy 99.40 % (standard deviation 0.02 %
over three seeds), 52 s of training each.

Writes a run folder for each seed under runs/, one line to experiments/results/train_digits.json,
and the pictures of the first run next to it. Runs on the device that JAX finds.
"""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jaxcnn.environment import device_name, environment
from jaxcnn.train import TrainConfig, fit


@dataclass(frozen=True)
class Settings:
    """The seeds to train with, and the folders of results and runs."""

    seeds: tuple[int, ...] = (0, 1, 2)
    folder: Path = Path(__file__).parent / "results"
    runs: Path = Path("runs")


def main(settings: Settings = Settings()) -> None:
    """Trains a network for each seed and prints a table."""
    print(f"on {device_name()}\n")
    print("seed  steps  seconds  validation    test")
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    results = []
    for seed in settings.seeds:
        folder = settings.runs / f"{stamp}-seed{seed}"
        result = fit(None, "mnist", TrainConfig(seed=seed), folder=folder)
        results.append(result)
        print(
            f"{seed:4d}  {result.step:5d}  {result.seconds:7.1f}  "
            f"{result.validation_accuracy:10.2%}  {result.test_accuracy:6.2%}",
            flush=True,
        )
    accuracies = [result.test_accuracy for result in results]
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    print(f"\ntest accuracy {statistics.mean(accuracies):.2%}, standard deviation {spread:.2%}")
    settings.folder.mkdir(exist_ok=True)
    record = {
        "seeds": settings.seeds,
        "test_accuracy": accuracies,
        "validation_accuracy": [result.validation_accuracy for result in results],
        "seconds": [round(result.seconds, 1) for result in results],
    }
    path = settings.folder / "train_digits.json"
    path.write_text(json.dumps(record | environment()) + "\n")
    for name in ("curves", "filters", "mistakes"):
        shutil.copy(results[0].folder / f"{name}.png", settings.folder / f"digits_{name}.png")


if __name__ == "__main__":
    main()
