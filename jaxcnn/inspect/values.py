"""Value: an array of a traced program, described by the input cells that its axes read.

An axis of an array is a tuple of atoms, because reshapes merge and split axes. An atom is a number
of places with a label: the number of a spatial axis of the input, BATCH, CHANNEL, or None.

Slices, paddings and repetitions are not applied to the feature map at once. They are kept as rows
(see ``rows``) until a layer needs the map. So padding becomes part of the layer that follows, and
slices that a library adds up to form a pool become one pool.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any

from jaxcnn.inspect.rows import Rows, group_rows, identity_rows, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from jaxcnn.geometry.feature_map import FeatureMap
    from jaxcnn.inspect.equations import Recipe

BATCH, CHANNEL = "batch", "channel"

Atom = tuple[int, int | str | None]
Axis = tuple[Atom, ...]


@dataclass(frozen=True)
class Value:
    """An array of the program.

    Attributes:
      axes: the atoms of each axis; a channel axis of size 1 has none.
      base: the feature map of the last layer; None for weights and constants.
      rows: for each spatial axis of ``base``, the cells that each place reads; None if each place
        reads its own cell.
      fold: how the cells of a place were combined: ``"max"``, ``"average"``, ...; empty if they
        were not.
      slices: the rows of each combined slice; empty for a single one.
      layer: number of the last layer; -1 before the first.
      weights: names of the array's learnt arrays that are not yet assigned to a layer.
      is_statistic: whether it is a mean, maximum or similar over an axis, to which nothing learnt
        was applied. It may normalise the map from which it was computed.
      variance_power: its power of a mean square: 1/2 for the deviation by which a normalisation
        divides; 0 if it is not a function of a mean square.
      root_of: names of the learnt arrays, such as a running variance, whose root it contains.
      nonlinearity: identifies the functions applied to its cells since ``base``, except shifts,
        scalings, and the square that precedes a mean square; 0 for none.
      subtracted_mean: names of the arrays in the mean that was just subtracted; None if none was.
      is_normalized: whether a normalisation has just divided it by its deviation.
      statistics: its own statistics that were combined with it. Unless a normalisation follows, it
        reads what they read.
      bias_layer: number of the layer whose bias was just added.
      multiply_adds: the number of products summed to compute its rows, if a matrix did so.
      recipe: how to compute it, if it depends on neither the input nor learnt arrays.
    """

    axes: tuple[Axis, ...]
    base: FeatureMap | None = None
    rows: tuple[Rows | None, ...] = ()
    fold: str = ""
    slices: frozenset[tuple[Rows, ...]] = frozenset()
    layer: int = -1
    weights: frozenset[str] = frozenset()
    is_statistic: bool = False
    variance_power: Fraction = Fraction(0)
    root_of: frozenset[str] = frozenset()
    nonlinearity: int = 0
    subtracted_mean: frozenset[str] | None = None
    is_normalized: bool = False
    statistics: tuple[Value, ...] = ()
    bias_layer: int | None = None
    multiply_adds: int = 0
    recipe: Recipe | None = None

    @property
    def is_constant(self) -> bool:
        """Whether it does not depend on the input: a weight or a constant."""
        return self.base is None

    @property
    def numbers(self) -> np.ndarray | None:
        """The array, if it can be computed without input and weights; otherwise None."""
        return None if self.recipe is None else self.recipe.numbers

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(size for size, _ in axis) for axis in self.axes)

    @property
    def map(self) -> FeatureMap:
        """:attr:`base` of a value that is not a constant."""
        assert self.base is not None
        return self.base

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of places on each spatial axis."""
        base = zip(self.map.sizes, self.rows, strict=True)
        return tuple(size if rows is None else len(rows) for size, rows in base)

    @property
    def labels(self) -> frozenset[int]:
        """The spatial axes that the array still has."""
        return self.labels_on(*range(len(self.axes)))

    @property
    def leading_labels(self) -> frozenset[int]:
        """The spatial axes that come first on an axis of the array."""
        parts = ([label for n, label in axis if n > 1] for axis in self.axes)
        firsts = (labels[0] for labels in parts if labels)
        return frozenset(label for label in firsts if isinstance(label, int))

    def label_of(self, dim: int) -> int | str | None:
        """The label of an axis with a single atom; otherwise None."""
        return self.axes[dim][0][1] if len(self.axes[dim]) == 1 else None

    def spatial_label(self, dim: int) -> int | None:
        """The spatial axis of an axis of the array, if it consists of exactly one."""
        label = self.label_of(dim)
        return label if isinstance(label, int) else None

    def labels_on(self, *dims: int) -> frozenset[int]:
        """The spatial axes on these axes of the array."""
        atoms = (atom for dim in dims for atom in self.axes[dim])
        return frozenset(label for _, label in atoms if isinstance(label, int))

    def labels_only_on(self, dims: Iterable[int]) -> frozenset[int]:
        """The spatial axes that are only on these axes of the array."""
        rest = self.labels_on(*(dim for dim in range(len(self.axes)) if dim not in set(dims)))
        return self.labels_on(*dims) - rest

    def rows_of(self, axis: int) -> Rows:
        """The cells that each place on a spatial axis reads."""
        found = self.rows[axis]
        return identity_rows(self.map.sizes[axis]) if found is None else found

    def with_rows(self, changed: dict[int, Rows], **more: Any) -> Value:
        """This value with other rows on some spatial axes, and other changes."""
        rows = list(self.rows)
        for axis, new in changed.items():
            rows[axis] = None if new == identity_rows(self.map.sizes[axis]) else new
        return replace(self, rows=tuple(rows), **{"slices": frozenset()} | more)

    @property
    def all_slices(self) -> frozenset[tuple[Rows, ...]]:
        """:attr:`slices`, or the value's own rows as the only slice."""
        return self.slices or frozenset({tuple(map(self.rows_of, range(len(self.rows))))})

    @property
    def is_partial_window(self) -> bool:
        """Whether the slices combined so far do not fill a rectangular window."""
        each = [len(set(options)) for options in zip(*self.slices, strict=True)]
        return bool(self.slices) and len(self.slices) != prod(each)

    def reads_several(self, axis: int) -> bool:
        """Whether places on a spatial axis read more than one cell."""
        rows = self.rows[axis]
        return rows is not None and any(len(row) > 1 for row in rows)

    def reads_same(self, other: Value) -> bool:
        """Whether two values read the same cells in the same places."""
        return (self.base, self.rows, self.slices) == (other.base, other.rows, other.slices)


