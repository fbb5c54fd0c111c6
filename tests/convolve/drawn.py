"""Strategies and error bounds for convolution tests: problems for each algorithm, and calls.

Results are compared with a definition in NumPy that supports base dilation and negative padding;
``test_problem`` compares it with jaxcnn.reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from jaxcnn.convolve import ALGORITHMS, Problem
from jaxcnn.convolve.algorithms.kernels.onednn import DIRECTIONS
from jaxcnn.convolve.choose import choose
from jaxcnn.testing import assert_within, gamma, rounding_bound, unit_roundoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONEDNN = frozenset(DIRECTIONS)
"""The algorithms that call oneDNN."""

SIXTEEN = ("bfloat16", "float16")


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    ranks: tuple[int, ...] = (1, 2, 3),
    batches: tuple[int, ...] = (1, 2, 3, 20),
    groups: tuple[int, ...] = (1, 2, 3, 4),
    channels: tuple[int, ...] = (1, 2, 3),
    filters: tuple[int, ...] = (1, 2, 3),
    filter_size: tuple[int, int] = (1, 4),
    stride: tuple[int, int] = (1, 3),
    dilation: tuple[int, int] = (1, 2),
    base_dilation: tuple[int, int] = (1, 3),
    padding: tuple[int, int] = (-2, 5),
    tiled: bool = False,
    outputs: int = 4,
    dtypes: tuple[str, ...] = ("float32",),
) -> Problem:
    """Problems with at least one output.

    Args:
      ranks, batches, groups, dtypes: the values to choose from.
      channels, filters: numbers of input and output channels of a group.
      filter_size, stride, dilation, base_dilation, padding: the least and the most on an axis.
      tiled: whether the kernel is as large as the stride.
      outputs: approximately the most outputs on an axis.
    """
    rank = draw(st.sampled_from(ranks))
    axes = []
    for _ in range(rank):
        f = draw(st.integers(filter_size[0], max(filter_size[0], filter_size[1] - (rank == 3))))
        s = f if tiled else draw(st.integers(*stride))
        d = 1 if tiled else draw(st.integers(*dilation))
        b, lo, hi = (draw(st.integers(*ends)) for ends in (base_dilation, padding, padding))
        extent = d * (f - 1) + 1
        # The first size with an output and enough cells to cut off, and sizes for more outputs.
        least = max(1, -(-(extent - lo - hi - 1) // b) + 1, -min(lo, 0) - min(hi, 0))
        most = least + max(1, (outputs - (rank == 3)) * s // b)
        axes.append((draw(st.integers(least, most)), f, s, (lo, hi), b, d))
    size, f, s, pairs, b, d = (tuple(entries) for entries in zip(*axes, strict=True))
    parts = draw(st.sampled_from(groups))
    return Problem(
        draw(st.sampled_from(batches)),
        size,
        parts * draw(st.sampled_from(channels)),
        f,
        parts * draw(st.sampled_from(filters)),
        parts,
        s,
        pairs,
        b,
        d,
        draw(st.sampled_from(dtypes)),
    )


PLAIN = {"base_dilation": (1, 1), "padding": (0, 5)}
"""Without base dilation and negative padding."""


def kernel_gradients(**bounds: Any) -> st.SearchStrategy[Problem]:
    """The kernel gradients of plain convolutions: large kernels, few outputs."""
    return problems(**(PLAIN | {"outputs": 3} | bounds)).map(Problem.kernel_gradient)


def input_gradients(**bounds: Any) -> st.SearchStrategy[Problem]:
    """The input gradients of plain convolutions, which are transposed convolutions."""
    return problems(**(PLAIN | bounds)).map(Problem.input_gradient)


DEPTHWISE = {"channels": (1,), "filters": (1,), "groups": (8, 16, 17)}
TIGHT = {"padding": (0, 1), "filter_size": (2, 4)}
"""Padding smaller than the kernel."""


# Problems for which each algorithm is intended.
_MADE_FOR: dict[str, st.SearchStrategy[Problem]] = {
    "direct": problems(),
    "onednn": st.one_of(
        problems(**PLAIN),
        problems(**PLAIN, channels=(16,), filters=(1, 8, 16), ranks=(1, 2)),
        problems(**PLAIN, channels=(3, 4), filters=(16,), groups=(1,)),
        problems(**(PLAIN | TIGHT | DEPTHWISE)),
    ),
    "onednn_backward_data": st.one_of(
        input_gradients(channels=(8, 16, 17), filters=(8, 16)),
        input_gradients(channels=(8, 16), filters=(16,), groups=(1,), stride=(2, 3)),
        input_gradients(channels=(1, 3), filters=(16,), groups=(1,)),
        input_gradients(**(TIGHT | DEPTHWISE)),
    ),
    "onednn_backward_weights": st.one_of(
        kernel_gradients(**TIGHT, channels=(16,), filters=(16,)),
        kernel_gradients(**TIGHT, channels=(16,), filters=(16,), outputs=8, dilation=(1, 1)),
        kernel_gradients(**TIGHT, channels=(1, 3), filters=(16,), groups=(1,), dilation=(1, 1)),
        kernel_gradients(**TIGHT, **DEPTHWISE, dilation=(1, 1)),
    ),
    "matmul": st.one_of(
        problems(groups=(1,), filter_size=(1, 1), **PLAIN),
        problems(groups=(1,), tiled=True, **PLAIN),
        problems(groups=(1,), tiled=True, base_dilation=(1, 1), padding=(-2, 1)),
    ),
    "taps": st.one_of(
        problems(channels=(1, 2, 4), filter_size=(1, 3), ranks=(1, 2), **PLAIN),
        problems(channels=(1,), filters=(1, 2), groups=(2, 3, 16), **PLAIN),
    ),
    "tap_loop": st.one_of(
        problems(
            channels=(1,), filters=(1,), ranks=(1,), batches=(1, 2), filter_size=(97, 130), **PLAIN
        ),
        problems(
            channels=(1,), filters=(1,), ranks=(2,), batches=(1, 2), filter_size=(10, 12), **PLAIN
        ),
    ),
    "block_diagonal": st.one_of(
        kernel_gradients(groups=(2, 3, 4)),
        kernel_gradients(groups=(18,), channels=(1, 2), filters=(1, 2), ranks=(1, 2)),
    ),
    "polyphase": problems(base_dilation=(2, 4)),
    "zero_insertion": problems(base_dilation=(1, 3)),
    # Kernel gradients of transposed convolutions.
    "swap_operands": problems(
        groups=(1,),
        ranks=(1, 2),
        stride=(2, 4),
        dilation=(1, 1),
        base_dilation=(1, 1),
        padding=(-2, 0),
    ).map(lambda problem: problem.input_gradient().kernel_gradient()),
    "batch_chunks": st.one_of(
        kernel_gradients(batches=(3, 5, 20, 32)),
        kernel_gradients(batches=(2, 3), groups=(2, 3), channels=(1,), filters=(1, 2)),
    ),
    "space_to_batch": st.one_of(
        problems(groups=(2, 3), stride=(1, 1), **(PLAIN | {"dilation": (2, 4)})),
        kernel_gradients(groups=(2, 3), stride=(2, 4)),
    ),
    "patches_matmul": kernel_gradients(groups=(1,)),
    "depthwise_kernel_gradient": st.one_of(
        kernel_gradients(ranks=(2, 3), groups=(2, 3, 16), channels=(1,), filters=(1,)),
        # Numbers of rows with few divisors, so that some rows are left over.
        st.builds(
            lambda n, rows, f, d, lo, hi: Problem(
                n, (rows + d * (f - 1) - lo - hi,), 2, (f,), 2, 2, (1,), ((lo, hi),), (1,), (d,)
            ).kernel_gradient(),
            st.integers(1, 2),
            st.sampled_from((17, 19, 22, 23)),
            st.integers(2, 4),
            st.integers(1, 2),
            st.integers(0, 2),
            st.integers(0, 2),
        ),
    ),
    "overlap_add": problems(groups=(1,), stride=(1, 1), dilation=(1, 1), base_dilation=(1, 4)),
    "depth_taps": problems(ranks=(3,), **PLAIN),
    "fft": st.one_of(
        problems(ranks=(2,), filter_size=(5, 9)), problems(ranks=(1,), filter_size=(25, 40))
    ),
}


def taken_by(name: str, dtype: str = "float32") -> st.SearchStrategy[Problem]:
    """Problems that an algorithm supports; hypothesis fails if there are none."""
    return _MADE_FOR[name].map(lambda p: with_dtype(p, dtype)).filter(lambda p: takes(name, p))


def takes(name: str, problem: Problem) -> bool:
    """Whether the algorithm supports the problem, trimmed as :func:`.choose.solve` does."""
    return not ALGORITHMS[name].unsupported_reason(problem.trimmed()[0])


def gradients_taken_by(name: str, dtype: str) -> st.SearchStrategy[Problem]:
    """Problems with a gradient, of x or of the kernel, that the algorithm supports."""

    def some_gradient_is(problem: Problem) -> bool:
        gradients = (problem.input_gradient(), problem.kernel_gradient())
        return not problem.is_empty and any(takes(name, gradient) for gradient in gradients)

    taken = taken_by(name, dtype)
    return st.one_of(taken.map(Problem.kernel_gradient), taken.map(Problem.input_gradient)).filter(
        some_gradient_is
    )


def with_dtype(problem: Problem, dtype: str) -> Problem:
    return replace(problem, dtype=dtype, out_dtype=dtype)


def numbers(shape: tuple[int, ...], stream: int) -> np.ndarray:
    """Numbers of either sign and magnitudes 1/8 to 1, whose products do not over- or underflow."""
    draws = np.random.default_rng((stream, *shape))
    return draws.choice((-1.0, 1.0), shape) * draws.uniform(0.125, 1, shape)


def arrays(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """x and kernel; in float64 if 64 bits are enabled."""
    dtype = jnp.dtype(problem.dtype)
    return tuple(
        jnp.asarray(numbers(shape, stream).astype(dtype))
        for stream, shape in enumerate((problem.x_shape, problem.kernel_shape))
    )


Slices = tuple[slice, ...]


def define(problem: Problem, x: Any, kernel: Any) -> np.ndarray:
    """The convolution by its definition, tap by tap, in float64.

    It uses NumPy, because jaxcnn.reference compiles for every shape; a test compares the two.
    """
    canvas, _ = _canvas(problem, x)
    groups, kernel = problem.groups, np.asarray(kernel).astype(np.float64)
    y = np.zeros((problem.batch, *problem.output, groups, problem.out_channels // groups))
    for tap, cells in _taps(problem):
        y += np.einsum("n...gc,cgo->n...go", canvas[cells], _by_group(kernel[tap], groups))
    return y.reshape(problem.output_shape)


def defined(problem: Problem, x: Any, kernel: Any) -> tuple[np.ndarray, np.ndarray]:
    """The definition, and the sums of its terms' magnitudes."""
    return define(problem, x, kernel), define(problem, *_magnitudes(x, kernel))


