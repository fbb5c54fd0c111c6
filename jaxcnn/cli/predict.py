"""``jaxcnn predict``: the classes of pictures, by a run's network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxcnn.cli.evaluate import Best, Folder
from jaxcnn.cli.tables import aligned
from jaxcnn.errors import InputError

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Pictures, or folders of pictures.", show_default=False),
]
Top = Annotated[int, typer.Option("--top", min=1, help="Classes shown for each picture.")]
Json = Annotated[bool, typer.Option("--json", help="Print the predictions as JSON.")]


def predict(
    run: Folder, files: Files, top: Top = 3, best: Best = False, as_json: Json = False
) -> None:
    """Print the most probable classes of pictures, a line for each.

    The pictures are converted and resized as those of the run. If one cannot be read, nothing is
    predicted.
    """
    import numpy as np
    from rich.console import Console

    from jaxcnn.cli.progress import ReadingBar
    from jaxcnn.data import read_picture
    from jaxcnn.data.faults import refuse
    from jaxcnn.train import Run

    opened = Run.open(run, best=best or None)
    opened.checkpoints.newest()  # raises before minutes of reading if there is none
    data = opened.data
    pictures, faults = [], []
    paths = _pictures(files, faults)
    with ReadingBar(Console(stderr=True)) as reading:
        for done, path in enumerate(paths, 1):
            try:
                pictures.append(read_picture(path, data.image_shape, opened.resize))
            except InputError as error:
                faults.append(str(error))
            reading("reading pictures", done, len(paths))
    refuse("the pictures", faults)
    found = [_ranked(row, data.classes, top) for row in opened.predict(np.stack(pictures))]
    if as_json:
        listed = [
            {
                "file": str(path),
                "predictions": [{"class": name, "probability": p} for name, p in ranked],
            }
            for path, ranked in zip(paths, found, strict=True)
        ]
        typer.echo(json.dumps(listed, indent=1))
        return
    rows = [
        (str(path), *(f"{name} {p:.1%}" for name, p in ranked))
        for path, ranked in zip(paths, found, strict=True)
    ]
    typer.echo("\n".join(aligned(rows, left=len(rows[0]))))


def _pictures(files: list[Path], faults: list[str]) -> list[Path]:
    """The files, with those in folders; adds what cannot be found to ``faults``."""
    from jaxcnn.data.pictures import SUFFIXES

    found: list[Path] = []
    for path in files:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.rglob("[!.]*") if p.name.lower().endswith(SUFFIXES))
        if not inside:
            faults.append(f"{path}: the folder has no pictures ({', '.join(SUFFIXES)})")
        found += inside
    return found


def _ranked(probabilities: Any, classes: tuple[str, ...], top: int) -> list[tuple[str, float]]:
    """The most probable classes, the most probable first."""
    order = (-probabilities).argsort(kind="stable")[:top]
    return [(classes[i], float(probabilities[i])) for i in order]
