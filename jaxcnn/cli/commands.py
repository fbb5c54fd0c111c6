"""All commands in one application, and the exit codes of errors."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jaxcnn import __version__
from jaxcnn.cli.bench import bench
from jaxcnn.cli.doctor import doctor
from jaxcnn.cli.evaluate import evaluate
from jaxcnn.cli.explain import explain
from jaxcnn.cli.export import export
from jaxcnn.cli.lint import lint
from jaxcnn.cli.models import models
from jaxcnn.cli.plan import plan
from jaxcnn.cli.predict import predict
from jaxcnn.cli.size import size
from jaxcnn.cli.train import train, train_command
from jaxcnn.errors import InputError
from jaxcnn.keywords import ANSWERS


class _Commands(TyperGroup):
    """The commands; ``train`` gets the options of its settings when it is called, not before.

    They need JAX, which takes a second to import.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, train_command() if name == "train" else command, rest


app = typer.Typer(
    cls=_Commands,
    help="Exact, tested, trainable convolutions for JAX.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (size, models, plan, lint, train, evaluate, predict, export, explain, bench, doctor):
    app.command()(command)

Version = Annotated[bool, typer.Option("--version", help="Print the version and exit.")]


@app.callback(invoke_without_command=True)
def _options(context: typer.Context, version: Version = False) -> None:
    if version:
        typer.echo(f"jaxcnn {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


ClickException = typer.BadParameter.__mro__[2]  # of the click that this version of Typer uses


def run() -> None:
    """Runs the application; an error of use or input prints one line and exits with code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except BrokenPipeError:  # `jaxcnn plan | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        message = _message(error)
        # Another package may raise an error because a device is missing.
        if message is None or error.__cause__ is not None:
            message = _no_device() or message
        if message is None:  # a bug in jaxcnn, so show the traceback
            raise
        print(f"jaxcnn: {message}", file=sys.stderr)
        sys.exit(2)


def _message(error: Exception) -> str | None:
    """What to print of an error; None if it is a bug."""
    if isinstance(error, ClickException):
        if hasattr(error, "possibilities") and (option := getattr(error, "option_name", None)):
            return f"No such option: {option}{_meant(error)}"
        return " ".join(error.format_message().split())  # type: ignore[attr-defined]
    return str(error) if isinstance(error, InputError | OSError) else None


def _meant(error: Any) -> str:
    """The options that an unknown option may mean, as a question."""
    options = [each for parameter in error.ctx.command.params for each in parameter.opts]
    word = error.option_name.lstrip("-").replace("-", "_")
    synonyms = [f"--{each.replace('_', '-')}" for each in ANSWERS.get(word, ())]
    known = [each for each in synonyms if each in options]
    known = known or get_close_matches(error.option_name, options, cutoff=0.7)
    return f"; did you mean {' or '.join(known)}?" if known else ""


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