def defined_gradients(problem: Problem, x: Any, kernel: Any, g: Any) -> list[list[np.ndarray]]:
    """The gradients of x and kernel by the definition, and the sums of their terms' magnitudes."""

    def pull_back(x: Any, kernel: Any, g: Any) -> list[np.ndarray]:
        canvas, placed = _canvas(problem, x)
        groups, kernel = problem.groups, np.asarray(kernel).astype(np.float64)
        g = _by_group(np.asarray(g).astype(np.float64), groups)
        of_canvas, of_kernel = np.zeros_like(canvas), np.zeros_like(kernel)
        for tap, cells in _taps(problem):
            weights = _by_group(kernel[tap], groups)
            of_canvas[cells] += np.einsum("n...go,cgo->n...gc", g, weights)
            seen, own = (a.reshape(-1, *a.shape[-2:]) for a in (canvas[cells], g))
            of_kernel[tap] = np.einsum("rgc,rgo->cgo", seen, own).reshape(kernel[tap].shape)
        return [of_canvas[placed].reshape(problem.x_shape), of_kernel]

    return [pull_back(x, kernel, g), pull_back(*_magnitudes(x, kernel, g))]


def _magnitudes(*arrays: Any) -> list[np.ndarray]:
    return [np.abs(np.asarray(a).astype(np.float64)) for a in arrays]


