"""Training on a mesh of devices has the numbers of one device."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import models
from jaxcnn.convolve import install
from jaxcnn.data import Images
from jaxcnn.errors import InputError
from jaxcnn.testing.tolerance import probable_gamma
from jaxcnn.train import fit, resume
from jaxcnn.train.evaluate import log_probabilities
from jaxcnn.train.mesh import place
from tests.cases import run_on_eight_devices
from tests.train.small import (
    CLASSES,
    CONFIG,
    SHAPE,
    arrays_of,
    batch_of,
    lines_of,
    net,
    small_data,
    small_trainer,
)

# A gradient of zero, as of a bias before a norm, is noise, which Adam makes a whole step.
SGD = replace(CONFIG, optimizer="sgd", learning_rate=0.1)
MIXED = replace(
    SGD,
    augment=("shift:1", "flip", "mixup:0.4"),
    label_smoothing=0.1,
    accumulate=2,
    ema=0.9,
    test_augment=("flip",),
)
STEPS = 3
TERMS = 32 * (4 * SHAPE[0] * SHAPE[1]) * 8
"""The most terms of a sum: of a kernel's gradient over the batch, the cells and the channels."""


class Strided(nnx.Module):
    """Convolutions of Flax that XLA by itself partitions wrongly."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first = nnx.Conv(SHAPE[-1], 6, (5, 5), strides=2, padding="VALID", rngs=rngs)
        self.second = nnx.Conv(6, 6, (3, 3), feature_group_count=3, rngs=rngs)
        self.out = nnx.Linear(6, CLASSES, rngs=rngs)

    def __call__(self, x):
        y = jnp.tanh(self.second(jnp.tanh(self.first(x))))  # 6 rows, on four devices
        return self.out(nnx.max_pool(y, (2, 2), (2, 2)).mean((1, 2)))


def residual():
    """The package's own layers."""
    return models.build("residual", (16, 12, 3), CLASSES, rngs=nnx.Rngs(0))


def assert_close(got, want, start, steps=STEPS):
    """The arrays differ by no more than the roundings of the steps' sums."""
    floats = [n for n, array in enumerate(want) if array.dtype.kind == "f"]
    for n in set(range(len(want))) - set(floats):  # counters and keys
        np.testing.assert_array_equal(got[n], want[n])
    # A step moves an array by a sum of products; another order of summation changes it by
    # gamma of the largest movement among the arrays, and each step passes that on to the next.
    moved = max(float(np.abs(want[n] - start[n]).max()) for n in floats)
    size = max(float(np.abs(want[n]).max()) for n in floats)
    bound = steps * probable_gamma(TERMS, "float32") * (moved + size)
    for n in floats:
        np.testing.assert_allclose(got[n], want[n], rtol=0, atol=bound)


def check_steps(config, build, meshes, scale=1):
    """Steps and predictions of images enlarged ``scale`` times."""
    data, found = small_data(), {}
    larger = data.train.images.repeat(scale, 1).repeat(scale, 2)
    data = SimpleNamespace(train=Images(larger, data.train.labels))
    for mesh in ("data=1", *meshes):
        trainer = small_trainer(config, build, mesh=mesh, shape=data.train.image_shape)
        state = trainer.init()
        start = arrays_of((state.params, state.rest, state.average))
        for step in range(STEPS):
            weights = (np.arange(32) + step < 30).astype(np.float32)
            indices = np.arange(32) + 20 * step
            state, _ = trainer.run_batch(state, batch_of(trainer, data, indices, weights))
        variables = trainer.evaluated(state)
        # No mesh divides this count.
        odd = Images(data.train.images[:37], data.train.labels[:37])
        logs = log_probabilities(trainer, variables, odd)
        assert logs.shape == (37, CLASSES)
        found[mesh] = arrays_of((state.params, state.rest, state.average)), logs
    (want, want_logs) = found["data=1"]
    for mesh in meshes:
        got, logs = found[mesh]
        assert_close(got, want, start)
        assert_close([logs], [want_logs], [np.zeros_like(logs)])


def check_rows():
    """A spatial mesh splits the images inside the network, also after augmentations."""
    trainer = small_trainer(replace(SGD, augment=("shift:1",)), mesh="data=2,spatial=2")
    compiled = trainer.run_batch.lower(trainer.init(), batch_of(trainer, small_data())).compile()
    outputs = re.findall(r"= f32\[(\d+),(\d+),(\d+),5\]\S* convolution\(", compiled.as_text())
    assert ("16", str(SHAPE[0] // 2), str(SHAPE[1])) in outputs, outputs


def check_run():
    """A whole run, and one that goes on with other devices."""
    data, config = small_data(), replace(SGD, epochs=3, save_steps=4)
    with tempfile.TemporaryDirectory() as folder:

        def run(name, first, then=None, **more):
            module, path = net(), Path(folder, name)
            config_of = replace(config, mesh=first, **more)
            if then is None:
                fit(module, data, config_of, folder=path)
            else:
                with pytest.raises(RuntimeError, match="stop"):
                    fit(module, data, config_of, folder=path, callbacks=[stop])
                resume(path, model=module, data=data, mesh=then)
            module(np.zeros((1, *SHAPE), np.float32))  # its arrays are on one device
            lines = [(line["split"], line["step"], line["loss"]) for line in lines_of(path)]
            return [*arrays_of(nnx.state(module, nnx.Param))], lines

        def stop(event):
            if getattr(event, "step", None) == 4 and type(event).__name__ == "Saved":
                raise RuntimeError("stop")

        start = arrays_of(nnx.state(net(), nnx.Param))
        want, lines = run("one", "data=1")
        eight, _ = whole = run("eight", None)
        others = (
            whole,
            run("memory", "data=2,spatial=2", memory=0.0),
            run("4", None, "data=4"),
            run("1", None, "data=1"),
        )
        for arrays, found in others:
            assert_close(arrays, want, start, len(lines))
            assert [line[:2] for line in found] == [line[:2] for line in lines]
            bound = len(lines) * probable_gamma(TERMS, "float32") * max(x[2] for x in lines)
            np.testing.assert_allclose([x[2] for x in found], [x[2] for x in lines], atol=bound)
        again, found = run("again", None, "data=8")
        assert found == whole[1]
        for one, other in zip(again, eight, strict=True):
            np.testing.assert_array_equal(one, other)


def on_eight_devices():
    check_steps(MIXED, net, ("data=4,spatial=2",))
    check_rows()
    print(jax.device_count(), "devices")


def test_steps_on_a_mesh_have_the_numbers_of_one_device():
    run_on_eight_devices(__name__)


def slowly_on_eight_devices():
    check_steps(MIXED, net, ("data=8", "data=2,spatial=2"))
    with install():
        check_steps(SGD, Strided, ("data=2,spatial=4",), scale=2)
        check_steps(SGD, residual, ("data=4,spatial=2",), scale=2)
    check_run()
    print(jax.device_count(), "devices")


@pytest.mark.slow
def test_runs_on_a_mesh_have_the_numbers_of_one_device_and_go_on_with_other_devices():
    run_on_eight_devices(__name__, "slowly_on_eight_devices")


@pytest.mark.parametrize(
    ("mesh", "words"),
    [
        ("data=2", "needs 2 devices, but JAX finds 1; use data=1"),
        ("rows=2", "is not understood; write it as data=4,spatial=2"),
        ("data=0", "is not understood"),
    ],
)
def test_a_mesh_that_cannot_be_is_refused(mesh, words):
    with pytest.raises(InputError, match=words):
        place(mesh, 32, 8)
