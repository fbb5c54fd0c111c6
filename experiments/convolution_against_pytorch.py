"""Times layers of known networks in lax, jaxcnn and PyTorch, in turns in one process.

    python experiments/convolution_against_pytorch.py [float32|bfloat16]

The times are medians for forward, gradient of the input, and gradient of the kernel. PyTorch gets
channels last, its faster layout for these layers, and channels first for one axis. Needs PyTorch
(CPU). Writes results/convolution_against_pytorch_DTYPE.json and .png.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from calibrate_convolution import layer
from jax import lax

from jaxcnn.convolve import Problem, conv_general_dilated
from jaxcnn.convolve.layout import channels_last
from jaxcnn.environment import environment

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results"

LAYERS = {
    "3x3 64-64 @56 b8": layer(8, (56, 56), 64, (3, 3), 64),
    "3x3 256-256 @14 b8": layer(8, (14, 14), 256, (3, 3), 256),
    "3x3 512-512 @7 b8": layer(8, (7, 7), 512, (3, 3), 512),
    "3x3 32-64 @26 b64": layer(64, (26, 26), 32, (3, 3), 64, p=0),
    "3x3 128-128 s2 @56 b8": layer(8, (56, 56), 128, (3, 3), 128, s=2, p=1),
    "1x1 256-64 @56 b8": layer(8, (56, 56), 256, (1, 1), 64),
    "1x1 256-1024 @14 b8": layer(8, (14, 14), 256, (1, 1), 1024),
    "7x7 3-64 s2 @224 b8": layer(8, (224, 224), 3, (7, 7), 64, s=2, p=3),
    "3x3 depthwise 576 @14 b8": layer(8, (14, 14), 576, (3, 3), 576, 576),
    "3x3 depthwise 96 s2 @112 b8": layer(8, (112, 112), 96, (3, 3), 96, 96, s=2, p=1),
    "7x7 depthwise 96 @56 b8": layer(8, (56, 56), 96, (7, 7), 96, 96),
    "3x3 128-128 g32 @56 b8": layer(8, (56, 56), 128, (3, 3), 128, 32),
    "3x3x3 32-64 @16 b2": layer(2, (16, 16, 16), 32, (3, 3, 3), 64),
    "9 taps 64-64 @1000 b8": layer(8, (1000,), 64, (9,), 64),
    "5 taps depthwise 256 d4 @1000 b8": layer(8, (1000,), 256, (5,), 256, 256, d=4),
}

ROUNDS, CALLS, SLOW = 6, 6, 0.02  # contenders slower than SLOW seconds are called less often


def by_jax(conv: Callable, problem: Problem, arrays: tuple) -> list[Callable]:
    """The three directions by ``conv``, each a function that waits for its result."""

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

    x, kernel, g = arrays
    programs = (
        (jax.jit(forward), (x, kernel)),
        (jax.jit(lambda g, w: jax.linear_transpose(lambda x: forward(x, w), x)(g)), (g, kernel)),
        (jax.jit(lambda x, g: jax.linear_transpose(lambda w: forward(x, w), kernel)(g)), (x, g)),
    )
    return [partial(lambda f, a: jax.block_until_ready(f(*a)), f, a) for f, a in programs]


def by_torch(problem: Problem, arrays: tuple, dtype: str) -> list[Callable]:
    """The three directions by PyTorch's own functions."""
    import torch

    axes = problem.axes
    last = (0, axes + 1, *range(1, axes + 1))
    x, kernel, g = (
        torch.from_numpy(np.array(a.astype("float32"))).to(getattr(torch, dtype)) for a in arrays
    )
    x, g = (a.permute(last) if axes > 1 else a.permute(last).contiguous() for a in (x, g))
    kernel = kernel.permute(axes + 1, axes, *range(axes)).contiguous()
    padding = [lo for lo, _ in problem.padding]
    rest = (None, problem.stride, padding, problem.dilation, False, [0] * axes, problem.groups)

    def forward():
        with torch.inference_mode():
            torch.ops.aten.convolution(x, kernel, *rest)

    def back(mask):
        with torch.inference_mode():
            torch.ops.aten.convolution_backward(g, x, kernel, *rest, mask)

    return [forward, partial(back, [True, False, False]), partial(back, [False, True, False])]


def medians(contenders: dict[str, Callable]) -> dict[str, float]:
    """Median milliseconds, in turns; each turn starts with a rest and an uncounted call."""
    taken: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        for name, run in contenders.items():
            if turn and min(taken[name]) > SLOW:
                continue
            time.sleep(0.005)
            run()
            for _ in range(CALLS):
                start = time.perf_counter()
                run()
                taken.setdefault(name, []).append(time.perf_counter() - start)
                if taken[name][-1] > SLOW:
                    break
    return {name: 1e3 * float(np.median(each)) for name, each in taken.items()}


def draw(rows: list[dict], path: Path, title: str) -> None:
    """Draws a panel for each direction: milliseconds of all three, one line for each layer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    colors = {"lax": "#D55E00", "torch": "#E69F00", "jaxcnn": "#0072B2"}
    names = [row["layer"] for row in rows]
    for place, axes in enumerate(panels):
        for who, color in colors.items():
            times = [row["directions"][place][who] for row in rows]
            axes.scatter(times, range(len(rows)), color=color, label=who, s=40, alpha=0.85)
        axes.set_xscale("log")
        what = ("forward", "gradient of the input", "gradient of the kernel")[place]
        axes.set(title=what, xlabel="milliseconds, log scale")
        axes.grid(axis="both", alpha=0.3)
    panels[0].set_yticks(range(len(rows)), names)
    panels[0].invert_yaxis()
    panels[-1].legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=100)


def main(dtype: str) -> None:
    """Times every layer, prints a table, and writes the record."""
    rows, ratios = [], []
    for name, problem in LAYERS.items():
        draws = np.random.default_rng(0)
        shapes = (problem.x_shape, problem.kernel_shape, problem.output_shape)
        arrays = tuple(jnp.asarray(draws.normal(size=shape), dtype) for shape in shapes)
        ways = {
            "lax": by_jax(lax.conv_general_dilated, problem, arrays),
            "jaxcnn": by_jax(conv_general_dilated, problem, arrays),
            "torch": by_torch(problem, arrays, dtype),
        }
        found = [medians({who: runs[place] for who, runs in ways.items()}) for place in range(3)]
        rows.append({"layer": name, "directions": found})
        ratios.append([each["jaxcnn"] / each["torch"] for each in found])
        cells = (" / ".join(f"{each[who]:.3g}" for who in ways) for each in found)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    means = np.exp(np.log(ratios).mean(axis=0))
    print("jaxcnn / torch, geometric means:", *(f"{mean:.2f}" for mean in means))
    import torch

    record = {"environment": environment() | {"torch": torch.__version__}, "rows": rows}
    path = RESULTS / f"convolution_against_pytorch_{dtype}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    draw(rows, path.with_suffix(".png"), f"{dtype}, {record['environment']['device']}")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "float32")