def _by_group(a: np.ndarray, groups: int) -> np.ndarray:
    return a.reshape(*a.shape[:-1], groups, -1)


def _canvas(problem: Problem, x: Any) -> tuple[np.ndarray, Slices]:
    """x (N, *cells, groups, c) with zeros between its cells and around it, and the slice of x."""
    laid = [
        (max(lo, 0), max(lo, 0) + b * (n - 1) + 1, b, max(hi, 0))
        for n, b, (lo, hi) in zip(problem.size, problem.base_dilation, problem.padding, strict=True)
    ]
    placed = (slice(None), *(slice(first, end, b) for first, end, b, _ in laid))
    x = _by_group(np.asarray(x).astype(np.float64), problem.groups)
    canvas = np.zeros((len(x), *(end + after for _, end, _, after in laid), *x.shape[-2:]))
    canvas[placed] = x
    return canvas, placed


def _taps(problem: Problem) -> Iterator[tuple[tuple[int, ...], Slices]]:
    """Each tap, and the cells of the canvas that it meets, without those that are cropped."""
    for tap in np.ndindex(*problem.kernel_size):
        firsts = [
            max(-lo, 0) + t * d
            for t, d, (lo, _) in zip(tap, problem.dilation, problem.padding, strict=True)
        ]
        cells = [
            slice(first, first + (k - 1) * s + 1, s)
            for first, k, s in zip(firsts, problem.output, problem.stride, strict=True)
        ]
        yield tap, (slice(None), *cells)


