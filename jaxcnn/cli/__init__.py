"""The command line: one thin file a command; nothing imports this package.

Exit codes: 0; 1 where ``lint`` finds something; 2 for usage, impossible arithmetic and unusable
files, and where ``bench`` meets a wrong result; 130 for a run ended by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from jaxcnn import __version__
from jaxcnn.cli.bench import bench
from jaxcnn.cli.doctor import doctor
from jaxcnn.cli.evaluate import evaluate
from jaxcnn.cli.explain import explain
from jaxcnn.cli.lint import lint
from jaxcnn.cli.plan import plan
from jaxcnn.cli.size import size
from jaxcnn.cli.train import train
from jaxcnn.errors import InputError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Exact, tested, trainable convolutions for JAX.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (size, plan, lint, train, evaluate, explain, bench, doctor):
    app.command()(command)

Version = Annotated[bool, typer.Option("--version", help="Print the version and exit.")]


@app.callback(invoke_without_command=True)
def _options(context: typer.Context, version: Version = False) -> None:
    if version:
        typer.echo(f"jaxcnn {__version__}")
        raise typer.Exit


def main() -> None:
    """Runs the command line; a person's mistake is one line and exit code 2."""
    try:
        app()
    except BrokenPipeError:  # `jaxcnn plan | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        told = error if isinstance(error, InputError | OSError) else None
        # What fails for want of a device may come as an error of another's, with that as its cause.
        if told is None or error.__cause__ is not None:
            told = _no_device() or told
        if told is None:  # a defect of ours
            raise
        print(f"jaxcnn: {told}", file=sys.stderr)
        sys.exit(2)


def _no_device() -> str | None:
    """Why JAX finds nothing to compute on, where that is what made a command fail."""
    if "jax" not in sys.modules:
        return None
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where a plug-in is not installed
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = " ".join(str(error).split())
        return (
            f"JAX finds no device with JAX_PLATFORMS={asked}{': ' if reason else ''}{reason}; set "
            f"JAX_PLATFORMS=cpu, or unset it"
        )
    return None
