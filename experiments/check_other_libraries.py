"""Puts the laws of jaxcnn.testing to other libraries' convolutions and pools; prints the answers.

    python experiments/check_other_libraries.py

Writes experiments/results/check_other_libraries.json. Result (flax 0.12.8, jax 0.10.2): values,
gradients and transformations of flax.nnx.Conv, max_pool and avg_pool are right; none of them refuses
a layout that drops cells; the transposed convolutions are not the adjoint of the convolution of the
same arguments where the filter is smaller than the stride or SAME padding is uneven.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import jaxcnn
from jaxcnn.environment import device_name, environment
from jaxcnn.testing import (
    Finding,
    adapters,
    ask,
    assert_adjoint,
    conv_problems,
    impossible_conv_problems,
    impossible_pool_problems,
    pool_problems,
    survey,
)


PADDINGS = ("numbers", "VALID", "SAME")  # what Flax has under the same names


@dataclass(frozen=True)
class Settings:
    """How many problems each law is put to, and where the result goes."""

    examples: int = 20
    folder: Path = Path(__file__).parent / "results"


def main(settings: Settings = Settings()) -> None:
    """Prints, for each function, which laws hold, and the smallest problem that breaks one."""
    print(f"on {device_name()}, {settings.examples} problems a law\n")
    examples = settings.examples
    small = {"ranks": (1, 2)}
    convs = conv_problems(paddings=PADDINGS, **small), impossible_conv_problems(**small)
    transposed = conv_problems(
        **small,
        batches=(1, 2),
        max_groups=1,
        roundings=("exact",),
        paddings=("VALID", "SAME"),
        biases=(False,),
    )
    plain = small | {"max_dilation": 1, "roundings": ("exact", "floor")}
    found: dict[str, list[Finding]] = {}

    def tell(name: str, findings: list[Finding]) -> None:
        found[name] = findings
        for finding in findings:
            answer = "holds" if finding.holds else "DOES NOT HOLD"
            print(f"{name:<22}  {finding.law:<27} {answer}", flush=True)

    tell("flax.nnx.Conv", survey(adapters.flax_conv, *convs, examples=examples))
    for kind in ("max", "avg"):
        pools = (
            pool_problems(kinds=(kind,), **plain),
            impossible_pool_problems(kinds=(kind,), **plain),
        )
        pool = getattr(adapters, f"flax_{kind}_pool")
        tell(f"flax.nnx.{kind}_pool", survey(pool, *pools, examples=examples))
    for name, fn in (
        ("jaxcnn.conv_transpose", jaxcnn.conv_transpose),
        ("flax.nnx.ConvTranspose", adapters.flax_conv_transpose),
        ("jax.lax.conv_transpose", adapters.lax_conv_transpose),
    ):
        law = "is the adjoint of conv"
        tell(name, [ask(assert_adjoint, law, fn, transposed, examples=examples)])
    explain(found)
    settings.folder.mkdir(exist_ok=True)
    record = {
        name: {finding.law: finding.failure or "holds" for finding in findings}
        for name, findings in found.items()
    }
    path = settings.folder / "check_other_libraries.json"
    path.write_text(json.dumps({"found": record} | environment(), indent=1) + "\n")


def explain(found: dict[str, list[Finding]]) -> None:
    """The smallest problem found that breaks each law that does not hold."""
    for name, findings in found.items():
        for finding in findings:
            if not finding.holds:
                print(f"\n{name}\n  " + finding.failure.replace("\n", "\n  "))


if __name__ == "__main__":
    main()
