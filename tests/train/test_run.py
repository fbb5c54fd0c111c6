"""Run folders and the training loop: the files of a run, resuming, damaged files."""

import gc
import json
import os
import shutil
import signal
from dataclasses import replace

import chex
import jax
import numpy as np
import pytest

from jaxcnn.data import Digits
from jaxcnn.train import Run, evaluate_run, pictures, train
from jaxcnn.train.run import restore
from jaxcnn.train.step import make_trainer
from tests.train.small import CONFIG, small_data

PICTURES = ("curves.png", "filters.png", "mistakes.png")


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    """A run that was never interrupted."""
    return train(CONFIG, tmp_path_factory.mktemp("runs") / "whole", data=data)


def numbers(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def state_of(folder):
    run = Run.open(folder)
    return restore(run, make_trainer(run.config, (28, 28, 1), total_steps=20))


def test_a_run_leaves_settings_metrics_checkpoint_and_pictures(finished):
    folder = finished.folder
    assert Run.open(folder).config == CONFIG
    lines = numbers(folder)
    steps = [line["step"] for line in lines if line["split"] == "train"]
    assert steps == list(range(1, 21))
    assert [line["step"] for line in lines if line["split"] == "validation"] == [10, 20]
    assert lines[-1]["split"] == "test"
    assert lines[-1]["accuracy"] == finished.test_accuracy
    for name in PICTURES:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["versions"]["jax"] == jax.__version__
    assert int(state_of(folder).step) == finished.step == 20


def test_training_beats_guessing(finished):
    losses = [line["loss"] for line in numbers(finished.folder) if line["split"] == "train"]
    assert np.mean(losses[-3:]) < 0.9 * np.log(10)  # ln 10 nats: ten digits, all alike
    assert finished.test_accuracy > 0.2


def test_training_in_programs_of_a_whole_epoch_takes_the_same_steps(
    finished, data, tmp_path, monkeypatch
):
    """Accelerators run an epoch in one program: a loop with the same order of sums."""
    monkeypatch.setattr("jaxcnn.train.loop.jax.default_backend", lambda: "an accelerator")
    train(CONFIG, tmp_path / "run", data=data)
    one, other = numbers(tmp_path / "run"), numbers(finished.folder)
    assert [(line["split"], line["step"]) for line in one] == [
        (line["split"], line["step"]) for line in other
    ]
    for name in ("loss", "learning_rate"):
        got, want = ([line[name] for line in lines if name in line] for lines in (one, other))
        np.testing.assert_allclose(got, want, rtol=1e-3)


def test_evaluating_a_run_gives_the_result_it_ended_with(finished, data):
    step, metrics = evaluate_run(finished.folder, data.test)
    assert (step, float(metrics.accuracy)) == (20, finished.test_accuracy)
    assert float(metrics.loss) == finished.test_loss


@pytest.mark.parametrize("stop_at", [4, 10, 13])
def test_an_interrupted_and_resumed_run_ends_with_exactly_the_same_numbers(
    finished, data, tmp_path, stop_at, monkeypatch
):
    monkeypatch.setattr("jaxcnn.train.loop.REPORT_SECONDS", 0.0)  # a report after every step

    def ctrl_c(progress):
        if progress.step == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    stopped = train(CONFIG, tmp_path / "run", data=data, report=ctrl_c)
    assert signal.getsignal(signal.SIGINT) is before
    assert stopped.step == stop_at
    assert stopped.test_accuracy is None
    assert evaluate_run(tmp_path / "run", data.test)[0] == stop_at  # it can be evaluated as it is

    resumed = train(CONFIG, tmp_path / "run", data=data, resume=True)
    assert resumed.test_loss == finished.test_loss
    assert numbers(tmp_path / "run") == numbers(finished.folder)
    chex.assert_trees_all_equal(state_of(tmp_path / "run"), state_of(finished.folder))


def test_a_run_interrupted_before_its_first_step_can_be_resumed(
    finished, data, tmp_path, monkeypatch
):
    def ctrl_c(*arguments, **settings):
        os.kill(os.getpid(), signal.SIGINT)
        return make_trainer(*arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr("jaxcnn.train.loop.make_trainer", ctrl_c)
        assert train(CONFIG, tmp_path / "run", data=data).step == 0
    assert evaluate_run(tmp_path / "run", data.test)[0] == 0
    train(CONFIG, tmp_path / "run", data=data, resume=True)
    assert numbers(tmp_path / "run") == numbers(finished.folder)


@pytest.mark.parametrize(("at", "kept"), [(4, 0), (14, 10)])
def test_steps_after_the_checkpoint_are_repeated_when_a_run_is_resumed(
    finished, data, tmp_path, monkeypatch, at, kept
):
    monkeypatch.setattr("jaxcnn.train.loop.REPORT_SECONDS", 0.0)

    def killed(progress):
        if progress.step == at:
            raise SystemError

    with pytest.raises(SystemError):
        train(CONFIG, tmp_path / "run", data=data, report=killed)
    assert len(numbers(tmp_path / "run")) == at + kept // 10  # and a line for each whole epoch
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"split": "tr')  # as a crash would leave it
    assert int(state_of(tmp_path / "run").step) == kept
    train(CONFIG, tmp_path / "run", data=data, resume=True)
    assert numbers(tmp_path / "run") == numbers(finished.folder)


def test_a_run_with_more_steps_than_its_settings_have_is_not_resumed(finished, data, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    shorter = replace(CONFIG, epochs=1)
    (folder / "config.json").write_text(shorter.to_json())
    with pytest.raises(
        ValueError, match=r"has done 20 steps, but the 1 epochs .* have only 10; restore"
    ):
        train(shorter, folder, data=data, resume=True)


@pytest.mark.parametrize(
    "lines", [None, b"", b"five\n", b"\xff\xfe\n", b"5\n", b'{"a": 1}\n', "shuffled"]
)
def test_a_run_with_damaged_metrics_is_not_resumed_but_can_be_evaluated(
    finished, data, tmp_path, lines
):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    path = folder / "metrics.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.unlink()
    if lines is not None:
        path.write_bytes(b"".join(reversed(whole)) if lines == "shuffled" else lines)
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: ") as error:
        train(CONFIG, folder, data=data, resume=True)
    assert "\n" not in str(error.value)
    assert evaluate_run(folder, data.test)[0] == 20


def test_the_seed_decides_every_number_of_a_run(finished, data, tmp_path):
    other = train(replace(CONFIG, seed=1, epochs=1), tmp_path / "other", data=data)
    again = train(replace(CONFIG, seed=1, epochs=1), tmp_path / "again", data=data)
    assert numbers(other.folder) == numbers(again.folder)
    assert numbers(other.folder)[0]["loss"] != numbers(finished.folder)[0]["loss"]


def test_a_run_folder_is_not_overwritten(finished, data):
    before = (finished.folder / "config.json").read_bytes()
    with pytest.raises(ValueError, match="exists already; resume it with --resume"):
        train(replace(CONFIG, seed=5), finished.folder, data=data)
    assert (finished.folder / "config.json").read_bytes() == before


@pytest.mark.parametrize("holds", ["notes.txt", "config.json", "a broken checkpoint"])
def test_an_occupied_folder_without_a_run_is_an_error_that_does_not_advise_to_resume(
    tmp_path, holds
):
    (tmp_path / holds.replace("a broken checkpoint", "config.json")).write_text(CONFIG.to_json())
    if holds == "a broken checkpoint":
        (tmp_path / "checkpoint" / "3").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=r"exists already; it holds no run .* name another folder$"
    ):
        Run.create(tmp_path, CONFIG)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"exists already; it holds no run .* name another folder"):
        Run.create(tmp_path / "file", CONFIG)


@pytest.mark.parametrize("given", ["digits", (1, 2), [1, 2, 3], (1, 2, 3)])
def test_training_data_other_than_three_digits_are_an_error(tmp_path, given):
    with pytest.raises(TypeError, match=r"^data must be three.*jaxcnn\.data\.Digits\(images, lab"):
        train(CONFIG, tmp_path / "run", data=given)
    assert not (tmp_path / "run").exists()


def test_a_folder_without_settings_or_checkpoint_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="not a run folder"):
        evaluate_run(tmp_path)
    (tmp_path / "config.json").write_text('{"epochs": 1}')
    with pytest.raises(ValueError, match=r"config\.json: settings must have the names"):
        evaluate_run(tmp_path)
    (tmp_path / "config.json").write_text(CONFIG.to_json())
    with pytest.raises(ValueError, match="no checkpoint to restore"):
        evaluate_run(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(ValueError, match="no complete checkpoint"):
        evaluate_run(tmp_path)


def every_file(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


DAMAGE = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one bit flipped": lambda path: path.write_bytes(_flipped(path.read_bytes())),
    "removed": lambda path: path.unlink(),
}


def _flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]


