"""``jaxcnn models``: the networks of the package in a table."""

from __future__ import annotations

import json as json_format
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the table as JSON.")]


def models(json: Json = False) -> None:
    """List the networks of the package.

    ``plan``, ``lint``, ``bench``, ``export`` and ``train --model`` take their names. Parameters and
    multiply-adds are those of the published input and number of classes. The last column names the
    libraries whose weights a network takes.
    """
    # The networks import JAX and Flax, which is slow, and --help needs neither.
    from jaxcnn.cli.tables import aligned
    from jaxcnn.geometry.text import format_shape
    from jaxcnn.models.registry import NETWORKS

    if json:
        entries = [
            {
                "name": each.name,
                "input_shape": each.input_shape,
                "classes": each.classes,
                "parameters": each.parameters,
                "multiply_adds": each.multiply_adds,
                "task": each.task,
                "weights": list(each.names),
                "source": each.source,
            }
            for each in NETWORKS.values()
        ]
        typer.echo(json_format.dumps(entries, indent=1))
        return
    columns = ("network", "parameters", "multiply-adds", "input", "classes")
    rows = [
        (
            each.name,
            _count(each.parameters),
            _short(each.multiply_adds),
            format_shape(each.input_shape),
            f"{each.classes:,}",
        )
        for each in NETWORKS.values()
    ]
    notes = [
        "; ".join([each.source, *([", ".join(each.names)] if each.names else [])])
        for each in NETWORKS.values()
    ]
    lines = aligned([columns, *rows])
    for line, note in zip(lines, ["source; weights", *notes], strict=True):
        typer.echo(f"{line}  {note}")


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _short(number: int | None) -> str:
    """A count in thousands of millions, or in millions.

    >>> _short(1_814_000_000), _short(416_520)
    ('1.814 G', '0.417 M')
    """
    if number is None:
        return ""
    return f"{number / 1e9:.3f} G" if number >= 1e8 else f"{number / 1e6:.3f} M"
