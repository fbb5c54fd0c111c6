"""``jaxcnn doctor``: what this machine has, which fast roads are open on it, and why."""

from __future__ import annotations

from typing import Annotated

import typer

Verify = Annotated[
    bool,
    typer.Option("--verify", help="Put drawn questions to the installed jaxlib's oneDNN first."),
]
Draws = Annotated[
    int, typer.Option("--draws", min=1, help="How many questions a verification puts.")
]
Seconds = Annotated[
    int,
    typer.Option("--stress", min=1, help="Seconds for each of its four scenes of concurrency."),
]


def doctor(verify: Verify = False, draws: Draws = 10_000, stress: Seconds = 15) -> None:
    """Say what this machine has, which roads a convolution can take on it, and why.

    With --verify, drawn convolutions are first put to the oneDNN that the installed jaxlib
    carries, in child processes; a clean verdict opens it for this user, jaxlib and processor.
    Exit code 0; 1 where the verification finds a fault; 2 where it cannot be made here.
    """
    if verify and not _verified(draws, stress):
        raise typer.Exit(1)
    _print_state()


def _verified(draws: int, stress: int) -> bool:
    """Verifies, keeps the verdict, prints what failed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from jaxcnn.convolve import fence
    from jaxcnn.errors import InputError

    if reason := fence.machine_lacks():
        raise InputError(
            f"doctor --verify: there is nothing to verify, {reason}; convolutions take the other "
            f"roads without it"
        )
    from jaxcnn.convolve import stress as scenes
    from jaxcnn.convolve.verify import verify

    console = Console()
    bar = Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task("drawn questions", total=draws)
        verdict = verify(draws, progress=lambda count: bar.advance(task, count))
    with console.status(f"stress, {len(scenes.SCENES)} scenes of {stress} s"):
        verdict.failures += scenes.run(stress)
    verdict.stress = stress * len(scenes.SCENES)
    for failure in verdict.failures:
        console.print(str(failure), markup=False, highlight=False, soft_wrap=True)
    path = verdict.keep()
    console.print(
        f"{draws} questions, {len(verdict.failures)} failures; the verdict is kept in {path}",
        soft_wrap=True,
    )
    return not verdict.failures


def _print_state() -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for row in state():
        table.add_row(*row)
    console.print(table)


def state() -> list[tuple[str, str]]:
    """What the table shows: a word and what is so."""
    import os
    import platform
    from importlib.metadata import version

    from jaxcnn.convolve import fence
    from jaxcnn.environment import device_name

    vector = sorted(f for f in fence.processor_features() if f.startswith(("avx", "amx", "fma")))
    rows = [
        (
            "platform",
            f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        ),
        ("jax, jaxlib", f"{version('jax')}, {version('jaxlib')}"),
        ("device", device_name()),
        ("processor features", " ".join(vector) or "none that matter"),
        ("XLA's own convolution", "open"),
        ("plain JAX algorithms", "open"),
    ]
    for dtype in ("float32", "bfloat16"):
        reason = fence.closed_because() or fence.refuses_dtype(dtype)
        rows.append(
            (
                f"oneDNN, {dtype}",
                f"closed: {reason}" if reason else f"open, with {fence.instruction_set(dtype)}",
            )
        )
    rows.append(("XLA's reductions", _reductions()))
    for name in (fence.SWITCH, "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS", "JAX_PLATFORMS"):
        rows.append((name, os.environ.get(name, "not set")))
    rows.append(("cache folder", str(fence.cache_folder())))
    kept = fence.verdict_file()
    rows.append(("own verdict", str(kept) if kept.exists() else "none"))
    return rows


def _reductions() -> str:
    """Whether XLA's fault with them shows in this process, and what to type then."""
    from jaxcnn.convolve.known_faults import WITHOUT_YNNPACK, reduces_rightly

    if reduces_rightly():
        return "right"
    return f'wrong numbers (jax #39103): export XLA_FLAGS="$XLA_FLAGS {WITHOUT_YNNPACK}"'
