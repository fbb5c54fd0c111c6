"""Atomic checkpoints of a run's state, written by Orbax."""

from __future__ import annotations

import hashlib
import shutil
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeVar

import chex
import jax
import orbax.checkpoint as ocp
from jax.tree_util import keystr

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

State = TypeVar("State")

DIGESTS, CONTENTS = "SHA256SUMS", "contents.txt"


class Checkpoints:
    """The newest checkpoint of a run, in a folder named after the number of steps done.

    A new checkpoint is written beside the old one, together with a list of its arrays and the
    digests of its files. It is renamed when it is complete, and then the old one is removed. The
    digests and the list of arrays are checked before a restore: Orbax restores some altered files
    silently, and prints tracebacks from its threads for others and for arrays of the wrong shape.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def save(self, step: int, state: object) -> None:
        """Saves ``state`` as the checkpoint after ``step`` steps, unless it is saved already."""
        if step in self._steps():
            return
        new = self.folder / f".{step}.new"
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as orbax:
            orbax.save(new, args=ocp.args.StandardSave(state), force=True)
        (new / CONTENTS).write_text(_contents(state))
        (new / DIGESTS).write_text(_digests(new))
        new.rename(self.folder / str(step))
        older = [str(other) for other in self._steps() if other != step]
        incomplete = [path.name for path in self.folder.glob(".*.new*")]
        for name in older + incomplete:
            shutil.rmtree(self.folder / name)

    def restore(self, like: State) -> State:
        """Restores the newest state.

        Args:
          like: a tree with the structure, shapes and dtypes of the state; its leaves may be
            abstract.

        Raises:
          InputError: (a ValueError) if there is no checkpoint, if its files have changed, or if its
            arrays have other names, shapes or dtypes.
        """
        newest = self.newest()
        saved, expected = (newest / CONTENTS).read_text(), _contents(like)
        if saved != expected:
            lines = zip_longest(saved.splitlines(), expected.splitlines(), fillvalue="nothing")
            one, other = next(pair for pair in lines if pair[0] != pair[1])
            raise InputError(
                f"{newest} is not a checkpoint of the network in config.json: it holds {one} where "
                f"the network has {other}; restore the settings it was trained with"
            )
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as orbax:
            state = orbax.restore(newest, args=ocp.args.StandardRestore(like))
        chex.assert_trees_all_equal_shapes_and_dtypes(state, like)  # the step is compiled for these
        return state

    def newest(self) -> Path:
        """The folder of the newest checkpoint.

        Raises:
          InputError: (a ValueError) if there is none, or if its files have changed.
        """
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} does not exist, so there is no checkpoint to restore")
        steps = self._steps()
        if not steps:
            raise InputError(f"{self.folder} has no complete checkpoint")
        newest = self.folder / str(max(steps))
        try:
            intact = (newest / DIGESTS).read_bytes() == _digests(newest).encode()
        except OSError:
            intact = False
        if not intact:
            raise InputError(
                f"{newest} is damaged: its files are not those that its {DIGESTS} lists; evaluate "
                f"or resume another run"
            )
        return newest

    def _steps(self) -> list[int]:
        """The numbers of steps that have a checkpoint."""
        if not self.folder.is_dir():
            return []
        return [int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()]


def abstract(tree: State) -> State:
    """The shapes and dtypes of a tree of arrays, on the default device."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree)


def _contents(tree: object) -> str:
    """A line for each array of a tree: its path, shape and dtype."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    lines = (f"{keystr(path)} {leaf.shape} {leaf.dtype}\n" for path, leaf in leaves)
    return "".join(lines)


def _digests(folder: Path) -> str:
    """A line for each file under ``folder``, in the format of sha256sum."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DIGESTS)
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in paths
    )
