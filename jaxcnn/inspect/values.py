"""The arrays of a traced program, by what each of their axes reads of the input.

An axis of an array is a list of atoms, for reshapes merge and split axes: an atom is so many
places, labelled with the spatial axis of the input that it runs along, BATCH, CHANNEL, or nothing.
Shape changes, slices and paddings are kept as rows, the cells of the last layer's map that each
place reads, until a layer takes them in: a padding then becomes that layer's padding, and slices
that were folded together (which is how some libraries pool) become one pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Any

from jaxcnn.geometry.axis_maps import OUTSIDE
from jaxcnn.geometry.feature_map import FeatureMap
from jaxcnn.inspect.equations import Recipe

BATCH, CHANNEL = "batch", "channel"

Rows = tuple[tuple[int, ...], ...]
Atom = tuple[int, int | str | None]
Axis = tuple[Atom, ...]


@dataclass(frozen=True)
class Value:
    """An array of the program.

    Attributes:
      axes: its axes' atoms; channels of one place are left out.
      base: the map of the layer that it was last computed by; None where it does not depend on
        the input.
      rows: for each spatial axis of ``base``, the cells that each place reads, None for itself.
      fold: how the cells of a place were combined: ``"max"``, ``"average"`` or not yet.
      pieces: the rows of the slices that were combined, each a tuple like ``rows``; empty for one.
      layer: number of the last layer before it.
      weights: names of the learnt arrays in it that no layer has yet been given.
      statistic: whether it is a mean, maximum or the like over an axis and nothing learnt since:
        what it is a statistic of may be normalised by it.
      power: of a mean square, what it has been raised to: 1/2 for the deviation that a
        normalisation divides by; zero where it is none.
      spread: names of the learnt arrays of which it holds a root, as of a running variance.
      bent: a number of the functions that were applied to its cells since its base, other than
        shifts and scalings, and the square of a mean square; zero for none.
      centred: where a mean has just been taken from it, the names of the arrays in that mean.
      scaled: whether a normalisation has just divided it by its deviation.
      owed: statistics of its own that were taken from it. Unless it becomes a normalisation, it
        reads what they read.
      biased: number of the layer whose bias was just added.
      products: those that were summed to make its rows, where a matrix made them.
      known: its recipe, where it depends on no input and nothing learnt.
    """

    axes: tuple[Axis, ...]
    base: FeatureMap | None = None
    rows: tuple[Rows | None, ...] = ()
    fold: str = ""
    pieces: frozenset[tuple[Rows, ...]] = frozenset()
    layer: int = -1
    weights: frozenset[str] = frozenset()
    statistic: bool = False
    power: Fraction = Fraction(0)
    spread: frozenset[str] = frozenset()
    bent: int = 0
    centred: frozenset[str] | None = None
    scaled: bool = False
    owed: tuple[Value, ...] = ()
    biased: int | None = None
    products: int = 0
    known: Recipe | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(size for size, _ in axis) for axis in self.axes)

    @property
    def map(self) -> FeatureMap:
        """:attr:`base`, where it is known that there is one."""
        assert self.base is not None
        return self.base

    @property
    def sizes(self) -> tuple[int, ...]:
        """Cells on each spatial axis."""
        base = zip(self.map.sizes, self.rows, strict=True)
        return tuple(size if rows is None else len(rows) for size, rows in base)

    @property
    def labels(self) -> frozenset[int]:
        """The spatial axes that still are axes of the array."""
        atoms = (atom for axis in self.axes for atom in axis)
        return frozenset(label for _, label in atoms if isinstance(label, int))

    @property
    def leading(self) -> frozenset[int]:
        """The labels that an axis of the array begins with: not those dealt into another one's."""
        parts = ([label for n, label in axis if n > 1] for axis in self.axes)
        firsts = (labels[0] for labels in parts if labels)
        return frozenset(label for label in firsts if isinstance(label, int))

    def labels_on(self, *dims: int) -> frozenset[int]:
        """The spatial axes that these axes of the array run along."""
        atoms = (atom for dim in dims for atom in self.axes[dim])
        return frozenset(label for _, label in atoms if isinstance(label, int))

    def ended_by(self, dims: Iterable[int]) -> frozenset[int]:
        """The spatial axes that are no longer axes of the array without these axes of it."""
        rest = self.labels_on(*(dim for dim in range(len(self.axes)) if dim not in set(dims)))
        return self.labels_on(*dims) - rest

    def rows_of(self, axis: int) -> Rows:
        """The cells that each place on a spatial axis reads."""
        found = self.rows[axis]
        return identity(self.map.sizes[axis]) if found is None else found

    def with_rows(self, changed: dict[int, Rows], **more: Any) -> Value:
        """This value with other rows on some axes."""
        rows = list(self.rows)
        for axis, new in changed.items():
            same = new == identity(self.map.sizes[axis])
            rows[axis] = None if same else new
        return replace(self, rows=tuple(rows), **{"pieces": frozenset()} | more)

    @property
    def combined(self) -> frozenset[tuple[Rows, ...]]:
        """:attr:`pieces`, also where there is but one."""
        return self.pieces or frozenset({tuple(map(self.rows_of, range(len(self.rows))))})

    @property
    def patchy(self) -> bool:
        """Whether the slices that were combined are no whole window, as while it is being made."""
        each = [len(set(options)) for options in zip(*self.pieces, strict=True)]
        return bool(self.pieces) and len(self.pieces) != prod(each)

    def folded(self, axis: int) -> bool:
        """Whether places on a spatial axis read more than one cell."""
        rows = self.rows[axis]
        return rows is not None and any(len(row) > 1 for row in rows)


