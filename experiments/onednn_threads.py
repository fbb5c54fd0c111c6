"""Compares thread settings for oneDNN next to XLA's own threads, by ratios to lax.

    python experiments/onednn_threads.py [--seconds 2] [--variants FOLDER]

XLA has a pool of threads and oneDNN has OpenMP's; both use all cores. Each scene is a program in
which they can compete. Each setting runs in its own process, because libgomp reads its environment
once. Each process times lax and oneDNN in turn. Times are means, which show when a few calls wait
for long. Writes results/onednn_threads.json.

Scenes: one layer; a small layer; a chain of small layers, in which waking the threads counts; a
small layer after a large one of lax's; both gradients of a layer, which XLA may start at once;
elementwise work right after a convolution; four Python threads; eight virtual devices; PyTorch in
between.

Settings: how long libgomp's idle threads look for work before they sleep (GOMP_SPINCOUNT; passive
means not at all, default is libgomp's own), and iomp and tbb from a folder with the library's other
builds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results" / "onednn_threads.json"

EIGHT = "--xla_force_host_platform_device_count=8"

SETTINGS = {
    "default": {"OMP_WAIT_POLICY": ""},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 100": {"GOMP_SPINCOUNT": "100"},
    "spin 1000": {"GOMP_SPINCOUNT": "1000"},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
    "active": {"OMP_WAIT_POLICY": "active"},
}


def scenes(torch_beside: bool) -> dict[str, tuple[Callable, Callable]]:
    """The scenes by name, each as a function without arguments by lax and one by jaxcnn."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax

    from jaxcnn.convolve import conv_general_dilated

    draws = np.random.default_rng(0)
    layout = ("NHWC", "HWIO", "NHWC")

    def array(*shape):
        return jnp.asarray(draws.normal(size=shape), "float32")

    ours = partial(conv_general_dilated, algorithm="onednn")

    def both(make: Callable[[Callable], Callable], ours=ours) -> tuple[Callable, Callable]:
        return make(lax.conv_general_dilated), make(ours)

    def ready(program, *arrays):
        jax.block_until_ready(program(*arrays))

    def conv(how, x, w, groups=1):
        return how(x, w, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=groups)

    x, w = array(8, 56, 56, 64), array(3, 3, 64, 64)
    small_x, small_w = array(8, 14, 14, 96), array(1, 1, 96, 96)

    def one(how):
        return partial(ready, jax.jit(partial(conv, how)), x, w)

    def small(how):
        return partial(ready, jax.jit(partial(conv, how)), small_x, small_w)

    def chain(how):
        def twenty(x, w):
            for _ in range(20):
                x = conv(how, jnp.tanh(x), w)
            return x

        return partial(ready, jax.jit(twenty), small_x, small_w)

    deep_x, deep_w = array(32, 4, 4, 960), array(3, 3, 1, 960)
    before = jax.jit(partial(conv, lax.conv_general_dilated))

    def mixed(how):
        after = jax.jit(partial(conv, how, groups=960))

        def run():
            ready(before, x, w)
            ready(after, deep_x, deep_w)

        return run

    def gradients(how):
        def loss(x, w):
            return (conv(how, x, w) ** 2).sum()

        return partial(ready, jax.jit(jax.grad(loss, (0, 1))), x, w)

    def elementwise(how):
        def program(x, w):
            y = x
            for _ in range(3):
                y = jax.nn.gelu(conv(how, y, w)) + x
            return y

        return partial(ready, jax.jit(program), x, w)

    pool = ThreadPoolExecutor(4)

    def four(how):
        xs = [array(2, 56, 56, 64) for _ in range(4)]
        programs = [jax.jit(partial(conv, how)).lower(each, w).compile() for each in xs]

        def run():
            pairs = zip(programs, xs, strict=True)
            waits = [pool.submit(ready, program, each, w) for program, each in pairs]
            for wait in waits:
                wait.result()

        return run

    def eight(how):
        mesh = jax.make_mesh((8,), ("n",))
        from jax.sharding import NamedSharding
        from jax.sharding import PartitionSpec as Spec

        def local(x, w):
            return conv(how, x, w)

        mapped = jax.jit(
            jax.shard_map(local, mesh=mesh, in_specs=(Spec("n"), Spec()), out_specs=Spec("n"))
        )
        args = (
            jax.device_put(x, NamedSharding(mesh, Spec("n"))),
            jax.device_put(w, NamedSharding(mesh, Spec())),
        )
        return partial(ready, mapped, *args)

    found = {
        "one layer": both(one),
        "a small layer": both(small),
        "twenty small layers": both(chain),
        "after lax": both(mixed),
        "both gradients": both(gradients, conv_general_dilated),
        "elementwise after": both(elementwise),
        "four threads": both(four),
    }
    if jax.device_count() == 8:
        return {"eight devices": both(eight)}
    if torch_beside:
        import torch

        a = torch.randn(8, 64, 56, 56).to(memory_format=torch.channels_last)
        b = torch.randn(64, 64, 3, 3).to(memory_format=torch.channels_last)

        def beside(how):
            program = one(how)

            def run():
                with torch.inference_mode():
                    torch.nn.functional.conv2d(a, b, padding=1)
                program()

            return run

        return {"PyTorch in between": both(beside)}
    return found


