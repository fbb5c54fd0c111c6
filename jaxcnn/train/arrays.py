"""Trees of arrays in a folder, by Orbax."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.tree_util import keystr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Tree = TypeVar("Tree")

# Orbax's threads log the exceptions that the caller gets, with tracebacks, and advise against
# waiting for them.
logging.getLogger("absl").addFilter(lambda record: "_SignalingThread" not in str(record.msg))


def contents(tree: Any) -> str:
    """A line for each array of a tree: its path, shape and dtype.

    >>> print(contents({"w": jnp.ones((2, 3)), "key": jax.random.key(0)}))
    state['key'] () key<fry>
    state['w'] (2, 3) float32
    """
    return "".join(f"{name} {leaf.shape} {leaf.dtype}\n" for name, leaf in _named(tree).items())


def write(folder: Path, tree: Any) -> None:
    """Writes a tree to a new folder. All processes must call this.

    Raises:
      OSError: or a ValueError, if it cannot be written.
    """
    leaves = _named(tree).items()
    arrays = {
        name: _stored(leaf) for name, leaf in leaves if leaf.size
    }  # Orbax takes no empty ones
    with _late_writes_unreported(), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as orbax:
        orbax.save(folder, args=ocp.args.StandardSave(arrays))


def read(folder: Path, like: Tree) -> Tree:
    """Reads the tree of a folder, whose contents are those of ``like``, a tree of such arrays.

    Each array has the sharding of the one it is like, or is on the first device if that has none.
    """
    leaves = _named(like)
    targets = {name: _target(leaf) for name, leaf in leaves.items()}
    written = {name: target for name, target in targets.items() if target.size}
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as orbax:
        arrays = orbax.restore(folder, args=ocp.args.StandardRestore(written))
    for name in targets.keys() - written.keys():
        target = targets[name]
        arrays[name] = jnp.zeros(target.shape, target.dtype, device=target.sharding)
    restored = [_restored(arrays[name], leaf) for name, leaf in leaves.items()]
    return jax.tree.unflatten(jax.tree.structure(like), restored)


def _named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {f"state{keystr(path)}": leaf for path, leaf in leaves}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _stored(leaf: Any) -> jax.Array:
    """The array that is written for a leaf: Orbax knows no keys."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _restored(array: jax.Array, leaf: Any) -> jax.Array:
    """The leaf that an array was written for."""
    return jax.random.wrap_key_data(array, dtype=leaf.dtype) if _is_key(leaf) else array


def _target(leaf: Any) -> jax.ShapeDtypeStruct:
    """The shape, dtype and sharding of the array to restore for a leaf."""
    sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    stored = jax.eval_shape(_stored, jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
    return jax.ShapeDtypeStruct(stored.shape, stored.dtype, sharding=sharding)


@contextmanager
def _late_writes_unreported() -> Iterator[None]:
    """If a write fails, those that end later find Orbax's event loop closed, and print that."""

    def report_others(event: sys.UnraisableHookArgs) -> None:
        if "Event loop is closed" not in str(event.exc_value):
            before(event)

    before = sys.unraisablehook
    sys.unraisablehook = report_others
    try:
        yield
    except (OSError, ValueError):
        time.sleep(0.5)  # until they have ended
        raise
    finally:
        sys.unraisablehook = before
