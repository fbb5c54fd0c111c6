"""Whole runs: what they leave behind, their results, and what callbacks hear."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from jaxcnn.data import Images
from jaxcnn.data.order import Order
from jaxcnn.errors import InputError
from jaxcnn.train import (
    Compiled,
    DivergedError,
    Progress,
    Result,
    Run,
    Saved,
    Warned,
    fit,
    print_events,
    resume,
)
from jaxcnn.train.record import DataRecord
from jaxcnn.train.state import split
from tests.train.conftest import KINDS
from tests.train.runs import (
    assert_same_end,
    state_of,
    stop,
)
from tests.train.small import (
    CLASSES,
    CONFIG,
    SHAPE,
    Net,
    arrays_of,
    lines_of,
    net,
)

pytestmark = pytest.mark.usefixtures("small_runs", "report_every_step")


def test_a_run_leaves_settings_data_metrics_checkpoints_and_a_summary(finished, data):
    run = Run.open(finished.folder)
    assert run.config == CONFIG.resolved()
    assert run.data == DataRecord.of(data, None)
    lines = lines_of(finished.folder)
    assert [line["step"] for line in lines if line["split"] == "train"] == list(range(1, 7))
    assert [line["step"] for line in lines if line["split"] == "validation"] == [3, 6]
    assert lines[-1]["split"] == "test"
    assert lines[-1]["accuracy"] == finished.test_accuracy
    assert run.checkpoints.steps()[-1] == finished.step == int(state_of(run.folder)[0].step) == 6
    summary = json.loads((finished.folder / "summary.json").read_text())
    assert summary["versions"]["jax"] == jax.__version__
    assert summary["test_loss"] == finished.test_loss


def test_training_beats_guessing(data, tmp_path):
    result = fit(net(), data, replace(CONFIG, epochs=8), folder=tmp_path / "run")
    losses = [line["loss"] for line in lines_of(result.folder) if line["split"] == "train"]
    assert np.mean(losses[-3:]) < 0.9 * np.log(CLASSES)  # ln 4 nats: the classes all alike
    assert result.test_accuracy > 1.5 / CLASSES


def test_programs_of_several_steps_take_the_same_steps(finished, data, tmp_path, monkeypatch):
    """Accelerators run many steps in one program; Adam amplifies the rounding of zero gradients."""
    monkeypatch.setattr("jaxcnn.train.feed.jax.default_backend", lambda: "an accelerator")
    monkeypatch.setattr("jaxcnn.train.feed.PROGRAM_STEPS", 2)
    stopped = fit(net(), data, CONFIG, folder=tmp_path, callbacks=[stop(2, signal.SIGINT)])
    assert stopped.step == 2
    resume(tmp_path, model=net(), data=data)
    one, other = lines_of(tmp_path), lines_of(finished.folder)
    names = ("split", "step")
    assert [[line[n] for n in names] for line in one] == [
        [line[n] for n in names] for line in other
    ]
    np.testing.assert_allclose(
        [line["loss"] for line in one], [line["loss"] for line in other], rtol=1e-2
    )


def test_the_seed_decides_every_number_of_a_run(finished, data, tmp_path):
    short = replace(CONFIG, seed=1, epochs=1)
    folders = [fit(net(), data, short, folder=tmp_path / name).folder for name in ("a", "b")]
    assert lines_of(folders[0]) == lines_of(folders[1])
    assert lines_of(folders[0])[0]["loss"] != lines_of(finished.folder)[0]["loss"]


def test_a_run_that_diverges_says_where_and_keeps_the_last_good_state(data, tmp_path):
    config = replace(CONFIG, optimizer="sgd", learning_rate=1e30, schedule="constant", clip=None)
    words = (
        r"in step 2, at learning rate 1e\+30; largest gradients: .*(conv|norm|out)\.\w+ nan.*clip=1"
    )
    with pytest.raises(DivergedError, match=words) as error:
        fit(net(), data, config, folder=tmp_path)
    assert "\n" not in str(error.value)
    assert int(state_of(tmp_path)[0].step) == 1
    assert all(np.isfinite(leaf).all() for leaf in arrays_of(state_of(tmp_path)[0].params))
    assert Run.open(tmp_path, net()).evaluate(data.test).accuracy >= 0
    with pytest.raises(DivergedError, match="in step 2"):  # and again, from where it was
        resume(tmp_path, model=net(), data=data)


class Fragile(Net):
    """A network that an image of one brightness makes infinite."""

    def __call__(self, x):
        flat = x[..., 0].std((1, 2)) < 1e-3
        return super().__call__(x) + jax.numpy.where(flat, jax.numpy.inf, 0.0)[:, None]


@pytest.mark.parametrize("bad", [1, 2])
def test_steps_after_one_that_is_not_finite_change_nothing(data, tmp_path, monkeypatch, bad):
    """The device is steps ahead of the host, and their batches may be harmless."""
    images = data.train.images.copy()
    images[Order(len(images), 32, 2, 0).indices(bad - 1)[7]] = 99
    given = replace(data, train=Images(images, data.train.labels))
    config = replace(CONFIG, augment=(), clip=None)
    good = fit(
        Fragile(nnx.Rngs(0)),
        given,
        config,
        folder=tmp_path / "good",
        callbacks=[stop(bad - 1, signal.SIGINT)],
    )
    monkeypatch.setattr("jaxcnn.train.metrics.REPORT_SECONDS", 1e9)
    with pytest.raises(DivergedError, match=f"in step {bad}, "):
        fit(Fragile(nnx.Rngs(0)), given, config, folder=tmp_path / "run")
    assert_same_end(tmp_path / "run", good.folder)
    with pytest.raises(DivergedError, match=f"in step {bad}, "):
        resume(tmp_path / "run", model=Fragile(nnx.Rngs(0)), data=given)


def test_predictions_are_probabilities_by_the_final_state(finished, data):
    run = Run.open(finished.folder, net())
    found = run.evaluate(data.test)
    assert (found.loss, found.accuracy) == (finished.test_loss, finished.test_accuracy)
    many = run.predict(data.test.images)
    np.testing.assert_allclose(many.sum(-1), 1, atol=CLASSES * np.finfo(np.float32).eps)
    assert np.mean(many.argmax(-1) == data.test.labels) == finished.test_accuracy
    one = run.predict(data.test.images[0])
    assert one.shape == (CLASSES,)
    np.testing.assert_allclose(one, many[0], atol=1e-6)
    for shape in ((2, 8, 6, 1), (6, 8, 3), (8, 6)):
        with pytest.raises(ValueError, match=r"not those of the run, \(N, 8, 6, 3\)"):
            run.predict(np.zeros(shape, np.uint8))
    with pytest.raises(TypeError, match="images must be uint8"):
        run.predict(np.zeros(SHAPE, np.float32))
    few = np.zeros((3, *SHAPE), np.uint8)
    with pytest.raises(ValueError, match=f"label {CLASSES} at index 1 is not below"):
        run.evaluate(Images(few, np.array([0, CLASSES, 1])))
    with pytest.raises(ValueError, match=r"not those of the run, \(N, 8, 6, 3\)"):
        run.evaluate(Images(few[:, 1:], np.zeros(3, int)))


def test_an_interrupted_fit_leaves_its_module_as_far_as_it_came(data, tmp_path):
    module = net()
    fit(module, data, CONFIG, folder=tmp_path, callbacks=[stop(4, signal.SIGINT)])
    (state, _), (_, params, rest) = state_of(tmp_path), split(module, train=False)
    assert int(state.step) == 4
    for got, want in zip(arrays_of((params, rest)), arrays_of(state[1:3]), strict=True):
        np.testing.assert_array_equal(got, want)


def test_early_stopping_ends_after_its_patience_with_the_best_state(whole, data):
    result = whole("patient")
    accuracies = [
        line["accuracy"] for line in lines_of(result.folder) if line["split"] == "validation"
    ]
    best = int(np.argmax(accuracies))
    assert result.stopped_early
    assert result.finished
    assert len(accuracies) == best + 1 + KINDS["patient"].patience < KINDS["patient"].epochs
    run = Run.open(result.folder, net())
    line = lines_of(result.folder)[-1]
    assert line["split"] == "test"
    assert line["step"] == run.checkpoints.best() < result.step
    assert run.evaluate(data.test).loss == line["loss"] == result.test_loss


def test_callbacks_hear_everything_in_order(data, tmp_path):
    heard, seen = [], []

    def listen(event):
        heard.append(event)
        if isinstance(event, Saved):
            steps = Run.open(tmp_path).checkpoints.steps()
            assert event.step in steps
            assert len(steps) <= 3
        if isinstance(event, Result):
            seen.append(json.loads((tmp_path / "summary.json").read_text())["finished"])

    result = fit(net(), data, replace(CONFIG, save_steps=2), folder=tmp_path, callbacks=[listen])
    words = [
        f"{type(event).__name__} {getattr(event, 'step', '')}".strip()
        for event in heard
        if not isinstance(event, Progress)
    ]
    assert words == [
        "Started 0",
        "Warned",
        "Saved 0",
        "Compiled",
        "Saved 2",
        "Validated 3",
        "Saved 3",
        "Saved 4",
        "Validated 6",
        "Saved 6",
        "Result 6",
    ]
    assert [event.step for event in heard if isinstance(event, Progress)] == list(range(1, 7))
    assert heard[-1] == result
    assert seen == [True]
    assert sum(e.seconds for e in heard if isinstance(e, Compiled)) <= result.compile_seconds


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"callbacks": [3]}, "^callbacks must be functions of an event, got 3"),
        ({"callbacks": print}, r"^callbacks must be a list of functions, .*; use \[callback\]"),
        ({"config": {}}, "^config must be a TrainConfig, got dict"),
        ({"data": np.zeros((4, 8, 6, 3))}, r"^data must be .*got ndarray; use .*from_arrays"),
        ({"data": Images(np.zeros((4, *SHAPE), np.uint8), np.arange(4))}, "^data must be .*Images"),
        ({"model": net}, "^model must be a Flax NNX module or a name, got function; use Model"),
    ],
)
def test_an_argument_of_the_wrong_type_is_named_before_a_folder_is_made(
    data, tmp_path, arguments, error
):
    given = {"model": net(), "data": data, "folder": tmp_path / "run"} | arguments
    with pytest.raises(TypeError, match=error):
        fit(**given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [{"image_size": (9, 6)}, {"channels": 1}])
def test_settings_of_images_that_a_data_set_does_not_have_are_refused(data, tmp_path, wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=f"^{name} .* is not that of the data set"):
        fit(net(), data, replace(CONFIG, **wrong), folder=tmp_path / "run")


def test_a_run_is_resumed_and_finds_its_images_from_any_folder(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("few.npz", images=data.train.images, labels=data.train.labels)
    fit(net(), "few.npz", CONFIG, folder="run", callbacks=[stop(0, signal.SIGINT)])
    (tmp_path / "other").mkdir()
    monkeypatch.chdir("other")
    assert resume("../run", model=net()).finished


def test_a_path_named_like_a_published_data_set_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"/mnist is no data set"):
        fit(net(), Path("mnist"), CONFIG, folder="run")


def test_a_run_of_few_steps_is_warned_of_with_a_batch_size_that_gives_more(data, tmp_path):
    heard = []
    fit(net(), data, CONFIG, folder=tmp_path, callbacks=[heard.append])
    (warning,) = [event for event in heard if isinstance(event, Warned)]
    assert warning.text.startswith("the run has only 6 steps")
    assert warning.text.endswith("or batch_size 8")


class Interrupting(Net):
    """A network that sends Ctrl-C when it is traced for the first time."""

    sent = False

    def __call__(self, x):
        if not Interrupting.sent:
            Interrupting.sent = True
            os.kill(os.getpid(), signal.SIGINT)
        return super().__call__(x)


def test_an_interrupted_run_warns_where_no_callback_hears_of_it(data, tmp_path):
    words = r"interrupted after step 0; continue with jaxcnn\.train\.resume\('"
    with pytest.warns(UserWarning, match=words):
        result = fit(Interrupting(nnx.Rngs(0)), data, CONFIG, folder=tmp_path)
    assert not result.finished


def test_printed_events_are_lines_of_what_matters(data, tmp_path, capsys):
    result = fit(net(), data, CONFIG, folder=tmp_path, callbacks=[print_events])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "174 parameters, 6 steps"
    assert [line.split(":")[0] for line in lines[1:-1]] == ["warning", "epoch 1", "epoch 2"]
    assert lines[-1].startswith(f"test accuracy {result.test_accuracy:.2%}, loss ")
