"""``jaxcnn doctor``: what is available, what is missing, and what to type."""

import pytest
from typer.testing import CliRunner

from jaxcnn import onednn
from jaxcnn.cli.commands import app
from jaxcnn.cli.doctor import ENVIRONMENT, state
from jaxcnn.errors import InputError
from jaxcnn.onednn import library

needs_onednn = pytest.mark.skipif(onednn.missing() is not None, reason=str(onednn.missing()))


@pytest.fixture(autouse=True)
def _onednn_allowed(monkeypatch):
    monkeypatch.delenv("JAXCNN_ONEDNN", raising=False)


@needs_onednn
def test_doctor_shows_version_path_instructions_and_threads_of_onednn():
    rows = dict(state())
    assert rows["oneDNN"] == f"available: {onednn.version()}, {onednn.path()}"
    assert rows["oneDNN instruction set"] == onednn.instruction_set()
    assert rows["oneDNN threads"] == str(onednn.threads())


def test_doctor_prints_what_is_missing_in_one_line_that_can_be_copied(monkeypatch):
    missing = f"{'a very long reason, ' * 20}[bold]: pip install something"
    monkeypatch.setattr(library, "_found", missing)
    answer = CliRunner().invoke(app, ["doctor"])
    assert answer.exit_code == 0
    (line,) = (line for line in answer.output.splitlines() if line.startswith("oneDNN "))
    assert line.endswith(f"not used: {missing}")


def test_doctor_shows_the_environment_variables(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    assert all(dict(state())[name] == "not set" for name in ENVIRONMENT)
    monkeypatch.setenv("JAXCNN_ONEDNN", "0")
    rows = dict(state())
    assert rows["oneDNN"] == "not used: closed by JAXCNN_ONEDNN=0"
    assert rows["JAXCNN_ONEDNN"] == "0"


def test_a_value_of_jaxcnn_onednn_that_is_neither_yes_nor_no_is_an_error(monkeypatch):
    monkeypatch.setenv("JAXCNN_ONEDNN", "perhaps")
    answer = CliRunner().invoke(app, ["doctor"])
    assert isinstance(answer.exception, InputError)
    assert "\n" not in str(answer.exception)
