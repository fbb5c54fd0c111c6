"""Times lax, jaxcnn, its algorithms and PyTorch on one accelerator, and checks every result.

    python experiments/convolution_on_accelerator.py [--batch 128] [--limit 240]

Writes results/convolution_on_PLATFORM.json: the median milliseconds of each contender for each
layer, direction and dtype, and the contenders that failed or were wrong. A rule for a platform must
cite that file; the rules for NVIDIA are in ``jaxcnn.convolve.nvidia``.

H100, jax 0.11.2, PyTorch 2.11 in its faster layout: lax is within 1.2 of PyTorch's time in
46 of 66 measurements. These are slower by 1.5 and more, and not solved: transposed convolutions,
forward (3.7 and 3.8 in float32 and bfloat16; 2.1 and 2.2 with ``algorithm="polyphase"``) and for
the kernel (4.7 and 3.6); dense 3-D convolutions, forward (2.0 and 2.3), for the input (1.6 and 1.7)
and for the kernel (bfloat16, 1.6); the kernel gradient of a 7x7 depthwise convolution in float32
(3.0; sums tap by tap take half of lax's time); a strided convolution of 0.1 ms in bfloat16 (1.6),
near the time to launch a program. If XLA calls cuDNN for a direction, no algorithm of jaxcnn is
faster.

A layer's programs are compiled in parallel, then timed alone. Operands are numbers that bfloat16
holds exactly, so that tf32 rounds none of them. Every result is compared with lax's, and some of
its entries with the definition in float64.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxcnn
from jaxcnn.convolve import Problem, tuning
from jaxcnn.convolve.algorithms import ALGORITHMS
from jaxcnn.convolve.algorithms.shared import pad_input, window
from jaxcnn.convolve.choose import solve
from jaxcnn.convolve.layout import channels_last
from jaxcnn.convolve.taps import tap_slices
from jaxcnn.environment import environment

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results"
DIRECTIONS = ("forward", "input", "kernel")
DTYPES = ("float32", "bfloat16")
PLAUSIBLE = (
    "matmul",
    "taps",
    "overlap_add",
    "polyphase",
    "zero_insertion",
    "depth_taps",
    "space_to_batch",
)
"""Algorithms that may be faster, forward and for the gradient of x. For the kernel gradient,
``patches_matmul``, ``depthwise_kernel_gradient``, ``block_diagonal`` and the convolution with
feature groups took 2.4 to 600 times lax's time."""
BURST = 0.01  # seconds of consecutive runs that are timed together
ROUNDS = 5
SAMPLES = 24
LONGEST = 40  # seconds for compiling the programs of one layer
TOLERANCE = 2.0**-5
"""A multiple of the 2-norm of an entry's terms. A sum of random signs is off by about 2**-10 of it
if products are rounded to bfloat16's width, and by half a unit in the last place of the result."""