def axis_of(size: int, label: int | str | None) -> Axis:
    """An axis of one atom; of none if it has size 1 and is neither spatial nor the batch."""
    return ((size, label),) if size != 1 or label not in (CHANNEL, None) else ()


def replace_axis(axes: tuple[Axis, ...], dim: int, axis: Axis) -> tuple[Axis, ...]:
    """The axes, with ``axis`` instead of axis ``dim``."""
    return (*axes[:dim], axis, *axes[dim + 1 :])


def channel_axes(shape: Sequence[int]) -> tuple[Axis, ...]:
    """The axes of an array without spatial axes, such as weights."""
    return tuple(axis_of(size, CHANNEL) for size in shape)


def channels_of(value: Value) -> int:
    """The number of entries at each place: all axes except the spatial axes and the batch.

    A spatial axis that is on two axes of the array (queries and keys) is a channel axis the second
    time.
    """
    met, found = set(), 1
    for size, label in (atom for axis in value.axes for atom in axis):
        if isinstance(label, int) and label not in met:
            met.add(label)
        elif label != BATCH:
            found *= size
    return found


def shape_of_example(value: Value) -> tuple[int, ...]:
    """The shape of an array in a plan: (*spatial, C), without the batch."""
    spatial = tuple(value.sizes[axis] for axis in sorted(value.labels))
    if not spatial:  # before the first map of a generator, or after the last of a classifier
        own = [[n for n, label in axis if label != BATCH] for axis in value.axes]
        return tuple(prod(sizes) for sizes in own if prod(sizes) > 1) or (1,)
    return (*spatial, channels_of(value))


def combine_slices(values: Sequence[Value], **more: Any) -> Value:
    """One value from slices of one map, which reads the cells that any of them reads."""
    slices = frozenset().union(*(value.all_slices for value in values))
    options = [dict.fromkeys(each) for each in zip(*slices, strict=True)]
    rows = {
        axis: tuple(map(union, *each)) if len(each) > 1 else next(iter(each))
        for axis, each in enumerate(options)
    }
    return values[0].with_rows(rows, slices=slices, **more)


def as_upsampling(value: Value, dim: int) -> Value:
    """``value`` with repeated cells on an axis that merges a spatial axis with copies.

    Pixel shuffling and repetition, which reshape places into an axis, become upsampling this way.
    """
    axis = value.axes[dim]
    labels = [label for _, label in axis]
    spatial = [label for label in labels if isinstance(label, int)]
    if len(axis) < 2 or len(spatial) != 1:
        return value
    (label,), at = spatial, labels.index(spatial[0])
    times, tiles = (prod(size for size, _ in part) for part in (axis[at + 1 :], axis[:at]))
    rows = tuple(row for row in value.rows_of(label) for _ in range(times)) * tiles
    return value.with_rows(
        {label: rows}, axes=replace_axis(value.axes, dim, axis_of(len(rows), label))
    )


def reshaped(value: Value, shape: Sequence[int]) -> Value | None:
    """``value`` in another shape; None if atoms cannot be merged or split into it."""
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
                    rows[label] = group_rows(before, inner)
                need = 1
            else:
                return None
        repeated = size > 1 and not any(isinstance(label, int) for _, label in taken)
        if repeated and atoms and atoms[0][0] == 1 and shape[place + 1 : place + 2] != (1,):
            taken.append(atoms.pop(0))  # the one cell that these places are copies of
        axes.append(_without_ones(taken))
    return value.with_rows(rows, axes=tuple(axes))


def _without_ones(atoms: list[Atom]) -> Axis:
    """The atoms without those of size 1, except a single atom and a single spatial atom."""
    spatial = sum(isinstance(label, int) for _, label in atoms)
    if len(atoms) < 2:
        return tuple(atoms)
    return tuple(
        (size, label)
        for size, label in atoms
        if size > 1 or (spatial < 2 and isinstance(label, int))
    )
