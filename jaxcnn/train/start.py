"""The weights with which a run begins, if they are those of a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flax import nnx

from jaxcnn import models
from jaxcnn.errors import Advice, InputError
from jaxcnn.models.registry import NETWORKS
from jaxcnn.models.weights.files import read
from jaxcnn.models.weights.load import Wanted
from jaxcnn.models.weights.names import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxcnn.models.weights.files import WeightsFile
    from jaxcnn.train.config import TrainConfig
    from jaxcnn.train.record import DataRecord
    from jaxcnn.train.run import Run


WEIGHTS = "weights.json"
"""The file of a run folder that has :attr:`Start.record`."""


@dataclass(frozen=True)
class Start:
    """The values of variables before the first step.

    Attributes:
      values: by the paths of variables, in the dtypes of the network.
      record: what the run keeps of the file, as JSON: path, SHA-256, whose names, new variables.
      line: the same for people.
    """

    values: Mapping[str, Any]
    record: str
    line: str


def start_of(
    file: WeightsFile | None,
    config: TrainConfig,
    data: DataRecord,
    build: Callable[[], nnx.Module],
    kept: str | None = None,
) -> Start | None:
    """The start of a run with a file of weights; None without one.

    Args:
      file: the file of the setting ``weights``, read before the data, which may take long.
      config: the settings.
      data: the images.
      build: () -> the run's network.
      kept: the record of the file with which the run began, if it began already.

    Raises:
      InputError: (a ValueError) if the file does not fit the network, or is another than that with
        which the run began.
    """
    if file is None:
        return None
    name, seed = config.model, config.seed

    def make(shape: tuple[int, ...], classes: int) -> nnx.Module:
        return build() if name is None else models.build(name, shape, classes, rngs=nnx.Rngs(seed))

    rules = NETWORKS[name].names if name in NETWORKS else {}
    classes = len(data.classes)
    wanted = Wanted(
        "the model" if name is None else name,
        make,
        data.image_shape,
        classes,
        classes,
        rules,
        channels=lambda shape: Advice("channels", (shape[-1],)),
    )
    _, found = wanted.find(file)
    dtypes = {
        path: each.get_value().dtype for path, each in variables(nnx.eval_shape(build)).items()
    }
    record = {
        "path": str(file.path),
        "sha256": file.digest,
        "names": found.names,
        "new": list(found.new),
    }
    if kept is not None and json.loads(kept)["sha256"] != file.digest:
        raise InputError(
            f"{file.path} is not the file with which the run began; restore it, or start a new run"
        )
    return Start(
        {path: value.astype(dtypes[path]) for path, value in found.values.items()},
        json.dumps(record, indent=1) + "\n",
        f"weights of {file.path.name}: {found}",
    )


def start_again(run: Run, build: Callable[[], nnx.Module]) -> Start | None:
    """The start of a run that was killed before its first checkpoint; None for any other.

    Raises:
      InputError: (a ValueError) if the file is no longer there, or is another one.
    """
    if run.config.weights is None or run.checkpoints.steps():
        return None
    try:
        kept = (run.folder / WEIGHTS).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{run.folder / WEIGHTS} cannot be read ({error}); start anew") from None
    return start_of(read(run.config.weights), run.config, run.data, build, kept)
