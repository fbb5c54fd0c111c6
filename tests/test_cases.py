"""How many cases are drawn is said in one place, and the full profile draws hundreds everywhere."""

import ast
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import few

TESTS = Path(__file__).parent


def _calls(name):
    """Every call of ``name``, or with an argument of that name, in the sources of the tests."""
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                words = {keyword.arg for keyword in node.keywords}
                called = node.func.id if isinstance(node.func, ast.Name) else None
                if name in words or name == called:
                    yield path.relative_to(TESTS), node


def test_no_law_has_a_number_of_cases_of_its_own():
    where = {str(path) for path, _ in _calls("max_examples")}
    assert where == {"cases.py", "conftest.py"}, "use scaled(...), many or few of tests/cases.py"


def test_the_full_profile_gives_every_law_hundreds_of_cases():
    full = settings.get_profile("full").max_examples
    for path, call in _calls("scaled"):
        (factor,) = call.args
        factor = eval(compile(ast.Expression(factor), str(path), "eval"), {})
        assert factor * full >= 100, f"{path}:{call.lineno}"


def test_a_law_is_drawn_as_often_as_the_profile_says(pytestconfig):
    drawn = []

    @few
    @given(st.integers())
    def law(number):
        drawn.append(number)

    law()
    profile = settings.get_profile(pytestconfig.getoption("--hypothesis-profile") or "default")
    assert len(drawn) == profile.max_examples // 2


def test_the_full_profile_is_loaded_before_any_law_is_read():
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
