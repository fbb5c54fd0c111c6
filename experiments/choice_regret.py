"""The loss of the choice of an algorithm: 200 layers of known networks, all directions.

    python experiments/choice_regret.py [float32|bfloat16] [--layers 200] [--seconds 0.05]

The rates of the cost model are fitted on other layers (experiments/calibrate_convolution.py). Each
algorithm that can be chosen for a drawn layer is timed, forward and for both gradients, except
those with a predicted time of more than ten times the least. The regret is the chosen algorithm's
time over the least. Writes results/choice_regret_DTYPE.json.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from calibrate_convolution import algorithms_on, layer

from jaxcnn.convolve import choose
from jaxcnn.convolve.algorithms import ALGORITHMS
from jaxcnn.environment import environment

if TYPE_CHECKING:
    from jaxcnn.convolve.problem import Problem

RESULTS = Path(__file__).parent / "results"

BATCHES = (1, 2, 4, 8, 16, 32)

MOST = {"work": 1.5e9, "cells": 2.5e7}
"""The most multiply-adds and array cells of a drawn layer; larger layers take too long."""

PRICED = 10.0
"""An algorithm with a prediction of more than this many times the least is not timed."""


def plain(size, c, f, o, s=1, p=None, g=1, d=1):
    """A layer of square images; padding keeps the size by default."""
    f = f if isinstance(f, tuple) else (f, f)
    return {"size": (size, size), "c": c, "f": f, "o": o, "s": s, "p": p, "g": g, "d": d}


def of_axes(size, c, f, o, s=1, p=None, g=1, d=1, base=1):
    """A layer of any number of axes."""
    return {"size": size, "c": c, "f": f, "o": o, "s": s, "p": p, "g": g, "d": d, "base": base}


NETWORKS = {
    "VGG-16": [
        plain(224, 3, 3, 64),
        plain(224, 64, 3, 64),
        plain(112, 64, 3, 128),
        plain(112, 128, 3, 128),
        plain(56, 128, 3, 256),
        plain(56, 256, 3, 256),
        plain(28, 256, 3, 512),
        plain(28, 512, 3, 512),
        plain(14, 512, 3, 512),
    ],
    "AlexNet": [
        plain(224, 3, 11, 64, 4, 2),
        plain(27, 64, 5, 192),
        plain(13, 192, 3, 384),
        plain(13, 384, 3, 256),
        plain(13, 256, 3, 256),
    ],
    "ResNet-34": [
        plain(56, 64, 3, 128, 2, 1),
        plain(28, 128, 3, 256, 2, 1),
        plain(14, 256, 3, 512, 2, 1),
        plain(56, 64, 1, 128, 2, 0),
        plain(28, 128, 1, 256, 2, 0),
        plain(7, 512, 3, 512),
    ],
    "ResNet-101, 192 wide": [
        plain(48, 64, 1, 64),
        plain(48, 64, 3, 64),
        plain(48, 256, 1, 128),
        plain(24, 128, 3, 128),
        plain(24, 128, 1, 512),
        plain(24, 512, 1, 128),
        plain(12, 256, 3, 256),
        plain(12, 1024, 1, 256),
        plain(6, 512, 3, 512),
        plain(6, 512, 1, 2048),
        plain(6, 2048, 1, 512),
        plain(12, 1024, 1, 2048, 2, 0),
    ],
    "DenseNet-121": [
        plain(56, 128, 3, 32),
        plain(56, 96, 1, 128),
        plain(28, 128, 3, 32),
        plain(28, 320, 1, 128),
        plain(14, 128, 3, 32),
        plain(14, 640, 1, 128),
        plain(7, 128, 3, 32),
        plain(7, 768, 1, 128),
        plain(56, 256, 1, 128),
        plain(28, 512, 1, 256),
    ],
    "SqueezeNet": [
        plain(224, 3, 3, 64, 2, 0),
        plain(55, 64, 1, 16),
        plain(55, 16, 1, 64),
        plain(55, 16, 3, 64),
        plain(27, 128, 1, 32),
        plain(27, 32, 3, 128),
        plain(13, 256, 1, 48),
        plain(13, 48, 3, 192),
        plain(13, 64, 3, 256),
    ],
    "Inception-v3": [
        plain(299, 3, 3, 32, 2, 0),
        plain(149, 32, 3, 32, 1, 0),
        plain(147, 32, 3, 64),
        plain(73, 80, 3, 192, 1, 0),
        plain(35, 192, 1, 64),
        plain(35, 48, 5, 64),
        plain(35, 64, 3, 96),
        plain(35, 288, 3, 384, 2, 0),
        plain(17, 128, (1, 7), 128),
        plain(17, 128, (7, 1), 192),
        plain(17, 768, 1, 192),
        plain(8, 384, (1, 3), 384),
        plain(8, 384, (3, 1), 384),
        plain(8, 1280, 1, 320),
    ],
    "MobileNetV1": [
        plain(112, 32, 3, 32, g=32),
        plain(112, 32, 1, 64),
        plain(112, 64, 3, 64, 2, 1, 64),
        plain(56, 128, 3, 128, g=128),
        plain(56, 128, 1, 128),
        plain(28, 256, 3, 256, g=256),
        plain(28, 256, 3, 256, 2, 1, 256),
        plain(14, 512, 3, 512, g=512),
        plain(14, 512, 1, 512),
        plain(7, 1024, 3, 1024, g=1024),
        plain(7, 1024, 1, 1024),
    ],
    "MobileNetV3": [
        plain(224, 3, 3, 16, 2, 1),
        plain(112, 16, 3, 16, g=16),
        plain(112, 64, 3, 64, 2, 1, 64),
        plain(56, 72, 3, 72, g=72),
        plain(56, 72, 5, 72, 2, 2, 72),
        plain(28, 120, 5, 120, g=120),
        plain(28, 240, 3, 240, 2, 1, 240),
        plain(14, 200, 3, 200, g=200),
        plain(14, 480, 1, 112),
        plain(14, 672, 5, 672, 2, 2, 672),
        plain(7, 960, 5, 960, g=960),
        plain(7, 160, 1, 960),
    ],
    "EfficientNet-B0": [
        plain(112, 32, 3, 32, g=32),
        plain(112, 96, 3, 96, 2, 1, 96),
        plain(56, 144, 3, 144, g=144),
        plain(56, 144, 5, 144, 2, 2, 144),
        plain(28, 240, 5, 240, g=240),
        plain(14, 480, 3, 480, g=480),
        plain(14, 672, 5, 672, g=672),
        plain(7, 1152, 5, 1152, g=1152),
        plain(7, 1152, 1, 192),
        plain(7, 1152, 3, 1152, g=1152),
        plain(7, 320, 1, 1280),
        plain(56, 24, 1, 144),
        plain(28, 40, 1, 240),
    ],
    "ConvNeXt-S": [
        plain(224, 3, 4, 96, 4, 0),
        plain(28, 192, 7, 192, g=192),
        plain(14, 384, 7, 384, g=384),
        plain(56, 96, 1, 384),
        plain(56, 384, 1, 96),
        plain(28, 192, 1, 768),
        plain(14, 384, 1, 1536),
        plain(28, 192, 2, 384, 2, 0),
        plain(14, 384, 2, 768, 2, 0),
    ],
    "ResNeXt-50": [
        plain(28, 256, 3, 256, g=32),
        plain(14, 512, 3, 512, 2, 1, 32),
        plain(7, 1024, 3, 1024, g=32),
        plain(56, 128, 3, 128, 2, 1, 32),
    ],
    "RegNetX": [
        plain(56, 72, 3, 72, g=3),
        plain(28, 168, 3, 168, g=7),
        plain(14, 408, 3, 408, g=17),
        plain(7, 912, 3, 912, g=38),
        plain(112, 32, 3, 72, 2, 1, 1),
        plain(28, 168, 1, 168),
    ],
    "ShuffleNetV2": [
        plain(28, 58, 3, 58, g=58),
        plain(28, 58, 1, 58),
        plain(56, 24, 3, 24, 2, 1, 24),
        plain(14, 116, 3, 116, g=116),
        plain(14, 116, 1, 116),
        plain(7, 232, 3, 232, g=232),
    ],
    "DeepLabV3": [
        plain(28, 512, 3, 512, d=2),
        plain(28, 256, 3, 256, d=2),
        plain(28, 256, 3, 256, d=12),
        plain(28, 320, 3, 320, g=320, d=2),
        plain(33, 512, 3, 256, d=6),
        plain(28, 256, 1, 256),
    ],
    "U-Net": [
        plain(128, 32, 3, 32),
        plain(128, 1, 3, 32),
        plain(64, 64, 3, 64),
        plain(64, 32, 3, 64),
        plain(32, 128, 3, 128),
        plain(16, 256, 3, 256),
        plain(64, 128, 3, 64),
        plain(128, 64, 1, 2),
        of_axes((32, 32), 128, (2, 2), 64, 1, 1, base=2),
        of_axes((16, 16), 256, (2, 2), 128, 1, 1, base=2),
    ],
    "DCGAN": [
        of_axes((4, 4), 512, (4, 4), 256, 1, 2, base=2),
        of_axes((8, 8), 256, (4, 4), 128, 1, 2, base=2),
        of_axes((16, 16), 128, (4, 4), 64, 1, 2, base=2),
        of_axes((32, 32), 64, (4, 4), 3, 1, 2, base=2),
        plain(64, 3, 4, 64, 2, 1),
        plain(32, 64, 4, 128, 2, 1),
        plain(16, 128, 4, 256, 2, 1),
    ],
    "CIFAR ResNet": [
        plain(32, 16, 3, 16),
        plain(32, 16, 3, 32, 2, 1),
        plain(16, 32, 3, 32),
        plain(8, 64, 3, 64),
        plain(32, 160, 3, 160),
        plain(16, 320, 3, 320),
        plain(32, 3, 3, 16),
    ],
    "digits": [
        plain(28, 1, 5, 6, 1, 2),
        plain(14, 6, 5, 16, 1, 0),
        plain(28, 1, 3, 16),
        plain(28, 32, 3, 32),
        plain(14, 32, 3, 64),
        plain(7, 64, 3, 128),
    ],
    "speech": [
        of_axes((3200,), 1, (10,), 512, 5, 0),
        of_axes((640,), 512, (3,), 512, 2, 0),
        of_axes((1500,), 80, (3,), 384),
        of_axes((1500,), 384, (3,), 384, 2, 1),
        of_axes((500,), 256, (31,), 256, g=256),
        of_axes((999,), 512, (3,), 512, g=512),
        of_axes((999,), 512, (1,), 128),
        of_axes((2000,), 64, (2,), 64, p=0, d=8),
        of_axes((999,), 512, (3,), 512, g=512, d=4),
        of_axes((400,), 128, (5,), 128, d=3),
        of_axes((250,), 256, (16,), 128, 1, 11, base=8),
    ],
    "video": [
        of_axes((8, 28, 28), 64, (3, 3, 3), 64),
        of_axes((16, 56, 56), 3, (3, 3, 3), 32),
        of_axes((8, 28, 28), 64, (1, 3, 3), 144),
        of_axes((8, 28, 28), 144, (3, 1, 1), 64),
        of_axes((8, 14, 14), 128, (3, 3, 3), 128),
        of_axes((4, 14, 14), 256, (3, 3, 3), 256),
        of_axes((8, 28, 28), 54, (3, 3, 3), 54, g=54),
        of_axes((16, 16, 16), 32, (2, 2, 2), 64, 2, 0),
    ],
    "YOLO": [
        plain(160, 16, 3, 32, 2, 1),
        plain(80, 32, 3, 32),
        plain(80, 64, 3, 64),
        plain(40, 128, 3, 128),
        plain(20, 256, 3, 256),
        plain(40, 256, 1, 128),
        plain(20, 512, 1, 256),
        plain(20, 256, 1, 255),
    ],
    "super-resolution": [
        plain(64, 1, 5, 64),
        plain(64, 64, 3, 32),
        plain(64, 32, 3, 4),
        plain(48, 64, 3, 64),
        plain(48, 64, 3, 256),
        plain(96, 64, 9, 3),
        plain(64, 56, 1, 12),
        plain(64, 12, 3, 12),
    ],
}


def drawn(count: int, dtype: str) -> list[tuple[str, Problem]]:
    """``count`` different layers of the networks, with usual batch sizes."""
    draws = np.random.default_rng(0)
    names, found = sorted(NETWORKS), {}
    while len(found) < count:
        name = names[draws.integers(len(names))]
        sizes = dict(NETWORKS[name][draws.integers(len(NETWORKS[name]))])
        n = int(BATCHES[draws.integers(len(BATCHES))])
        problem = replace(
            layer(n, sizes.pop("size"), sizes.pop("c"), sizes.pop("f"), sizes.pop("o"), **sizes),
            dtype=dtype,
            out_dtype=dtype,
        )
        cells = sum(math.prod(s) for s in (problem.x_shape, problem.output_shape))
        if problem.multiply_adds <= MOST["work"] and cells <= MOST["cells"]:
            found[problem] = name
    return [(name, problem) for problem, name in found.items()]


def main() -> None:
    """Times the algorithms and prints the cases in which the choice loses."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dtype", nargs="?", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.05, help="for each algorithm")
    options = parser.parse_args()
    path = RESULTS / f"choice_regret_{options.dtype}.json"
    rows = []
    for name, problem in drawn(options.layers, options.dtype):
        gradients = (problem.input_gradient(), problem.kernel_gradient())
        for place, each in enumerate((problem, *gradients)):
            each, _ = each.trimmed()
            if each.is_empty:
                continue
            chosen, priced = choose.choose(each), choose.costs(each)
            numbers = {key: cost for key, cost in priced.items() if not isinstance(cost, str)}
            least = min(numbers.values())
            left_out = {
                key
                for key in ALGORITHMS
                if not ALGORITHMS[key].local or key not in numbers or numbers[key] > PRICED * least
            } - {"direct", chosen}
            times = algorithms_on(
                each, gradient=place == 2, known=left_out, seconds=options.seconds
            )
            regret = times[chosen] / min(times.values())
            row = {"network": name, "direction": ("forward", "input", "kernel")[place]}
            rows.append(row | {"problem": asdict(each), "chosen": chosen, "milliseconds": times})
            print(
                f"{regret:5.2f} {times[chosen] / times['direct']:5.2f}  {chosen:24s} {each}",
                "" if regret < 1.15 else f" {min(times, key=times.get)}",
                flush=True,
            )
        record = {"environment": environment(), "rows": rows}
        path.write_text(json.dumps(record, indent=1) + "\n")
    report(rows)


def report(rows: list[dict]) -> None:
    """Prints geometric means and the worst case, by direction."""
    for direction in ("forward", "input", "kernel", ""):
        mine = [row for row in rows if direction in ("", row["direction"])]
        times = [(row["milliseconds"], row["chosen"]) for row in mine]
        regrets = [each[chosen] / min(each.values()) for each, chosen in times]
        direct = [each[chosen] / each["direct"] for each, chosen in times]
        print(
            f"{direction or 'all':8s} {len(mine)} problems: chosen / best {_mean(regrets):.3f}, "
            f"at worst {max(regrets):.2f}; chosen / lax {_mean(direct):.3f}, "
            f"at worst {max(direct):.2f}"
        )


def _mean(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


if __name__ == "__main__":
    main()
