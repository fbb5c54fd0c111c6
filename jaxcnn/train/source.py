"""The data set of a run: opened with its settings, and checked when it is opened again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcnn.data import Dataset, open_dataset
from jaxcnn.data.published import PUBLISHED
from jaxcnn.errors import InputError
from jaxcnn.train.processes import on_every_process, on_first_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.train.config import TrainConfig
    from jaxcnn.train.run import Run


def open_source(
    source: str, config: TrainConfig, reading: Callable[[str, int, int], None]
) -> Dataset:
    """The data set that :func:`jaxcnn.data.open_dataset` opens with these settings.

    Args:
      source: a name or a path.
      config: the settings.
      reading: called with what is read, how much of it, and the total.
    """
    return open_dataset(
        source,
        image_size=config.image_size,
        resize=config.resize,
        channels=config.channels,
        validation_share=config.validation_share,
        test_share=config.test_share,
        seed=config.seed,
        memory=int(config.memory * 2**30),
        progress=reading,
    )


def source_of(where: str | Path) -> str:
    """The source under which a run keeps a name or a path.

    A path becomes absolute, so that the run can be resumed and evaluated from any folder, and so
    that a path that is called mnist is not taken for the published data set.
    """
    is_path = isinstance(where, Path) or (where not in PUBLISHED and Path(where).exists())
    return str(Path(where).absolute()) if is_path else str(where)


def moved(run: Run, where: str | Path, reading: Callable[[str, int, int], None]) -> Dataset:
    """The data set with which a run began, at its new place, which the run keeps.

    Args:
      run: the run.
      where: what :func:`jaxcnn.data.open_dataset` opens now.
      reading: as for :func:`open_source`.

    Raises:
      InputError: (a ValueError) if it cannot be opened, or is not the data set of the run.
    """
    source = source_of(where)
    data = on_every_process(
        lambda: reopen(run, open_source(source, run.config, reading), "", reading)
    )
    record = replace(run.data, source=source)
    on_first_process(lambda: run.write("data.json", record.to_json()))
    return data


def reopen(
    run: Run, data: Dataset | None, call: str, reading: Callable[[str, int, int], None]
) -> Dataset:
    """The data set with which a run began.

    Args:
      run: the run.
      data: the data set, if it was given as arrays.
      call: the call that takes such a data set, for the error.
      reading: as for :func:`open_source`.

    Raises:
      InputError: (a ValueError) if it is needed and not given, if it cannot be opened, or if it is
        not that of the run.
    """
    kept = run.data
    if data is None:
        if kept.source is None:
            raise InputError(f"the run's images were given as arrays; pass them again: {call}")
        if Path(kept.source).is_absolute() and not Path(kept.source).exists():
            raise InputError(
                f"the images of {run.folder} are no longer at {kept.source}; put them back, or say "
                f"where they are now: jaxcnn train --resume {run.folder} DATA, or in Python "
                f"resume(folder, data=open_dataset(...))"
            )
        data = open_source(kept.source, run.config, reading)
    if data.digest != kept.digest:
        counts = (len(data.train), len(data.validation), len(data.test))
        raise InputError(
            f"the data {data.name} is not that with which {run.folder} began: "
            f"digest {data.digest[:12]} with {counts} images for training, validation and test, "
            f"not {kept.digest[:12]} with {kept.counts}; restore the images, or start a new run"
        )
    return data
