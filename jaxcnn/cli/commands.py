"""All commands in one application, and the exit codes of errors."""

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
def _options(version: Version = False) -> None:
    if version:
        typer.echo(f"jaxcnn {__version__}")
        raise typer.Exit


def run() -> None:
    """Runs the application; an input error prints one line and exits with code 2."""
    try:
        app()
    except BrokenPipeError:  # `jaxcnn plan | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        message = str(error) if isinstance(error, InputError | OSError) else None
        # Another package may raise an error because a device is missing.
        if message is None or error.__cause__ is not None:
            message = _no_device() or message
        if message is None:  # a bug in jaxcnn, so show the traceback
            raise
        print(f"jaxcnn: {message}", file=sys.stderr)
        sys.exit(2)


def _no_device() -> str | None:
    """Why JAX finds no device, or None if it finds one or was not imported."""
    if "jax" not in sys.modules:
        return None
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # AssertionError: a plug-in is not installed
        platforms = os.environ.get("JAX_PLATFORMS", "")
        reason = " ".join(str(error).split())
        return (
            f"JAX finds no device with JAX_PLATFORMS={platforms}{': ' if reason else ''}{reason}; "
            f"set JAX_PLATFORMS=cpu, or unset it"
        )
    return None
