"""A run that begins with the weights of a file: they are there, and only the head is new."""

import gc
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from flax import nnx

from jaxcnn.data import Dataset
from jaxcnn.errors import InputError
from jaxcnn.models import build, save
from jaxcnn.models.weights.files import WeightsFile, read, write
from jaxcnn.models.weights.names import variables
from jaxcnn.train import Run, Saved, Started, TrainConfig, fit, resume
from jaxcnn.train.record import DataRecord
from jaxcnn.train.run import require_new
from jaxcnn.train.start import WEIGHTS, Start, start_again
from tests.models.tiny import register
from tests.train.runs import StopError, stop
from tests.train.small import CLASSES, SHAPE, arrays_of, net, small_data

pytestmark = pytest.mark.usefixtures("small_runs")

CONFIG = TrainConfig(model="tiny", epochs=2, batch_size=32, augment=())
STILL = replace(CONFIG, learning_rate=0.0, epochs=1)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as monkeypatch:
        register(monkeypatch)
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The path of a file for seven classes, and its tensors."""
    path = tmp_path_factory.mktemp("file") / "tiny.safetensors"
    save(build("tiny", SHAPE, 7, rngs=nnx.Rngs(5)), path, names="library", name="tiny")
    return path, read(path).tensors


@pytest.fixture(scope="module")
def whole(file, data, tmp_path_factory):
    """A run, the notes that it began with, and its variables before the first step."""
    folder, notes, begun, kept = tmp_path_factory.mktemp("whole"), [], {}, []

    def keep(event):
        if isinstance(event, Started):
            notes.extend(event.notes)
        if isinstance(event, Saved) and not event.step:
            begun.update(trained(folder))
            kept.extend(each for each in gc.get_objects() if type(each) in (Start, WeightsFile))

    config = replace(CONFIG, weights=file[0])
    result = fit(None, data, config, folder=folder, callbacks=[keep])
    assert not kept  # the arrays of the file are not held while the run trains
    return result, notes, begun


def trained(folder):
    module = Run.open(folder).build()()
    Run.open(folder).trained(module)
    return {path: np.asarray(each.get_value()) for path, each in variables(module).items()}


def moved(path):
    """Lets a file be absent for a while."""
    return path.rename(path.with_name("moved"))


def test_a_run_begins_with_the_weights_of_the_file_and_a_new_head(file, whole):
    path, tensors = file
    result, notes, begun = whole
    new = ("head.dense.bias", "head.dense.kernel")
    line = "weights of tiny.safetensors: 13 variables by the names of library, new: "
    assert line + " ".join(new) in notes
    assert json.loads((result.folder / WEIGHTS).read_text()) == {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "names": "library",
        "new": list(new),
    }
    same = np.testing.assert_array_equal
    same(begun["stem.conv.kernel"], tensors["conv1.weight"].transpose(2, 3, 1, 0))
    same(begun["stages.2.0.scale"], tensors["gamma"].reshape(-1))
    ours = variables(build("tiny", SHAPE, CLASSES, rngs=nnx.Rngs(CONFIG.seed)))
    for each in new:
        same(begun[each], np.asarray(ours[each].get_value()))


@pytest.mark.usefixtures("report_every_step")
def test_a_run_that_stops_continues_without_the_file_to_the_same_end(file, whole, data, tmp_path):
    config, folder = replace(CONFIG, weights=str(file[0])), tmp_path / "run"
    with pytest.raises(StopError):
        fit(None, data, config, folder=folder, callbacks=[stop(2, StopError)])
    kept = moved(file[0])
    try:
        assert resume(folder, data=data).test_loss == whole[0].test_loss
        assert Run.open(folder).predict(data.test.images[:2]).shape == (2, CLASSES)
    finally:
        kept.rename(file[0])
    for path, value in trained(whole[0].folder).items():
        np.testing.assert_array_equal(trained(folder)[path], value)


def test_a_run_without_a_checkpoint_reads_the_same_file_again_and_no_other(
    file, whole, data, tmp_path
):
    path = tmp_path / "a.safetensors"
    path.write_bytes(file[0].read_bytes())
    config = replace(Run.open(whole[0].folder).config, weights=str(path))
    run = Run.create(tmp_path / "run", config, DataRecord.of(data, None))
    with pytest.raises(InputError, match=r"weights.json cannot be read \(.*\); start anew"):
        resume(run.folder, data=data)
    (run.folder / WEIGHTS).write_text((whole[0].folder / WEIGHTS).read_text())
    start = start_again(run, run.build())
    np.testing.assert_array_equal(start.values["stages.2.0.scale"], file[1]["gamma"].reshape(-1))
    write(path, file[1] | {"bn1.bias": np.ones(4, np.float32)})
    with pytest.raises(InputError, match="is not the file with which the run began; restore it"):
        resume(run.folder, data=data)
    path.unlink()
    with pytest.raises(InputError, match=r"a.safetensors cannot be read \(No such file"):
        resume(run.folder, data=data)


def test_a_run_that_was_killed_while_it_was_created_leaves_a_free_folder(whole, tmp_path):
    for name in (WEIGHTS, "data.json"):
        (tmp_path / name).write_bytes((whole[0].folder / name).read_bytes())
    require_new(tmp_path)


def test_a_file_that_does_not_fit_is_refused_before_there_is_a_folder(file, data, tmp_path):
    path, tensors = tmp_path / "tiny.safetensors", file[1]
    write(path, tensors | {"conv9.weight": tensors["conv1.weight"]})
    for config, words in (
        (replace(CONFIG, weights=path), "conv9.weight .* is in the file alone"),
        (replace(CONFIG, weights=tmp_path / "none"), r"none cannot be read \(No such file"),
        (replace(CONFIG, weights=tmp_path), "name a file in it such as .*tiny.safetensors"),
    ):
        with pytest.raises(InputError, match=words):
            fit(None, data, config, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(TypeError, match="weights must be a path, got 3"):
        TrainConfig(weights=3)


def test_images_of_other_channels_are_refused_with_what_to_type(file, tmp_path):
    grey = small_data()
    images = grey.train.read(np.arange(40))[..., :1]
    data = Dataset.from_arrays(images, np.arange(40) % CLASSES)
    with pytest.raises(InputError, match=r"conv1.weight has the shape .* Use channels=3\.$"):
        fit(None, data, replace(CONFIG, weights=file[0]), folder=tmp_path / "run")


def test_a_module_of_ones_own_begins_with_a_file_of_its_own_paths(data, tmp_path):
    save(net(seed=3), tmp_path / "net.safetensors")
    model = net()
    config = replace(STILL, model=None, weights=tmp_path / "net.safetensors")
    fit(model, data, config, folder=tmp_path / "run")
    for got, want in zip(
        arrays_of(nnx.state(model, nnx.Param)), arrays_of(nnx.state(net(3), nnx.Param)), strict=True
    ):
        np.testing.assert_array_equal(got, want)
