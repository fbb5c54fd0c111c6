"""Atomic checkpoints of a run's state, written by Orbax.

    checkpoint/
      best              the steps of the best checkpoint and of the best one before it
      1200/             a folder for each checkpoint, named after the number of steps done
        state/          the arrays, by Orbax
        contents.txt    path, shape and dtype of each array
        info.json       what the loop knows beside its arrays
        SHA256SUMS      the digests of these files

A name that begins with a dot is of a checkpoint that is being written or removed. Nobody reads it,
and the next save removes what a killed one left.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

import jax

from jaxcnn.errors import InputError
from jaxcnn.files import atomic_write
from jaxcnn.train import arrays
from jaxcnn.train.processes import SharedError, on_first_process, reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

State = TypeVar("State")

STATE, CONTENTS, INFO, DIGESTS = "state", "contents.txt", "info.json", "SHA256SUMS"
BEST = "best"


class Checkpoints:
    """The checkpoints of a run: the newest, the one before it, and the best.

    A new checkpoint is written beside the old ones, together with a list of its arrays and the
    digests of its files, and renamed when it is complete; then those no longer wanted are removed.
    The digests and the list of arrays are checked before a restore: Orbax restores some altered
    files silently, and prints tracebacks from its threads for others and for arrays of the wrong
    shape.

    If there are several processes, all must call :meth:`save` and :meth:`restore`, and the folder
    must be one that all of them see. Each writes and reads its own part of the arrays; the first
    does the rest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def save(self, step: int, state: Any, info: dict[str, Any], *, best: bool = False) -> None:
        """Saves ``state`` as the checkpoint after ``step`` steps, unless it is saved already.

        Later checkpoints are removed: a run that saves an earlier step has gone back to before
        them, because they are damaged.

        Args:
          step: the number of steps done.
          state: a tree of arrays; keys of random numbers may be among them.
          info: what else a resumed run must know, as JSON.
          best: whether this checkpoint is the best one, which is kept until there is a better one.

        Raises:
          InputError: (a ValueError) if it cannot be written; the earlier ones are as they were.
        """
        files = {CONTENTS: arrays.contents(state).encode(), INFO: json.dumps(info).encode()}
        try:
            if on_first_process(lambda: self._begin(step)):
                arrays.write(self._new(step) / STATE, state)
            on_first_process(lambda: self._complete(step, files, best))
        except (OSError, ValueError) as error:
            if jax.process_index() == 0:
                shutil.rmtree(self._new(step), ignore_errors=True)
            newest = max(self.steps(), default=None)
            left = "start again" if newest is None else f"resume: the newest is of step {newest}"
            kind = SharedError if isinstance(error, SharedError) else InputError
            raise kind(
                f"the checkpoint of step {step} cannot be written to {self.folder}: "
                f"{reason(error)}; remedy that and {left}"
            ) from None

    def restore(
        self,
        like: State,
        *,
        step: int | None = None,
        warn: Callable[[str], Any] = warnings.warn,
    ) -> tuple[State, dict[str, Any]]:
        """Restores the newest state, or that of the given step.

        Args:
          like: a tree with the structure, shapes, dtypes and shardings of the state; its leaves may
            be abstract. The devices may be others than those of the saved state. An array without
            a sharding is restored on the first device.
          step: the number of steps of the checkpoint; None for the newest that is not damaged.
          warn: called with a line about newer checkpoints that are damaged, if there are any.

        Returns:
          The state, and the ``info`` saved with it.

        Raises:
          InputError: (a ValueError) if there is no checkpoint, if its files have changed, or if its
            arrays have other names, shapes or dtypes.
        """
        folder = self.folder / str(on_first_process(lambda: self._choose(step, warn)))
        saved, expected = (folder / CONTENTS).read_text("utf-8"), arrays.contents(like)
        if saved != expected:
            lines = zip_longest(saved.splitlines(), expected.splitlines(), fillvalue="nothing")
            one, other = next(pair for pair in lines if pair[0] != pair[1])
            raise InputError(
                f"{folder} is not a checkpoint of the network in config.json: it holds {one} where "
                f"the network has {other}; restore the settings it was trained with"
            )
        return arrays.read(folder / STATE, like), json.loads((folder / INFO).read_bytes())

    def newest(self) -> Path:
        """The folder of the newest checkpoint that is not damaged.

        Raises:
          InputError: (a ValueError) if there is none.
        """
        return self.folder / str(self._choose(None, str))

    def best(self) -> int | None:
        """The number of steps of the best checkpoint, if there is one."""
        steps = self.steps()
        return next((step for step in self._marks() if step in steps), None)

    def steps(self) -> list[int]:
        """The numbers of steps that have a checkpoint, in ascending order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def _begin(self, step: int) -> bool:
        """Makes the folder to write to; False if the checkpoint is there already."""
        self.folder.mkdir(exist_ok=True)
        for pattern in (".*.new", ".*.old"):
            for path in self.folder.glob(pattern):
                shutil.rmtree(path)
        for path in self.folder.glob(f".*.{BEST}"):
            path.unlink()
        if step in self.steps() and self._is_intact(step):
            return False
        self._new(step).mkdir()
        return True

    def _complete(self, step: int, files: dict[str, bytes], best: bool) -> None:
        """Names a new checkpoint, marks the best one, and removes those no longer wanted."""
        new = self._new(step)
        if new.exists():
            for name, content in files.items():
                (new / name).write_bytes(content)
            (new / DIGESTS).write_bytes(_digests(new))
            for later in self.steps():
                if later >= step:  # damaged: see `save`
                    self._remove(later)
            self._mark(step if best else None, self.best())
            new.rename(self.folder / str(step))
        elif best:
            self._mark(step)
        older = [other for other in self.steps() if other < step]
        for other in older[:-1]:
            if other != self.best():
                self._remove(other)

    def _marks(self) -> list[int]:
        """The best step, and the best before, which counts if a kill left the former unwritten."""
        try:
            return [int(word) for word in (self.folder / BEST).read_text().split()]
        except (OSError, ValueError):
            return []

    def _mark(self, *steps: int | None) -> None:
        marks = [step for step in steps if step is not None]
        if marks != self._marks():
            with atomic_write(self.folder / BEST) as path:
                path.write_text(" ".join(map(str, marks)) + "\n")

    def _remove(self, step: int) -> None:
        """Removes a checkpoint; a kill halfway does not leave a part of it under its name."""
        old = self.folder / f".{step}.old"
        (self.folder / str(step)).rename(old)
        shutil.rmtree(old)

    def _new(self, step: int) -> Path:
        return self.folder / f".{step}.new"

    def _choose(self, step: int | None, warn: Callable[[str], Any]) -> int:
        """The step to restore: an intact checkpoint, the newest if ``step`` is None."""
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} does not exist, so there is no checkpoint to restore")
        steps = self.steps()
        if not steps:
            raise InputError(f"{self.folder} has no complete checkpoint")
        if step is not None and step not in steps:
            listed = ", ".join(map(str, steps))
            raise InputError(f"{self.folder} has no checkpoint of step {step}, only of {listed}")
        candidates = steps[::-1] if step is None else [step]
        intact = next((each for each in candidates if self._is_intact(each)), None)
        damaged = candidates[: None if intact is None else candidates.index(intact)]
        words = (
            f"{' and '.join(str(self.folder / str(each)) for each in damaged)} "
            f"{'are' if len(damaged) > 1 else 'is'} damaged: the files are not those that "
            f"{DIGESTS} lists"
        )
        if intact is None:
            raise InputError(f"{words}; evaluate or resume another run")
        if not (self.folder / str(intact) / INFO).exists():
            raise InputError(
                f"{self.folder / str(intact)} was written by an earlier version of jaxcnn, whose "
                f"state has another form; train anew in another folder"
            )
        if damaged:
            warn(f"{words}; the checkpoint of step {intact} is used")
        return intact

    def _is_intact(self, step: int) -> bool:
        folder = self.folder / str(step)
        try:
            return (folder / DIGESTS).read_bytes() == _digests(folder)
        except OSError:
            return False


def _digests(folder: Path) -> bytes:
    """A line for each file under ``folder``, in the format of sha256sum."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != DIGESTS:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines).encode()
