"""StableHLO files run in a process that imports JAX alone."""

import errno
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxcnn
from jaxcnn import InputError
from jaxcnn.exchange import stablehlo
from tests.exchange.models import SHAPE, Small, assert_test_vectors_hold, wanted

LOADED = """
import sys
import numpy as np
from jax import export
path, images, outputs = sys.argv[1:]
with open(path, "rb") as file:
    program = export.deserialize(bytearray(file.read()))
found = program.call(np.load(images))
assert not any(name.split(".")[0] in ("jaxcnn", "flax") for name in sys.modules)
np.savez(outputs, **found)
"""


def in_another_process(path, images):
    """The outputs of a StableHLO file, in a process that imports JAX alone."""
    given, outputs = path.with_suffix(".npy"), path.with_suffix(".npz")
    np.save(given, images)
    words = [sys.executable, "-c", LOADED, path, given, outputs]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parent,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(outputs))


def test_a_stablehlo_file_runs_in_a_process_without_jaxcnn(tmp_path):
    model = Small(nnx.Rngs(0))
    path = tmp_path / "small.stablehlo"
    found = jaxcnn.export(model, SHAPE, path, classes=list("abcde"))
    assert found.outputs == {"logits": ("N", 5), "maps": ("N", 4, 3, 4)}
    program = jax.export.deserialize(bytearray(path.read_bytes()))
    assert program.platforms == ("cpu", "cuda", "tpu")
    beside = json.loads((tmp_path / "small.stablehlo.json").read_text())
    assert beside["classes"] == list("abcde")
    assert beside["sha256"] == sha256(path.read_bytes()).hexdigest()
    for count in (1, 5):
        images = np.random.default_rng(count).standard_normal((count, *SHAPE)).astype("float32")
        got = in_another_process(path, images)
        for name, want in wanted(model, jnp.asarray(images)).items():
            np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5)
    assert_test_vectors_hold(beside["test_vectors"], program.call)


def test_outputs_are_compared_by_their_names(tmp_path):
    names = [f"y{i}" for i in range(12)][::-1]

    def function(x):
        return [i * x for i in range(12)]

    jaxcnn.export(function, (3,), tmp_path / "many.stablehlo", output_names=names)
    found = stablehlo.runner(tmp_path / "many.stablehlo")(np.ones((1, 3), "float32"))
    assert {name: y[0, 0] for name, y in found.items()} == {f"y{11 - i}": i for i in range(12)}


def test_neither_file_is_written_if_one_cannot_be(tmp_path, monkeypatch):
    path = tmp_path / "small.stablehlo"
    jaxcnn.export(lambda x: x, (3,), path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="No space left"):
        jaxcnn.export(lambda x: 2 * x, (3,), path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
