"""The command line: one thin file a command; nothing imports this package.

Exit codes: 0; 1 where ``lint`` or ``doctor --verify`` finds something; 2 for usage, impossible
arithmetic and unusable files, and where ``bench`` meets a wrong result; 130 for a run ended by
Ctrl-C.
"""

from __future__ import annotations

import sys

import typer

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


def main() -> None:
    """Runs the command line; a person's mistake is one line and exit code 2."""
    try:
        app()
    except InputError as error:
        print(f"jaxcnn: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `jaxcnn plan | head`
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a disk that is full, a folder that may not be written to
        print(f"jaxcnn: {error}", file=sys.stderr)
        sys.exit(2)
