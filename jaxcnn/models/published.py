"""What is known of a network: its source, its numbers, its names in other libraries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from flax import nnx

Rules = tuple[tuple[str, "str | Callable[[re.Match[str]], str]"], ...]
"""Regular expressions and replacements, applied in order to the path of a module.

A replacement is a text or a function of the match, as in :func:`re.sub`: a function can count.
"""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A network of the package.

    Attributes:
      build: ``(input_shape, classes, *, rngs) -> nnx.Module``; the name is the function's.
      source: the paper, in a few words.
      input_shape: the published shape of one input.
      classes: the published number of outputs.
      parameters, multiply_adds: the published numbers for these; None if nobody published them. A
        number that was published rounded is rounded here.
      task: "classify" if the output is (N, classes); otherwise what the network does instead.
      names: for each other library, how the paths of modules become its names
        (:mod:`jaxcnn.models.weights.names`).
    """

    build: Callable[..., nnx.Module]
    source: str
    input_shape: tuple[int, ...] = (224, 224, 3)
    classes: int = 1000
    parameters: int | None = None
    multiply_adds: int | None = None
    task: str = "classify"
    names: Mapping[str, Rules] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The network's name."""
        return self.build.__name__
