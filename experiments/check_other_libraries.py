"""Checks the laws of jaxcnn.testing on other libraries' convolutions and pools.

    python experiments/check_other_libraries.py

Writes experiments/results/check_other_libraries.json. Result (flax 0.12.8, jax 0.10.2): values,
gradients and transformations of flax.nnx.Conv, max_pool and avg_pool are right, but none of them
rejects a stride that leaves cells unread. The transposed convolutions of Flax and lax are the
adjoint of the convolution, except with VALID padding and a kernel smaller than the stride: they
then give more cells than the input of the convolution.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jaxcnn
from jaxcnn.environment import device_name, environment
from jaxcnn.testing import (
    ConvProblem,
    LawResult,
    adapters,
    assert_adjoint,
    check_law,
    check_laws,
    conv_problems,
    impossible_conv_problems,
    impossible_pool_problems,
    pool_problems,
)

PADDINGS = ("numbers", "VALID", "SAME")  # those that Flax has under the same names


@dataclass(frozen=True)
class Settings:
    """The number of problems drawn for each law, and the file of the result."""

    examples: int = 20
    folder: Path = Path(__file__).parent / "results"


def main(settings: Settings = Settings()) -> None:
    """Prints which laws hold for each function, and the smallest problem that breaks one."""
    print(f"on {device_name()}, {settings.examples} problems per law\n")
    examples = settings.examples
    small = {"ranks": (1, 2)}
    convs = conv_problems(paddings=PADDINGS, **small), impossible_conv_problems(**small)
    transposed = partial(
        conv_problems,
        **small,
        batches=(1, 2),
        max_groups=1,
        roundings=("exact",),
        biases=(False,),
    )
    plain = small | {"max_dilation": 1, "roundings": ("exact", "floor")}
    found: dict[str, list[LawResult]] = {}

    def report(name: str, results: list[LawResult]) -> None:
        found[name] = results
        for result in results:
            answer = "holds" if result.holds else "DOES NOT HOLD"
            print(f"{name:<22}  {result.law:<27} {answer}", flush=True)

    report("flax.nnx.Conv", check_laws(adapters.flax_conv, *convs, examples=examples))
    for kind in ("max", "avg"):
        pools = (
            pool_problems(kinds=(kind,), **plain),
            impossible_pool_problems(kinds=(kind,), **plain),
        )
        pool = getattr(adapters, f"flax_{kind}_pool")
        report(f"flax.nnx.{kind}_pool", check_laws(pool, *pools, examples=examples))
    for name, fn in (
        ("jaxcnn.conv_transpose", jaxcnn.conv_transpose),
        ("flax.nnx.ConvTranspose", adapters.flax_conv_transpose),
        ("jax.lax.conv_transpose", adapters.lax_conv_transpose),
    ):
        results = [
            check_law(
                assert_adjoint,
                f"adjoint of conv, {padding}",
                fn,
                transposed(paddings=(padding,)).filter(unambiguous),
                examples=examples,
            )
            for padding in ("VALID", "SAME")
        ]
        report(name, results)
    explain(found)
    settings.folder.mkdir(exist_ok=True)
    record = {
        name: {result.law: result.failure or "holds" for result in results}
        for name, results in found.items()
    }
    path = settings.folder / "check_other_libraries.json"
    path.write_text(json.dumps({"found": record} | environment(), indent=1) + "\n")


def unambiguous(problem: ConvProblem) -> bool:
    """Whether the size, of all that give k outputs, is the one that the transpose returns."""
    windows = problem.shapes().windows
    return problem.padding != "SAME" or all(w.size == w.output * w.stride for w in windows)


def explain(found: dict[str, list[LawResult]]) -> None:
    """Prints the smallest problem found for each law that does not hold."""
    for name, results in found.items():
        for result in results:
            if not result.holds:
                print(f"\n{name}\n  " + result.failure.replace("\n", "\n  "))


if __name__ == "__main__":
    main()
