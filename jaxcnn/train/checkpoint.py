"""Checkpoints of a run's state, kept by Orbax: whole or not there at all."""

from __future__ import annotations

import hashlib
import shutil
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import jax
import orbax.checkpoint as ocp
from jax.tree_util import keystr

from jaxcnn.errors import InputError

State = TypeVar("State")

DIGESTS, CONTENTS = "SHA256SUMS", "contents.txt"


class Checkpoints:
    """The newest checkpoint of a run, under one folder, named for the steps done.

    Each is written beside the last, with a list of its arrays and the digests of its files, renamed
    into place when it is complete, and only then is the older one removed. Orbax by itself restores
    some altered files without a word, and meets others, or arrays of other shapes, with tracebacks
    from its threads: so both are looked at before it reads anything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def save(self, step: int, state: object) -> None:
        """Keeps ``state`` as the checkpoint after ``step`` steps."""
        if step in self._steps():
            return
        new = self.folder / f".{step}.new"
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as orbax:
            orbax.save(new, args=ocp.args.StandardSave(state), force=True)
        (new / CONTENTS).write_text(_contents(state))
        (new / DIGESTS).write_text(_digests(new))
        new.rename(self.folder / str(step))
        older = [str(other) for other in self._steps() if other != step]
        cut_short = [path.name for path in self.folder.glob(".*.new*")]
        for name in older + cut_short:
            shutil.rmtree(self.folder / name)

    def restore(self, like: State) -> State:
        """The newest state, with the structure, shapes and dtypes of ``like`` (abstract or not).

        Raises:
          InputError: (a ValueError) where there is no checkpoint, or it is not as it was saved, or
            of other arrays.
        """
        newest = self.newest()
        found, wanted = (newest / CONTENTS).read_text(), _contents(like)
        if found != wanted:
            one, other = next(
                pair
                for pair in zip_longest(
                    found.splitlines(), wanted.splitlines(), fillvalue="no more"
                )
                if pair[0] != pair[1]
            )
            raise InputError(
                f"{newest} is no checkpoint of the network in config.json: it holds {one} where "
                f"that has {other}; put back the settings it was trained with"
            )
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as orbax:
            return orbax.restore(newest, args=ocp.args.StandardRestore(like))

    def newest(self) -> Path:
        """Where the newest checkpoint is.

        Raises:
          InputError: (a ValueError) where there is none, or it is not as it was saved.
        """
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is not there, so there is no checkpoint to restore")
        steps = self._steps()
        if not steps:
            raise InputError(f"{self.folder} holds no complete checkpoint")
        newest = self.folder / str(max(steps))
        try:
            whole = (newest / DIGESTS).read_bytes() == _digests(newest).encode()
        except OSError:
            whole = False
        if not whole:
            raise InputError(
                f"{newest} is no whole checkpoint: its files are not those that its {DIGESTS} "
                f"lists; evaluate or resume another run"
            )
        return newest

    def _steps(self) -> list[int]:
        """The steps of which there is a checkpoint."""
        if not self.folder.is_dir():
            return []
        return [int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()]


def abstract(tree: State) -> State:
    """The shapes and dtypes of a tree of arrays, on the default device."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree)


def _contents(tree: object) -> str:
    """A line for each array of a tree: where it is, its shape and its dtype."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    lines = (f"{keystr(path)} {leaf.shape} {leaf.dtype}\n" for path, leaf in leaves)
    return "".join(lines)


def _digests(folder: Path) -> str:
    """A line for each file under ``folder``, as sha256sum writes them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DIGESTS)
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in paths
    )
