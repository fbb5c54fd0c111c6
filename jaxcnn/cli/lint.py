"""``jaxcnn lint``: what a model's convolutions lose, shift and waste, layer by layer."""

from __future__ import annotations

from typing import Annotated

import typer

from jaxcnn.cli.model import Dtype, InputShape, resolve
from jaxcnn.errors import InputError
from jaxcnn.geometry.text import format_count

Model = Annotated[
    str,
    typer.Argument(
        help="A network that `jaxcnn models` lists; or module:function, a function that returns a "
        "model. Modules in the current folder are found.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Select = Annotated[str, typer.Option("--select", help="Apply only these rules: JC001,JC004.")]
Ignore = Annotated[
    str,
    typer.Option(
        "--ignore", help="Leave these rules out: JC010, or for one layer alone, JC001@conv1."
    ),
]
Baseline = Annotated[
    str, typer.Option("--baseline", help="Leave out the findings in this file: they are known.")
]
WriteBaseline = Annotated[
    str, typer.Option("--write-baseline", help="Write the findings to this file as known.")
]
ListRules = Annotated[
    bool,
    typer.Option(
        "--list-rules",
        help="List the rules, with reasons and examples, and exit.",
        is_eager=True,
        callback=lambda given: _list_rules() if given else None,
    ),
]


def lint(
    model: Model,
    input_shape: InputShape = None,
    json: Json = False,
    select: Select = "",
    ignore: Ignore = "",
    dtype: Dtype = "float32",
    baseline: Baseline = "",
    write_baseline: WriteBaseline = "",
    list_rules: ListRules = False,  # noqa: ARG001 (typer acts on its callback)
) -> None:
    """Report what a model's convolutions lose, shift and waste.

    The model, in Flax NNX, Equinox or plain JAX, is traced, not run. The exit code is 0 without
    findings, or if all are written to a baseline; 1 with findings; 2 if the model, a file or an
    option cannot be read.
    """
    # inspect imports JAX and Flax, which is slow, and --help needs neither.
    from jaxcnn.inspect import lint as lint_model
    from jaxcnn.inspect import read_baseline
    from jaxcnn.inspect import write_baseline as write

    if baseline and write_baseline:
        raise InputError(
            "--baseline and --write-baseline were both given; leave --baseline out to write all "
            "findings again"
        )
    known = read_baseline(baseline) if baseline else []
    traced, shape = resolve(model, input_shape)
    report = lint_model(
        traced,
        shape,
        select=_codes(select) or None,
        ignore=_codes(ignore),
        dtype=dtype,
    ).without(known)
    if write_baseline:
        write(report, write_baseline)
        written = format_count(len(report.findings), "finding")
        typer.echo(f"{written} written to {write_baseline}", err=json)
        report = report.without(finding.key for finding in report.findings)
    typer.echo(report.to_json() if json else str(report))
    raise typer.Exit(report.exit_code)


def _list_rules() -> None:
    from jaxcnn.cli.tables import print_table
    from jaxcnn.inspect import RULES

    rows = [(rule.code, rule.name, rule.reason, rule.example) for rule in RULES]
    print_table(("code", "rule", "reason", "example"), rows)
    raise typer.Exit


def _codes(text: str) -> list[str]:
    return [code.strip() for code in text.split(",") if code.strip()]
