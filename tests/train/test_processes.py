"""Two processes train one run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.testing.tolerance import probable_gamma
from jaxcnn.train import events, fit, resume
from jaxcnn.train.processes import any_process, join, on_every_process, require_same
from tests.train.small import CONFIG, arrays_of, lines_of, net, small_data

RUN = replace(CONFIG, optimizer="sgd", learning_rate=0.1, epochs=3, ema=0.9)


# -- what the processes do -------------------------------------------------------------------------


def refused(words, function, *arguments, **keywords):
    with pytest.raises(InputError) as error:
        function(*arguments, **keywords)
    assert words in str(error.value), error.value
    assert "\n" not in str(error.value)


class Recorded:
    """Images that say which were read."""

    def __init__(self, images):
        self.images, self.shape, self.rows = images, images.shape, []

    def read(self, indices):
        self.rows += [int(i) for i in indices]
        return self.images[indices]


def rows_and_runs(process, folder):
    """Every process reads its own rows; a run is written once, and stopped and resumed."""
    data = small_data()
    recorded = Recorded(data.train.images)
    object.__setattr__(data.train, "images", recorded)
    found, module = [], net()
    result = fit(module, data, RUN, folder=folder / "whole", callbacks=[found.append])
    # Batches alone: measuring reads all.
    assert len(recorded.rows) - len(data.train) < 0.6 * RUN.epochs * len(data.train)
    module(np.zeros((1, *data.image_shape), np.float32))  # the arrays are this process's
    said = {
        "test": result.test_loss,
        "validation": [e.loss for e in found if isinstance(e, events.Validated)],
        "sum": float(sum(np.abs(a).sum() for a in arrays_of(nnx.state(module, nnx.Param)))),
    }
    (folder / f"said{process}.json").write_text(json.dumps(said))

    def stop(event):
        if isinstance(event, events.Saved) and event.step == 3 and process == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    result = fit(net(), small_data(), RUN, folder=folder / "stopped", callbacks=[stop])
    assert not result.finished
    (folder / f"step{process}").write_text(str(result.step))
    if process == 0:  # a folder for one process alone
        (folder / "copy").mkdir()
        subprocess.run(["cp", "-r", str(folder / "stopped"), str(folder / "copy")], check=True)
    on_every_process(lambda: None)
    resume(folder / "stopped", model=net(), data=small_data())


def refusals(process, folder):
    """What one process alone cannot do, none does."""
    assert any_process(process == 1, False) == (True, False)
    require_same({"settings": "same"})
    refused("the settings of process 1 are not", require_same, {"settings": str(process)})

    def fails(which):
        if process == which:
            raise InputError("no picture")

    refused(
        "in process 1: no picture" if process == 0 else "no picture",
        on_every_process,
        lambda: fails(1),
    )
    (folder / "full").mkdir(exist_ok=True)
    (folder / "full" / "file").touch()
    refused("exists already", fit, net(), small_data(), RUN, folder=folder / "full")
    refused(
        "the data of process 1 are not those of process 0",
        fit,
        net(),
        small_data(seed=process),
        RUN,
        folder=folder / "other",
    )
    assert not (folder / "other").exists()


def killed(process, folder):
    """Process 1 is killed; the other ends."""

    def kill(event):
        if isinstance(event, events.Saved) and event.step == 6 and process == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    fit(net(), small_data(), RUN, folder=folder / "killed", callbacks=[kill])


def failing(process, folder):
    """A callback fails in one process."""

    def fail(event):
        if isinstance(event, events.Saved) and event.step == 3 and process == 1:
            raise RuntimeError("the disk is gone")

    fit(net(), small_data(), RUN, folder=folder / "failing", callbacks=[fail])


def resumed(process, folder):  # noqa: ARG001
    resume(folder / "killed", model=net(), data=small_data())


# -- the tests -------------------------------------------------------------------------------------


def in_a_process(name, process, port, folder):
    join(f"localhost:{port}", 2, process)
    globals()[name](process, Path(folder))
    print("done")


def two(name, folder, devices=1):
    """Calls the function of this name in two processes: their exit codes, output and errors."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    started = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from {__name__} import in_a_process; "
                f"in_a_process({name!r}, {process}, {port}, {str(folder)!r})",
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]
    found = []
    try:
        for process in started:
            output, errors = process.communicate(timeout=150)
            found.append((process.returncode, output, errors))
    finally:
        for process in started:
            process.kill()
    return found


def both(name, folder, devices=1):
    for code, output, errors in two(name, folder, devices):
        assert code == 0, errors[-3000:]
        assert output.endswith("done\n")
        assert "Traceback" not in errors


@pytest.mark.slow
def test_two_processes_train_one_run_each_with_its_rows_and_stop_and_go_on_together(tmp_path):
    both("rows_and_runs", tmp_path)
    one, other = (json.loads((tmp_path / f"said{i}.json").read_text()) for i in range(2))
    assert one == other
    steps = {(tmp_path / f"step{i}").read_text() for i in range(2)}
    assert len(steps) == 1
    assert 3 < int(steps.pop()) < 9
    whole, stopped = (lines_of(tmp_path / name) for name in ("whole", "stopped"))
    kept = [[line for line in lines if line["split"] == "train"] for lines in (whole, stopped)]
    assert [line["step"] for line in kept[0]] == list(range(1, 10))
    for name in ("split", "step", "loss"):
        assert [line[name] for line in stopped] == [line[name] for line in whole]
    assert (tmp_path / "whole" / "curves.png").exists()
    # One process goes on with a run of two, and two have the numbers of one.
    resume(tmp_path / "copy" / "stopped", model=net(), data=small_data())
    fit(net(), small_data(), RUN, folder=tmp_path / "alone")
    bound = 12 * probable_gamma(32 * 48 * 27, "float32") * max(line["loss"] for line in whole)
    for name in ("alone", "copy/stopped"):
        lines = lines_of(tmp_path / name)
        assert [line["step"] for line in lines] == [line["step"] for line in whole]
        np.testing.assert_allclose(
            [line["loss"] for line in lines], [line["loss"] for line in whole], atol=bound
        )


def test_what_one_process_cannot_do_none_does(tmp_path):
    both("refusals", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_the_end_of_a_killed_process_ends_the_other_and_two_go_on(tmp_path, devices):
    start = time.monotonic()
    (code, _, errors), (killed_code, _, _) = two("killed", tmp_path, devices)
    assert time.monotonic() - start < 120
    assert (code, killed_code) == (1, -signal.SIGKILL)
    assert "error: process 1 has ended" in errors
    both("resumed", tmp_path, devices)
    assert lines_of(tmp_path / "killed")[-1]["split"] == "test"


@pytest.mark.slow
def test_an_error_in_one_process_ends_the_other_with_its_line(tmp_path):
    (code, _, errors), (failed, _, own) = two("failing", tmp_path, 2)
    assert code == failed == 1
    assert "RuntimeError: the disk is gone" in own
    assert "error: process 1 has ended: the disk is gone; resume the run" in errors
    assert "Traceback" not in errors