def layers(batch: int) -> dict[str, Problem]:
    """The layers: kinds in which XLA reportedly does not call cuDNN, and common kinds."""

    def layer(n, size, c, f, o, g=1, s=1, d=1, pad=None, base=1):
        same = tuple(((d * (k - 1)) // 2, (d * (k - 1) + 1 - s % 2) // 2) for k in f)
        axes = len(size)
        pairs = same if pad is None else ((pad, pad),) * axes
        return Problem(n, size, c, f, o, g, (s,) * axes, pairs, (base,) * axes, (d,) * axes)

    return {
        "transposed 4x4 s2 256-128@16": layer(2 * batch, (16, 16), 256, (4, 4), 128, pad=2, base=2),
        "32 groups, dilated": layer(batch, (56, 56), 128, (3, 3), 128, 32, d=2),
        "3x3 dilated 64@56": layer(2 * batch, (56, 56), 64, (3, 3), 64, d=2),
        "32 groups 128@56": layer(batch, (56, 56), 128, (3, 3), 128, 32),
        "3x3 60-60@56": layer(2 * batch, (56, 56), 60, (3, 3), 60),
        "3x3x3 32-64@32": layer(max(1, batch // 8), (32,) * 3, 32, (3,) * 3, 64),
        "stem 7x7 s2": layer(batch, (224, 224), 3, (7, 7), 64, s=2),
        "depthwise 7x7 96@56": layer(batch, (56, 56), 96, (7, 7), 96, 96),
        "3x3 s2 128@56": layer(2 * batch, (56, 56), 128, (3, 3), 128, s=2),
        "3x3x3 s2 32-64@32": layer(max(1, batch // 8), (32,) * 3, 32, (3,) * 3, 64, s=2),
        "depthwise 3x3 s2 96@112": layer(batch // 2, (112, 112), 96, (3, 3), 96, 96, s=2),
        "transposed 2x2 s2 128-64@28": layer(2 * batch, (28, 28), 128, (2, 2), 64, pad=1, base=2),
        "depthwise k5, dilated 4, 256@1000": layer(batch, (1000,), 256, (5,), 256, 256, d=4),
        "1x1 s2 256-512@56": layer(batch, (56, 56), 256, (1, 1), 512, s=2, pad=0),
        "3x3 64@56": layer(2 * batch, (56, 56), 64, (3, 3), 64),
        "depthwise 3x3 96@56": layer(batch, (56, 56), 96, (3, 3), 96, 96),
        "32 groups s2 256@28": layer(batch, (28, 28), 256, (3, 3), 256, 32, s=2),
        "1x1 256-1024@14": layer(2 * batch, (14, 14), 256, (1, 1), 1024),
        "3x3 512@14": layer(2 * batch, (14, 14), 512, (3, 3), 512),
        "31x31 1@256": layer(batch // 8, (256, 256), 1, (31, 31), 1),
    }


# --- contenders: functions of (x, kernel, output gradient) that give the direction's result ------


def in_direction(conv: Callable, problem: Problem, direction: str) -> Callable:
    """One direction of ``conv``, a function with the arguments of lax's."""

    def forward(x, kernel):
        return conv(
            x,
            kernel,
            problem.stride,
            problem.padding,
            lhs_dilation=problem.base_dilation,
            rhs_dilation=problem.dilation,
            dimension_numbers=channels_last(problem.axes),
            feature_group_count=problem.groups,
        )

    if direction == "forward":
        return lambda x, kernel, _: forward(x, kernel)
    if direction == "input":
        return lambda x, kernel, g: jax.linear_transpose(lambda x: forward(x, kernel), x)(g)[0]
    return lambda x, kernel, g: jax.linear_transpose(partial(forward, x), kernel)(g)[0]


def flipped(problem: Problem, kernel: jax.Array) -> jax.Array:
    """The kernel of the input gradient: flipped, each group's channels and filters exchanged."""
    groups, (c, o) = problem.groups, problem.group_channels
    kernel = jnp.flip(kernel, tuple(range(problem.axes))).reshape(
        *problem.kernel_size, c, groups, o
    )
    return jnp.swapaxes(kernel, -3, -1).reshape(*problem.kernel_size, o, problem.in_channels)


def by_algorithm(name: str, inner: str, problem: Problem, direction: str) -> Callable:
    """The named algorithm, with its parts by ``inner`` if that supports them, otherwise by lax."""
    run = partial(solve, name=name, excluded=frozenset(ALGORITHMS) - {name, inner, "direct"})

    def of_x(_, kernel, g):
        return run(problem.input_gradient(), g, flipped(problem, kernel))

    def of_kernel(x, _, g):
        return jnp.moveaxis(
            run(problem.kernel_gradient(), x, g, given_forward_operands=True), 0, -2
        )

    return {
        "forward": lambda x, kernel, _: run(problem, x, kernel),
        "input": of_x,
        "kernel": of_kernel,
    }[direction]


def in_eights(problem: Problem, direction: str) -> Callable:
    """lax's convolution, with the channels padded by zeros to multiples of 8."""
    c, o = problem.in_channels, problem.out_channels
    more_c, more_o = -c % 8, -o % 8
    wide = replace(problem, in_channels=c + more_c, out_channels=o + more_o)

    def run(x, kernel, g):
        def filled(a, *more):
            return jnp.pad(a, [(0, 0)] * (a.ndim - len(more)) + [(0, m) for m in more])

        arrays = filled(x, more_c), filled(kernel, more_c, more_o), filled(g, more_o)
        y = in_direction(lax.conv_general_dilated, wide, direction)(*arrays)
        return {"forward": y[..., :o], "input": y[..., :c], "kernel": y[..., :c, :o]}[direction]

    return run


def tap_sums(problem: Problem) -> Callable:
    """A depthwise kernel gradient: the sum of shifted x times the output gradient, per tap."""

    def run(x, _, g):
        bare, x = pad_input(problem, x)
        g = g.astype(jnp.float32)
        over = tuple(range(problem.axes + 1))
        taps = tap_slices(x, window(bare))
        sums = [(cells.astype(jnp.float32) * g).sum(over) for cells in taps]
        return jnp.stack(sums).astype(x.dtype).reshape(problem.kernel_shape)

    return run


def contenders(problem: Problem, direction: str) -> dict[str, Callable]:
    """The contenders by name, lax first."""
    solved = {
        "forward": problem,
        "input": problem.input_gradient(),
        "kernel": problem.kernel_gradient(),
    }[direction]
    solved, _ = solved.trimmed()
    found = {
        "lax": in_direction(lax.conv_general_dilated, problem, direction),
        "jaxcnn": in_direction(jaxcnn.conv_general_dilated, problem, direction),
    }
    for name in PLAUSIBLE:
        if direction == "kernel" or ALGORITHMS[name].unsupported_reason(solved):
            continue
        found[name] = by_algorithm(name, "direct", problem, direction)
        parts = [part.trimmed()[0] for part, _ in ALGORITHMS[name].parts(solved)]
        if parts and not any(ALGORITHMS["taps"].unsupported_reason(part) for part in parts):
            found[f"{name}, taps"] = by_algorithm(name, "taps", problem, direction)
    if min(problem.group_channels) > 1 == problem.groups and any(
        n % 8 for n in problem.group_channels
    ):
        found["in eights"] = in_eights(problem, direction)
    if direction == "kernel" and problem.is_depthwise and problem.is_plain:
        found["tap sums"] = tap_sums(problem)
    return found


def in_torch(
    problem: Problem, arrays: tuple[np.ndarray, ...], dtype: str
) -> dict[str, dict[str, Callable]]:
    """PyTorch's functions by direction and memory layout, on the same device; none without it.

    A transposed convolution is PyTorch's own, with its kernel's channel axes swapped.
    """
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available() or any(lo != hi for lo, hi in problem.padding):
        return {}
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    axes = problem.axes
    x, kernel, g = (torch.from_numpy(a).cuda().to(getattr(torch, dtype)) for a in arrays)
    x, g = (a.permute(0, axes + 1, *range(1, axes + 1)) for a in (x, g))
    transposed = set(problem.base_dilation) != {1}
    if transposed:
        kernel = kernel.flip(tuple(range(axes))).permute(axes, axes + 1, *range(axes))
        around = zip(problem.extent, problem.padding, strict=True)
        steps, padding = problem.base_dilation, [extent - 1 - lo for extent, (lo, _) in around]
    else:
        kernel = kernel.permute(axes + 1, axes, *range(axes))
        steps, padding = problem.stride, [lo for lo, _ in problem.padding]
    # bias, stride, padding, dilation, transposed, output padding, groups
    rest = (None, steps, padding, problem.dilation, transposed, [0] * axes, problem.groups)

    def of_kernel(kernel):
        if not transposed:
            return kernel.permute(*range(2, axes + 2), 1, 0)
        return kernel.permute(*range(2, axes + 2), 0, 1).flip(tuple(range(axes)))

    def functions(x, kernel, g):
        def forward():
            return torch.ops.aten.convolution(x, kernel, *rest)

        def back(*mask):
            return torch.ops.aten.convolution_backward(g, x, kernel, *rest, mask)

        last = (0, *range(2, axes + 2), 1)
        return {
            "forward": (forward, lambda y: y.permute(last)),
            "input": (partial(back, True, False, False), lambda y: y[0].permute(last)),
            "kernel": (partial(back, False, True, False), lambda y: of_kernel(y[1])),
        }

    layouts = {"channels first": torch.contiguous_format}
    if axes > 1:
        layouts["channels last"] = torch.channels_last if axes == 2 else torch.channels_last_3d
    found: dict[str, dict[str, Callable]] = {direction: {} for direction in DIRECTIONS}
    for layout, form in layouts.items():
        of_layout = functions(*(a.contiguous(memory_format=form) for a in (x, kernel, g)))
        for direction, function in of_layout.items():
            found[direction][layout] = function
    return found


# --- checking -----------------------------------------------------------------------------------


def operands(problem: Problem) -> tuple[np.ndarray, ...]:
    """x, kernel and output gradient: bfloat16 numbers, with a period longer than any axis."""
    draws = np.random.default_rng(0).normal(size=1_000_003)
    values = draws.astype(jnp.bfloat16).astype(np.float32)
    shapes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
    return tuple(np.resize(np.roll(values, 7919 * i), shape) for i, shape in enumerate(shapes))


@dataclass
class Samples:
    """Some entries of a direction's result: places, values, and the 2-norms of their terms."""

    places: list[tuple[int, ...]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)

    def add(self, place: tuple[int, ...], terms: np.ndarray) -> None:
        self.places.append(place)
        self.values.append(float(terms.sum()))
        self.norms.append(float(np.linalg.norm(terms)))


def sampled(problem: Problem, arrays: tuple[np.ndarray, ...], direction: str) -> Samples:
    """Entries by the definition: output k, tap f and cell meet if k*s + f*d - lo = b*cell.

    This holds on each axis. Half of the indices are at an end of their axis.
    """
    x, kernel, g = arrays
    draws = np.random.default_rng(1)
    c, o = problem.group_channels

    def drawn(n: int) -> int:
        return int(draws.choice([0, n - 1]) if draws.random() < 0.5 else draws.integers(n))

    fixed = {"forward": 0, "kernel": 1, "input": 2}[direction]
    sizes = (problem.output, problem.kernel_size, problem.size)[fixed]
    found = Samples()
    for _ in range(SAMPLES):
        at = tuple(map(drawn, sizes))
        n, group = drawn(problem.batch), drawn(problem.groups)
        channel, out_channel = drawn(c), drawn(o)
        channels = slice(group * c, (group + 1) * c)
        filters = slice(group * o, (group + 1) * o)
        outputs, taps, cells = zip(*(_met(problem, i, at[i], fixed) for i in range(problem.axes)),
                                   strict=True)  # fmt: skip
        if direction == "forward":
            terms = x[n][np.ix_(*cells)][..., channels].astype(np.float64)
            terms = terms * kernel[np.ix_(*taps)][..., group * o + out_channel]
            place = (n, *at, group * o + out_channel)
        elif direction == "input":
            terms = g[n][np.ix_(*outputs)][..., filters].astype(np.float64)
            terms = terms * kernel[np.ix_(*taps)][..., channel, filters]
            place = (n, *at, group * c + channel)
        else:
            batch = range(problem.batch)
            terms = x[..., group * c + channel][np.ix_(batch, *cells)].astype(np.float64)
            terms = terms * g[..., group * o + out_channel][np.ix_(batch, *outputs)]
            place = (*at, channel, group * o + out_channel)
        found.add(place, terms)
    return found


def _met(problem: Problem, axis: int, at: int, fixed: int) -> tuple[np.ndarray, ...]:
    """Outputs, taps and cells that meet on an axis; ``fixed`` selects which of them is ``at``."""
    s, d, b = problem.stride[axis], problem.dilation[axis], problem.base_dilation[axis]
    k, f = np.indices((problem.output[axis], problem.kernel_size[axis])).reshape(2, -1)
    cell, rest = np.divmod(k * s + f * d - problem.padding[axis][0], b)
    met = (rest == 0) & (cell >= 0) & (cell < problem.size[axis])
    met &= (k, f, cell)[fixed] == at
    return k[met], f[met], cell[met]


@jax.jit
def compared(y: jax.Array, want: jax.Array, places: tuple[jax.Array, ...]) -> tuple:
    """The error of y as a share of the 2-norm of ``want``, and some of y's entries."""
    y, want = y.astype(jnp.float32), want.astype(jnp.float32)
    share = jnp.sqrt(jnp.sum((y - want) ** 2)) / jnp.sqrt(jnp.sum(want**2))
    return share, y[places]


def fault(y: jax.Array, want: jax.Array, samples: Samples) -> str | None:
    """The error of a result against lax's or the definition, as text; None if it is right."""
    places = tuple(jnp.asarray(index) for index in np.array(samples.places, np.int32).T)
    share, entries = compared(y, want, places)
    off = np.abs(np.asarray(entries, np.float64) - samples.values)
    worst = float(np.max(off / np.maximum(samples.norms, 1e-30)))
    if not worst <= TOLERANCE:
        return f"off by {worst:.3g} of its terms' norm from the definition"
    if not float(share) <= TOLERANCE:
        return f"off by {float(share):.3g} of its norm from lax's"
    return None


# --- compiling and timing -----------------------------------------------------------------------


def first_line(error: BaseException) -> str:
    """The first line of an error."""
    return f"{type(error).__name__}: {str(error).strip()}".split("\n")[0][:200]


@dataclass
class Measurement:
    """One direction of one layer in one dtype, with its programs while they are compiled."""

    layer: str
    direction: str
    problem: Problem
    programs: dict[str, Future] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        return {"layer": self.layer, "direction": self.direction, "dtype": self.problem.dtype}


def compiled(program: Callable, problem: Problem) -> tuple[str, Callable]:
    """The text of the program, and its compiled form."""
    shapes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
    lowered = jax.jit(program).lower(*(jax.ShapeDtypeStruct(s, problem.dtype) for s in shapes))
    return lowered.as_text(), lowered.compile()


def per_run(program: Callable, finish: Callable, runs: int) -> float:
    """Seconds per run, over ``runs`` consecutive runs."""
    start = time.perf_counter()
    for _ in range(runs):
        y = program()
    finish(y)
    return (time.perf_counter() - start) / runs


def medians(programs: dict[str, tuple[Callable, Callable]]) -> dict[str, float]:
    """Milliseconds per run of programs that take turns; each comes with a function that waits."""
    runs = {}
    for name, (program, finish) in programs.items():
        per_run(program, finish, 2)
        runs[name] = max(1, min(200, int(BURST / per_run(program, finish, 3))))
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, (program, finish) in programs.items():
            taken[name].append(per_run(program, finish, runs[name]))
    return {name: 1e3 * float(np.median(each)) for name, each in taken.items()}


def measured(
    one: Measurement, arrays: tuple[jax.Array, ...], samples: Samples, torchs: dict[str, Any]
) -> dict[str, Any]:
    """The record of a measurement, with contenders that fail, are wrong or compile too long."""
    record: dict[str, Any] = one.record() | {"milliseconds": {}, "faults": {}}
    texts: dict[str, str] = {}
    runs: dict[str, tuple[Callable, Callable]] = {}
    want = None
    for name, future in one.programs.items():
        try:
            if not future.done():
                raise TimeoutError("still compiling")
            texts[name], program = future.result()
            if name != "lax" and texts[name] == texts.get("lax"):
                continue
            y = program(*arrays)
            want = y if want is None else want
            wrong = fault(y, want, samples)
        except Exception as error:
            wrong = first_line(error)
        if wrong:
            record["faults"][name] = wrong
        else:
            runs[name] = partial(program, *arrays), jax.block_until_ready
    for layout, (function, laid) in torchs.items():
        import torch

        name = f"torch, {layout}"
        try:
            y = laid(function()).contiguous()
            torch.cuda.synchronize()
            wrong = fault(jnp.from_dlpack(y), want, samples) if want is not None else None
        except Exception as error:
            wrong = first_line(error)
        if wrong:
            record["faults"][name] = wrong
        else:
            runs[name] = function, lambda _: torch.cuda.synchronize()
    record["milliseconds"] = medians(runs)
    if texts.get("jaxcnn") == texts.get("lax") and "lax" in record["milliseconds"]:
        record["milliseconds"]["jaxcnn"] = record["milliseconds"]["lax"]  # the same program
    return record


def summary(record: dict[str, Any]) -> str:
    """The record as a line: lax, PyTorch's faster layout, and jaxcnn's fastest contender."""
    times = record["milliseconds"]
    ours = {k: v for k, v in times.items() if k not in ("lax", "jaxcnn") and "torch" not in k}
    theirs = [v for k, v in times.items() if "torch" in k]
    best = min(ours, key=ours.__getitem__, default="-")
    nan = float("nan")
    return (
        f"{record['layer']:30s} {record['direction']:8s} {record['dtype']:9s}"
        f" lax {times.get('lax', nan):8.3f}  jaxcnn {times.get('jaxcnn', nan):8.3f}"
        f"  torch {min(theirs, default=nan):8.3f}  {best} {ours.get(best, nan):.3f}"
        + "".join(f"  [{k}: {v[:60]}]" for k, v in record["faults"].items())
    )


def launches() -> dict[str, float]:
    """Milliseconds of a program that computes almost nothing: a lower limit for contenders."""
    x = jnp.ones(8)
    programs: dict[str, tuple[Callable, Callable]] = {
        "jax": (partial(jax.jit(lambda x: x + 1), x), jax.block_until_ready)
    }
    with suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            y = torch.ones(8, device="cuda")
            programs["torch"] = partial(torch.add, y, 1), lambda _: torch.cuda.synchronize()
    return medians(programs)


def main() -> None:
    """Compiles, measures and checks the contenders, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--limit", type=float, default=240, help="seconds for the whole run")
    options = parser.parse_args()
    start, platform = time.perf_counter(), jax.default_backend()
    if platform == "cpu":
        sys.exit("no accelerator here; on a processor use `jaxcnn bench`")
    tuning.LARGEST_TEMPORARY = 2**34  # on accelerators new memory is free and loops are slow
    path = RESULTS / f"convolution_on_{platform}.json"
    found = environment()
    with suppress(PackageNotFoundError):
        found["versions"]["torch"] = version("torch")
    records: list[dict[str, Any]] = []
    whole = {"environment": found, "batch": options.batch, "launch": launches(), "rows": records}
    pool = ThreadPoolExecutor(min(24, 2 * (os.cpu_count() or 1)))
    for (name, each), dtype in product(layers(options.batch).items(), DTYPES):
        if time.perf_counter() - start > options.limit:
            print(f"out of time before {name}, {dtype}", flush=True)
            break
        problem = replace(each, dtype=dtype, out_dtype=dtype)
        measurements = [Measurement(name, direction, problem) for direction in DIRECTIONS]
        for one in measurements:
            for key, program in contenders(problem, one.direction).items():
                one.programs[key] = pool.submit(compiled, program, problem)
        hosts = operands(problem)
        arrays = tuple(jnp.asarray(host, dtype) for host in hosts)
        samples = [sampled(problem, hosts, direction) for direction in DIRECTIONS]
        by_torch = in_torch(problem, hosts, dtype)
        wait([future for one in measurements for future in one.programs.values()], LONGEST)
        for one, entries in zip(measurements, samples, strict=True):
            records.append(measured(one, arrays, entries, by_torch.get(one.direction, {})))
            print(summary(records[-1]), flush=True)
        path.write_text(json.dumps(whole, indent=1) + "\n")
    print(f"{path}, after {time.perf_counter() - start:.0f} s", flush=True)
    os._exit(0)  # without waiting for programs that still compile


if __name__ == "__main__":
    main()
