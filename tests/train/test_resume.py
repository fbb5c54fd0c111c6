"""Interrupted runs, which end with the bits of a run that nobody interrupted."""

import signal
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.data import Dataset
from jaxcnn.train import (
    Compiled,
    Result,
    Run,
    Saved,
    Started,
    Validated,
    fit,
    resume,
)
from jaxcnn.train.record import DataRecord
from tests.cases import few
from tests.train.conftest import KINDS
from tests.train.runs import StopError, assert_same_end, assert_same_result, state_of, stop
from tests.train.small import (
    CONFIG,
    Net,
    lines_of,
    net,
)

pytestmark = pytest.mark.usefixtures("small_runs", "report_every_step")


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
@few
def test_a_run_interrupted_anywhere_and_resumed_ends_with_the_same_bits(whole, data, kind, draw):
    wanted = whole(kind)
    stops = draw.draw(st.sets(st.integers(0, wanted.step - 1), min_size=1, max_size=3))
    how = st.sampled_from((signal.SIGINT, signal.SIGTERM, StopError))
    every = draw.draw(st.sampled_from((None, 1, 2)))
    with TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        for at in sorted(stops):
            way = draw.draw(how)
            callback = stop(at, way)
            try:
                result = _begin_or_resume(folder, data, KINDS[kind], [callback], every)
            except StopError:
                assert way is StopError
                assert Run.open(folder).checkpoints.steps() or at == 0
            else:
                assert (result.step, result.finished) == (at, False)
                assert result.test_accuracy is None
                assert int(state_of(folder)[0].step) == at
        result = resume(folder, model=net(), data=data)
        assert_same_result(result, wanted)
        assert_same_end(folder, wanted.folder)


def _begin_or_resume(folder, data, config, callbacks, every):
    if not folder.exists():
        config = replace(config, save_steps=every)
        return fit(net(), data, config, folder=folder, callbacks=callbacks)
    return resume(folder, model=net(), data=data, callbacks=callbacks, save_steps=every)


@pytest.mark.parametrize(("at", "kept"), [(2, 0), (5, 3)])
def test_steps_after_the_checkpoint_are_repeated(finished, data, tmp_path, at, kept):
    with pytest.raises(StopError):
        fit(net(), data, CONFIG, folder=tmp_path, callbacks=[stop(at, StopError)])
    assert sum(line["split"] == "train" for line in lines_of(tmp_path)) == at
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"split": "tr')  # as a crash would leave it
    assert int(state_of(tmp_path)[0].step) == kept
    resume(tmp_path, model=net(), data=data)
    assert_same_end(tmp_path, finished.folder)


def test_a_run_stopped_before_its_first_step_can_be_evaluated_and_resumed(finished, data, tmp_path):
    result = fit(net(), data, CONFIG, folder=tmp_path, callbacks=[stop(0, signal.SIGINT)])
    assert (result.step, result.validation_accuracy) == (0, None)
    assert 0 <= Run.open(tmp_path, net()).evaluate(data.test).accuracy <= 1
    resume(tmp_path, model=net(), data=data)
    assert_same_end(tmp_path, finished.folder)


def test_resuming_a_finished_run_changes_no_file_and_trains_the_given_network(finished, data):
    def content():
        paths = finished.folder.rglob("*")
        return {path: path.stat().st_mtime_ns for path in paths if path.name != ".lock"}

    before, heard, model = content(), [], net()
    result = resume(finished.folder, model=model, callbacks=[heard.append])
    assert heard == [result] == [finished]
    assert content() == before
    images = data.test.images[:3]
    mean, std = (np.float32(v) for v in data.measure())
    shown = (images.astype(np.float32) / 255 - mean) / std
    want = Run.open(finished.folder, net()).predict(images)
    np.testing.assert_allclose(jax.nn.softmax(model(shown)), want, atol=1e-5)


def test_a_resumed_run_takes_new_values_of_settings_without_influence(finished, data, tmp_path):
    fit(net(), data, CONFIG, folder=tmp_path, callbacks=[stop(2, signal.SIGINT)])
    heard = []
    settings = {"mesh": "data=1", "memory": 1.0, "save_minutes": 0.0, "save_steps": 4}
    with pytest.raises(ValueError, match=r"^learning_rate is a setting of the run .*0\.02, and ca"):
        resume(tmp_path, model=net(), data=data, learning_rate=1.0)
    with pytest.raises(TypeError, match=r"^resume has no argument speed; there are mesh, "):
        resume(tmp_path, model=net(), data=data, speed=1)
    with pytest.raises(ValueError, match=r"^memory must be "):
        resume(tmp_path, model=net(), data=data, memory=-1)
    result = resume(tmp_path, model=net(), data=data, callbacks=[heard.append], **settings)
    assert [event.step for event in heard if isinstance(event, Saved)] == [3, 4, 5, 6]
    assert_same_result(result, finished)
    assert_same_end(tmp_path, finished.folder)


def test_a_run_goes_on_only_with_its_own_data_and_network(data, tmp_path):
    fit(net(), data, CONFIG, folder=tmp_path, callbacks=[stop(2, signal.SIGINT)])
    images = data.train.images.copy()
    images[5, 0, 0, 0] ^= 1
    other = Dataset.from_arrays(
        images,
        data.train.labels,
        validation=(data.validation.images, data.validation.labels),
        test=(data.test.images, data.test.labels),
    )
    cases = [
        ({"model": net(), "data": other}, f"^the data arrays is not .*{data.digest[:12]}"),
        ({"model": net()}, r"images were given as arrays; pass .*resume\(folder, data=data\)"),
        ({"data": data}, r"given in Python; pass it again: resume\(folder, model=model\)"),
        ({"data": data, "model": Net(nnx.Rngs(0), features=7)}, "it holds .* where the network"),
    ]
    for arguments, words in cases:
        with pytest.raises(ValueError, match=words) as error:
            resume(tmp_path, **arguments)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"pass it again: Run\.open\('.*', model\)"):
        Run.open(tmp_path).evaluate(data.test)


def test_a_run_without_a_checkpoint_starts_again(finished, data, tmp_path):
    Run.create(tmp_path, CONFIG, DataRecord.of(data, None))
    Run.open(tmp_path).append_metrics([{"split": "train", "step": 1}])
    resume(tmp_path, model=net(), data=data)
    assert_same_end(tmp_path, finished.folder)


@pytest.mark.parametrize("at", [Started, Compiled, Validated, Result])
def test_a_callback_that_raises_ends_the_run_and_leaves_it_resumable(finished, data, tmp_path, at):
    def raising(event):
        if isinstance(event, at):
            raise StopError

    with pytest.raises(StopError):
        fit(net(), data, CONFIG, folder=tmp_path, callbacks=[raising])
    assert_same_result(resume(tmp_path, model=net(), data=data), finished)
    assert_same_end(tmp_path, finished.folder)
