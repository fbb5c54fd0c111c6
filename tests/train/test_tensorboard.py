"""Event files hold the numbers of the events, at their steps."""

import dataclasses
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from jaxcnn.train import Progress, Reading, Result, Saved, Started, TrainConfig, Validated
from jaxcnn.train.tensorboard import tensorboard


def read(folder):
    """The scalars of all event files, {(name, step): value}, and the steps where runs continued.

    A record is its length (8 bytes), a check sum (4), the data, a check sum (4).
    """
    found, continued = {}, []
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            size = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + size])
            at += size + 16
            if event.HasField("session_log"):
                continued.append(event.step)
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    return found, continued


def started(folder, step):
    return Started(folder, TrainConfig(), (), 10, step, 9)


def progress(step):
    names = [entry.name for entry in dataclasses.fields(Progress)]
    return Progress(**dict(zip(names, range(100, 200), strict=False)) | {"step": step})


def test_events_are_read_back_as_they_were(tmp_path):
    folder = tmp_path / "events"
    callback = tensorboard(folder)
    callback(Reading("pictures", 1, 2))
    assert not folder.exists()  # the run is created first, in a new folder
    first, second = progress(3), progress(5)
    result = Result(tmp_path, 5, True, False, 1.0, 1.0, 0.0, 0.5, 0.25, 0.75)
    validated = Validated(1, 3, 0.5, 0.25, True)
    for event in (started(tmp_path, 0), first, validated, Saved(3), second, result):
        callback(event)
    want = {
        (f"train/{name}", event.step): getattr(event, name)
        for event in (first, second)
        for name in ("loss", "accuracy", "learning_rate", "gradient_norm", "images_per_second")
    }
    want |= {("validation/loss", 3): 0.5, ("validation/accuracy", 3): 0.25}
    want |= {("test/loss", 5): 0.25, ("test/accuracy", 5): 0.75}
    assert read(folder)[0] == want


def test_a_resumed_run_hides_what_was_written_after_its_checkpoint(tmp_path):
    for step in (0, 4):  # in the same second
        callback = tensorboard(tmp_path)
        end = Result(tmp_path, step + 1, False, False, 1.0, 1.0, 0.0, None, None, None)
        for event in (started(Path("run"), step), progress(step + 1), end):
            callback(event)
    found, continued = read(tmp_path)
    assert continued == [1, 5]
    assert {step for _, step in found} == {1, 5}


def test_the_result_of_a_run_that_was_complete_before_is_not_written_again(tmp_path):
    callback = tensorboard(tmp_path / "events")
    callback(Result(tmp_path, 5, True, False, 1.0, 1.0, 0.0, 0.5, 0.25, 0.75))
    assert not (tmp_path / "events").exists()


def test_without_the_package_the_error_says_what_to_type(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"needs tensorboardX; type: pip install 'jaxcnn\[tens"):
        tensorboard("runs/events")