def child(seconds: float, torch_beside: bool, library: str) -> None:
    """Prints the means of one setting as JSON: {scene: [lax, jaxcnn]} in milliseconds."""
    if library:
        from jaxcnn.onednn import library as loading

        loading._place = lambda: Path(library)
    import numpy as np

    found = {}
    for name, programs in scenes(torch_beside).items():
        for program in programs:
            program()
            program()
        taken: list[list[float]] = [[], []]
        start = time.perf_counter()
        while time.perf_counter() - start < seconds or len(taken[0]) < 7:
            for program, mine in zip(programs, taken, strict=True):
                for _ in range(3):
                    begin = time.perf_counter()
                    program()
                    mine.append(time.perf_counter() - begin)
        found[name] = [1e3 * float(np.mean(each)) for each in taken]
    print(json.dumps(found))


def main() -> None:
    """Times every setting, scene by scene."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each scene and setting")
    parser.add_argument("--variants", type=Path, help="folder with iomp/ and tbb/ libdnnl.so.3")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--torch", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--library", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.seconds, options.torch, options.library)
        return
    from importlib.util import find_spec

    from jaxcnn.environment import environment

    settings = {name: (env, "") for name, env in SETTINGS.items()}
    if options.variants:
        for variant in ("iomp", "tbb"):
            place = str(options.variants / variant / "libdnnl.so.3")
            env = {"LD_LIBRARY_PATH": str(options.variants / "lib")}
            settings[variant] = (env, place)
        place = settings["iomp"][1]
        settings["iomp, no spinning"] = (settings["iomp"][0] | {"KMP_BLOCKTIME": "0"}, place)
    ways = [[], ["--eight"]] + [["--torch"]] * bool(find_spec("torch"))
    record: dict = {"environment": environment(), "milliseconds": {}}
    for setting, (env, place) in settings.items():
        row = record["milliseconds"].setdefault(setting, {})
        for way in ways:
            flags = {"XLA_FLAGS": EIGHT} if "--eight" in way else {}
            done = subprocess.run(
                [sys.executable, __file__, "--child", "--seconds", str(options.seconds)]
                + ["--library", place] * bool(place)
                + [each for each in way if each == "--torch"],
                env={**os.environ, **env, **flags},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                print(f"{setting} {way}: {done.stderr.strip().splitlines()[-1:]}")
                continue
            row |= json.loads(done.stdout.splitlines()[-1])
        says = (f"{scene} {ours:.2f} ({ours / lax:.2f})" for scene, (lax, ours) in row.items())
        print(f"{setting:18s}", *says, sep="  ", flush=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