def terms(problem: Problem) -> int:
    """Products in the sum of one output."""
    return problem.taps * problem.group_channels[0]


@dataclass(frozen=True)
class Course:
    """The algorithms that compute a problem: their nesting depth, and whether all are local."""

    levels: int
    local: bool


def course(problem: Problem, name: str) -> Course:
    """The algorithms that compute a problem, starting with this one."""
    algorithm, (problem, _) = ALGORITHMS[name], problem.trimmed()
    parts = [course(part, choose(part)) for part, _ in algorithm.parts(problem)]
    return Course(
        1 + max((part.levels for part in parts), default=0),
        algorithm.local and all(part.local for part in parts),
    )


def allowance(
    problem: Problem, taken: Course, magnitude: np.ndarray, x: Any, kernel: Any
) -> np.ndarray:
    """The largest allowed difference of a result in the problem's dtype from the definition.

    A sum of products has one rounding for each product, each addition and the result, times the
    magnitudes of the terms. Sums of 16-bit numbers are kept in float32; results, including those of
    the parts of rewrites, are rounded to 16 bits. If one of the algorithms is a transform, every
    entry may be off by a share of the norms, see :func:`of_transforms`.
    """
    count = terms(problem) + 2
    exact = gamma(count, "float64")
    if not taken.local:
        return of_transforms(problem, x, kernel) + exact * magnitude
    if problem.dtype in SIXTEEN:
        share = gamma(taken.levels, problem.dtype) + gamma(count + taken.levels, "float32")
    else:
        share = gamma(count, problem.dtype)
    return rounding_bound(magnitude, share + exact)


