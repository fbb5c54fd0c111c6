"""Tables as the commands print them."""

from __future__ import annotations

from jaxcnn.geometry import Plan
from jaxcnn.geometry.plan import COLUMNS


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