@pytest.mark.parametrize("how", DAMAGE)
def test_a_checkpoint_with_any_file_damaged_is_an_error_of_one_line(
    finished, data, tmp_path, capfd, how
):
    run = Run.create(tmp_path / "run", CONFIG)
    run.checkpoints.save(20, state_of(finished.folder))
    for path in every_file(run.folder / "checkpoint"):
        whole = path.read_bytes()
        DAMAGE[how](path)
        with pytest.raises(ValueError, match=r"checkpoint/20 is damaged: .*") as error:
            evaluate_run(run.folder, data.test)
        assert "\n" not in str(error.value)
        path.write_bytes(whole)
    assert capfd.readouterr().err == ""
    assert evaluate_run(run.folder, data.test)[0] == 20


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (
            ("conv:5:k4:s4:relu", "conv:10:k7"),
            r"\[0\].* \(5,\) float32 where the network has .* \(4,\)",
        ),
        (
            ("conv:4:k4:s4:relu", "conv:10:k7:nobias"),
            r"1.*kernel.* where the network has .*1.*bias",
        ),
    ],
)
def test_a_checkpoint_of_another_network_is_an_error_of_one_line(tmp_path, capfd, layers, words):
    run = Run.create(tmp_path / "run", CONFIG)
    other = replace(CONFIG, layers=layers)
    run.checkpoints.save(20, make_trainer(other, (28, 28, 1), total_steps=20).init())
    with pytest.raises(ValueError, match=words) as error:
        state_of(run.folder)
    assert "\n" not in str(error.value)
    gc.collect()  # objects left behind by threads would print errors now
    assert capfd.readouterr().err == ""


def test_a_complete_checkpoint_replaces_older_and_incomplete_ones(tmp_path):
    run = Run.create(tmp_path / "run", CONFIG)
    state = make_trainer(CONFIG, (28, 28, 1), total_steps=20).init()
    run.checkpoints.save(3, state)
    folder = run.folder / "checkpoint"
    (folder / ".7.new").mkdir()  # as a crash would leave it
    run.checkpoints.save(4, state._replace(step=state.step + 4))
    assert [path.name for path in folder.iterdir()] == ["4"]
    assert int(state_of(run.folder).step) == 4


def test_pictures_are_drawn_for_a_network_without_mistakes(tmp_path, data):
    few = Digits(data.test.images[:4], data.test.labels[:4])
    pictures.mistakes(tmp_path / "none.png", few, np.eye(10)[few.labels])
    pictures.filters(tmp_path / "one.png", np.zeros((3, 5, 2, 1)))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
