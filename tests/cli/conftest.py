"""A data set and a run that the tests of several commands read."""

import pytest
from typer.testing import CliRunner

from jaxcnn.cli.commands import app
from tests.cli.runs import SETTINGS, write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("data") / "colors")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, pictures):
    """A finished run: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", pictures, "--out", folder, "--epochs", "4", *SETTINGS, "--tensorboard"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return folder, done.output
