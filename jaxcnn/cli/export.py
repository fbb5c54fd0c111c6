"""``jaxcnn export``: a trained or named model as an ONNX or StableHLO file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxcnn.cli.advice import as_options
from jaxcnn.cli.evaluate import Best
from jaxcnn.cli.model import Dtype, InputShape, resolve
from jaxcnn.errors import InputError, format_advice
from jaxcnn.geometry.check import choice

if TYPE_CHECKING:
    from collections.abc import Mapping

Model = Annotated[
    str,
    typer.Argument(
        metavar="RUN|MODEL",
        help="A run folder; or a network of the package, with new weights; or module:function, a "
        "function that returns a model.",
        show_default=False,
    ),
]
File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="The file to write, .onnx or .stablehlo.", show_default=False
    ),
]
Layout = Annotated[
    str,
    typer.Option(
        "--layout", help="Layout of the file's input and maps: nhwc, as in the model, or nchw."
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Weights of a network of the package: a .safetensors file with torchvision's, timm's, "
        "Hugging Face's or jaxcnn's names.",
        show_default=False,
    ),
]
Fold = Annotated[
    bool,
    typer.Option("--fold/--no-fold", help="Fold batch normalisation into convolutions, in ONNX."),
]


def export(
    model: Model,
    file: File,
    input_shape: InputShape = None,
    best: Best = False,
    layout: Layout = "nhwc",
    fold: Fold = True,
    dtype: Dtype = "float32",
    weights: Weights = None,
) -> None:
    """Write a model as a file that runs without jaxcnn, for any number of images.

    The file's outputs are compared with the model's before it is put in place. A run's file has the
    names of the classes, and the mean and deviation of its images, as metadata.
    """
    from jaxcnn.exchange import export as write

    _check_words(file, layout)
    if Path(model).is_dir():
        if input_shape is not None:
            raise InputError(f"--input was given, and {model} is a run, which has its own; omit it")
        if weights is not None:
            raise InputError(
                f"--weights was given, and {model} is a run, which has its own; omit it"
            )
        module, shape, facts = _of_run(model, best)
    else:
        if best:
            raise InputError(f"--best needs a run, and {model} is none; omit it")
        module, shape = _of_name(model, input_shape, weights)
        facts = {}
    with format_advice(as_options):
        found = write(module, shape, file, dtype=dtype, layout=layout, fold=fold, **facts)
    typer.echo(f"{found.path}: {_shapes(found.inputs)} -> {_shapes(found.outputs)}")
    if found.operators:
        counted = (f"{count} {operator}" for operator, count in found.operators.items())
        typer.echo(", ".join(counted))
    typer.echo(
        f"compared with the model: {found.difference:.1%} of the difference that rounding explains"
    )


def _check_words(file: Path, layout: str) -> None:
    """Refuses what needs no model to be known as wrong, before one is built."""
    from jaxcnn.exchange.export import SUFFIXES
    from jaxcnn.exchange.source import LAYOUTS

    with format_advice(as_options):
        choice("--layout", layout, LAYOUTS)
    if file.suffix not in SUFFIXES:
        raise InputError(f"{file} must end in {' or '.join(SUFFIXES)}")
    if not file.parent.is_dir():
        raise InputError(f"{file.parent} is not a folder; create it, or name another")


def _of_name(name: str, input_shape: str | None, weights: Path | None) -> tuple[Any, Any]:
    """The model of a name with its weights, and the shape of an image."""
    if weights is None:
        return resolve(name, input_shape, arrays=True)
    from jaxcnn.models import load

    _, shape = resolve(name, input_shape)
    return load(name, weights, input_shape=shape), shape


def _of_run(folder: str, best: bool) -> tuple[Any, tuple[int, ...], dict[str, Any]]:
    """The trained module of a run, the shape of an image, and the metadata."""
    from jaxcnn.train import Run

    run = Run.open(folder, best=best or None)
    run.checkpoints.newest()  # raises before the network is built if there is none
    module = run.build()()
    run.trained(module)
    data = run.data
    return module, data.image_shape, {"classes": data.classes, "mean": data.mean, "std": data.std}


def _shapes(types: Mapping[str, tuple[int | str, ...]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in types.items())
