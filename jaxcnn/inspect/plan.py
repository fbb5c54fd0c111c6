"""The plan of a network: a table of each layer's output shape, cost and receptive field."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from jaxcnn.geometry.text import format_shape
from jaxcnn.inspect.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import jax
    from jax.typing import DTypeLike

    from jaxcnn.geometry.receptive_field import ReceptiveField
    from jaxcnn.inspect.network import Layer

COLUMNS = ("layer", "output", "parameters", "multiply-adds", "field", "stride", "lost")


@dataclass(frozen=True)
class PlanRow:
    """One layer of a plan, for one example.

    Attributes:
      name: the layer in a few words.
      output: the output's shape, (*spatial, C), without the batch axis.
      parameters: the number of learnt weights.
      multiply_adds: the number of products summed; None if not known.
      field: the receptive field of one output on each axis of the network's input; None if not
        known.
      lost: input cells at the end of each axis that this layer never reads.

    >>> from jaxcnn.geometry import ReceptiveField
    >>> PlanRow("conv", (5, 5, 6), 60, 1350, (ReceptiveField(3), ReceptiveField(3)), (0, 0)).cells()
    ('conv', '5x5x6', '60', '1,350', '3x3', '1x1', '0')
    """

    name: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int | None
    field: tuple[ReceptiveField, ...] | None
    lost: tuple[int, ...]

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of :data:`COLUMNS`."""
        return (
            self.name,
            format_shape(self.output),
            f"{self.parameters:,}",
            "?" if self.multiply_adds is None else f"{self.multiply_adds:,}",
            "?" if self.field is None else format_shape(f.size for f in self.field),
            "?" if self.field is None else format_shape(f.jump for f in self.field),
            format_shape(self.lost) if any(self.lost) else "0",
        )


@dataclass(frozen=True)
class Plan:
    """The layers of a network, in order; ``str`` returns the table.

    Attributes:
      input_shape: the shape of one example, (*spatial, C).
      rows: one row for each layer.
      notes: unknown facts and assumptions, in words, printed under the table.

    >>> from jaxcnn.geometry import ReceptiveField
    >>> row = PlanRow("conv", (5, 5, 6), 60, 1350, (ReceptiveField(3), ReceptiveField(3)), (0, 0))
    >>> print(Plan((7, 7, 1), (row,)))
    layer  output  parameters  multiply-adds  field  stride  lost
    input  7x7x1                                1x1     1x1
    conv   5x5x6           60          1,350    3x3     1x1     0
    total                  60          1,350
    """

    input_shape: tuple[int, ...]
    rows: tuple[PlanRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def output(self) -> tuple[int, ...]:
        """The shape of the last layer's output, (*spatial, C)."""
        return self.rows[-1].output if self.rows else self.input_shape

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int | None:
        """The sum over all layers; None if that of a layer is not known."""
        found = [row.multiply_adds for row in self.rows if row.multiply_adds is not None]
        return sum(found) if len(found) == len(self.rows) else None

    def to_json(self) -> str:
        """The plan as JSON; unknown numbers are null, and fractions are strings."""
        rows = [asdict(row) for row in self.rows]
        found = {"input": self.input_shape, "rows": rows, "parameters": self.parameters}
        found |= {"multiply_adds": self.multiply_adds, "notes": self.notes}
        return json.dumps(found, indent=2, default=str)

    def lines(self) -> list[tuple[str, ...]]:
        """The table's cells as text: the column names, the input, each layer, the totals."""
        fields = (row.field for row in self.rows if row.field is not None)
        ones = format_shape([1] * len(next(fields, self.input_shape[:-1])))
        first = ("input", format_shape(self.input_shape), "", "", ones, ones, "")
        known = sum(row.multiply_adds or 0 for row in self.rows)
        products = f"{'at least ' if self.multiply_adds is None else ''}{known:,}"
        total = ("total", "", f"{self.parameters:,}", products, "", "", "")
        return [COLUMNS, first, *(row.cells() for row in self.rows), total]

    def __str__(self) -> str:
        lines = self.lines()
        widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
        table = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*table, *(f"note: {note}" for note in self.notes)])


def plan_of(
    model: Callable[..., Any],
    input_shape: Sequence[int] | jax.ShapeDtypeStruct,
    *,
    dtype: DTypeLike = "float32",
) -> Plan:
    """The plan of a model: each layer's output shape, cost and receptive field, as a table.

    Arguments and errors are those of :func:`jaxcnn.inspect.trace`. Branches are listed in the order
    of computation. An unknown number is ``?`` in the table, with the reason below.

    - The receptive field is that of one output, all channels together, on the spatial axes of the
      input or of a generator's first map. The statistics of a normalisation do not count.
    - Multiply-adds are those of convolutions and matrix products, including attention, for one
      example. Products of weights alone do not count.
    - Parameters are the learnt weights: in Flax the declared ones, elsewhere all floating-point
      arrays except those that act as a normalisation's running mean or variance.

    >>> from flax import nnx
    >>> print(plan_of(nnx.Conv(1, 6, (3, 3), padding="VALID", rngs=nnx.Rngs(0)), (7, 7, 1)))
    layer             output  parameters  multiply-adds  field  stride  lost
    input             7x7x1                                1x1     1x1
    conv1 (conv 3x3)  5x5x6           60          1,350    3x3     1x1     0
    total                             60          1,350
    """
    network = trace(model, input_shape, dtype=dtype)
    return Plan(network.input_shape, tuple(map(_row, network.layers)), network.notes)


def _row(layer: Layer) -> PlanRow:
    lost = tuple(window.lost for _, window in layer.windows)
    return PlanRow(
        str(layer), layer.output_shape, layer.parameters, layer.multiply_adds, layer.fields, lost
    )
