"""Checkpoints of a run's state, kept by Orbax: whole or not there at all."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import jax
import orbax.checkpoint as ocp

from jaxcnn.errors import InputError

State = TypeVar("State")


class Checkpoints:
    """The newest checkpoint of a run, under one folder, named for the steps done.

    Orbax writes each beside the last, renames it into place when it is complete, and only then
    removes the older one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, state: object) -> None:
        """Keeps ``state`` as the checkpoint after ``step`` steps."""
        with self._manager() as manager:
            if step not in manager.all_steps():
                manager.save(step, args=ocp.args.StandardSave(state))

    def restore(self, like: State) -> State:
        """The newest state, with the structure, shapes and dtypes of ``like`` (abstract or not).

        Raises:
          InputError: (a ValueError) where there is no checkpoint or it cannot be read whole.
        """
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is not there, so there is no checkpoint to restore")
        with self._manager() as manager:
            step = manager.latest_step()
            if step is None:
                raise InputError(f"{self.folder} holds no complete checkpoint")
            # Orbax documents no set of errors for what is not a checkpoint: any of its errors
            # means that this one cannot be read.
            try:
                return manager.restore(step, args=ocp.args.StandardRestore(like))
            except Exception as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                raise InputError(
                    f"{self.folder / str(step)} is no whole checkpoint of this network ({reason})"
                ) from error

    def _manager(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        return ocp.CheckpointManager(self.folder.absolute(), options=options)


def abstract(tree: State) -> State:
    """The shapes and dtypes of a tree of arrays, on the default device."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree)
