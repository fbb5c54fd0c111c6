"""Training runs for tests: fixtures that make them fast, and one of each kind."""

import shutil
from dataclasses import replace

import jax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from jaxcnn.train import fit
from tests.train.small import CONFIG, net, small_data

KINDS = {
    "resident": CONFIG,
    "streamed": replace(CONFIG, memory=0.0, ema=0.5),
    # so slow to learn that an epoch is no better than the one before
    "patient": replace(CONFIG, epochs=9, patience=2, learning_rate=1e-9, schedule="constant"),
}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder of compiled programs, and the finished runs of each kind."""
    return tmp_path_factory.mktemp("compiled"), {}


@pytest.fixture(scope="module")
def small_runs(made):
    """Runs that compile each program once, which takes most of their time, and draw nothing."""
    settings = {
        "jax_compilation_cache_dir": str(made[0]),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    _configure(settings)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("jaxcnn.train.report.draw", lambda *_: None)
        yield
    _configure(before)


def _configure(settings):
    for name, value in settings.items():
        jax.config.update(name, value)
    reset_cache()


@pytest.fixture
def report_every_step(monkeypatch):
    monkeypatch.setattr("jaxcnn.train.metrics.REPORT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def data():
    return small_data()


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory, data):
    """The result of a kind of run that was never interrupted, and reported when it pleased."""
    found = made[1]

    def of(kind):
        if kind not in found:
            found[kind] = fit(net(), data, KINDS[kind], folder=tmp_path_factory.mktemp(kind))
        return found[kind]

    return of


@pytest.fixture(scope="module")
def finished(whole):
    return whole("resident")


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished.folder, tmp_path / "run")
