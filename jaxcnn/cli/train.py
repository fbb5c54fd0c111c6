"""``jaxcnn train``: trains a network on labelled images and shows the progress."""

from __future__ import annotations

import inspect
import re
import signal
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from jaxcnn.cli.advice import as_options
from jaxcnn.errors import InputError, format_advice
from jaxcnn.geometry.check import choice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxcnn.train import Result, Run, TrainConfig

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="mnist, fashion-mnist, cifar10 or cifar100; a file .npz; a folder of IDX files; or a "
        "folder with a folder of pictures for each class, perhaps below train, val and test.  "
        "[default: mnist]",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Run folder, new or empty.  [default: runs/<date>-<time>]"
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Continue this run; DATA is then where its images are now, if they were moved.",
        show_default=False,
    ),
]
TensorBoard = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write event files for TensorBoard to RUN/tensorboard."),
]
Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="Join the processes that SLURM, Open MPI or Kubernetes started, as JAX detects them.",
    ),
]
Coordinator = Annotated[
    str | None,
    typer.Option(
        "--coordinator",
        metavar="HOST:PORT",
        help="Where the first process listens, instead of --distributed.",
        show_default=False,
    ),
]
Processes = Annotated[
    int | None,
    typer.Option("--processes", metavar="N", help="How many processes join.", show_default=False),
]
Process = Annotated[
    int | None,
    typer.Option(
        "--process", metavar="I", help="The number of this one, from 0.", show_default=False
    ),
]

METAVARS = {
    "weights": "FILE",
    "int": "N",
    "float": "X",
    "str": "TEXT",
    "tuple[str, ...]": "WORDS",
}
"""How a value is shown, by its setting or the type of that; others are sizes."""

SECTIONS = {
    "data": "Arguments",
    "recipe": "Options",
    "distributed": "Several processes",
    "model": "Network and length",
    "optimizer": "Optimization",
    "augment": "Augmentation, early stopping and seed",
    "image_size": "Images",
    "mesh": "Devices, memory and disk; --resume may change these",
    "help": "Options",
}
"""The sections of ``--help``, by the parameter with which each begins."""


def train(
    data: Data = None,
    recipe: str | None = None,
    out: Out = None,
    resume: Resume = None,
    tensorboard: TensorBoard = False,
    distributed: Distributed = False,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process: Process = None,
    **settings: str | None,
) -> None:
    """Train a network on labelled images and write a run folder.

    The folder holds settings, metrics, checkpoints and pictures. Ctrl-C stops the run and saves a
    checkpoint; --resume continues from there, with the same numbers as an uninterrupted run.
    """
    given = {name: text for name, text in settings.items() if text is not None}
    joining = distributed or any(v is not None for v in (coordinator, processes, process))
    if resume is not None:
        kept = {"--recipe": recipe, "--out": out}
        _check_resume([name for name, value in kept.items() if value is not None], given)
    elif joining and out is None:
        raise InputError("several processes need one run folder; name it with --out")

    # Imported here, because JAX takes a second to import; other commands should not wait for it.
    from jaxcnn.data.stream import require_workers
    from jaxcnn.train import fit
    from jaxcnn.train.config import RECIPES, parse_settings
    from jaxcnn.train.config import recipe as recipe_of
    from jaxcnn.train.processes import join
    from jaxcnn.train.run import Run, default_folder, require_new

    with format_advice(as_options):
        values = parse_settings(given, _option)
        config = recipe_of(choice("--recipe", recipe or "quick", tuple(RECIPES)))
    run = None if resume is None else Run.open(resume)
    if run is not None:
        config = run.config
    elif out is not None:
        require_new(out)
    config = _changed(config, values)
    require_workers(config.workers)
    if joining:
        join(coordinator, processes, process)
    folder = resume or out or default_folder()
    if run is not None:
        begin = partial(_resume, replace(run, config=config), data, values)
    else:
        begin = partial(fit, None, data or "mnist", config, folder=folder)
    _execute(begin, folder, tensorboard)


