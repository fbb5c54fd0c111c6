"""Pictures of a training run, as PNG files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from jaxcnn.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.data import Images
    from jaxcnn.train.run import Run
    from jaxcnn.train.state import TrainState
    from jaxcnn.train.tasks import Evaluation

COLUMNS = 8
"""Pictures beside each other."""

MOST_FILTERS, MOST_MISTAKES = 64, 48

MOST_NAMES = 30
"""The number of classes up to which the confusion picture has their names."""

NAME = 14
"""Letters of a class name that are shown."""


def draw(run: Run, state: TrainState, test: Images, found: Evaluation | None) -> None:
    """Draws a run's pictures into its folder.

    Args:
      run: the run, whose metrics are drawn.
      state: its parameters.
      test: the images of the test split; those that are shown are read.
      found: their measures; None if the run was interrupted.
    """
    classes = run.data.classes
    _save(run, "curves", curves(run.metrics()))
    kernel = first_kernel(state.params, run.data.image_shape[-1])
    if kernel is not None:
        _save(run, "filters", filters(kernel))
    if found is not None:
        _save(run, "mistakes", mistakes(test, found.probabilities, classes))
        _save(run, "confusion", confusion(found.confusion, classes))


def _save(run: Run, name: str, figure: Figure) -> None:
    name = f"{name}.png"
    with run.writes(name), atomic_write(run.folder / name) as path:
        figure.savefig(path, dpi=120, format="png")


def curves(metrics: Sequence[dict[str, Any]]) -> Figure:
    """Loss and error rate over the steps: training (a running mean), validation and test."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    train = [line for line in metrics if line["split"] == "train"]
    steps = np.array([line["step"] for line in train])
    span = max(1, min(len(train) // 10, 100))
    panels = ((left, "loss in nats", _loss), (right, "error rate in %", _error_rate))
    for axes, label, values in panels:
        if train:
            mean = np.convolve(values(train), np.ones(span) / span, "valid")
            axes.plot(steps[span - 1 :], mean, label=f"training, mean of {span} steps")
        for split, mark in (("validation", "o-"), ("test", "*")):
            lines = [line for line in metrics if line["split"] == split]
            if lines:
                x = [line["step"] for line in lines]
                axes.plot(x, values(lines), mark, label=split, ms=6)
        axes.set(xlabel="step", ylabel=label)
        if any((np.asarray(line.get_ydata()) > 0).any() for line in axes.lines):
            axes.set_yscale("log")  # a run without errors has nothing to draw on it
            axes.yaxis.set_major_formatter(_Plain())
            axes.yaxis.set_minor_formatter(_Plain(minor_thresholds=(2, 0.5)))
        axes.grid(alpha=0.3)
    if metrics:
        right.legend()
    return figure


class _Plain(LogFormatter):
    """Ticks of a logarithmic axis as plain numbers, as many as there is room for."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _loss(lines: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.array([line["loss"] for line in lines])


def _error_rate(lines: Sequence[dict[str, Any]]) -> np.ndarray:
    return 100 * (1 - np.array([line["accuracy"] for line in lines]))


def first_kernel(params: Any, channels: int) -> np.ndarray | None:
    """The kernel (F, F, C_in, C_out) of the layer that sees the images.

    It is the first with as many input channels as they have, in the order of the parameters' names;
    None if no layer has a kernel of four axes.

    >>> first_kernel({"a": np.zeros((3, 3, 8, 4)), "b": np.zeros((5, 5, 3, 8))}, 3).shape
    (5, 5, 3, 8)
    """
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 4]
    fitting = [kernel for kernel in kernels if kernel.shape[2] == channels]
    first = next(iter(fitting + kernels), None)
    return None if first is None else np.asarray(first, np.float32)


def filters(kernel: np.ndarray) -> Figure:
    """The filters of a kernel: in color for three input channels, averaged over others.

    kernel: (F, F, C_in, C_out)
    """
    count, size = kernel.shape[-1], f"{kernel.shape[0]}x{kernel.shape[1]}"
    chosen = np.moveaxis(kernel[..., :MOST_FILTERS], -1, 0)
    limit = float(np.abs(chosen).max()) or 1.0
    colored = kernel.shape[2] == 3
    images = chosen / limit / 2 + 0.5 if colored else chosen.mean(-1)
    figure, grid = _grid(len(images), width=1.1, height=1.1)
    if not colored:
        limit = float(np.abs(images).max()) or 1.0
    shown: Any = None
    for axes, image in zip(grid, images, strict=False):
        shown = axes.imshow(image, cmap="RdBu", vmin=-limit, vmax=limit)
    title = f"The {count} filters of the first layer, {size}"
    if len(images) < count:
        title = f"{len(images)} of the {count} filters of the first layer, {size}"
    if colored:
        title += f"; grey is 0, black {-limit:.2g}, white {limit:.2g}"
    else:
        figure.colorbar(shown, ax=grid, label="weight", shrink=0.8)
    figure.suptitle(title, fontsize=10)
    return figure


def mistakes(images: Images, probabilities: np.ndarray, classes: Sequence[str]) -> Figure:
    """Misclassified images, most confident first, with their labels and predictions.

    probabilities: (N, classes)
    """
    guesses, confidence = probabilities.argmax(-1), probabilities.max(-1)
    wrong = np.flatnonzero(guesses != images.labels)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES]
    figure, grid = _grid(len(chosen), width=1.2, height=1.45)
    pixels = images.read(chosen) if len(chosen) else ()
    for axes, i, image in zip(grid, chosen, pixels, strict=False):
        axes.imshow(_shown(image), cmap="gray", vmin=0, vmax=255)
        label, guess = (_short(classes[int(n)]) for n in (images.labels[i], guesses[i]))
        lines = f"{label} taken for {guess}"
        if len(lines) > 22:
            lines = f"{label}\ntaken for {guess}"
        axes.set_title(f"{lines}\n{confidence[i]:.0%} sure", fontsize=6)
    title = f"{len(wrong):,} of {len(images):,} misclassified"
    if len(chosen) < len(wrong):
        title += f"; the {len(chosen)} most confident"
    figure.suptitle(title, fontsize=10)
    return figure


def _shown(image: np.ndarray) -> np.ndarray:
    """Grey (H, W), RGB or RGBA, as matplotlib draws it; of two channels the first."""
    return image if image.shape[-1] in (3, 4) else image[..., 0]


def confusion(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """The share of each class's images (a row) that are taken for each class (a column).

    counts: (classes, classes), integers
    """
    number = len(classes)
    side = min(3 + 0.35 * number, 11)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    total = counts.sum(1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    # The root shows the few mistakes of a good network.
    shown = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    figure.colorbar(shown, ax=axes, label="share of the label's images", shrink=0.8)
    axes.set(xlabel="prediction", ylabel="label")
    if number <= MOST_NAMES:
        names = [_short(name) for name in classes]
        long = max(map(len, names)) > 3
        axes.set_xticks(range(number), names, rotation=90 if long else 0)
        axes.set_yticks(range(number), names)
        for i, j in np.argwhere(counts > 0):
            color = "white" if shares[i, j] > 0.4 else "black"
            size = 8 if number <= 12 else 5
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=color, fontsize=size)
    return figure


def _short(name: str) -> str:
    # A dollar sign would begin a formula.
    text = name if len(name) <= NAME else f"{name[: NAME - 1]}…"
    return text.replace("$", r"\$")


def _grid(count: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    """A figure with axes for ``count`` pictures; sizes in inches."""
    columns = min(COLUMNS, max(count, 4))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(width * columns + 1, height * rows + 0.6), layout="constrained")
    grid = list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
    for axes in grid:
        axes.axis("off")
    return figure, grid
