"""Tables that several commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxcnn.inspect import Plan


def print_plan(plan: Plan) -> None:
    """Prints a plan as a table: with rules on a terminal, as plain text in a pipe."""
    # Rich is slow to import, and a command's --help does not need it.
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        print(plan)
        return
    table = Table(box=box.SIMPLE_HEAD)
    columns, *lines, total = plan.lines()
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < 2 else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    table.add_section()
    table.add_row(*total, style="bold")
    console.print(table)
    for note in plan.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of text, wrapped to the terminal's width, or to 120 characters in a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    ruled = box.SIMPLE_HEAD if console.is_terminal else None
    table = Table(box=ruled, show_edge=False, pad_edge=False, leading=1)
    for number, name in enumerate(columns):
        table.add_column(name, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():  # Rich pads every column, the last one too
        print(line.rstrip())


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """The lines of a table: ``left`` columns begin at one place, the others end at one.

    >>> print(*aligned([("class", "images"), ("cat", "9"), ("giraffe", "1,200")]), sep="\\n")
    class    images
    cat           9
    giraffe   1,200
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
