"""A window that slides along one axis: the formula that everything in jaxcnn obeys.

    k = (N + lo + hi - F')/s + 1,     F' = d(F - 1) + 1

N is the size of the axis, F the size of the kernel, s the stride, d the dilation, (lo, hi) the
zero cells added before and after; k, the number of outputs, must be a whole number >= 1.
Derivation: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
arXiv:1603.07285, relationships 1 to 6. The paper rounds k down; this module refuses instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import Advice, InputError
from jaxcnn.geometry._symbolic import constraint_advice, is_symbolic, known
from jaxcnn.geometry.check import choice, integer, is_sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDINGS = ("exact", "floor", "ceil")

_NOUNS = {"width": "column", "depth": "slice", "length": "cell"}


def effective_kernel_size(kernel_size: int, dilation: int = 1) -> int:
    """The number of cells from a kernel's first tap to its last, F' = d(F - 1) + 1.

    >>> effective_kernel_size(3, 2)
    5
    """
    kernel_size = integer("kernel_size", kernel_size, least=1)
    return integer("dilation", dilation, least=1) * (kernel_size - 1) + 1


@dataclass(frozen=True)
class Window:
    """A kernel that slides along one axis; the constructor refuses an impossible layout.

    Attributes:
      size: N, cells on the axis; a symbolic size of JAX is accepted if the layout does not depend
        on its value.
      kernel_size: F, taps of the kernel.
      stride: s, cells from one placement of the kernel to the next.
      padding: (lo, hi), cells added before and after; negative numbers cut cells off.
      dilation: d, cells from one tap to the next.
      rounding: ``"exact"`` refuses a layout that leaves cells at the end unread. ``"floor"`` drops
        them. ``"ceil"`` reads them with one more placement, which overhangs the padded end; as in
        PyTorch, it is left out if it would start beyond the input.
      axis: the name of the axis in errors.

    Raises:
      InputError: (a ValueError) if k is below 1 or, with ``"exact"``, not a whole number.
      TypeError: if an entry is not an integer.

    >>> Window(7, 3, stride=2).output
    3
    >>> print(Window(7, 3, stride=2))
    (7 + 0 + 0 - 3)/2 + 1 = 3
    """

    size: int
    kernel_size: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    rounding: str = "exact"
    axis: str = "size"

    def __post_init__(self) -> None:
        put = object.__setattr__  # the way to set fields of a frozen dataclass
        put(self, "size", integer(self.axis, self.size, least=1, symbolic=True))
        put(self, "kernel_size", integer("kernel_size", self.kernel_size, least=1))
        put(self, "stride", integer("stride", self.stride, least=1))
        put(self, "dilation", integer("dilation", self.dilation, least=1))
        if not is_sequence(self.padding) or len(self.padding) != 2:
            raise TypeError(f"padding must be a pair (before, after), got {self.padding!r}")
        low, high = self.padding
        padding = (integer("padding", low, least=None), integer("padding", high, least=None))
        put(self, "padding", padding)
        choice("rounding", self.rounding, ROUNDINGS)
        if is_symbolic(self.size):
            self._require_known()
            return
        if self.output < 1:
            raise self._too_small()
        if self.rounding == "exact" and self.unread:
            raise self._inexact()

    @property
    def extent(self) -> int:
        """F', the number of cells that the kernel spans."""
        return effective_kernel_size(self.kernel_size, self.dilation)

    @property
    def padded(self) -> int:
        """The size after padding, N + lo + hi."""
        return self.size + sum(self.padding)

    @property
    def quotient(self) -> Fraction:
        """k before rounding."""
        return Fraction(self._room, self.stride) + 1

    @property
    def _room(self) -> int:
        """The number of cells by which the kernel can move from its first placement."""
        return self.padded - self.extent

    @property
    def output(self) -> int:
        """k, the number of placements of the kernel."""
        if self.rounding != "ceil":
            return self._room // self.stride + 1
        return self._ceil_steps + 1 - bool(self._one_too_many)

    @property
    def _ceil_steps(self) -> int:
        return (self._room + self.stride - 1) // self.stride

    @property
    def _one_too_many(self) -> bool | None:
        """Whether the overhanging placement starts beyond the input; None if not known."""
        if self.padding[1] + self.stride <= self.extent:
            return False
        beyond = self._ceil_steps * self.stride - self.size - self.padding[0]
        return known(lambda: beyond >= 0)

    @property
    def end(self) -> int:
        """The number of cells of the padded axis up to the last one that is read."""
        return (self.output - 1) * self.stride + self.extent

    @property
    def unread(self) -> int:
        """Cells at the end of the padded axis that no placement reads."""
        if self.rounding != "ceil":
            return self._room % self.stride
        return max(0, self.padded - self.end)

    @property
    def overhang(self) -> int:
        """Cells that the last placement reads beyond the padded axis; only with ``"ceil"``."""
        return max(0, self.end - self.padded)

    @property
    def lost(self) -> int:
        """The cells among :attr:`unread` that belong to the input rather than to the padding."""
        return max(0, self.unread - self.padding[1])

    def __str__(self) -> str:
        low, high = self.padding
        symbolic = is_symbolic(self.size)
        k = self.output if symbolic else decimal(self.quotient)
        line = f"({self.size} + {low} + {high} - {self.extent})/{self.stride} + 1 = {k}"
        exact = symbolic or self.quotient == self.output
        return line if exact else f"{line}, rounded to {self.output}"

    def _layout(self) -> str:
        dilated = f", dilation {self.dilation}" if self.dilation != 1 else ""
        return (
            f"{self.axis} {self.size} with kernel_size {self.kernel_size}{dilated}, "
            f"stride {self.stride}, padding {self.padding}"
        )

    def _require_known(self) -> None:
        """Refuses a symbolic size if the layout depends on its value."""
        room, needs = self._room, (self.extent - sum(self.padding)) % self.stride
        rest = (self.size % self.stride - needs) % self.stride
        if not known(lambda: room >= 0):
            raise InputError(
                f"{self._layout()}: the kernel, which spans {self.extent} cells, is not known "
                f"to fit; {constraint_advice(self.size, self.extent - sum(self.padding))}"
            )
        if self.rounding == "exact" and is_symbolic(rest):
            raise InputError(
                f"{self._layout()}: it is not known whether cells at the end stay unread; use "
                f'symbolic_shape(..., constraints=["{self.size % self.stride} == {needs}"]), or '
                f'rounding="floor" to drop them'
            )
        if self.rounding == "exact" and rest:
            raise InputError(
                f"{self._layout()} leaves {rest} {'cell' if rest == 1 else 'cells'} at the end "
                f"unread, whatever the size.",
                Advice("padding", (add_padding(self.padding, self.stride - rest),)),
                Advice("rounding", ("floor",), "to drop them"),
            )
        if self.rounding == "ceil" and self._one_too_many is None:
            raise InputError(
                f'{self._layout()}, rounding "ceil": it is not known whether the last window '
                f'begins beyond the input; use less padding after it, or rounding="floor"'
            )

    def _too_small(self) -> InputError:
        low, high = self.padding
        missing = self.extent - self.padded
        wider = (low + missing // 2, high + missing - missing // 2)
        more = "or more" if self.stride == 1 or self.rounding != "exact" else ""
        spans = f" (which spans {self.extent} cells)" if self.dilation != 1 else ""
        return InputError(
            f"{self._layout()} has no output: the kernel{spans} is larger than the padded "
            f"{self.axis} {self.padded}.",
            Advice("padding", (wider,)),
            Advice(self.axis, (self.size + missing,), more),
            f"a smaller kernel{' or dilation' if self.dilation != 1 else ''}",
        )

    def _inexact(self) -> InputError:
        low, high = self.padding
        rest, stride, k = self.unread, self.stride, decimal(self.quotient)
        noun = _NOUNS.get(self.axis, "row")
        unread = f"{rest} {noun}{'s' if rest > 1 else ''} at the end"
        if self.lost < rest:
            unread += " (of padding)" if self.lost == 0 else f" ({rest - self.lost} of padding)"
        pairs = [add_padding(self.padding, stride - rest)]
        if high >= rest:
            pairs.insert(0, add_padding(self.padding, -rest))
        sizes = [self.size + stride - rest]
        if self.size > rest and self.padded - rest >= self.extent:
            sizes.insert(0, self.size - rest)
        return InputError(
            f"{self._layout()} gives ({self.size} + {low} + {high} - {self.extent})/{stride} "
            f"+ 1 = {k} outputs; {k} is not an integer: {unread} would never be read.",
            Advice("padding", tuple(pairs)),
            Advice(self.axis, tuple(sizes)),
            Advice("rounding", ("floor",), f"to drop {'it' if rest == 1 else 'them'}"),
        )


def add_padding(padding: tuple[int, int], cells: int) -> tuple[int, int]:
    """``padding`` with ``cells`` more cells (fewer if negative), at the end if possible.

    >>> add_padding((1, 1), 2), add_padding((2, 1), -2)
    ((1, 3), (1, 0))
    """
    total = sum(padding) + cells
    low = min(padding[0], total)
    return low, total - low


def decimal(number: Fraction) -> str:
    """A fraction in decimals: exact if it ends within four places, otherwise cut off.

    >>> decimal(Fraction(225, 2)), decimal(Fraction(7, 3)), decimal(Fraction(5))
    ('112.5', '2.333...', '5')
    """
    # Integer arithmetic: a float has 16 digits, and sizes may have more.
    ends = (number * 10**4).denominator == 1
    places = 4 if ends else 3
    whole, rest = divmod(int(number * 10**places), 10**places)
    written = f"{whole}.{rest:0{places}d}"
    return written.rstrip("0").rstrip(".") if ends else f"{written}..."


def axis_names(axes: int) -> tuple[str, ...]:
    """The names of an array's spatial axes.

    >>> axis_names(2)
    ('height', 'width')
    """
    known = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
    return known.get(axes) or tuple(f"axis {i}" for i in range(axes))


def size_tuple(name: str, value: Any) -> Sequence[int]:
    """``value`` as a tuple of sizes; a TypeError if it is not a sequence."""
    if not is_sequence(value):
        use = f"({value!r},)" if hasattr(value, "__index__") else "a tuple, as in (28, 28)"
        raise TypeError(f"{name} must list one size for each axis, got {value!r}; use {use}")
    return tuple(value)
