"""``jaxcnn lint`` and models by name, as a person meets them."""

import json

import pytest
import typer
from typer.testing import CliRunner

from jaxcnn.cli.lint import lint
from jaxcnn.cli.model import example_shape, load_model
from jaxcnn.errors import InputError

NETS = """
import jax.numpy as jnp
from jax import lax

def flawed():
    return lambda x: lax.conv(x, jnp.ones((8, 3, 3, 3)), (2, 2), "VALID")

def sound():
    return lambda x: x

def needs(width):
    return lambda x: x

def number():
    return 3

CONSTANT = 3
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module of models in the current folder, by a name that no other test has taken."""
    name = f"nets_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def run(*words):
    app = typer.Typer()
    app.command()(lint)
    return CliRunner().invoke(app, words)


def test_lint_ends_with_1_where_it_finds_something_and_0_where_not(nets):
    found = run(f"{nets}:flawed", "--input", "3x8x8", "--select", "JC001")
    assert found.exit_code == 1
    assert "JC001 rows dropped" in found.output
    nothing = run(f"{nets}:flawed", "-i", "3x8x8", "--select", "JC001,JC002", "--ignore", "JC001")
    assert (nothing.exit_code, "nothing found" in nothing.output) == (0, True)
    assert run(f"{nets}:sound", "-i", "8").exit_code == 0


def test_lint_prints_json(nets):
    found = run(f"{nets}:flawed", "--input", "3x8x8", "--json")
    assert "JC001" in [finding["code"] for finding in json.loads(found.output)["findings"]]


def test_lint_without_an_input_is_a_mistake_of_usage(nets):
    assert run(f"{nets}:flawed").exit_code == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{}", ["names no function", "write module:function"]),
        ("{}:", ["names no function"]),
        ("{}.py:flawed", ["names a file", "write {}:flawed"]),
        ("no_such_module_here:flawed", ["there is no module no_such_module_here"]),
        ("{}:flwaed", ["has no flwaed", "did you mean flawed"]),
        ("{}:CONSTANT", ["is a int, no function"]),
        ("{}:needs", ["failed, TypeError", "must take no arguments"]),
        ("{}:number", ["gave a int", "must give a Flax NNX module or a function"]),
    ],
)
def test_a_name_that_gives_no_model_says_what_to_type(nets, name, words):
    with pytest.raises(InputError) as error:
        load_model(name.format(nets))
    for each in words:
        assert each.format(nets) in str(error.value)


def test_a_module_that_cannot_be_imported_says_why(nets, tmp_path):
    (tmp_path / f"{nets}_broken.py").write_text("import no_such_thing")
    with pytest.raises(InputError, match=r"importing .*_broken failed: No module named"):
        load_model(f"{nets}_broken:net")
    (tmp_path / f"{nets}_worse.py").write_text("1 / 0")
    with pytest.raises(InputError, match="failed, ZeroDivisionError"):
        load_model(f"{nets}_worse:net")


def test_shapes_are_sizes_joined_by_x():
    assert example_shape("224x224x3") == (224, 224, 3)
    assert example_shape("100") == (100,)
    for text in ("", "224,224", "3x", "-1x3"):
        with pytest.raises(InputError, match="is no shape"):
            example_shape(text)
