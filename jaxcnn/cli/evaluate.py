"""``jaxcnn evaluate``: the measures of a run's network on its test images, or on others."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcnn.cli.tables import aligned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.train import Evaluation

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="Other images with the run's classes, named as for train; of a data set with splits, "
        "its test split.",
        show_default="the run's own test images",
    ),
]
Best = Annotated[
    bool,
    typer.Option("--best", help="Use the checkpoint with the best validation, not the newest."),
]
Json = Annotated[bool, typer.Option("--json", help="Print all measures as JSON.")]

MOST = 20
"""Lines of a list of classes or confusions, where there are too many for a whole table."""


def evaluate(run: Folder, data: Data = None, best: Best = False, as_json: Json = False) -> None:
    """Print accuracy, precision and recall of a trained network.

    Rows of the confusion table are labels, and columns predictions.
    """
    from rich.console import Console

    from jaxcnn.cli.progress import ReadingBar
    from jaxcnn.data import open_images
    from jaxcnn.train import Run
    from jaxcnn.train.source import reopen

    opened = Run.open(run, best=best or None)
    opened.checkpoints.newest()  # raises before minutes of reading if there is none
    kept = opened.data
    with ReadingBar(Console(stderr=True)) as reading:
        if data is None:
            images = reopen(opened, None, "Run.open(folder).evaluate(images)", reading).test
        else:
            resize = opened.resize
            images = open_images(data, kept.classes, kept.image_shape, resize, progress=reading)
    found = opened.evaluate(images)
    if as_json:
        typer.echo(json.dumps(_as_json(found, kept.classes), indent=1))
        return
    typer.echo(f"accuracy {found.accuracy:.2%}, loss {found.loss:.4f}, {found.count:,} images\n")
    width = shutil.get_terminal_size((120, 24)).columns
    typer.echo("\n".join(_by_class(found, kept.classes)))
    typer.echo("\n" + "\n".join(_confusion(found.confusion, kept.classes, width)))


def _as_json(found: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    counts = found.confusion.sum(1).tolist()
    rows = zip(classes, counts, found.precision, found.recall, strict=True)
    return {
        "images": found.count,
        "accuracy": found.accuracy,
        "loss": found.loss,
        "classes": [
            {"name": name, "images": count, "precision": known(precision), "recall": known(recall)}
            for name, count, precision, recall in rows
        ],
        "confusion": found.confusion.tolist(),
    }


def _by_class(found: Evaluation, classes: Sequence[str]) -> list[str]:
    """A table of precision and recall; of many classes, those with the lowest recall."""
    counts = found.confusion.sum(1)
    shown = range(len(classes))
    rest = []
    if len(classes) > 2 * MOST:
        order = sorted(shown, key=lambda i: (math.isnan(found.recall[i]), found.recall[i]))
        shown, more = order[:MOST], len(classes) - MOST
        rest = [f"and {more} classes of higher recall, or without images; --json has all"]
    rows = [
        (classes[i], f"{counts[i]:,}", _percent(found.precision[i]), _percent(found.recall[i]))
        for i in shown
    ]
    return aligned([("class", "images", "precision", "recall"), *rows]) + rest


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.2%}"


def _confusion(confusion: Any, classes: Sequence[str], width: int) -> list[str]:
    """The confusion table, if it fits in ``width``; otherwise the most frequent confusions."""
    numbers = range(len(classes))
    for heads, names in (
        (classes, classes),
        ([str(i) for i in numbers], [f"{i} {classes[i]}" for i in numbers]),
    ):
        counts = [[f"{n:,}" for n in row] for row in confusion.tolist()]
        rows = [(name, *row) for name, row in zip(names, counts, strict=True)]
        lines = aligned([("label", *heads), *rows])
        if len(classes) <= MOST and max(map(len, lines)) <= width:
            return lines
    wrong = [
        (confusion[i, j], i, j) for i in numbers for j in numbers if i != j and confusion[i, j]
    ]
    wrong.sort(key=lambda each: (-each[0], each[1:]))
    if not wrong:
        return ["no confusions"]
    rows = [(classes[i], classes[j], f"{n:,}") for n, i, j in wrong[:MOST]]
    more = [f"and {len(wrong) - MOST} more pairs; --json has all"] if len(wrong) > MOST else []
    return aligned([("label", "taken for", "images"), *rows], left=2) + more
