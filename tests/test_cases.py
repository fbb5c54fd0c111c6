"""The hypothesis profile alone decides how many cases are drawn; "full" draws 100 or more."""

import ast
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import few

TESTS = Path(__file__).parent


def _calls(name):
    """Every call of ``name``, or with a keyword of that name, in the files of the tests."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                words = {keyword.arg for keyword in node.keywords}
                called = node.func.id if isinstance(node.func, ast.Name) else None
                if name in words or name == called:
                    yield path.relative_to(TESTS), node


def test_no_law_sets_its_own_number_of_cases():
    where = {str(path) for path, _ in _calls("max_examples")}
    assert where == {"cases.py", "conftest.py"}, "use scaled(...), many or few of tests/cases.py"


def test_check_law_is_called_with_the_number_of_a_search():
    for name in ("check_law", "check_laws"):
        for path, call in _calls(name):
            (examples,) = [word.value for word in call.keywords if word.arg == "examples"]
            assert ast.unparse(examples) == "SEARCH.max_examples", f"{path}:{call.lineno}"


def test_every_find_has_the_settings_of_a_search():
    for path, call in _calls("find"):
        if isinstance(call.func, ast.Name) and len(call.args) == 2:
            (chosen,) = [word.value for word in call.keywords if word.arg == "settings"]
            assert ast.unparse(chosen) == "SEARCH", f"{path}:{call.lineno}"


def test_the_full_profile_draws_100_cases_or_more_for_every_law():
    full = settings.get_profile("full").max_examples
    for path, call in _calls("scaled"):
        (factor,) = call.args
        factor = eval(compile(ast.Expression(factor), str(path), "eval"), {})
        assert factor * full >= 100, f"{path}:{call.lineno}"


def test_a_law_is_drawn_as_often_as_the_loaded_profile_says(pytestconfig):
    drawn = []

    @few
    @given(st.integers())
    def law(number):
        drawn.append(number)

    law()
    profile = settings.get_profile(pytestconfig.getoption("--hypothesis-profile") or "default")
    assert len(drawn) == profile.max_examples // 2


def test_the_full_profile_is_loaded_before_any_test_is_collected():
    words = ["--hypothesis-profile=full", "-q", "-n", "0", __file__, "-k", "as_often_as"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