def of_transforms(problem: Problem, x: Any, kernel: Any) -> float:
    """The bound for Fourier transforms of x and kernel, products of spectra, and the inverse.

    A transform of L numbers is off by at most log2(L)*eta of its 2-norm, eta = u + (4*sqrt(2) + 4)u
    about 11u (Higham, theorem 24.2). An error d of x, in the 2-norm, changes no output by more than
    ||d||_2 ||w||_2, and the inverse is off by its share of ||y||_2 <= ||x||_2 ||w||_1. With the
    roundings of the complex products and of their sum over the channels, the total is at most
    (3*11*log2(L) + c + 8) u ||x||_2 ||w||_1.
    """
    cells = math.prod(
        2 * max(size + max(lo, 0) + max(hi, 0), extent)
        for size, (lo, hi), extent in zip(
            problem.dilated_size, problem.padding, problem.extent, strict=True
        )
    )
    x, kernel = (np.asarray(a).astype(np.float64) for a in (x, kernel))
    norms = np.linalg.norm(x) * np.abs(kernel).sum()
    factor = 33 * math.log2(cells) + problem.group_channels[0] + 8
    return factor * unit_roundoff(problem.dtype) * norms


def assert_trees_close(got: Any, want: Any, *, roundings: int) -> None:
    """Checks equal trees, shapes and dtypes, and numbers within ``roundings`` of the largest."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert ours.dtype == theirs.dtype
        largest = np.abs(np.asarray(theirs)).max(initial=1)
        assert_within(ours, theirs, gamma(roundings, ours.dtype) * largest)


def letters(axes: int) -> tuple[str, str, str]:
    """lax's dimension numbers for a canonical problem."""
    spatial = "DHW"[3 - axes :]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"


def drawn_numbers(draw: st.DrawFn, axes: int) -> jax.lax.ConvDimensionNumbers:
    """Any of lax's dimension numbers: channels first, last or between, kernels in any order."""
    orders = [tuple(draw(st.permutations(range(axes + 2)))) for _ in range(3)]
    return jax.lax.ConvDimensionNumbers(*orders)


def as_call(
    problem: Problem, convolve: Callable[..., jax.Array], layouts: Any = None, **others: Any
) -> Callable:
    """(x, kernel) -> y of the problem by a function with lax's arguments.

    Args:
      problem: the problem to compute.
      convolve: the function.
      layouts: lax's dimension numbers; None for channels last.
      others: further arguments; groups are feature groups by default.
    """
    if "batch_group_count" not in others:
        others = {"feature_group_count": problem.groups} | others

    def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return convolve(
            x,
            kernel,
            problem.stride,
            problem.padding,
            problem.base_dilation,
            problem.dilation,
            layouts or letters(problem.axes),
            **others,
        )

    return call


@dataclass(frozen=True)
class Call:
    """A call of lax's convolution: the operands' shapes and dtype, and every other argument."""

    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    dtype: str
    kwargs: dict[str, Any]

    @property
    def numbers(self) -> Any:
        """lax's dimension numbers."""
        given_numbers = self.kwargs["dimension_numbers"]
        return jax.lax.conv_dimension_numbers(self.x_shape, self.kernel_shape, given_numbers)

    @property
    def terms(self) -> int:
        """Products in the sum of one output."""
        return math.prod(self.kernel_shape) // max(1, self.kernel_shape[self.numbers.rhs_spec[0]])

    def arrays(self) -> tuple[jax.Array, jax.Array]:
        """x and kernel; integers from -4 to 4."""
        return tuple(
            self._array(shape, stream)
            for stream, shape in enumerate((self.x_shape, self.kernel_shape))
        )

    def _array(self, shape: tuple[int, ...], stream: int) -> jax.Array:
        values, dtype = numbers(shape, stream), jnp.dtype(self.dtype)
        if jnp.issubdtype(dtype, jnp.integer):
            values = np.abs(np.rint(4 * values)) if dtype.kind == "u" else np.rint(4 * values)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            values = values + 1j * numbers(shape, stream + 10)
        return jnp.asarray(values.astype(dtype))


REALS = ("float32", "bfloat16", "float16", "float64")
INTEGERS = ("int32", "int8", "uint8")


