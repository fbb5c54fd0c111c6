"""Accounts for every key of a file and every variable of a model."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.geometry.text import format_count
from jaxcnn.models.weights.names import OWN, from_torch, places, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from jaxcnn.errors import Advice
    from jaxcnn.models.published import Rules
    from jaxcnn.models.weights.files import WeightsFile
    from jaxcnn.models.weights.names import Place

    Shapes = Mapping[str, tuple[int, ...]]

MOST = 20
"""The number of faults that a message lists."""

SINGLE = np.dtype(np.float32)

SAME_SHAPE = 0.25
"""What an equal shape adds to the likeness of two names, which is from 0 to 1."""


@dataclass(frozen=True)
class Recognized:
    """A file whose names are known.

    Attributes:
      file: the file.
      names: whose names it has.
      prefix: the words with which all its keys begin beside those names.
      tensors: the arrays by their keys without the prefix.
    """

    file: WeightsFile
    names: str
    prefix: str
    tensors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Matched:
    """The tensors of a file, as the variables of a model; ``str`` says it in a line.

    Attributes:
      names: whose names the file has.
      values: by the paths of variables, in the model's layout and the file's dtype; running
        statistics of 16 bits in float32.
      new: paths of the variables that are not taken from the file.
      counts: PyTorch's counts of batches, by the paths of running means; None among jaxcnn's names.
      narrow: the dtypes in the file of running statistics of 16 bits, by their paths.
      notes: how the file was read, in words.
    """

    names: str
    values: Mapping[str, np.ndarray]
    new: tuple[str, ...]
    counts: tuple[tuple[str, int], ...] | None
    narrow: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        found = f"{format_count(len(self.values), 'variable')} by the names of {self.names}"
        return ", ".join(
            (found, *self.notes, *([f"new: {' '.join(self.new)}"] if self.new else []))
        )


def recognize(model: nnx.Module, file: WeightsFile, rules: Mapping[str, Rules]) -> Recognized:
    """Finds whose names match the most keys of a file.

    All keys may be below one more module, such as the ``module.`` of PyTorch's DataParallel.

    Args:
      model: the model; shapes are enough (``nnx.eval_shape``).
      file: the file.
      rules: the rules of each library; "jaxcnn" needs none.
    """
    expected = {names: set(places(model, names, rules)) for names in (OWN, *rules)}
    candidates = [(prefix, names) for prefix in _prefixes(file.tensors) for names in expected]

    def hits(candidate: tuple[str, str]) -> int:
        prefix, names = candidate
        return sum(key.removeprefix(prefix) in expected[names] for key in file.tensors)

    prefix, names = max(candidates, key=hits)
    tensors = {key.removeprefix(prefix): tensor for key, tensor in file.tensors.items()}
    return Recognized(file, names, prefix, tensors)


def size_in_file(
    found: Recognized, here: Mapping[str, Place], larger: Mapping[str, Place], size: int
) -> tuple[tuple[str, ...], int | None]:
    """The variables whose shapes depend on a size of the model, and that size in a file.

    Args:
      found: the file.
      here: the places of a model built with ``size``.
      larger: those of one built with size + 1.
      size: such as the number of classes.

    Returns:
      paths, and the size with which the model would have the shapes of the file; None if there is
      none.
    """
    paths, sizes = [], set()
    for key, place in here.items():
        more_of = larger.get(key, place).shape
        if more_of == place.shape:
            continue
        paths.append(place.path)
        tensor = found.tensors.get(key)
        if tensor is None or tensor.ndim != len(place.shape):
            sizes.add(None)
            continue
        for n, more, there in zip(place.shape, more_of, tensor.shape, strict=True):
            more -= n
            if more:
                sizes.add(size + (there - n) // more)
            elif there != n:
                sizes.add(None)
    found_size = sizes.pop() if len(sizes) == 1 else None
    return tuple(paths), found_size if found_size and found_size > 0 else None


def match(
    model: nnx.Module,
    found: Recognized,
    rules: Mapping[str, Rules],
    *,
    new: Collection[str] = (),
    what: str = "the model",
    size: str = "",
    advice: Callable[[], Iterable[Advice | str]] = tuple,
) -> Matched:
    """The tensors of a file as the variables of a model.

    Args:
      model: the model; shapes are enough (``nnx.eval_shape``).
      found: the file.
      rules: the rules of each library.
      new: paths of variables that are not taken from the file, which may have them or not.
      what, size: the name of the model, and for what input it is, for the error.
      advice: returns what the error ends with.

    Raises:
      InputError: (a ValueError) that lists every key that is no variable, every variable without a
        key, and every other shape or dtype, each with the nearest candidate.
    """
    expected = places(model, found.names, rules)
    left_out = {key for key, place in expected.items() if place.path in new}
    expected = {key: place for key, place in expected.items() if key not in left_out}
    tensors = {key: tensor for key, tensor in found.tensors.items() if key not in left_out}
    means = {place.count: place.path for place in expected.values() if place.count}
    counts = {key: tensors.pop(key) for key in sorted(tensors) if key in means}
    there = {key: tensor.shape for key, tensor in tensors.items()}
    here = {key: place.shape for key, place in expected.items()}
    faults = [
        *_alone(there, here, "the file", what),
        *_alone(here, there, what, "the file", {key: p.path for key, p in expected.items()}),
        *(
            f"{key} has the shape {there[key]} in the file, {here[key]} in {what}"
            for key in there
            if key in here and there[key] != here[key]
        ),
        *(_dtype_faults({key: tensors[key] for key in there if key in here}, counts)),
    ]
    _refuse(found, faults, f"{what}{size}", advice)
    ours = variables(model)
    values, narrow = {}, []
    for key, place in expected.items():
        shape = tuple(ours[place.path].get_value().shape)
        tensor = tensors[key]
        if isinstance(ours[place.path], nnx.BatchStat) and tensor.dtype.itemsize < SINGLE.itemsize:
            narrow.append((place.path, tensor.dtype.name))
            tensor = tensor.astype(SINGLE)
        values[place.path] = tensor if found.names == OWN else from_torch(tensor, place.path, shape)
    below = [f"all below {found.prefix[:-1]!r}"] if found.prefix else []
    numbers = tuple((means[key], int(count)) for key, count in counts.items())
    return Matched(
        found.names,
        values,
        tuple(new),
        None if found.names == OWN else numbers,
        tuple(narrow),
        (*found.file.notes, *below),
    )


def _prefixes(keys: Iterable[str]) -> list[str]:
    """What all keys begin with, in whole words, from nothing to the longest.

    >>> _prefixes(["module.conv.weight", "module.conv.bias"])
    ['', 'module.', 'module.conv.']
    """
    modules = [key.split(".")[:-1] for key in keys]
    found = [""]
    for words in zip(*modules, strict=False):
        if len(set(words)) > 1:
            break
        found.append(f"{found[-1]}{words[0]}.")
    return found


def _alone(
    these: Shapes,
    others: Shapes,
    side: str,
    other_side: str,
    paths: Mapping[str, str] | None = None,
) -> list[str]:
    """A fault for each key of ``these`` that is not among ``others``, with the nearest of those.

    The nearest is among those that are alone as well, if there are any. The search takes a while,
    so it ends with the faults that can be listed.
    """
    free = {key: shape for key, shape in others.items() if key not in these} or others
    faults = []
    for key in these:
        if key in others:
            continue
        path = paths[key] if paths else key
        named = "" if path == key else f", the model's {path},"
        near = _nearest(key, these[key], free) if len(faults) < MOST else None
        hint = f"; the nearest in {other_side}: {near} {free[near]}" if near else ""
        faults.append(f"{key} {these[key]}{named} is in {side} alone{hint}")
    return faults


def _nearest(key: str, shape: tuple[int, ...], candidates: Shapes) -> str | None:
    """The candidate most like a key in name and shape."""

    def likeness(other: str) -> float:
        ratio = SequenceMatcher(None, key, other, autojunk=False).ratio()
        return ratio + SAME_SHAPE * (candidates[other] == shape)

    return max(candidates, key=likeness, default=None)


def _dtype_faults(
    tensors: Mapping[str, np.ndarray], counts: Mapping[str, np.ndarray]
) -> Iterator[str]:
    """A fault for each tensor of a dtype that the model would not keep; one for all in float64."""
    wide = [key for key, tensor in tensors.items() if tensor.dtype == jnp.float64]
    if wide and not jax.config.read("jax_enable_x64"):
        others = f" and {len(wide) - 1} more are" if len(wide) > 1 else " is"
        yield (
            f"{wide[0]}{others} float64 in the file, which JAX would round; set JAX_ENABLE_X64=1 "
            f"in the environment, or save the weights as float32"
        )
    for key, tensor in tensors.items():
        if not jnp.issubdtype(tensor.dtype, jnp.floating):
            yield f"{key} is {tensor.dtype} in the file, not a float; save the weights as floats"
    for key, count in counts.items():
        if count.dtype != jnp.int64 or count.shape:
            yield f"{key} is {count.dtype} {count.shape} in the file, not one int64"


def _refuse(
    found: Recognized,
    faults: list[str],
    what: str,
    advice: Callable[[], Iterable[Advice | str]],
) -> None:
    """Raises one InputError with all faults, if there are any."""
    if not faults:
        return
    head = f"{found.file.path} does not fit {what} by the names of {found.names}"
    if len(faults) == 1:
        raise InputError(f"{head}: {faults[0]}.", *advice())
    lines = [f"{number}. {fault}" for number, fault in enumerate(faults[:MOST], 1)]
    if len(faults) > MOST:
        lines.append(f"and {len(faults) - MOST} more")
    end = "\n" if (found_advice := tuple(advice())) else ""
    raise InputError(
        f"{head}, for {len(faults)} reasons:\n  " + "\n  ".join(lines) + end, *found_advice
    )
