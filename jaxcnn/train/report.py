"""Pictures of a training run, as PNG files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxcnn.data import Digits


def curves(path: Path, metrics: Sequence[dict[str, Any]]) -> None:
    """Draws loss and error rate over the steps: training (a running mean), validation and test."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    train = [line for line in metrics if line["split"] == "train"]
    steps = np.array([line["step"] for line in train])
    span = max(1, min(len(train) // 10, 100))
    panels = ((left, "loss in nats", _loss), (right, "error rate in %", _error_rate))
    for axes, label, values in panels:
        mean = np.convolve(values(train), np.ones(span) / span, "valid")
        axes.plot(steps[span - 1 :], mean, label=f"training, mean of {span} steps")
        for split, mark in (("validation", "o-"), ("test", "*")):
            lines = [line for line in metrics if line["split"] == split]
            if lines:
                x = [line["step"] for line in lines]
                axes.plot(x, values(lines), mark, label=split, ms=6)
        axes.set(xlabel="step", ylabel=label, yscale="log")
        axes.grid(alpha=0.3)
    right.legend()
    figure.savefig(path, dpi=120, format="png")


def _loss(lines: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.array([line["loss"] for line in lines])


def _error_rate(lines: Sequence[dict[str, Any]]) -> np.ndarray:
    return 100 * (1 - np.array([line["accuracy"] for line in lines]))


def filters(path: Path, kernel: np.ndarray) -> None:
    """Draws the first layer's kernel, a panel for each output channel, averaged over the inputs.

    kernel: (F, F, C_in, C_out)
    """
    images = np.moveaxis(np.asarray(kernel, np.float32).mean(axis=-2), -1, 0)
    limit = float(np.abs(images).max()) or 1.0
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.1 * columns + 1, 1.1 * rows + 0.6), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image in zip(grid, images, strict=False):
        shown = axes.imshow(image, cmap="RdBu", vmin=-limit, vmax=limit)
    figure.colorbar(shown, ax=list(grid), label="weight", shrink=0.8)
    figure.suptitle(
        f"The {len(images)} filters of the first layer, {image.shape[0]}x{image.shape[1]}"
    )
    figure.savefig(path, dpi=120, format="png")


def mistakes(path: Path, digits: Digits, logits: np.ndarray, most: int = 48) -> None:
    """Draws misclassified images, most confident first, with their labels and predictions.

    logits: (N, 10)
    """
    logits = np.asarray(logits, np.float64)
    guesses = logits.argmax(-1)
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    confidence = (exponentials / exponentials.sum(-1, keepdims=True)).max(-1)
    wrong = np.flatnonzero(guesses != digits.labels)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    columns = 8
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(1.2 * columns, 1.45 * rows + 0.6), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, i in zip(grid, shown, strict=False):
        axes.imshow(digits.images[i, ..., 0], cmap="gray_r")
        axes.set_title(
            f"{digits.labels[i]} taken for {guesses[i]}\n{confidence[i]:.0%} sure", fontsize=7
        )
    figure.suptitle(
        f"{len(wrong)} of {len(digits)} misclassified"
        + (f"; the {len(shown)} most confident" if len(shown) < len(wrong) else "")
    )
    figure.savefig(path, dpi=120, format="png")


def draw(run: Any, state: Any, test: Any, found: Any) -> None:
    """Draws the pictures of a run."""
