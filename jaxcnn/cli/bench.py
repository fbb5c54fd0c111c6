"""``jaxcnn bench``: times convolutions in lax, jaxcnn and PyTorch on this machine."""

from __future__ import annotations

import json as json_format
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcnn.bench import DTYPES, OVERVIEW, containing
from jaxcnn.cli.model import InputShape, resolve
from jaxcnn.errors import InputError
from jaxcnn.files import atomic_write

if TYPE_CHECKING:
    from rich.table import Table

    from jaxcnn.bench import Row
    from jaxcnn.bench.measure import Result

Cell = Callable[["Result"], str]
"""The text of a table cell, for a result."""

Network = Annotated[
    str | None,
    typer.Argument(
        help="A network that `jaxcnn models` lists, or module:function, a function that returns a "
        "model; its distinct convolutions and pools are timed. The default is an overview of all "
        "classes of convolution.",
        show_default=False,
    ),
]
Batch = Annotated[int, typer.Option("--batch", help="Images of a batch, with a network.", min=1)]
Dtype = Annotated[str, typer.Option("--dtype", help=f"One of {', '.join(DTYPES)}.")]
Rows = Annotated[
    str, typer.Option("--rows", help="Only rows whose name or group contains this: depthwise.")
]
Backends = Annotated[
    bool,
    typer.Option(
        "--xla-backends", help="Also time lax with XLA's backends: YNNPACK, Eigen, oneDNN."
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Time fewer calls, for a first look.")]
Json = Annotated[
    Path | None, typer.Option("--json", help="Write the run to this JSON file.", show_default=False)
]
Picture = Annotated[
    Path | None,
    typer.Option(
        "--picture", help="Write a chart of the run to this PNG file.", show_default=False
    ),
]


def bench(
    network: Network = None,
    input_shape: InputShape = None,
    batch: Batch = 8,
    dtype: Dtype = "float32",
    rows: Rows = "",
    xla_backends: Backends = False,
    quick: Quick = False,
    json: Json = None,
    picture: Picture = None,
) -> None:
    """Time convolutions and pools, beside lax and PyTorch.

    Each row is timed forward, and for the gradients of input and kernel. The contenders take turns:
    lax, jaxcnn, jaxcnn-plain (without oneDNN) and, if it is installed, PyTorch (eager, in the
    faster of its two memory layouts). --xla-backends adds lax with each of
    XLA's CPU backends, each in its own process; a backend that fails is reported and left out.
    Every result is checked against lax's before it is timed. Times are medians. The ceiling is the
    measured speed of this machine's matrix product and memory copy. Peak memory (Linux only) is
    what a call adds to a fresh process, its result included. Ctrl-C prints the results so far and
    exits with code 130.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    for option, path in (("--json", json), ("--picture", picture)):
        _require_writable(option, path)
    suite, everything = _rows(network, input_shape, batch)
    chosen = containing(everything, rows, suite)

    # Imported here: JAX takes a second to import, and usage errors should not wait for it.
    import jax

    from jaxcnn.bench.ceiling import measure_ceilings
    from jaxcnn.bench.check import WrongResultError
    from jaxcnn.bench.measure import measure, record
    from jaxcnn.bench.picture import draw
    from jaxcnn.bench.pytorch import is_installed
    from jaxcnn.bench.timing import FULL, QUICK
    from jaxcnn.environment import device_name

    if jax.default_backend() != "cpu":
        raise InputError(
            f"bench times convolutions on a CPU, but JAX runs on {jax.default_backend()}; set "
            f"JAX_PLATFORMS=cpu"
        )
    torch = is_installed()
    title = f"{suite}, {dtype}, on {device_name()}"
    typer.echo(title)
    ceilings = measure_ceilings(dtype, torch)
    typer.echo(
        f"matrix product {ceilings.gflops:.0f} GFLOP/s, copy {ceilings.copy_gbs:.0f} GB/s; "
        + ("with PyTorch" if torch else "PyTorch is not installed")
    )
    todo = [(row, direction) for row in chosen for direction in row.directions]
    options: dict[str, Any] = {"torch": torch, "xla_backends": xla_backends}
    options["effort"] = QUICK if quick else FULL
    results: list[Result] = []
    interrupted = False
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C prints the results so far
    try:
        with _progress_bar(len(todo)) as advance:
            for row, direction in todo:
                advance(f"{row.name}, {direction}")
                results.append(measure(row, direction, dtype, ceilings, **options))
    except WrongResultError as error:
        raise InputError(f"wrong result: {error}") from None
    except KeyboardInterrupt:
        interrupted = True
    if results:
        _print(results)
        if json is not None:
            data = record(suite, dtype, ceilings, results, torch)
            with atomic_write(json) as path:
                path.write_text(json_format.dumps(data, indent=1) + "\n")
        if picture is not None:
            with atomic_write(picture) as path:
                draw(path, results, title)
    if interrupted:
        raise typer.Exit(130)


def _rows(network: str | None, input_shape: str | None, batch: int) -> tuple[str, Sequence[Row]]:
    """What is timed, in words, and its rows."""
    if network is None:
        if input_shape is not None:
            raise InputError("--input is the input of a network; name the network before it")
        return "overview", OVERVIEW
    from jaxcnn.bench.network import rows_of_model

    model, shape = resolve(network, input_shape)
    return network, rows_of_model(model, shape, batch=batch)


def _require_writable(option: str, path: Path | None) -> None:
    """Raises if the file cannot be written, before minutes of timing are spent."""
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}; make it first")
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{option} {path}: {path.parent} cannot be written to ({error.strerror}); name another "
            f"folder"
        ) from None


@contextmanager
def _progress_bar(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar; yields a function that starts the next step under a name."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=total)
        started = False

        def advance(name: str) -> None:
            nonlocal started
            progress.update(task, description=name, advance=int(started))
            started = True

        yield advance


def _print(results: Sequence[Result]) -> None:
    """Prints tables of times, peak memory and geometric means, and notes on them."""
    from rich.console import Console

    from jaxcnn.bench.measure import CONTENDERS, RATIOS, geometric_means
    from jaxcnn.bench.roster import XLA_BACKENDS

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    timed = [name for name in CONTENDERS if any(r.seconds(name) is not None for r in results)]
    backends = [name for name in timed if name in XLA_BACKENDS]
    names = [name for name in timed if name not in backends]

    def times(names: Sequence[str]) -> dict[str, Cell]:
        return {name: lambda r, name=name: _milliseconds(r.seconds(name)) for name in names}

    def ratios(*pairs: tuple[str, str]) -> dict[str, Cell]:
        return {
            f"{over} / {under}": lambda r, over=over, under=under: _times(r.ratio(over, under))
            for over, under in pairs
            if {over, under} <= set(timed)
        }

    ceiling: dict[str, Cell] = {"of ceiling": lambda r: f"{r.share:.0%}"}
    columns = times(names) | ratios(("lax", "jaxcnn"), ("jaxcnn", "torch")) | ceiling
    console.print(_table("Milliseconds", results, columns))
    if backends:
        columns = times(["lax", *backends, "jaxcnn"])
        columns |= ratios(*((name, "jaxcnn") for name in backends))
        with_backends = [r for r in results if any(name in r.times for name in backends)]
        console.print(_table("XLA's backends, milliseconds", with_backends, columns))
    if any(result.peaks for result in results):
        columns = {name: lambda r, name=name: _mebibytes(r.peak(name)) for name in timed}
        console.print(_table("Peak memory of a call, MiB", results, columns))
    means = geometric_means(results)
    table = _empty_table("Geometric means")
    table.add_column("ratio")
    for direction in means:
        table.add_column(direction, justify="right")
    for over, under in RATIOS:
        if {over, under} <= set(timed):
            cells = (ratios.get(f"{over}/{under}") for ratios in means.values())
            table.add_row(f"{over} / {under}", *map(_times, cells))
    console.print(table)
    for line in (*_left_out(results), *_torch_alone(results)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _empty_table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)


def _table(title: str, results: Sequence[Result], columns: dict[str, Cell]) -> Table:
    """A table with a line for each result; column heads break between words."""
    table = _empty_table(title)
    table.add_column("row", overflow="fold")
    table.add_column("direction")
    for name in columns:
        table.add_column(name.replace("-", "-\n").replace(" / ", " /\n"), justify="right")
    previous = None
    for result in results:
        name = result.row.name if result.row != previous else ""
        previous = result.row
        table.add_row(name, result.direction, *(cell(result) for cell in columns.values()))
    return table


def _left_out(results: Sequence[Result]) -> Iterator[str]:
    """A line for each contender that was left out, with how often and the reason."""
    reasons = Counter(reason for result in results for reason in result.left_out.items())
    for (name, reason), count in reasons.items():
        yield f"{name} was left out in {count} of {len(results)}: {reason}"


def _torch_alone(results: Sequence[Result]) -> Iterator[str]:
    """PyTorch's times in turns compared with its times alone, to see if the machine is idle."""
    ratios = sorted(
        in_turns / r.torch_alone
        for r in results
        if r.torch_alone is not None and (in_turns := r.seconds("torch")) is not None
    )
    if ratios:
        yield (
            f"PyTorch in turns took {ratios[len(ratios) // 2]:.2f} times as long as alone "
            f"(median), {ratios[-1]:.2f} at most; if this is far from 1, the machine is not idle."
        )


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    ms = 1e3 * seconds
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}"


def _mebibytes(peak: float | None) -> str:
    if peak is None:
        return "-"
    return f"{peak:.0f}" if peak >= 100 else f"{peak:.1f}"


def _times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.3g}x"
