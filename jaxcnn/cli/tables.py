"""Tables as the commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.inspect.plan import COLUMNS, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_plan(plan: Plan) -> None:
    """The plan as a table: ruled on a terminal, plain text where it is piped."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        print(plan)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if number < 2 else "right", overflow="fold")
    *lines, total = plan.lines()
    for line in lines:
        table.add_row(*line)
    table.add_section()
    table.add_row(*total, style="bold")
    console.print(table)
    for note in plan.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows of text, wrapped to the terminal's width, or to 120 characters where it is piped."""
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
    for line in printed.get().splitlines():  # Rich fills every column, the last one too
        print(line.rstrip())
