"""The data set of a run: opened with its settings, and checked when it is opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxcnn.data import Dataset, open_dataset
from jaxcnn.errors import InputError

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
        data = open_source(kept.source, run.config, reading)
    if data.digest != kept.digest:
        counts = (len(data.train), len(data.validation), len(data.test))
        raise InputError(
            f"the data {kept.source or data.name} is not that with which {run.folder} began: "
            f"digest {data.digest[:12]} with {counts} images for training, validation and test, "
            f"not {kept.digest[:12]} with {kept.counts}; restore the images, or start a new run"
        )
    return data
