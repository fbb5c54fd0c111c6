"""The predicted efficiency of training on 8, 64 and 512 devices, on paper: nothing is run.

    python experiments/scaling.py

Compiles a training step for virtual CPU devices, each count in a process of its own, reads from the
compiled program the bytes that each collective operation moves, and divides them by the published
speeds of a machine. The prediction assumes that

- a chip reaches ``Machine.share`` of its peak on the step's products and sums (XLA's own count of
  the program for one device, divided by the devices);
- an all-reduce of b bytes among g devices takes 2*(g - 1)/g * b / bandwidth seconds, a ring
  (Patarasuk and Yuan, J. Parallel Distrib. Comput. 69, 2009), an all-gather or all-to-all
  (g - 1)/g * b for a result of b bytes, a collective permute b; latency, contention and input are
  left out;
- a group of more devices than a node has is as slow as the network between nodes.

Efficiency is the time of computation over the time of a step: all communication after computation
(none overlapped), or hidden behind it as far as it fits (overlapped).

Machine: NVIDIA DGX H100. 494.5 TFLOP/s in TF32 without sparsity and NVLink of 450 GB/s in each
direction (H100 SXM data sheet); eight GPUs a node, one port of 400 Gb/s for each (DGX H100 data
sheet).

Prints a table and writes experiments/results/scaling.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "scaling.json"
DEVICES = (8, 64, 512)


@dataclass(frozen=True)
class Machine:
    """Published speeds, and the share of the peak that a step is assumed to reach."""

    flops: float = 494.5e12  # a second, TF32
    link: float = 450e9  # bytes a second and direction within a node
    network: float = 50e9  # bytes a second and device between nodes
    node: int = 8  # devices
    share: float = 0.4


@dataclass(frozen=True)
class Case:
    """A network, its images, and the images of a step for each part of the mesh's data axis."""

    model: str
    image_shape: tuple[int, int, int]
    batch: int
    classes: int = 10
    spatial: int = 1


CASES = (
    Case("digits", (28, 28, 1), 128),
    Case("residual", (32, 32, 3), 128),
    Case("residual", (224, 224, 3), 32, classes=1000),
    Case("residual", (224, 224, 3), 32, classes=1000, spatial=2),
)

BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "f64": 8}
KINDS = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")


def collectives(program: str) -> list[dict[str, Any]]:
    """Kind, bytes of the result on a device, and devices of a group, of each collective.

    >>> collectives("  %a = (f32[3]{0}, u8[2,2]{1,0}) all-reduce(%b), replica_groups=[2,4]<=[8]")
    [{'kind': 'all-reduce', 'bytes': 16, 'group': 4}]
    """
    found = []
    for line in program.splitlines():
        match = re.search(rf"= (\(.*?\)|\S+) ({'|'.join(KINDS)})\(", line)
        if match is None:
            continue
        arrays = re.findall(r"(\w+)\[([\d,]*)\]", match[1])
        size = sum(BYTES[d] * prod(int(n) for n in dims.split(",") if n) for d, dims in arrays)
        found.append({"kind": match[2], "bytes": size, "group": _group(line)})
    return found


def _group(line: str) -> int:
    """The devices of a group; 2 for a collective permute, which has pairs."""
    by_axes = re.search(r"replica_groups=mesh\[([^]]*)\] \{([^}]*)\}", line)
    if by_axes:
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", by_axes[1]))
        # A part of an axis is written with its size: 'axis_0':(1)4.
        named = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", by_axes[2])
        return prod(int(part or sizes[name]) for name, part in named)
    short = re.search(r"replica_groups=\[\d+,(\d+)\]", line)
    if short:
        return int(short[1])
    listed = re.search(r"replica_groups=\{\{([\d,]+)\}", line)
    if listed:
        return len(listed[1].split(","))
    if "source_target_pairs" not in line:
        raise ValueError(f"the devices of a collective are not understood: {line.strip()[:300]}")
    return 2


