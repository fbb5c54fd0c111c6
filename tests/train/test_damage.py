"""Run folders that are occupied, removed or damaged."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jaxcnn.train import (
    Progress,
    Run,
    Saved,
    Started,
    Validated,
    Warned,
    fit,
    resume,
)
from jaxcnn.train.record import DataRecord
from tests.train.runs import (
    assert_same_end,
    assert_same_result,
    every_file,
)
from tests.train.small import (
    CONFIG,
    net,
)

pytestmark = pytest.mark.usefixtures("small_runs", "report_every_step")


@pytest.mark.parametrize("how", ["a run", "stopped at once", "notes.txt", "data.json", "file"])
def test_a_folder_that_holds_something_is_not_overwritten(finished, data, tmp_path, how):
    folder, config = tmp_path / "run", CONFIG.to_json()
    advice = "it holds no run to resume, so name another folder$"
    if how == "file":
        folder.write_text("")
    elif how == "a run":
        shutil.copytree(finished.folder, folder)
        advice = "resume it with --resume"
    else:
        folder.mkdir()
        if how == "stopped at once":
            Run.create(folder, CONFIG, DataRecord.of(data, None))
            advice = "resume it with --resume"
        else:
            (folder / how).write_text(config)
    before = every_file(tmp_path)
    with pytest.raises(ValueError, match=f"exists already; .*{advice}"):
        fit(net(), data, CONFIG, folder=folder)
    assert every_file(tmp_path) == before


def test_a_start_that_was_killed_can_be_repeated(finished, data, tmp_path):
    (tmp_path / "data.json").write_text(DataRecord.of(data, None).to_json())
    (tmp_path / ".17.config.json").write_text("{")
    fit(net(), data, CONFIG, folder=tmp_path)
    assert not list(tmp_path.glob(".[0-9]*"))
    assert_same_end(tmp_path, finished.folder)


def test_a_second_process_on_a_run_is_refused(finished, data, tmp_path):
    refused = []

    def intrude(event):
        if isinstance(event, Progress) and event.step == 2:
            with pytest.raises(ValueError, match=f"in use by process {os.getpid()}") as error:
                resume(tmp_path, model=net(), data=data)
            refused.append(str(error.value))

    fit(net(), data, CONFIG, folder=tmp_path, callbacks=[intrude])
    assert len(refused) == 1
    assert "\n" not in refused[0]
    assert_same_end(tmp_path, finished.folder)


@pytest.mark.parametrize("at", [Saved, Validated])
def test_a_run_whose_folder_is_removed_ends_with_one_line(data, tmp_path, at):
    def remove(event):
        if isinstance(event, at):
            shutil.rmtree(tmp_path, ignore_errors=True)

    with pytest.raises(ValueError, match=r"cannot be written.* \(?No such file") as error:
        fit(net(), data, CONFIG, folder=tmp_path, callbacks=[remove])
    assert "\n" not in str(error.value)
    assert not tmp_path.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_run_whose_disk_is_full_ends_with_one_line_and_can_be_resumed(finished, data, tmp_path):
    path = tmp_path / "metrics.jsonl"

    def fill(event):
        if isinstance(event, Validated) and not path.is_symlink():
            path.rename(tmp_path / "before")
            path.symlink_to("/dev/full")

    with pytest.raises(ValueError, match=r"metrics\.jsonl cannot be written \(No space") as error:
        fit(net(), data, CONFIG, folder=tmp_path, callbacks=[fill])
    assert "\n" not in str(error.value)
    (tmp_path / "before").rename(path)
    resume(tmp_path, model=net(), data=data)
    assert_same_end(tmp_path, finished.folder)


@pytest.mark.parametrize("lines", [None, b"", b"five\n", b"\xff\n", b"5\n", b'{"a": 1}\n', "mixed"])
def test_a_run_with_damaged_metrics_is_not_resumed_but_can_be_evaluated(
    finished, data, copied, lines
):
    path = copied / "metrics.jsonl"
    content = path.read_bytes().splitlines(keepends=True)
    path.unlink()
    (copied / "summary.json").unlink()
    if lines is not None:
        path.write_bytes(b"".join(reversed(content)) if lines == "mixed" else lines)
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: ") as error:
        resume(copied, model=net(), data=data)
    assert "\n" not in str(error.value)
    assert Run.open(copied, net()).evaluate(data.test).loss == finished.test_loss


@pytest.mark.parametrize("text", [None, b"", b"\xff", b"[]", b'{"finished": true}', b"3"])
def test_the_end_of_a_run_with_a_damaged_summary_is_repeated(finished, data, copied, text):
    path = copied / "summary.json"
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    assert_same_result(resume(copied, model=net(), data=data), finished)
    assert_same_end(copied, finished.folder)
    assert json.loads(path.read_text())["test_loss"] == finished.test_loss


@pytest.mark.parametrize("name", ["config.json", "data.json"])
@pytest.mark.parametrize(
    "text", [None, b"", b"\xff", b"[]", b"3", b'{"epochs": 1}', "half", "wrong"]
)
def test_a_run_without_whole_settings_is_refused(copied, name, text):
    path = copied / name
    content = path.read_text()
    path.unlink()
    if text == "half":
        path.write_text(content[: len(content) // 2])
    elif text == "wrong":
        values = json.loads(content)
        path.write_text(json.dumps(values | {"resize": "?", "batch_size": 0}))
    elif text is not None:
        path.write_bytes(text)
    with pytest.raises(ValueError, match=f"{name}.*(restore the file|name a folder)") as error:
        Run.open(copied)
    assert "\n" not in str(error.value)


def test_a_run_with_more_steps_than_its_settings_have_is_not_resumed(data, copied):
    (copied / "config.json").write_text(replace(CONFIG, epochs=1).to_json())
    (copied / "summary.json").unlink()
    with pytest.raises(ValueError, match=r"has done 6 steps, but the settings .* only 3; restore"):
        resume(copied, model=net(), data=data)


@pytest.mark.parametrize("kind", ["resident", "patient"])
def test_a_damaged_newest_checkpoint_is_replaced_by_the_one_before(whole, data, tmp_path, kind):
    wanted = whole(kind)
    folder = shutil.copytree(wanted.folder, tmp_path / "run")
    (folder / "summary.json").unlink()
    steps = Run.open(folder).checkpoints.steps()
    newest = folder / "checkpoint" / str(steps[-1])
    largest = max((path for path in newest.rglob("*") if path.is_file()), key=_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    heard = []
    result = resume(folder, model=net(), data=data, callbacks=[heard.append])
    started, warned, *_ = heard
    assert isinstance(started, Started)
    assert started.step == steps[-2]
    assert isinstance(warned, Warned)
    assert f"checkpoint/{steps[-1]} is damaged" in warned.text
    assert f"of step {steps[-2]} is used" in warned.text
    assert_same_result(result, wanted)
    assert_same_end(folder, wanted.folder)


def _size(path):
    return path.stat().st_size
