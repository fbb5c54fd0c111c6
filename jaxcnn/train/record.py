"""What a run keeps of its data, in ``data.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from jaxcnn.data import Dataset, Resize
from jaxcnn.errors import InputError
from jaxcnn.train.step import ImageFormat

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class DataRecord:
    """What a run keeps of its data.

    Attributes:
      source: the name or path with which :func:`jaxcnn.data.open_dataset` opens it; None for
        arrays.
      name, classes, image_shape, digest, resize, splits: those of :class:`jaxcnn.data.Dataset`.
      counts: images for training, validation and test.
      mean, std: of each channel over the training images, in units of 255.
    """

    source: str | None
    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    digest: str
    resize: Resize | None
    splits: Mapping[str, Any] | None
    counts: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, data: Dataset, source: str | None) -> DataRecord:
        """The record of a data set; measures mean and deviation."""
        mean, std = data.measure()
        counts = (len(data.train), len(data.validation), len(data.test))
        kept = (data.name, data.classes, data.image_shape, data.digest, data.resize, data.splits)
        return cls(source, *kept, counts, mean, std)

    @property
    def image_format(self) -> ImageFormat:
        """The images as the training step needs them."""
        return ImageFormat(self.image_shape, self.mean, self.std)

    def to_json(self) -> str:
        """The record as JSON text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> DataRecord:
        """The record in the text of :meth:`to_json`.

        Raises:
          InputError: if the text is not such a record.
        """
        try:
            found = json.loads(text)
            for name in ("classes", "image_shape", "counts", "mean", "std"):
                found[name] = tuple(found[name])
            if found["resize"] is not None:
                height, width = found["resize"].pop("size")
                found["resize"] = Resize((height, width), **found["resize"])
            return cls(**{entry.name: found.pop(entry.name) for entry in fields(cls)})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"it is not the record of a run's data: {error!r}") from None
