"""States over several devices and processes, restored on others."""

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxcnn.train.checkpoint import Checkpoints
from tests.cases import run_on_eight_devices
from tests.train.states import error_of, flip, stored


def rows_of(step):
    rows = jnp.arange(48.0).reshape(16, 3) + jnp.float32(step)
    return {"rows": rows, "copies": rows, "keys": jax.random.split(jax.random.key(step), 16)}


def over(devices):
    """Shardings of that state over these devices."""
    mesh = jax.make_mesh((len(devices),), ("data",), devices=devices)
    rows, copies = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    return {
        "rows": rows,
        "copies": copies,
        "keys": rows,
    }


def laid_out(step, shardings):
    return jax.jit(partial(rows_of, step), out_shardings=shardings)()


def assert_restores(checkpoints, step, shardings, **options):
    like = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(partial(rows_of, step)),
        shardings,
    )
    got, _ = checkpoints.restore(like, **(options or {"step": step}))
    for name, want in rows_of(step).items():
        assert got[name].sharding.is_equivalent_to(shardings[name], want.ndim)
        for shard in stored(got[name]).addressable_shards:
            np.testing.assert_array_equal(shard.data, np.asarray(stored(want))[shard.index])


def on_eight_devices():
    checkpoints, devices = Checkpoints(Path(os.environ["CHECKPOINTS"])), jax.devices()
    checkpoints.save(2, laid_out(2, over(devices)), {})
    for some in (devices, devices[:2], devices[3:7]):
        assert_restores(checkpoints, 1, over(some))
        assert_restores(checkpoints, 2, over(some))
    print(len(devices), "devices")


def test_a_state_may_be_restored_on_another_number_of_devices(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    checkpoints.save(1, rows_of(1), {})
    monkeypatch.setenv("CHECKPOINTS", str(checkpoints.folder))
    run_on_eight_devices(__name__)
    assert_restores(checkpoints, 2, over(jax.devices()))


def in_a_process(number, port):
    """One of two processes, of four devices each."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", 2, number)
    checkpoints, devices = Checkpoints(Path(os.environ["CHECKPOINTS"])), jax.devices()
    assert (len(devices), jax.local_device_count(), jax.process_count()) == (8, 4, 2)
    lines = []
    assert_restores(checkpoints, 1, over(devices))
    for step in (2, 3):
        checkpoints.save(step, laid_out(step, over(devices)), {}, best=step == 2)
    assert (checkpoints.steps(), checkpoints.best()) == ([2, 3], 2)
    if number == 0:
        flip(checkpoints.folder / "3" / "info.json")
    assert_restores(checkpoints, 2, over(devices), warn=lines.append)
    assert len(lines) == (1 if number == 0 else 0)
    checkpoints.save(3, laid_out(3, over(devices)), {})
    assert_restores(checkpoints, 3, over(devices), warn=lines.append)
    gone = Checkpoints(checkpoints.folder / "gone" / "checkpoint")
    assert "No such file" in error_of(gone.save, 1, laid_out(1, over(devices)), {})
    print("done")


def test_two_processes_save_and_restore_one_state(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    checkpoints.save(1, rows_of(1), {})
    monkeypatch.setenv("CHECKPOINTS", str(checkpoints.folder))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    commands = [
        [sys.executable, "-c", f"from {__name__} import in_a_process; in_a_process({i}, {port})"]
        for i in range(2)
    ]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for command in commands
    ]
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-3000:]
        assert output.endswith("done\n")  # Gloo prints lines, too
        assert "Traceback" not in errors
    assert_restores(checkpoints, 3, over(jax.devices()[:1]))
