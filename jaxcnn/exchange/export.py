"""``export`` writes a model as an ONNX or StableHLO file."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn import __version__
from jaxcnn.errors import InputError
from jaxcnn.exchange import stablehlo
from jaxcnn.exchange.onnx_out import file as onnx_file
from jaxcnn.exchange.source import Source, source_of
from jaxcnn.exchange.vectors import KEPT, Vectors, drawn_of, images_of, vectors_of
from jaxcnn.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax.typing import DTypeLike

    from jaxcnn.exchange.vectors import Run

SUFFIXES = (".onnx", ".stablehlo")


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
      path: the file.
      inputs, outputs: names and shapes; ``"N"`` is the number of images.
      operators: how often each operator of ONNX occurs; empty for StableHLO.
      difference: the largest difference between the file's outputs and the model's, as a part of
        what rounding explains.
    """

    path: Path
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    operators: dict[str, int] = field(default_factory=dict)
    difference: float = 0.0


def export(
    model: Callable[..., Any],
    input_shape: Sequence[int],
    path: Path | str,
    *,
    dtype: DTypeLike = "float32",
    layout: str = "nhwc",
    fold: bool = True,
    input_name: str = "images",
    output_names: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Exported:
    """Writes a model as a file that runs without jaxcnn, for any number of images.

        images: (N, *input_shape)

    The model is traced in evaluation mode, and not changed. Before the file is put in place, its
    outputs for two batches of random images are compared with the model's on the CPU; the
    difference must be one that rounding explains. The same comparison is made with parameters drawn
    at random, because those that are zero hide a part of the program. A file that was there stays
    if the comparison or the writing fails.

    A file ``.onnx`` (opset 19) is run by ONNX Runtime, TensorRT, OpenVINO and others. The arrays
    have the names of the model's parameters, and the nodes that multiply by them those of the
    layers. bfloat16 becomes float32. For NaN, and for windows of -inf alone, maxima of ONNX Runtime
    may differ from JAX's. Needs the extra ``onnx``.

    A file ``.stablehlo`` has the program for CPUs, CUDA and TPUs, and is loaded by
    ``jax.export.deserialize(Path(path).read_bytes())`` where JAX is, without jaxcnn.

    An ONNX file holds the metadata: classes, mean and std, layout if the images have one, version,
    and the test vectors (``test_vectors``). Those of ``FILE.stablehlo`` are in
    ``FILE.stablehlo.json``, because the format has no place for them. Both files are complete
    before the first is put in place; ``sha256`` in the second is the digest of the first.

    Args:
      model: a Flax NNX module, a callable pytree such as an Equinox module, or a function of one
        array. It takes a batch, or one example.
      input_shape: the shape of one example, as the model expects it.
      path: the file, whose name ends in ``.onnx`` or ``.stablehlo``.
      dtype: the dtype of the images. float64 can be exported to ``.stablehlo`` alone, because ONNX
        Runtime has no convolution of it.
      layout: that of the file's input and outputs: ``"nhwc"`` as the model has them, or ``"nchw"``,
        with the last axis of the images, and of every output of more than two axes, moved to the
        second place.
      fold: whether constants that are added to a convolution's channels, or multiply them, become
        part of its kernel and bias, as batch normalisation does; for ONNX.
      input_name: the name of the input.
      output_names: the names of the outputs; by default ``logits``, or those of the model's
        dictionary.
      classes: the names of the classes, in the order of the logits.
      mean, std: the normalisation of the images (x/255 - mean)/std, which the model expects.

    Raises:
      InputError: (a ValueError) if the model does not accept such images; if a primitive of its
        program has no form in the format (names it and its place); if the outputs differ, are not
        finite, or change so much by rounding that a comparison decides nothing; or if the file
        cannot be written.

    >>> import tempfile
    >>> from flax import nnx
    >>> from jaxcnn import nn
    >>> model = nn.Stack((8, 8, 1), "conv:4:k3:relu global_avg dense:3".split(), rngs=nnx.Rngs(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = export(model, (8, 8, 1), f"{folder}/model.onnx")
    >>> exported.inputs, exported.outputs
    ({'images': ('N', 8, 8, 1)}, {'logits': ('N', 3)})
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path} must end in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder; create it, or name another")
    beside = path.with_name(f"{path.name}.json")
    for file in (path, beside):
        if file.is_dir():
            raise InputError(f"{file} is a folder; name another file")
    source = source_of(model, input_shape, dtype, layout)
    if output_names is not None:
        source = _named(source, output_names)
    if input_name in source.names:
        raise InputError(f"input and output are both named {input_name!r}; use another name")
    vectors = vectors_of(source)
    metadata = {
        "jaxcnn_version": __version__,
        **({"layout": layout} if len(source.images.shape) > 2 else {}),
        "test_vectors": _recorded(vectors),
        **({"classes": list(map(str, classes))} if len(classes) else {}),
        **{
            name: [float(each) for each in numbers]
            for name, numbers in (("mean", mean), ("std", std))
            if len(numbers)
        },
    }
    operators: Counter[str] = Counter()

    def write(source: Source, temporary: Path) -> Run:
        if path.suffix == ".stablehlo":
            stablehlo.write(source, temporary)
            return stablehlo.runner(temporary)
        graph = onnx_file.graph_of(source, input_name, folded=fold)
        operators.clear()
        operators.update(node.operator for node in graph.nodes)
        texts = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in metadata.items()
        }
        onnx_file.write(graph, source, texts, temporary)
        return onnx_file.runner(temporary)

    try:
        with ExitStack() as files:
            metadata_file = path.suffix == ".stablehlo" and files.enter_context(
                atomic_write(beside)
            )
            temporary = files.enter_context(atomic_write(path))
            difference = 0.0
            for each, wanted in (drawn_of(source, vectors), (source, vectors)):
                difference = max(difference, wanted.require(write(each, temporary)))
            if metadata_file:
                digest = sha256(temporary.read_bytes()).hexdigest()
                text = json.dumps({"sha256": digest, **metadata}, indent=1)
                metadata_file.write_text(text + "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); name another") from None
    outputs = zip(source.names, source.outputs, strict=True)
    return Exported(
        path,
        {input_name: _sizes(source.images)},
        {name: _sizes(output) for name, output in outputs},
        dict(operators.most_common()),
        difference,
    )


def _named(source: Source, names: Sequence[str]) -> Source:
    if isinstance(names, str) or len(names) != len(source.names) or len(set(names)) != len(names):
        raise InputError(
            f"output_names must be {len(source.names)} different names, one for each output, got "
            f"{names!r}"
        )
    return replace(source, names=tuple(names))


def _sizes(type_: Any) -> tuple[int | str, ...]:
    return tuple(size if isinstance(size, int) else str(size) for size in type_.shape)


def _recorded(vectors: Vectors) -> dict[str, Any]:
    """How to check the file again: the images' rule, and some numbers of each output."""
    images = vectors.images[-1]
    recorded = {}
    for name, output in vectors.outputs[-1].items():
        step = max(1, -(-output.size // KEPT))
        values = output.astype(np.float64).reshape(-1)[::step].tolist()
        recorded[name] = {"step": step, "values": values, "tolerance": vectors.tolerances[name]}
    return {"images": images_of(images.shape, images.dtype)[1], "outputs": recorded}
