"""Training processes that are killed by SIGKILL."""

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import jax
import pytest

from jaxcnn.train import Run, fit, resume
from tests.train.conftest import KINDS
from tests.train.runs import assert_same_end
from tests.train.small import net, small_data

ROOT = Path(__file__).parents[2]
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "open"}

pytestmark = pytest.mark.usefixtures("small_runs")


def train(kind, folder, kill_at):
    """Trains until the change of a file of the folder with the number ``kill_at``."""
    changes = 0

    def hook(name, args):
        nonlocal changes
        if name not in CHANGES or not str(args[0]).startswith(folder):
            return
        if name == "open" and not set(args[1] or "") & set("wa"):
            return
        if changes == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        changes += 1

    sys.addaudithook(hook)
    if (Path(folder) / "config.json").exists():
        resume(folder, model=net(), data=small_data())
    else:
        fit(net(), small_data(), KINDS[kind], folder=folder)
    print(changes)


def killed(kind, folder, kill_at):
    """Whether a process was killed at this change; False if it ended before."""
    call = f"train({kind!r}, {str(folder)!r}, {kill_at})"
    names = (
        "jax_disable_most_optimizations",
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    environment = {name.upper(): str(jax.config.values[name]) for name in names}
    done = subprocess.run(
        [sys.executable, "-c", f"from tests.train.test_kills import train; {call}"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode != 0


KILLS = [pytest.param("patient", (30,))] + [
    pytest.param(kind, range(first, 60, 7), marks=pytest.mark.slow)
    for first, kind in enumerate(KINDS)
]


@pytest.mark.parametrize(("kind", "kills"), KILLS)
def test_a_run_killed_at_a_change_of_a_file_ends_with_the_same_bits(
    whole, data, tmp_path, kind, kills
):
    folder = tmp_path / "run"
    for kill_at in kills:
        assert killed(kind, folder, kill_at) or Run.open(folder).summary()["finished"]
    resume(folder, model=net(), data=data)
    assert_same_end(folder, whole(kind).folder)


@pytest.mark.slow
def test_runs_survive_kills_at_random_instants(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "experiments")
    found = import_module("survive_kills").survive(tmp_path, kills=5, seed=1)
    assert found["failures"] == []
    assert sum(found["killed while"].values()) == 5
