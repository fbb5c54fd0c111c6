"""Files of weights: safetensors, read and written, and PyTorch's zip format, read by PyTorch.

A safetensors file is a header in JSON and the bytes of the tensors; nothing in it is executed
(https://huggingface.co/docs/safetensors). PyTorch's format holds a pickle, which only
``torch.load(weights_only=True)`` reads, because it builds tensors and containers and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp  # numpy knows bfloat16 from here on
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.extra import requires_extra
from jaxcnn.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIX = ".safetensors"
INDEX = ".json"

HEADER = b"{"
"""What follows the eight bytes of a safetensors file's length of its header."""

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
"""The first bytes of PyTorch's formats: since 1.6, and before."""


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file.

    Attributes:
      path: the file.
      digest: the SHA-256 of its bytes; of an index, with those of its parts.
      tensors: the arrays by their keys.
      notes: how the tensors were found in the file, in words.
    """

    path: Path
    digest: str
    tensors: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()


def read(path: Path | str) -> WeightsFile:
    """The tensors of a file.

    Args:
      path: a ``.safetensors`` file; the index ``.safetensors.index.json`` of such files, which are
        beside it; or a file of ``torch.save`` with tensors, perhaps in a dictionary inside.

    Raises:
      InputError: (a ValueError) in one line, if it cannot be read as one of these.
      MissingExtraError: without safetensors.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "two.safetensors")
    >>> write(path, {"a": np.zeros(3, "float32"), "b": np.ones((), "int64")})
    >>> sorted(read(path).tensors)
    ['a', 'b']
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            start = file.read(9)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}){_inside(path)}") from None
    if path.suffix == INDEX:
        return _read_index(path, digest)
    if start[8:] == HEADER:
        return WeightsFile(path, digest, _read_safetensors(path))
    if start.startswith(ZIP):
        return _read_torch(path, digest)
    if start.startswith(PICKLE):
        raise InputError(
            f"{path} is a pickle, which could execute anything and is not loaded; convert it where "
            f"it was made: {_conversion(path)}"
        )
    return WeightsFile(path, digest, _read_safetensors(path))


def write(path: Path | str, tensors: Mapping[str, np.ndarray], *, kind: str = "pt") -> None:
    """Writes a safetensors file whole, or leaves what was there.

    Args:
      path: a path that ends in ``.safetensors``.
      tensors: the arrays by their keys.
      kind: what the entry ``format`` of the file's metadata says: "pt" for PyTorch's layouts, for
        which transformers asks.

    Raises:
      InputError: (a ValueError) if the path ends otherwise or cannot be written.
    """
    with requires_extra("jaxcnn.models.save"):
        from safetensors.numpy import save_file
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(
            f"{path} would be a safetensors file; use a name that ends in {SUFFIX}, such as "
            f"{path.with_suffix(SUFFIX)}"
        )
    # The package writes the bytes as they lie in memory, whatever the strides.
    dense = {key: np.array(tensor, order="C", ndmin=0) for key, tensor in tensors.items()}
    try:
        with atomic_write(path) as temporary:
            save_file(dense, temporary, metadata={"format": kind})
    except Exception as error:  # safetensors raises its own for what the file system refuses
        raise InputError(f"{path} cannot be written ({error}); use another path") from None


def _inside(folder: Path) -> str:
    """Advice on a folder: the file in it."""
    if not folder.is_dir():
        return ""
    found = sorted(each.name for each in folder.glob(f"*{SUFFIX}*"))
    named = f" such as {folder / found[0]}" if found else ""
    return f"; name a file in it{named}"


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    with requires_extra("jaxcnn.models.load"):
        from safetensors.numpy import load_file
    try:
        return load_file(path)
    except Exception as error:  # its own SafetensorError; a KeyError or TypeError for odd dtypes
        raise InputError(
            f"{path} is not a whole safetensors file ({type(error).__name__}: {error}); download "
            f"or save it again"
        ) from None


def _read_index(path: Path, digest: str) -> WeightsFile:
    """The tensors of all files that an index lists."""
    try:
        keys = json.loads(path.read_text())["weight_map"]
        names = sorted(set(keys.values()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            f"{path} is not an index of safetensors files: it has no weight_map; name a file "
            f"{SUFFIX}, or {SUFFIX}.index.json"
        ) from None
    tensors: dict[str, np.ndarray] = {}
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError(f"{path} lists {name!r}, which is not a file beside it")
        part = read(path.parent / name)
        tensors |= part.tensors
        digest = hashlib.sha256(f"{digest}{part.digest}".encode()).hexdigest()
    wrong = sorted(set(keys) ^ set(tensors))
    if wrong:
        raise InputError(
            f"{path} and the files beside it differ in {len(wrong)} keys, {wrong[0]} among them; "
            f"download them again"
        )
    return WeightsFile(path, digest, tensors)


def _read_torch(path: Path, digest: str) -> WeightsFile:
    try:
        import torch
    except ModuleNotFoundError:
        raise InputError(
            f"{path} is in PyTorch's format, and PyTorch is not installed; install it, or convert "
            f"the file where it is: {_conversion(path)}"
        ) from None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle's, zip's and its own
        first = str(error).partition("\n")[0].partition(". ")[0]
        raise InputError(
            f"{path} does not hold tensors alone ({type(error).__name__}: {first}); save "
            f"model.state_dict() with torch.save"
        ) from None
    tensors, note = _tensors(path, found, torch.Tensor)
    arrays = {}
    for key, tensor in tensors.items():
        try:
            arrays[key] = _to_numpy(tensor, torch)
        except (TypeError, RuntimeError) as error:  # sparse, quantised, a dtype that NumPy lacks
            raise InputError(f"{path}: {key} is no plain array ({error})") from None
    return WeightsFile(path, digest, arrays, (note,) if note else ())


def _tensors(path: Path, found: Any, kind: type) -> tuple[dict[str, Any], str]:
    """The dictionary of tensors in what ``torch.save`` kept, and where it was."""

    def is_state(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and bool(value)
            and all(isinstance(key, str) and isinstance(each, kind) for key, each in value.items())
        )

    if is_state(found):
        return found, ""
    inner = [key for key in found if is_state(found[key])] if isinstance(found, dict) else []
    if len(inner) == 1:
        return found[inner[0]], f"its entry {inner[0]!r}"
    listed = f" but {len(inner)} of them: {', '.join(map(repr, inner))}" if inner else ""
    raise InputError(
        f"{path} does not hold one dictionary of tensors{listed}; save one with torch.save("
        f"checkpoint[{inner[0] if inner else 'state_dict'!r}], path)"
    )


def _to_numpy(tensor: Any, torch: Any) -> np.ndarray:
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:  # NumPy has none of its own
        return tensor.view(torch.int16).numpy().view(jnp.bfloat16)
    return tensor.numpy()


def _conversion(path: Path) -> str:
    return (
        f'python -c "import torch; from safetensors.torch import save_file; save_file(torch.load('
        f"'{path.name}', weights_only=True), '{path.with_suffix(SUFFIX).name}')\""
    )
