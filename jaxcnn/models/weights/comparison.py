"""The result of ``compare``: a row for each layer that two networks have, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from jaxcnn.geometry.text import format_count

COLUMNS: tuple[str, ...] = ("layer", "PyTorch's", "output", "difference", "allowed")


@dataclass(frozen=True)
class Row:
    """A layer of both networks.

    Attributes:
      path: the layer's path in the model; "output" for the network.
      name: its name in the PyTorch network.
      shape: the shape of the model's output there.
      difference: the norm of the difference of the outputs, relative to the norm of PyTorch's;
        infinite if the shapes do not fit.
      allowed: the difference that rounding explains.
      reasons: why the layer differs by itself, in words; for the first layer that differs, also
        what differs before it.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    difference: float
    allowed: float
    reasons: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether the outputs differ by more than rounding."""
        return self.difference > self.allowed


@dataclass(frozen=True)
class Comparison:
    """The layers of two networks, in the order in which the model calls them.

    ``str`` returns them as a table, and below it the first that differs, with the reason.

    Attributes:
      rows: the layers that both networks have, and the output.
      ours_alone, theirs_alone: weights that have no counterpart.
      notes: the errors at which the networks stopped.
    """

    rows: tuple[Row, ...]
    ours_alone: tuple[str, ...]
    theirs_alone: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Row | None:
        """The first layer whose outputs differ; None if none do."""
        return next((row for row in self.rows if row.differs), None)

    def __str__(self) -> str:
        lines: list[tuple[str, ...]] = [COLUMNS]
        for row in self.rows:
            shape = "x".join(map(str, row.shape[1:]))
            numbers = (f"{row.difference:.1e}", f"{row.allowed:.1e}")
            lines.append((row.path, row.name, shape, *numbers))
        widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
        marks = ["", *("<" if row.differs else "" for row in self.rows)]
        table = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip((*line, mark), (*widths, 0), strict=True))
            ).rstrip()
            for line, mark in zip(lines, marks, strict=True)
        ]
        sides = (("only here", self.ours_alone), ("only in PyTorch's", self.theirs_alone))
        notes = [f"{side}: {', '.join(names)}" for side, names in sides if names]
        notes += self.notes
        if self.first is None:
            before = " before that" if self.notes else ""
            end = [f"no difference in {format_count(len(self.rows), 'row')}{before}"]
        else:
            end = [f"first difference: {self.first.path} ({self.first.name})"]
            for row in self.rows:
                of = "" if row is self.first else f"{row.path}: "
                end += [f"  {of}{reason}" for reason in row.reasons]
        return "\n".join([*table, *notes, *end])
