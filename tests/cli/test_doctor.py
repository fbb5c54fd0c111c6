"""jaxcnn doctor: what is open, what to type, and a verdict that is kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jaxcnn.cli import app
from jaxcnn.cli.doctor import state
from jaxcnn.convolve import fence, stress, verify
from jaxcnn.errors import InputError
from tests.cases import many

here = pytest.mark.skipif(fence.machine_lacks() is not None, reason="no oneDNN in this jaxlib")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fence.verified_here.cache_clear()
    yield
    fence.verified_here.cache_clear()


def test_where_there_is_no_oneDNN_verify_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(fence, "machine_lacks", lambda: "the jaxlib for Darwin does not carry it")
    answer = CliRunner().invoke(app, ["doctor", "--verify"])
    assert isinstance(answer.exception, InputError)
    assert "Darwin" in str(answer.exception)
    assert "\n" not in str(answer.exception)


@here
def test_a_jaxlib_that_is_not_listed_is_told_with_what_to_type(monkeypatch):
    monkeypatch.setattr(fence, "verified", lambda: frozenset())
    rows = dict(state())
    assert "`jaxcnn doctor --verify`" in rows["oneDNN, float32"]
    assert rows["own verdict"] == "none"


def _cases(word):
    return st.tuples(*(st.sampled_from((c, c.upper())) for c in word)).map("".join)


@many
@given(
    st.sampled_from(("1", "true", "on", "yes", "0", "false", "off", "no")).flatmap(_cases)
    | st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5)
)
def test_the_switch_is_yes_or_no_or_told(said):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(fence.SWITCH, said)
        meant = said.strip().lower()
        if meant in ("", "1", "true", "on", "yes"):
            assert "JAXCNN_ONEDNN" not in (fence.closed_because() or "")
        elif meant in ("0", "false", "off", "no"):
            assert fence.closed_because() == f"closed by JAXCNN_ONEDNN={said}"
        else:
            with pytest.raises(InputError, match="neither yes nor no; set it to 1 or 0"):
                fence.closed_because()
            answer = CliRunner().invoke(app, ["doctor"])
            assert isinstance(answer.exception, InputError)


@here
def test_the_switch_is_shown(monkeypatch):
    monkeypatch.setenv("JAXCNN_ONEDNN", "0")
    rows = dict(state())
    assert rows["oneDNN, float32"] == "closed: closed by JAXCNN_ONEDNN=0"
    assert rows["JAXCNN_ONEDNN"] == "0"
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


@here
@pytest.mark.parametrize(("fault", "code"), [(None, 0), ("died", 1)])
def test_verify_keeps_what_it_saw(monkeypatch, fault, code):
    failures = [verify.Failure("scene", fault, "exit code -6")] if fault else []
    monkeypatch.setattr(stress, "run", lambda seconds: failures)
    answer = CliRunner().invoke(app, ["doctor", "--verify", "--draws", "20"])
    assert answer.exit_code == code, answer.output
    kept = json.loads(fence.verdict_file().read_text())
    assert sum(kept["draws"].values()) == 20
    assert kept["failures"] == list(map(str, failures))
    assert sum(kept["implementations"].values()) == 20
