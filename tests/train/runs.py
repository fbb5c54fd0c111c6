"""What tests compare of two runs, and ways to stop one."""

import os
from dataclasses import asdict

import numpy as np

from jaxcnn.train import (
    Progress,
    Run,
    Started,
)
from tests.train.small import (
    arrays_of,
    net,
    small_trainer,
)


def state_of(folder):
    run = Run.open(folder, net())
    return run.checkpoints.restore(small_trainer(run.config).abstract())


def assert_same_end(folder, other):
    assert (folder / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    (state, info), (wanted, wanted_info) = state_of(folder), state_of(other)
    for got, want in zip(arrays_of(state), arrays_of(wanted), strict=True):
        np.testing.assert_array_equal(got, want)
    assert [info[name] for name in ("best", "stale")] == [
        wanted_info[name] for name in ("best", "stale")
    ]
    assert Run.open(folder).checkpoints.best() == Run.open(other).checkpoints.best()


def assert_same_result(result, other):
    times = dict.fromkeys(("seconds", "compile_seconds", "waiting", "folder"))
    assert asdict(result) | times == asdict(other) | times


class StopError(Exception):
    pass


def stop(at, how):
    """A callback that sends a signal or raises after ``at`` steps."""

    def callback(event):
        if getattr(event, "step", None) == at and isinstance(event, Started | Progress):
            if how is StopError:
                raise StopError
            os.kill(os.getpid(), how)

    return callback


def every_file(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
