"""Run folders: the files of a training run.

config.json      the settings
data.json        the data: source, classes, sizes, mean and deviation, digest, drawn splits
weights.json     the file of weights with which it began, if there was one: path, digest, names
metrics.jsonl    a line for each step (training) and epoch (validation), and one for the test
summary.json     the result, with versions and device
checkpoint/      the newest states and the best one, written by Orbax
curves.png       loss and error rate over the steps
filters.png      the first layer's kernel
mistakes.png     misclassified test images
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flax import nnx

from jaxcnn import models
from jaxcnn.data import Images, Resize
from jaxcnn.errors import InputError
from jaxcnn.files import atomic_write, lock
from jaxcnn.train.checkpoint import Checkpoints
from jaxcnn.train.config import TrainConfig
from jaxcnn.train.evaluate import evaluate, log_probabilities
from jaxcnn.train.mesh import place
from jaxcnn.train.processes import on_first_process
from jaxcnn.train.record import DataRecord
from jaxcnn.train.start import WEIGHTS
from jaxcnn.train.step import Trainer, trained_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jaxcnn.train.start import Start
    from jaxcnn.train.tasks import Evaluation


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
      folder: the path.
      config: the settings.
      data: the record of the data.
      model: the module, if it was given in Python instead of by name.
      best: whether the best state predicts; see :meth:`open`.
    """

    folder: Path
    config: TrainConfig
    data: DataRecord
    model: nnx.Module | None = None
    best: bool | None = None

    @classmethod
    def create(
        cls,
        folder: Path | str,
        config: TrainConfig,
        data: DataRecord,
        model: Any = None,
        start: Start | None = None,
    ) -> Run:
        """Creates a run folder.

        Raises:
          InputError: (a ValueError) if the path exists and is not an empty folder, or if it cannot
            be created.
        """
        run = cls(Path(folder), config, data, model)
        on_first_process(lambda: run._write_new(start))
        return run

    def _write_new(self, start: Start | None) -> None:
        require_new(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if start is not None:
                _write(self.folder / WEIGHTS, start.record)
            _write(self.folder / "data.json", self.data.to_json())
            _write(self.folder / "config.json", self.config.to_json())  # it makes it a run
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be written ({error.strerror}); name another folder"
            ) from None

    @classmethod
    def open(
        cls,
        folder: Path | str,
        model: nnx.Module | None = None,
        *,
        best: bool | None = None,
    ) -> Run:
        """Opens the folder of an earlier run.

        Args:
          folder: the folder.
          model: a module with the structure of the trained one, if it was given in Python.
          best: whether to predict by the state with the best validation accuracy rather than by the
            newest; None: if the run can stop early.

        Raises:
          InputError: (a ValueError) if it holds no readable run.
        """
        folder = Path(folder)
        texts = []
        for name in ("config.json", "data.json"):
            try:
                texts.append((folder / name).read_text())
            except (OSError, UnicodeDecodeError):
                raise InputError(
                    f"{folder} is not a run folder: it has no readable {name}; name a folder that "
                    f"`jaxcnn train` wrote"
                ) from None
        try:
            found = TrainConfig.from_json(texts[0])
        except (InputError, TypeError) as error:
            raise InputError(
                f"{folder / 'config.json'}: {error}; restore the file, or start a new run"
            ) from None
        try:
            return cls(folder, found, DataRecord.from_json(texts[1]), model, best)
        except InputError as error:
            raise InputError(
                f"{folder / 'data.json'}: {error}; restore the file, or start a new run"
            ) from None

    @property
    def resize(self) -> Resize:
        """How other pictures get the size of the run's images."""
        return self.data.resize or Resize(self.data.image_shape[:2], self.config.resize)

    @property
    def checkpoints(self) -> Checkpoints:
        """The run's checkpoints."""
        return Checkpoints(self.folder / "checkpoint")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs of this program from working on the run at the same time.

        What a killed process left half-written is removed.

        Raises:
          InputError: (a ValueError) if another process does.
        """
        with ExitStack() as stack:
            on_first_process(lambda: self._occupy(stack))
            yield

    def _occupy(self, stack: ExitStack) -> None:
        """Takes the lock until ``stack`` ends, and removes what a killed process left."""
        stack.enter_context(lock(self.folder / ".lock"))
        for path in self.folder.glob(".[0-9]*.*"):  # see `atomic_write`
            path.unlink()

    def build(self) -> Callable[[], nnx.Module]:
        """The function that makes the run's network.

        Raises:
          InputError: if the network was given in Python and ``model`` is None.
        """
        return builder(self.config, self.data, self.model, f"Run.open({str(self.folder)!r}, model)")

    def predict(self, images: Any) -> np.ndarray:
        """The probability of each class.

            images: (N, H, W, C) or (H, W, C), uint8, of the run's image shape
            returns (N, classes) or (classes,), float64

        The weights are those of :meth:`evaluate`. ``data.classes`` names the classes.

        Raises:
          InputError: (a ValueError) if the images have another shape, or if there is no intact
            checkpoint.
        """
        if not hasattr(images, "dtype"):
            raise TypeError(
                f"images must be an array, got {type(images).__name__}; use "
                f"jaxcnn.data.read_picture(path, run.data.image_shape, run.resize) for a file, and "
                f"np.stack(arrays) for a list of them"
            )
        pixels = np.asarray(images)
        batch = pixels[None] if pixels.ndim == len(self.data.image_shape) else pixels
        self._require_shape(batch.shape)
        split = Images(batch, np.zeros(len(batch), np.int32))
        found = np.exp(log_probabilities(*self._trained, split).astype(np.float64))
        return found if batch is pixels else found[0]

    def trained(self, module: nnx.Module) -> None:
        """Gives ``module`` the weights of :meth:`evaluate`, in place."""
        trained_module(module, self._trained[1])

    def evaluate(self, images: Images) -> Evaluation:
        """The measures of labelled images, by the newest state or the best; see :meth:`open`.

        Raises:
          InputError: (a ValueError) if the images have another shape, if a label has no class, or
            if there is no intact checkpoint.
        """
        if not isinstance(images, Images):
            raise TypeError(
                f"images must be jaxcnn.data.Images, got {type(images).__name__}; use "
                f"dataset.test, or Images(images, labels) for arrays"
            )
        self._require_shape(images.images.shape)
        most = int(images.labels.argmax())
        if images.labels[most] >= len(self.data.classes):
            raise InputError(
                f"label {images.labels[most]} at index {most} is not below the number of the run's "
                f"classes, {len(self.data.classes)}; leave such images out"
            )
        return evaluate(*self._trained, images)

    def _require_shape(self, shape: tuple[int, ...]) -> None:
        if shape[1:] != self.data.image_shape:
            raise InputError(
                f"images of shape {shape} are not those of the run, "
                f"(N, {', '.join(map(str, self.data.image_shape))}); resize them, or use "
                f"jaxcnn.data.read_picture(path, image_shape, resize) for files"
            )

    @cached_property
    def _trained(self) -> tuple[Trainer, Any]:
        """The trainer and the restored variables."""
        config, data = self.config, self.data
        where = place(None, config.batch_size, data.image_shape[0])
        trainer = Trainer(
            config, self.build(), data.image_format, len(data.classes), steps=1, place=where
        )
        checkpoints = self.checkpoints
        best = config.patience is not None if self.best is None else self.best
        step = checkpoints.best() if best else None
        state, _ = checkpoints.restore(trainer.abstract(), step=step)
        return trainer, trainer.evaluated(state)

    def write(self, name: str, text: str) -> None:
        """Writes a file of the folder atomically.

        Raises:
          InputError: (a ValueError) if it cannot be written.
        """
        with self.writes(name):
            _write(self.folder / name, text)

    def append_metrics(self, lines: Iterable[dict[str, Any]]) -> None:
        """Appends lines to ``metrics.jsonl``.

        Raises:
          InputError: (a ValueError) if they cannot be written.
        """
        text = "".join(json.dumps(line) + "\n" for line in lines)
        with self.writes("metrics.jsonl"), (self.folder / "metrics.jsonl").open("a") as file:
            file.write(text)

    @contextmanager
    def writes(self, name: str) -> Iterator[None]:
        """Turns an error of the file system into one line on a file of the folder."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self.folder / name} cannot be written ({error.strerror}); the run can be "
                f"resumed from its newest checkpoint, if its folder is there"
            ) from None

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, without a last line that a crash left incomplete.

        Raises:
          InputError: (a ValueError) if the file cannot be read, or a line is not JSON.
        """
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return []
        try:
            lines = path.read_text().splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except (OSError, ValueError) as error:  # not text, or not JSON
            raise InputError(
                f"{path} is damaged: {error}; restore the file, or start a new run"
            ) from None

    def rewind_metrics(self, step: int) -> None:
        """Drops the lines of the test and of steps after ``step``, from where a run continues.

        Raises:
          InputError: (a ValueError) if the line of a step up to ``step`` is missing.
        """
        try:
            kept = [
                line for line in self.metrics() if line["step"] <= step and line["split"] != "test"
            ]
            trained = [line["step"] for line in kept if line["split"] == "train"]
        except (TypeError, KeyError):  # JSON, but not metrics
            trained = None
        if trained != list(range(1, step + 1)):
            raise InputError(
                f"{self.folder / 'metrics.jsonl'} is damaged: it lacks a line among those of the "
                f"first {step} steps; restore the file, or start a new run"
            )
        self.write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))

    def summary(self) -> dict[str, Any] | None:
        """The content of ``summary.json``, if there is one that can be read."""
        try:
            found = json.loads((self.folder / "summary.json").read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def default_folder() -> Path:
    """``runs/`` and the time of day, with a number behind it if that exists already."""
    now = Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")
    numbered = (now.with_name(f"{now.name}-{number}") for number in count(2))
    return next(path for path in chain([now], numbered) if not path.exists())


def require_new(folder: Path) -> None:
    """Raises unless a run can be created at ``folder``: a new path, or an empty folder.

    Raises:
      InputError: (a ValueError) that says whether there is a run to resume.
    """
    try:
        free = not folder.exists() or (folder.is_dir() and all(map(_is_rest, folder.iterdir())))
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); name another") from None
    if free:
        return
    try:
        checkpoints = Run.open(folder).checkpoints
        if checkpoints.steps():
            checkpoints.newest()
        advice = (
            f"continue it with `jaxcnn train --resume {folder}` or "
            f"jaxcnn.train.resume({str(folder)!r}), or name another folder"
        )
    except InputError:
        advice = "it holds no run to resume, so name another folder"
    raise InputError(f"{folder} exists already; {advice}")


def _is_rest(path: Path) -> bool:
    """Whether a file was left by a process killed while it created a run."""
    if path.name not in ("data.json", WEIGHTS):
        names = (".data.json", ".config.json", f".{WEIGHTS}")
        return path.name.startswith(".") and path.name.endswith(names)
    try:
        if path.name == WEIGHTS:
            return set(json.loads(path.read_text())) == {"path", "sha256", "names", "new"}
        return bool(DataRecord.from_json(path.read_text()))
    except (OSError, ValueError):
        return False


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def builder(
    config: TrainConfig, data: DataRecord, model: nnx.Module | None, call: str
) -> Callable[[], nnx.Module]:
    """The function that makes a run's network: by name, or as a copy of ``model``."""
    if model is not None:
        graph, variables = nnx.split(model)
        return lambda: nnx.merge(graph, variables)
    name = config.model
    if name is None:
        raise InputError(f"the run's network was given in Python; pass it again: {call}")

    def build() -> nnx.Module:
        return models.build(name, data.image_shape, len(data.classes), rngs=nnx.Rngs(config.seed))

    # One program for all initial arrays is compiled faster than one for each. A person's function,
    # module:function, may do what a traced one may not.
    return nnx.jit(build) if name in models.names() or " " in name else build
