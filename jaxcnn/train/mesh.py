"""The devices of a run: a mesh with the axes ``data`` and ``spatial``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from jax.sharding import Mesh

AXES = ("data", "spatial")


@dataclass(frozen=True)
class Placement:
    """How arrays lie on the devices.

    Attributes:
      mesh: the devices, with the axes ``data`` (a part of each batch) and ``spatial`` (a part of
        each image's rows).
      note: a line on the choice, for people.
    """

    mesh: Mesh
    note: str

    @property
    def replicated(self) -> NamedSharding:
        """Whole on every device: weights, optimizer, and images that stay on the device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batch(self) -> NamedSharding:
        """The first axis split over ``data``: labels, weights."""
        return NamedSharding(self.mesh, PartitionSpec("data"))

    @property
    def images(self) -> NamedSharding:
        """(N, H, W, C) with N split over ``data`` and H over ``spatial``."""
        return NamedSharding(self.mesh, PartitionSpec("data", "spatial"))

    @property
    def data(self) -> int:
        """The number of parts of a batch."""
        return self.mesh.shape["data"]

    def rows(self, batch_size: int) -> slice:
        """The rows of a batch that this process reads."""
        indices = self.batch.addressable_devices_indices_map((batch_size,))
        found = [index[0].indices(batch_size) for index in indices.values() if index]
        return slice(min(f[0] for f in found), max(f[1] for f in found))

    def put(self, sharding: NamedSharding, array: jax.Array | np.ndarray) -> jax.Array:
        """An array that every process has whole, on the devices."""
        if jax.process_count() == 1:
            return jax.device_put(array, sharding)
        if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            data = self.put(sharding, jax.random.key_data(array))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
        whole = np.asarray(array)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    def put_rows(self, sharding: NamedSharding, rows: np.ndarray, batch_size: int) -> jax.Array:
        """A batch of which this process has its own :meth:`rows`, on the devices."""
        if jax.process_count() == 1:
            return jax.device_put(rows, sharding)
        first = self.rows(batch_size).start

        def part(index: Any) -> np.ndarray:
            start, stop, _ = index[0].indices(batch_size)
            return rows[(slice(start - first, stop - first), *index[1:])]

        return jax.make_array_from_callback((batch_size, *rows.shape[1:]), sharding, part)


def place(text: str | None, batch_size: int, height: int, accumulate: int = 1) -> Placement:
    """The placement for batches of ``batch_size`` images of ``height`` rows.

    A batch is computed in ``accumulate`` parts, and each part is split over ``data``.

    Args:
      text: devices on each axis, such as ``data=4,spatial=2``; None for as many devices on ``data``
        as divide the batch.

    Raises:
      InputError: (a ValueError) if the text is not understood, if there are fewer devices, or if an
        axis does not divide what it splits.

    >>> place(None, 128, 28).mesh.axis_names
    ('data', 'spatial')
    """
    devices = jax.devices()
    part = batch_size // accumulate
    most = _most(len(devices), part)
    sizes = {"data": most, "spatial": 1} if text is None else _sizes(text)
    data, spatial = sizes["data"], sizes["spatial"]
    wanted = data * spatial
    if wanted > len(devices):
        raise InputError(
            f"mesh {text} needs {wanted} devices, but JAX finds {len(devices)}; use data={most}"
        )
    if jax.process_count() > 1 and wanted != len(devices):
        raise InputError(
            f"mesh data={data},spatial={spatial} leaves out some of the {len(devices)} devices of "
            f"{jax.process_count()} processes; use a batch_size that {len(devices)} divides, or a "
            f"mesh of {len(devices)} devices"
        )
    of_batch = "batch_size" + (f"/accumulate {batch_size}/{accumulate} =" if accumulate > 1 else "")
    for name, value, axis in ((of_batch, part, data), ("height", height, spatial)):
        if value % axis:
            larger = -(-value // axis) * axis * accumulate
            raise InputError(
                f"mesh data={data},spatial={spatial}: {axis} does not divide {name} {value}; use "
                f"{_most(axis, value)} devices there"
                + (f", or a batch_size of {larger}" if name == of_batch else "")
            )
    larger = -(-part // len(devices)) * len(devices) * accumulate
    note = _note(sizes, len(devices), larger if text is None else None)
    return Placement(_mesh(devices[:wanted], data, spatial), note)


def _note(sizes: dict[str, int], found: int, larger: int | None) -> str:
    """A line on the devices in use; ``larger`` is a batch_size that would use all of them."""
    used = sizes["data"] * sizes["spatial"]
    if found == 1:
        return "1 device"
    note = f"{used} of {found} devices: " + ", ".join(f"{k}={v}" for k, v in sizes.items())
    if larger is not None and used < found:
        note += f" (batch_size {larger} would use all)"
    return note


def _mesh(devices: list[Any], data: int, spatial: int) -> Mesh:
    kinds: Any = (AxisType.Auto,) * 2  # the annotation of make_mesh differs between versions
    return jax.make_mesh((data, spatial), AXES, axis_types=kinds, devices=devices)


def _most(devices: int, size: int) -> int:
    return max(n for n in range(1, devices + 1) if size % n == 0)


def _sizes(text: str) -> dict[str, int]:
    found = {"data": 1, "spatial": 1}
    for part in text.split(","):
        match = re.fullmatch(r"(data|spatial)=([1-9]\d*)", part.strip())
        if match is None:
            raise InputError(f"mesh {text!r} is not understood; write it as data=4,spatial=2")
        found[match[1]] = int(match[2])
    return found
