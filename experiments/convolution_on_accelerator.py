"""Times lax, jaxcnn and PyTorch on one accelerator, and checks every result.

    python experiments/convolution_on_accelerator.py [--seconds 0.3] [--batch 64]

Writes results/convolution_on_PLATFORM.json: for each layer, direction and dtype the median
milliseconds of each contender. That file is what a rule for the platform must cite: as long as
there is none, jaxcnn leaves every convolution there to lax (``jaxcnn.convolve.lower``), so lax and
jaxcnn differ by noise, and PyTorch shows where a rule might pay.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import jaxcnn
from jaxcnn.convolve import Problem
from jaxcnn.convolve.layout import channels_last
from jaxcnn.environment import environment

RESULTS = Path(__file__).parent / "results"


def layers(batch: int) -> dict[str, Problem]:
    """Classes in which XLA is said to miss cuDNN, and the everyday ones beside them."""

    def layer(n, size, c, f, o, g=1, s=1, d=1):
        pairs = tuple(((d * (k - 1)) // 2, (d * (k - 1) + 1 - s % 2) // 2) for k in f)
        axes = len(size)
        return Problem(n, size, c, f, o, g, (s,) * axes, pairs, (), (d,) * axes)

    return {
        "3x3 64@56": layer(4 * batch, (56, 56), 64, (3, 3), 64),
        "3x3 512@14": layer(4 * batch, (14, 14), 512, (3, 3), 512),
        "3x3 s2 128@56": layer(4 * batch, (56, 56), 128, (3, 3), 128, s=2),
        "1x1 256-1024@14": layer(4 * batch, (14, 14), 256, (1, 1), 1024),
        "stem 7x7 s2": layer(batch, (224, 224), 3, (7, 7), 64, s=2),
        "depthwise 3x3 96@56": layer(batch, (56, 56), 96, (3, 3), 96, 96),
        "depthwise 7x7 96@56": layer(batch, (56, 56), 96, (7, 7), 96, 96),
        "32 groups 128@56": layer(batch, (56, 56), 128, (3, 3), 128, 32),
        "32 groups, dilated": layer(batch, (56, 56), 128, (3, 3), 128, 32, d=2),
        "3x3x3 32-64@32": layer(max(1, batch // 8), (32,) * 3, 32, (3,) * 3, 64),
        "31x31 1@256": layer(batch, (256, 256), 1, (31, 31), 1),
    }


def contenders(problem: Problem) -> dict[str, dict[str, Callable]]:
    """By direction and by name: functions of (x, kernel, output gradient)."""

    def directions(conv: Callable) -> dict[str, Callable]:
        def forward(x, kernel):
            return conv(
                x,
                kernel,
                problem.stride,
                problem.padding,
                rhs_dilation=problem.dilation,
                dimension_numbers=channels_last(problem.axes),
                feature_group_count=problem.groups,
            )

        def of_x(x, kernel, g):
            return jax.linear_transpose(lambda x: forward(x, kernel), x)(g)[0]

        def of_kernel(x, kernel, g):
            return jax.linear_transpose(lambda kernel: forward(x, kernel), kernel)(g)[0]

        return {
            "forward": lambda x, kernel, g: forward(x, kernel),
            "input": of_x,
            "kernel": of_kernel,
        }

    both = {
        "lax": directions(lax.conv_general_dilated),
        "jaxcnn": directions(jaxcnn.conv_general_dilated),
    }
    return {
        direction: {name: jax.jit(each[direction]) for name, each in both.items()}
        for direction in ("forward", "input", "kernel")
    }


def in_torch(problem: Problem, arrays: tuple[jax.Array, ...], dtype: str) -> dict[str, Callable]:
    """PyTorch's functions by direction, on the same device; none where it cannot run there."""
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available() or any(lo != hi for lo, hi in problem.padding):
        return {}
    axes = problem.axes
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    x, kernel, g = (
        torch.from_numpy(np.array(a.astype(jnp.float32))).cuda().to(getattr(torch, dtype))
        for a in arrays
    )
    x, g = (a.permute(0, axes + 1, *range(1, axes + 1)) for a in (x, g))
    kernel = kernel.permute(axes + 1, axes, *range(axes)).contiguous()
    padding = [lo for lo, _ in problem.padding]

    # bias, stride, padding, dilation, transposed, output padding, groups
    rest = (None, problem.stride, padding, problem.dilation, False, [0] * axes, problem.groups)

    def forward():
        torch.ops.aten.convolution(x, kernel, *rest)
        torch.cuda.synchronize()

    def back(mask):
        torch.ops.aten.convolution_backward(g, x, kernel, *rest, mask)
        torch.cuda.synchronize()

    return {
        "forward": forward,
        "input": partial(back, [True, False, False]),
        "kernel": partial(back, [False, True, False]),
    }


def finished(program: Callable, arrays: tuple[jax.Array, ...]) -> None:
    """Runs the program to its end."""
    program(*arrays).block_until_ready()


def medians(programs: dict[str, Callable], seconds: float) -> dict[str, float]:
    """Milliseconds, the programs taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        program()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds * len(programs) or len(taken["lax"]) < 5:
        for name, program in programs.items():
            begin = time.perf_counter()
            program()
            taken[name].append(time.perf_counter() - begin)
    return {name: 1e3 * float(np.median(each)) for name, each in taken.items()}


def main() -> None:
    """Measures, checks, writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.3, help="for each contender")
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    platform = jax.default_backend()
    if platform == "cpu":
        sys.exit("no accelerator here; on a processor use `jaxcnn bench`")
    rows = []
    for dtype in ("float32", "bfloat16"):
        for name, problem in layers(options.batch).items():
            draws = np.random.default_rng(0)
            shapes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
            arrays = tuple(jnp.asarray(draws.normal(size=shape), dtype) for shape in shapes)
            others = in_torch(problem, arrays, dtype)
            for direction, programs in contenders(problem).items():
                want, got = (program(*arrays).astype(jnp.float32) for program in programs.values())
                # Both round every product to the unit's input format (tf32 or bfloat16) at worst.
                bound = 2.0**-7 * float(jnp.abs(want).max())
                if not float(jnp.abs(want - got).max()) <= bound:
                    sys.exit(f"{name}, {direction}, {dtype}: jaxcnn differs from lax")
                runs = {
                    key: partial(finished, program, arrays) for key, program in programs.items()
                }
                if direction in others:
                    runs["torch"] = others[direction]
                found = medians(runs, options.seconds)
                rows.append({"layer": name, "direction": direction, "dtype": dtype} | found)
                times = "  ".join(f"{key} {value:8.3f}" for key, value in found.items())
                print(f"{name:22s} {direction:8s} {dtype:9s} {times} ms", flush=True)
    path = RESULTS / f"convolution_on_{platform}.json"
    path.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