def identity(size: int) -> Rows:
    """Every place reads its own cell."""
    return tuple((cell,) for cell in range(size))


def axis_of(size: int, label: int | str | None) -> Axis:
    """An axis of one atom, or of none where its one place is neither spatial nor the batch."""
    return ((size, label),) if size != 1 or label not in (CHANNEL, None) else ()


def label_of(axis: Axis) -> int | str | None:
    """The label of an axis that has but one, else None."""
    return axis[0][1] if len(axis) == 1 else None


def unmerged(value: Value, dim: int) -> Value:
    """``value`` with an axis that runs along one spatial axis, several places a cell, made spatial.

    So pixel shuffling and repetition, which merge places into an axis, become upsampling.
    """
    axis = value.axes[dim]
    labels = [label for _, label in axis]
    spatial = [label for label in labels if isinstance(label, int)]
    if len(axis) < 2 or len(spatial) != 1:
        return value
    (label,), at = spatial, labels.index(spatial[0])
    times, tiles = (prod(size for size, _ in part) for part in (axis[at + 1 :], axis[:at]))
    rows = tuple(row for row in value.rows_of(label) for _ in range(times)) * tiles
    axes = replaced(value.axes, dim, axis_of(len(rows), label))
    return value.with_rows({label: rows}, axes=axes)


def reshaped(value: Value, shape: Sequence[int]) -> Value | None:
    """``value`` in another shape; None where its places are dealt out anew."""
    atoms = [atom for axis in value.axes for atom in axis]
    rows: dict[int, Rows] = {}
    axes = []
    for place, size in enumerate(shape):
        taken, need = [], size
        if size == 1 and atoms and atoms[0][0] == 1:
            taken.append(atoms.pop(0))
        while need > 1:
            if not atoms:
                return None
            places, label = atoms.pop(0)
            if places == 1:  # merged into a longer axis
                taken.append((1, label))
                continue
            if need % places == 0:
                taken.append((places, label))
                need //= places
            elif places % need == 0:
                inner = places // need
                atoms.insert(0, (inner, None if isinstance(label, int) else label))
                taken.append((need, label))
                if isinstance(label, int):
                    before = rows.get(label) or value.rows_of(label)
                    rows[label] = grouped(before, inner)
                need = 1
            else:
                return None
        repeated = size > 1 and not any(isinstance(label, int) for _, label in taken)
        if repeated and atoms and atoms[0][0] == 1 and shape[place + 1 : place + 2] != (1,):
            taken.append(atoms.pop(0))  # the one cell of which these places are copies
        axes.append(_without_ones(taken))
    return value.with_rows(rows, axes=tuple(axes))


def _without_ones(atoms: list[Atom]) -> Axis:
    """The atoms without those of one place, except for one that is all there is, or spatial."""
    spatial = sum(isinstance(label, int) for _, label in atoms)
    if len(atoms) < 2:
        return tuple(atoms)
    return tuple(
        (size, label)
        for size, label in atoms
        if size > 1 or (spatial < 2 and isinstance(label, int))
    )


def grouped(rows: Rows, by: int) -> Rows:
    """The cells of so many places at a time."""
    return tuple(union(*rows[i : i + by]) for i in range(0, len(rows), by))


def union(*rows: tuple[int, ...]) -> tuple[int, ...]:
    """The cells that any of them reads."""
    return tuple(sorted({cell for row in rows for cell in row}))


def padded(rows: Rows, size: int, low: int, high: int) -> Rows:
    """The rows with places before and after, or, where negative, without the ends.

    Padding beside the very ends of the input counts on: cell -1, -2; any other is OUTSIDE.
    """
    rows = rows[max(0, -low) : len(rows) - max(0, -high)]
    regular = bool(rows) and all(
        len(row) == 1 and row[0] == rows[0][0] + i for i, row in enumerate(rows)
    )
    first, last = (rows[0][0], rows[-1][0]) if regular else (1, -1)
    before = range(first - max(0, low), first) if first <= 0 else (OUTSIDE,) * low
    after = range(last + 1, last + 1 + high) if last >= size - 1 else (OUTSIDE,) * high
    return (*((cell,) for cell in before), *rows, *((cell,) for cell in after))


def spread(rows: Rows, apart: int) -> Rows:
    """The rows with ``apart - 1`` zeros between neighbours."""
    zeros = ((OUTSIDE,),) * (apart - 1)
    return tuple(row for place in rows[:-1] for row in (place, *zeros)) + rows[-1:]


def merged(values: Sequence[Value], **more: Any) -> Value:
    """Values that are slices of one map, combined; the rows are all that any of them reads."""
    pieces = frozenset().union(*(value.combined for value in values))
    options = [dict.fromkeys(each) for each in zip(*pieces, strict=True)]
    rows = {
        axis: tuple(map(union, *each)) if len(each) > 1 else next(iter(each))
        for axis, each in enumerate(options)
    }
    return values[0].with_rows(rows, pieces=pieces, **more)


def replaced(axes: tuple[Axis, ...], dim: int, axis: Axis) -> tuple[Axis, ...]:
    """The axes with another one in that place."""
    return (*axes[:dim], axis, *axes[dim + 1 :])
