"""Training from Python: :func:`fit` begins a run, :func:`resume` continues one."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flax import nnx

from jaxcnn import models
from jaxcnn.data import Dataset
from jaxcnn.data.order import Order
from jaxcnn.data.stream import require_workers
from jaxcnn.errors import InputError
from jaxcnn.geometry.check import is_sequence
from jaxcnn.keywords import answer
from jaxcnn.models.weights.files import read
from jaxcnn.train.config import SETTINGS, TrainConfig, setting_of
from jaxcnn.train.events import Reading, Result
from jaxcnn.train.interruption import interruption
from jaxcnn.train.loop import Loop
from jaxcnn.train.mesh import place
from jaxcnn.train.processes import (
    on_every_process,
    on_first_process,
    require_same,
)
from jaxcnn.train.record import DataRecord
from jaxcnn.train.run import Run, builder, default_folder, require_new
from jaxcnn.train.source import open_source, reopen, source_of
from jaxcnn.train.start import start_again, start_of
from jaxcnn.train.state import check_network
from jaxcnn.train.step import Trainer
from jaxcnn.train.together import ends_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxcnn.train.events import Callback


def fit(
    model: str | nnx.Module | None,
    data: Dataset | str | Path,
    config: TrainConfig | None = None,
    *,
    folder: Path | str | None = None,
    callbacks: Sequence[Callback] = (),
) -> Result:
    """Trains a network on labelled images and writes a run folder (:mod:`jaxcnn.train.run`).

    Ctrl-C or SIGTERM stops the run after the current program and saves a checkpoint;
    :func:`resume` continues, and ends with exactly the numbers of an uninterrupted run.

    Args:
      model: a Flax NNX module from images (N, H, W, C) to (N, classes), which has the trained
        arrays afterwards; or the text of :attr:`TrainConfig.model`; None for that setting, or, if
        it is None too, for a network chosen by the size of the images.
      data: a data set, or what :func:`jaxcnn.data.open_dataset` opens.
      config: the settings; None for the defaults.
      folder: a new or empty folder; None for ``runs/`` and the time of day.
      callbacks: functions of what happens (:mod:`jaxcnn.train.events`), called in this order.

    Raises:
      InputError: (a ValueError) if settings, data, network or folder cannot be used.
      DivergedError: (an InputError) if the loss or the gradient is not finite.
      TypeError: if an argument has the wrong type.
    """
    settings = TrainConfig() if config is None else config
    _check_callbacks(callbacks)
    if not isinstance(settings, TrainConfig):
        raise TypeError(
            f"config must be a TrainConfig, got {type(settings).__name__}; use "
            f"Dataset.from_arrays(images, labels) as data for arrays"
        )
    require_workers(settings.workers)
    path = Path(on_first_process(lambda: str(_new(folder))))
    weights = settings.weights and Path(settings.weights).absolute()  # as the data's source
    file = on_every_process(lambda: read(weights) if weights else None)
    source, opened = on_every_process(lambda: _opened(data, settings, callbacks))
    record = DataRecord.of(opened, source)
    name = _model_name(model, settings, opened.image_shape)
    config = replace(settings, model=name, weights=weights and str(weights)).resolved()
    module = model if isinstance(model, nnx.Module) else None
    with interruption() as interrupted:
        require_same({"settings": config.to_json(), "data": record.digest})
        trainer, order = on_every_process(lambda: _trainer(config, record, module))
        begin = partial(start_of, file, config, record, trainer.network.build)
        start = on_every_process(begin)
        require_same({"weights": "" if start is None else start.record})
        run = Run.create(path, config, record, module, start)
        with run.locked(), ends_together():
            loop = Loop(run, opened, trainer, order, callbacks, interrupted, start)
            del file, begin, start  # the loop needs their arrays only at its beginning
            result = loop.execute()
    return _heard(result, callbacks)


def _new(folder: Path | str | None) -> Path:
    """The folder of a new run."""
    path = default_folder() if folder is None else Path(folder)
    require_new(path)
    return path


def resume(
    folder: Path | str,
    *,
    model: nnx.Module | None = None,
    data: Dataset | None = None,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> Result:
    """Continues an interrupted run from its newest checkpoint.

    Args:
      folder: the run folder.
      model: the network, if it was given in Python.
      data: the data set, if it was given as arrays.
      callbacks: as in :func:`fit`.
      **settings: new values for settings on which no number depends, such as ``mesh`` or
        ``workers``.

    Raises:
      InputError: (a ValueError) as :func:`fit`, or if the data is not that of the run.
    """
    _check_callbacks(callbacks)
    run = on_every_process(lambda: Run.open(folder, model))
    for name in settings:
        if name not in SETTINGS:
            movable = tuple(each for each, setting in SETTINGS.items() if setting.moves)
            raise TypeError(f"resume has no argument {answer(name, movable)}")
        if not setting_of(name).moves:
            raise InputError(
                f"{name} is a setting of the run in {folder}, "
                f"{getattr(run.config, name)!r}, and cannot change; leave it out"
            )
    run = replace(run, config=replace(run.config, **settings))
    require_workers(run.config.workers)
    with run.locked():
        if (result := _finished(run)) is not None:
            if model is not None:
                run.trained(model)
            for callback in callbacks:
                callback(result)
            return result
        call, given = "resume(folder, data=data)", data
        opened = on_every_process(lambda: reopen(run, given, call, _reading(callbacks)))
        require_same({"settings": run.config.to_json()})
        with interruption() as interrupted, ends_together():
            trainer, order = _trainer(run.config, run.data, model)
            start = on_every_process(lambda: start_again(run, trainer.network.build))
            loop = Loop(run, opened, trainer, order, callbacks, interrupted, start)
            del start
            return loop.execute()


def _opened(
    data: Dataset | str | Path, config: TrainConfig, callbacks: Sequence[Callback]
) -> tuple[str | None, Dataset]:
    """The source of a data set, None for arrays, and the data set."""
    if isinstance(data, Dataset):
        _check_shape(data, config)
        return None, data
    if not isinstance(data, str | Path):
        raise TypeError(
            f"data must be a Dataset, a name or a path, got {type(data).__name__}; use "
            f"jaxcnn.data.Dataset.from_arrays(images, labels) for arrays"
        )
    # Absolute, so that the run can be resumed and evaluated from any folder, and so that a path
    # that is called mnist is not taken for the published data set.
    source = source_of(data)
    return source, open_source(source, config, _reading(callbacks))


def _check_shape(data: Dataset, config: TrainConfig) -> None:
    """Raises if the settings ask for other images than those of a data set that is open already."""
    height, width, channels = data.image_shape
    found = {"image_size": (height, width), "channels": channels}
    for name, value in found.items():
        if getattr(config, name) not in (None, value):
            raise InputError(
                f"{name} {getattr(config, name)} is not that of the data set, {value}; leave it "
                f"out, or give it to jaxcnn.data.open_dataset"
            )


def _reading(callbacks: Sequence[Callback]) -> Callable[[str, int, int], None]:
    """The function that tells the callbacks what is read."""

    def reading(what: str, done: int, total: int) -> None:
        for callback in callbacks:
            callback(Reading(what, done, total))

    return reading


def _model_name(
    model: str | nnx.Module | None, config: TrainConfig, image_shape: tuple[int, ...]
) -> str | None:
    if isinstance(model, nnx.Module):
        return None
    if model is not None and not isinstance(model, str):
        raise TypeError(
            f"model must be a Flax NNX module or a name, got {type(model).__name__}; use "
            f"Model(..., rngs=nnx.Rngs(0)) for a class, nnx.bridge.ToNNX(module, "
            f"rngs=nnx.Rngs(0)).lazy_init(x) for a Linen module, and a subclass of nnx.Module that "
            f"calls it for anything else"
        )
    return model or config.model or models.default_name(image_shape)


def _trainer(
    config: TrainConfig, record: DataRecord, model: nnx.Module | None
) -> tuple[Trainer, Order]:
    order = Order(record.counts[0], config.batch_size, config.epochs, config.seed)
    where = place(config.mesh, config.batch_size, record.image_shape[0], config.accumulate)
    build = builder(config, record, model, "resume(folder, model=model)")
    classes = len(record.classes)
    trainer = Trainer(config, build, record.image_format, classes, order.steps, where)
    check_network(trainer.network, record.image_shape, classes)
    return trainer, order


def _finished(run: Run) -> Result | None:
    """The result of a run that is complete already."""
    names = {entry.name for entry in fields(Result)} - {"folder"}

    def found() -> dict[str, Any] | None:
        summary = run.summary()
        if not summary or not summary.get("finished") or not run.checkpoints.steps():
            return None
        # Without all of them the end is done again.
        return {name: summary[name] for name in names} if names <= set(summary) else None

    values = on_first_process(found)
    return None if values is None else Result(folder=run.folder, **values)


def _heard(result: Result, callbacks: Sequence[Callback]) -> Result:
    """The result; warns of an interruption if no callback has heard of it."""
    if not result.finished and not callbacks:
        warnings.warn(
            f"the run was interrupted after step {result.step}; continue with "
            f"jaxcnn.train.resume({str(result.folder)!r})",
            stacklevel=3,
        )
    return result


def _check_callbacks(callbacks: Sequence[Callback]) -> None:
    if not is_sequence(callbacks):
        raise TypeError(f"callbacks must be a list of functions, got {callbacks!r}; use [callback]")
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks must be functions of an event, got {callback!r}")