@st.composite
def calls(
    draw: st.DrawFn,
    *,
    ranks: tuple[int, ...] = (1, 2, 3),
    dtypes: tuple[str, ...] = (*REALS, *INTEGERS, "complex64"),
    batch: tuple[int, int] = (1, 3),
    largest: int = 5,
    channels: tuple[int, int] = (1, 3),
) -> Call:
    """Calls that lax accepts, with all of its arguments; the output may be empty."""
    rank = draw(st.sampled_from(ranks))
    spatial = "DHW"[3 - rank :]
    dtype = draw(st.sampled_from(dtypes))
    kind, groups = draw(st.sampled_from(("none", "feature", "batch"))), 1
    if kind != "none":
        groups = draw(st.integers(1, 3))
    size = tuple(draw(st.integers(1, largest)) for _ in range(rank))
    kernel_size = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    c, n = draw(st.integers(*channels)), draw(st.integers(*batch))
    x = dict(zip(spatial, size, strict=True))
    x |= {
        "N": n * (groups if kind == "batch" else 1),
        "C": c * (groups if kind == "feature" else 1),
    }
    kernel = dict(zip(spatial, kernel_size, strict=True)) | {
        "I": c,
        "O": groups * draw(st.integers(1, 3)),
    }

    def some(least: int, most: int) -> tuple[int, ...] | None:
        if draw(st.booleans()):
            return None
        return tuple(draw(st.integers(least, most)) for _ in range(rank))

    named = draw(st.booleans())
    base = None if named else some(1, 3)
    padding: Any = draw(st.sampled_from(("SAME", "VALID", "SAME_LOWER")))
    if not named:
        # lax refuses to cut off more cells than there are.
        padding = []
        for b in base or (1,) * rank:
            # Use the smallest axis, because the layouts decide which axis a pair belongs to.
            lo, hi, cells = draw(st.integers(-2, 3)), draw(st.integers(-2, 3)), min(size)
            least = -(b * (cells - 1) + 1)
            padding.append((max(lo, least), max(hi, least - min(0, max(lo, least)))))
    wanted = draw(st.sampled_from((None, "the same", "wider")))
    wider = {"float32": "float64", "bfloat16": "float32", "float16": "float32", "int8": "int32"}
    preferred = {None: None, "the same": dtype, "wider": wider.get(dtype, dtype)}[wanted]
    layouts = [f"NC{spatial}", f"OI{spatial}", f"NC{spatial}"]
    form = draw(st.sampled_from(("default", "strings", "numbers")))
    if form != "default":
        layouts = ["".join(draw(st.permutations(layout))) for layout in layouts]
    x_shape, kernel_shape = (
        tuple(sizes[letter] for letter in layout)
        for sizes, layout in zip((x, kernel), layouts, strict=False)
    )
    specs: Any = None if form == "default" else tuple(layouts)
    if form == "numbers":
        specs = jax.lax.conv_dimension_numbers(x_shape, kernel_shape, specs)
    kwargs = {
        "window_strides": tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        "padding": padding,
        "lhs_dilation": base,
        "rhs_dilation": some(1, 2),
        "dimension_numbers": specs,
        "feature_group_count": groups if kind == "feature" else 1,
        "batch_group_count": groups if kind == "batch" else 1,
        "precision": draw(st.sampled_from((None, "highest", ("default", "high")))),
        "preferred_element_type": preferred,
    }
    return Call(x_shape, kernel_shape, dtype, kwargs)


def lax_operands(x, kernel, numbers):
    """x (N, *size, C) and kernel (*F, C // groups, O) in lax's layout, without batch groups."""
    x_spec, kernel_spec, _ = numbers
    x_axes = (x_spec[0], *x_spec[2:], x_spec[1])
    kernel_axes = (*kernel_spec[2:], kernel_spec[1], kernel_spec[0])
    return jnp.transpose(x, np.argsort(x_axes)), jnp.transpose(kernel, np.argsort(kernel_axes))
