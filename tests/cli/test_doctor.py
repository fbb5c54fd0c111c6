"""jaxcnn doctor: what is open, what is missing, and what to type."""

import pytest
from typer.testing import CliRunner

from jaxcnn import onednn
from jaxcnn.cli import app
from jaxcnn.cli.doctor import ENVIRONMENT, state
from jaxcnn.errors import InputError
from jaxcnn.onednn import library

here = pytest.mark.skipif(onednn.missing() is not None, reason=str(onednn.missing()))


@pytest.fixture(autouse=True)
def _open(monkeypatch):
    monkeypatch.delenv("JAXCNN_ONEDNN", raising=False)


@here
def test_what_is_open_is_said_with_what_it_is():
    rows = dict(state())
    assert rows["oneDNN"] == f"open: {onednn.version()}, {onednn.path()}"
    assert rows["oneDNN computes with"].startswith(onednn.instruction_set())


def test_what_is_missing_is_said_in_a_line_that_can_be_copied(monkeypatch):
    missing = f"{'a very long reason, ' * 20}[bold]: pip install something"
    monkeypatch.setattr(library, "_found", missing)
    answer = CliRunner().invoke(app, ["doctor"])
    assert answer.exit_code == 0
    (line,) = (line for line in answer.output.splitlines() if line.startswith("oneDNN "))
    assert line.endswith(f"not asked: {missing}")


def test_the_environment_is_shown(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    assert all(dict(state())[name] == "not set" for name in ENVIRONMENT)
    monkeypatch.setenv("JAXCNN_ONEDNN", "0")
    rows = dict(state())
    assert rows["oneDNN"] == "not asked: closed by JAXCNN_ONEDNN=0"
    assert rows["JAXCNN_ONEDNN"] == "0"


def test_a_switch_that_is_neither_yes_nor_no_is_an_error(monkeypatch):
    monkeypatch.setenv("JAXCNN_ONEDNN", "perhaps")
    answer = CliRunner().invoke(app, ["doctor"])
    assert isinstance(answer.exception, InputError)
    assert "\n" not in str(answer.exception)