def seconds(collective: dict[str, Any], machine: Machine) -> float:
    """The time of a collective by the formulas above."""
    size, group = collective["bytes"], collective["group"]
    speed = machine.link if group <= machine.node else machine.network
    moved = {
        "all-reduce": 2 * (group - 1) / group * size,
        "reduce-scatter": (group - 1) * size,
        "collective-permute": size,
    }
    return moved.get(collective["kind"], (group - 1) / group * size) / speed


def compiled(case: Case, devices: int) -> dict[str, Any]:
    """The collectives and operations of a step on this many virtual devices of this process."""
    import jax
    import numpy as np
    from flax import nnx

    from jaxcnn import models
    from jaxcnn.train import TrainConfig
    from jaxcnn.train.mesh import place
    from jaxcnn.train.step import Batch, ImageFormat, Trainer

    data = devices // case.spatial
    size, channels = case.batch * data, case.image_shape[-1]
    config = TrainConfig(batch_size=size, augment=("flip",))
    where = place(f"data={data},spatial={case.spatial}", size, case.image_shape[0])
    trainer = Trainer(
        config,
        lambda: models.build(case.model, case.image_shape, case.classes, rngs=nnx.Rngs(0)),
        ImageFormat(case.image_shape, (0.5,) * channels, (0.25,) * channels),
        case.classes,
        steps=100,
        place=where,
    )

    def array(shape: tuple[int, ...], dtype: Any, sharding: Any) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    batch = Batch(
        array((size, *case.image_shape), np.uint8, where.images),
        array((size,), np.int32, where.batch),
        array((size,), np.float32, where.batch),
    )
    start = time.perf_counter()
    lowered = trainer.run_batch.lower(trainer.abstract(), batch)
    cost: Any = lowered.cost_analysis()
    program = lowered.compile().as_text() or ""
    return {
        "operations": cost["flops"] / devices,
        "collectives": collectives(program),
        "compile_seconds": round(time.perf_counter() - start, 1),
    }


def predicted(found: dict[str, Any], machine: Machine) -> dict[str, float]:
    """Seconds of computation and communication, and the efficiencies."""
    computing = found["operations"] / (machine.flops * machine.share)
    moving = sum(seconds(each, machine) for each in found["collectives"])
    return {
        "computing": computing,
        "moving": moving,
        "efficiency": computing / (computing + moving),
        "overlapped": computing / max(computing, moving),
    }


def in_a_child(case: int, devices: int) -> dict[str, Any]:
    """What :func:`compiled` finds, in a process with this many virtual devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, __file__, "--case", str(case), "--devices", str(devices)],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{CASES[case]} on {devices} devices: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Prints the table and writes the result; with arguments, compiles one step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", type=int)
    parser.add_argument("--devices", type=int)
    options = parser.parse_args()
    if options.case is not None:
        print(json.dumps(compiled(CASES[options.case], options.devices)))
        return

    from jaxcnn.environment import environment
    from jaxcnn.files import atomic_write

    machine = Machine()
    print(
        "| step | devices | MB moved: sums / images | ms: computing / moving "
        "| efficiency: not / overlapped |\n|---|---|---|---|---|"
    )
    rows = []
    for number, case in enumerate(CASES):
        for devices in DEVICES:
            found = in_a_child(number, devices)
            moved = dict.fromkeys(KINDS, 0)
            for each in found["collectives"]:
                moved[each["kind"]] += each["bytes"]
            result = predicted(found, machine)
            rows.append(
                {"case": asdict(case), "devices": devices, "bytes": moved, **found, **result}
            )
            reduced = moved["all-reduce"] / 1e6
            other = sum(moved.values()) / 1e6 - reduced
            shape = "x".join(map(str, case.image_shape))
            spatial = f", spatial={case.spatial}" if case.spatial > 1 else ""
            print(
                f"| {case.model} {shape}, {case.batch} images{spatial} | {devices} "
                f"| {reduced:.3g} / {other:.3g} "
                f"| {1e3 * result['computing']:.3g} / {1e3 * result['moving']:.3g} "
                f"| {result['efficiency']:.0%} / {result['overlapped']:.0%} |",
                flush=True,
            )
    record = {"machine": asdict(machine), "rows": rows} | environment()
    with atomic_write(RESULT) as path:
        path.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