def _changed(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """The settings with other values; an error on several of them names them as options."""
    from jaxcnn.train.config import SETTINGS

    try:
        return replace(config, **values)
    except InputError as error:
        words = rf"\b({'|'.join(SETTINGS)})\b"
        message = error.format(as_options)
        raise InputError(re.sub(words, lambda found: _option(found[0]), message)) from None


def _resume(run: Run, data: str | None, values: Mapping[str, Any], callbacks: list[Any]) -> Result:
    """Continues a run; ``data`` is where its data is now, or None if it is where it was."""
    from jaxcnn.train import Reading, resume
    from jaxcnn.train.source import moved

    def reading(what: str, done: int, total: int) -> None:
        for callback in callbacks:
            callback(Reading(what, done, total))

    opened = None if data is None else moved(run, data, reading)
    return resume(run.folder, data=opened, callbacks=callbacks, **values)


def _check_resume(kept: list[str], given: Mapping[str, str]) -> None:
    """Raises if something is given that a resumed run takes from its folder."""
    from jaxcnn.train.config import SETTINGS

    kept += [_option(name) for name in given if not SETTINGS[name].moves]
    if kept:
        moving = ", ".join(_option(name) for name, setting in SETTINGS.items() if setting.moves)
        raise InputError(
            f"--resume takes the settings from the run; leave out {', '.join(kept)} (it may change "
            f"{moving})"
        )


def _execute(begin: Callable[..., Result], folder: Path, tensorboard: bool) -> None:
    """Begins a run or resumes it; the first process shows what happens."""
    import jax

    from jaxcnn.cli.progress import Display
    from jaxcnn.environment import device_name
    from jaxcnn.train import interruption
    from jaxcnn.train.tensorboard import tensorboard as to_tensorboard

    with Display(silent=jax.process_index() > 0) as display:
        callbacks: list[Any] = [display]
        if tensorboard and jax.process_index() == 0:
            callbacks.append(to_tensorboard(folder / "tensorboard"))
        display.say(f"jaxcnn on {device_name()}, run folder {folder}")
        with format_advice(as_options):
            result = begin(callbacks=callbacks)
    if not result.finished:
        raise typer.Exit(128 + (interruption.received or signal.SIGINT))  # as a shell has it


def train_command() -> Any:
    """The command ``train`` with an option for every setting; imports JAX to read them."""
    from jaxcnn.train.config import RECIPES

    def command(**given: Any) -> None:
        train(**given)

    own = inspect.signature(train).parameters.values()
    hints = get_type_hints(train, include_extras=True)
    recipes = "; ".join(f"{name}: {text}" for name, (text, _) in RECIPES.items())
    hints["recipe"] = Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help=f"The settings to begin with. {recipes}.  [default: quick]",
        ),
    ]
    parameters = [
        p.replace(annotation=hints[p.name]) for p in own if p.kind is not p.VAR_KEYWORD
    ] + _settings()
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = train.__doc__
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(cls=_Sections)(command)
    return typer.main.get_command(app)


def _settings() -> list[inspect.Parameter]:
    """A parameter for each setting."""
    from jaxcnn.train.config import SETTINGS, TrainConfig

    found = []
    for entry in fields(TrainConfig):
        option = typer.Option(
            _option(entry.name),
            metavar=METAVARS.get(entry.name)
            or METAVARS.get(str(entry.type).removesuffix(" | None"), "HxW"),
            help=SETTINGS[entry.name].help + _default(entry.default),
        )
        kind = inspect.Parameter.KEYWORD_ONLY
        annotation = Annotated[str | None, option]
        found.append(inspect.Parameter(entry.name, kind, default=None, annotation=annotation))
    return found


def _default(value: Any) -> str:
    """A setting's default, as it is typed; nothing if the setting is off."""
    if value is None or value == ():
        return ""
    text = " ".join(value) if isinstance(value, tuple) else value
    return f"  [default: {text:g}]" if isinstance(text, float) else f"  [default: {text}]"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


class _Sections(TyperCommand):
    """A command whose ``--help`` has :data:`SECTIONS`."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        title = ""
        for parameter in self.get_params(ctx):
            title = SECTIONS.get(parameter.name or "", title)
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
