"""``load`` and ``save``: a network of the package with the weights of a file, and back."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from flax import nnx

from jaxcnn.errors import Advice, InputError, error_prefix
from jaxcnn.geometry.check import choice, integer, is_sequence
from jaxcnn.geometry.text import format_count, format_shape
from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.registry import NETWORKS
from jaxcnn.models.weights.files import read, write
from jaxcnn.models.weights.match import Matched, Recognized, match, recognize, size_in_file
from jaxcnn.models.weights.names import OWN, Place, places, replaced, to_torch, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from jaxcnn.models.published import Published, Rules
    from jaxcnn.models.weights.files import WeightsFile


@dataclass(frozen=True)
class Origin:
    """Where a model's weights are from; the attribute ``origin`` of what :func:`load` returns.

    Attributes:
      name: the network's name.
      counts: PyTorch's counts of batches, by the paths of running means, which :func:`save` writes
        again; None if the file was one of jaxcnn's own names, which has no place for them.
      narrow: the dtypes of 16 bits that running statistics had in the file, by their paths.
    """

    name: str
    counts: tuple[tuple[str, int], ...] | None
    narrow: tuple[tuple[str, str], ...] = ()


@suggest_keywords
def load(
    name: str,
    path: Path | str,
    *,
    input_shape: Sequence[int] | None = None,
    classes: int | None = None,
    rngs: nnx.Rngs | None = None,
) -> nnx.Module:
    """A network of the package with the weights of a file.

    The names in the file are those of torchvision, timm or Hugging Face, or jaxcnn's own: those of
    which most are in the file. Every key of the file and every variable of the network is accounted
    for. PyTorch's counts of batches, ``num_batches_tracked``, have no variable; the model keeps
    them for :func:`save`.

    Names and shapes do not show all of a network: timm's tf_efficientnet_b0 has those of
    efficientnet_b0, but another padding and epsilon. timm's models are those of the same name,
    without a prefix such as ``tf_``, and mobilenetv2_100 for mobilenet_v2, regnety_004 for
    regnet_y_400mf. :func:`compare` shows whether a network computes what the other does.

    Variables have the dtype of the file; only running statistics of 16 bits become float32, because
    training would round each change of them away, and :func:`save` rounds them again. The network
    expects images that are normalised as those with which it was trained: for weights of ImageNet
    usually (x/255 - mean)/std with the mean (0.485, 0.456, 0.406) and the standard deviation
    (0.229, 0.224, 0.225).

    Args:
      name: one of :func:`jaxcnn.models.names`.
      path: a file ``.safetensors``; the index ``.safetensors.index.json`` of several; or, where
        PyTorch is installed, a file of ``torch.save(model.state_dict(), path)``.
      input_shape: (*spatial, C); None for the published one.
      classes: the number of outputs; None for that of the file. For another number, the layer that
        depends on it is new.
      rngs: random streams for what is not in the file; None for ``nnx.Rngs(0)``.

    Returns:
      the module, in training mode as any new module.

    Raises:
      InputError: (a ValueError) if the file cannot be read, or if it does not fit: a list of all
        keys and variables that have no counterpart or another shape, each with the nearest
        candidate.
      TypeError: if an argument has the wrong type.
      MissingExtraError: (an ImportError) without the extra ``weights``.

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> from jaxcnn import models
    >>> folder = tempfile.mkdtemp()
    >>> models.save(models.digits((28, 28, 1), 10, rngs=nnx.Rngs(1)), f"{folder}/a.safetensors")
    >>> model = models.load("digits", f"{folder}/a.safetensors")
    >>> model(jnp.ones((1, 28, 28, 1))).shape
    (1, 1, 1, 10)
    """
    with error_prefix("load"):
        network = _network(name)
        _require_path(path)
        if input_shape is not None and not is_sequence(input_shape):
            raise TypeError(
                f"input_shape must be (*spatial, C), such as {network.input_shape}, got "
                f"{input_shape!r}"
            )
        shape = tuple(network.input_shape if input_shape is None else input_shape)
        if rngs is not None and not isinstance(rngs, nnx.Rngs):
            raise TypeError(f"rngs must be nnx.Rngs, such as nnx.Rngs(0), got {rngs!r}")
        if classes is not None:
            classes = integer("classes", classes, least=1)
    key = (nnx.Rngs(0) if rngs is None else rngs).params()

    def make(shape: tuple[int, ...], classes: int) -> nnx.Module:
        return network.build(shape, classes, rngs=nnx.Rngs(key))

    wanted = Wanted(name, make, shape, classes, network.classes, network.names)
    classes, found = wanted.find(read(path))
    # Compiled as one program, in which nothing draws the numbers that the file replaces.
    model = nnx.jit(lambda values: _with(make(shape, classes), values))(found.values)
    model.origin = Origin(name, found.counts, found.narrow)  # pyright: ignore[reportAttributeAccessIssue]
    return model


@suggest_keywords
def save(model: nnx.Module, path: Path | str, *, names: str = OWN, name: str | None = None) -> None:
    """Writes a model's parameters and running statistics to a safetensors file.

    A file that :func:`load` has read is written again with the same keys and the same bytes in
    each tensor, if ``names`` are those that it had.

    Args:
      model: the module.
      path: a path that ends in ``.safetensors``; replaced when the new file is whole.
      names: "jaxcnn" for the paths and layouts of any module; or, for a network of the package,
        whose names and layouts the file has: "torchvision", "timm" or "huggingface".
      name: one of :func:`jaxcnn.models.names`, which the model must be, for the names of others;
        None for that with which the model was loaded.

    Raises:
      InputError: (a ValueError) if there are no such names, if the model is no such network, or if
        the file cannot be written, or if the model has no variables.
      TypeError: if an argument has the wrong type.
      MissingExtraError: (an ImportError) without the extra ``weights``.

    >>> import tempfile
    >>> from jaxcnn.models.weights.files import read
    >>> path = tempfile.mkdtemp() + "/norm.safetensors"
    >>> save(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), path)
    >>> {key: tensor.shape for key, tensor in read(path).tensors.items()}
    {'bias': (3,), 'kernel': (2, 3)}
    """
    origin: Origin | None = getattr(model, "origin", None)
    with error_prefix("save"):
        if not isinstance(model, nnx.Module):
            raise TypeError(f"model must be a Flax NNX module, got {type(model).__name__}")
        _require_path(path)
        found = variables(model)
        if not found:
            raise InputError(f"the {type(model).__name__} has no parameters or running statistics")
        name = origin.name if name is None and origin else name
        rules = {} if name is None else _network(name).names
        if names != OWN and name is None:
            raise InputError(
                f"the names of {names} are those of a network of the package; say which, as in "
                f'name="{next(iter(NETWORKS))}", or use names="{OWN}" for any module'
            )
        names = choice("names", names, (OWN, *rules))
        if name is not None and (origin is None or origin.name != name):
            _require_network(model, name)
    kept = None if origin is None or origin.counts is None else dict(origin.counts)
    narrow, tensors = dict(origin.narrow if origin else ()), {}
    for key, place in places(model, names, rules).items():
        value = np.asarray(found[place.path].get_value())
        value = value.astype(narrow.get(place.path, value.dtype))
        own = names == OWN
        tensors[key] = value if own else to_torch(value, place.path, place.shape)
        if place.count and (kept is None or place.path in kept):
            tensors[place.count] = np.array((kept or {}).get(place.path, 0), np.int64)
    write(path, tensors)


def _with(model: nnx.Module, values: Mapping[str, Any]) -> nnx.Module:
    nnx.update(model, replaced(nnx.state(model), values))
    return model


@dataclass(frozen=True)
class Wanted:
    """A network that is to have the weights of a file.

    Attributes:
      name: the network in words, for errors.
      make: (input_shape, classes) -> module.
      input_shape: (*spatial, C).
      classes: the number of outputs; None for that of the file.
      usual: the number of outputs if the file does not say it.
      rules: the rules of each library whose names the file may have.
      channels: the advice to use another input shape, whose number of channels is the file's.
    """

    name: str
    make: Callable[[tuple[int, ...], int], nnx.Module]
    input_shape: tuple[int, ...]
    classes: int | None
    usual: int
    rules: Mapping[str, Rules]
    channels: Callable[[tuple[int, ...]], Advice] = lambda shape: Advice("input_shape", (shape,))

    def find(self, file: WeightsFile) -> tuple[int, Matched]:
        """The number of outputs, and the file's tensors as variables of the network.

        Raises:
          InputError: as :func:`jaxcnn.models.weights.match.match`.
        """
        shape, classes = self.input_shape, self.classes or self.usual
        model = self._shapes(shape, classes)
        found = recognize(model, file, self.rules)
        expected, there = self._places(model, found), found.tensors
        head, size, new = (), None, ()
        if any(key not in there or there[key].shape != expected[key].shape for key in expected):
            head, size = self._size(found, model, classes, shape, classes + 1)
        without = not any(expected[key].path in head for key in there if key in expected)
        if self.classes is None and size is not None:
            classes, model = size, self._shapes(shape, size)
        elif self.classes is not None and (without or size not in (None, classes)):
            new = head

        def advice() -> list[Advice | str]:
            wider = (*shape[:-1], shape[-1] + 1)
            _, channels = self._size(found, model, shape[-1], wider, classes)
            if channels not in (None, shape[-1]):
                return [self.channels((*shape[:-1], channels))]
            new_head = head and without and self.classes is None
            return [f"classes={classes} for a new head"] if new_head else []

        built = f" for {format_shape(shape)} and {format_count(classes, 'output')}"
        return classes, match(
            model, found, self.rules, new=new, what=self.name, size=built, advice=advice
        )

    def _shapes(self, input_shape: tuple[int, ...], classes: int) -> nnx.Module:
        return nnx.eval_shape(lambda: self.make(input_shape, classes))

    def _places(self, model: nnx.Module, found: Recognized) -> dict[str, Place]:
        return places(model, found.names, self.rules)

    def _size(
        self,
        found: Recognized,
        model: nnx.Module,
        size: int,
        input_shape: tuple[int, ...],
        classes: int,
    ) -> tuple[tuple[str, ...], int | None]:
        """What depends on a size of the network, given a form of it that has one more of it."""
        try:
            larger = self._shapes(input_shape, classes)
        except InputError:  # a function of a person's that makes one network alone
            return (), None
        return size_in_file(found, self._places(model, found), self._places(larger, found), size)


def _require_path(path: Any) -> None:
    if not isinstance(path, str | PathLike):
        raise TypeError(f"path must be a path, got {path!r}")


def _network(name: str) -> Published:
    return NETWORKS[choice("name", name, tuple(NETWORKS))]


def _require_network(model: nnx.Module, name: str) -> None:
    """Raises unless the model has the variables of a network of the package."""
    network = NETWORKS[name]
    built = nnx.eval_shape(
        lambda: network.build(network.input_shape, network.classes, rngs=nnx.Rngs(0))
    )
    wrong = sorted(set(variables(model)) ^ set(variables(built)))
    if wrong:
        raise InputError(
            f"the model is not {name}: they differ in {format_count(len(wrong), 'variable')}, "
            f"{wrong[0]} among them"
        )
