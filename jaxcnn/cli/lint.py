"""``jaxcnn lint``: what a model loses, shifts and wastes, layer by layer."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        help="module:function, a function of no arguments that makes the model; modules of the "
        "current folder are found.",
        show_default=False,
    ),
]
Input = Annotated[
    str,
    typer.Option(
        "--input",
        "-i",
        help="Shape of one example as the model expects it, joined by x: 224x224x3.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Select = Annotated[str, typer.Option("--select", help="Apply these rules only, as in JC001,JC004.")]
Ignore = Annotated[str, typer.Option("--ignore", help="Leave these rules out, as in JC010.")]


def lint(
    model: Model,
    input: Input,
    json: Json = False,
    select: Select = "",
    ignore: Ignore = "",
) -> None:
    """Say, layer by layer, what a model's convolutions lose, shift and waste.

    The model, in Flax, Equinox or plain JAX, is traced, not run. Exit code 0 where nothing is
    found, 1 where something is, 2 where the model or an option cannot be read.
    """
    from jaxcnn.cli.model import example_shape, load_model
    from jaxcnn.inspect import lint as lint_model

    report = lint_model(
        load_model(model),
        example_shape(input),
        select=_codes(select) or None,
        ignore=_codes(ignore),
    )
    typer.echo(report.to_json() if json else str(report))
    raise typer.Exit(report.exit_code)


def _codes(text: str) -> list[str]:
    return [code.strip() for code in text.split(",") if code.strip()]
