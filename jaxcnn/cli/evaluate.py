"""``jaxcnn evaluate``: restores a run's checkpoint and scores it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]


def evaluate(run: Folder) -> None:
    """Restore a run's checkpoint and score it on the MNIST test set."""
    from jaxcnn.train import evaluate_run

    step, metrics = evaluate_run(run)
    typer.echo(
        f"test accuracy {float(metrics.accuracy):.2%}, loss {float(metrics.loss):.4f}, "
        f"after {step} steps"
    )
