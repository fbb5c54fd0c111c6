"""``jaxcnn lint``, ``jaxcnn plan`` of models, and models by name."""

import json

import pytest
import typer
from typer.testing import CliRunner

from jaxcnn.cli.lint import lint
from jaxcnn.cli.model import example_shape
from jaxcnn.cli.plan import plan
from jaxcnn.errors import InputError
from jaxcnn.inspect import RULES
from jaxcnn.models import load_model

NETS = """
import jax.numpy as jnp
from jax import lax

def flawed():
    return lambda x: lax.conv(x, jnp.ones((8, 3, 3, 3)), (2, 2), "VALID")

def sound():
    return lambda x: x

def batch():
    def net(x):
        x = x.reshape(-1, *x.shape[-3:])
        numbers = ("NHWC", "HWIO", "NHWC")
        kernel = jnp.ones((3, 3, 3, 8))
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)

    return net

def needs(width):
    return lambda x: x

def fails():
    return 1 / 0

def half():
    def net(x):
        assert x.dtype == "bfloat16"
        return flawed()(x.astype("float32"))

    return net

def number():
    return 3

CONSTANT = 3
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The name of a module of models in the current folder, different in every test."""
    name = f"nets_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def run(*words, command=lint):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, words)


def test_lint_exits_with_1_on_findings_and_with_0_without(nets):
    found = run(f"{nets}:flawed", "--input", "3x8x8", "--select", "JC001")
    assert found.exit_code == 1
    assert "JC001 rows dropped" in found.output
    nothing = run(f"{nets}:flawed", "-i", "3x8x8", "--select", "JC001,JC002", "--ignore", "JC001")
    assert (nothing.exit_code, "nothing found" in nothing.output) == (0, True)
    assert run(f"{nets}:sound", "-i", "8").exit_code == 0


def test_lint_lists_its_findings_as_json(nets):
    found = run(f"{nets}:flawed", "--input", "3x8x8", "--json")
    assert "JC001" in [finding["code"] for finding in json.loads(found.output)["findings"]]


def test_lint_and_plan_trace_an_input_of_the_given_dtype(nets):
    for command, word in ((lint, "JC001"), (plan, "conv1")):
        words = (f"{nets}:half", "-i", "3x8x8", "--dtype", "bfloat16")
        assert word in run(*words, command=command).output
        refused = run(*words[:-1], "bfloat17", command=command)
        assert "bfloat17" in str(refused.exception)
        assert isinstance(refused.exception, InputError)


def test_list_rules_prints_every_rule_with_reason_and_example_and_needs_no_model():
    listed = run("--list-rules")
    assert listed.exit_code == 0
    for rule in RULES:
        assert rule.code in listed.output
        words = f"{rule.name} {rule.reason} {rule.example}".replace("/", " ").split()
        assert len(set(words) - set(listed.output.replace("/", " ").split())) <= len(words) // 10
    starts = [line.index("JC") for line in listed.output.splitlines() if line[:2] == "JC"]
    assert len(starts) == len(RULES)
    assert listed.output.split()[:4] == ["code", "rule", "reason", "example"]


def test_lint_ignores_a_rule_for_one_named_layer(nets):
    words = (f"{nets}:flawed", "-i", "3x8x8", "--select", "JC001", "--ignore")
    assert run(*words, "JC001@conv1").exit_code == 0
    for wrong in ("JC001@conv9", "JC999@conv1"):
        assert isinstance(run(*words, wrong).exception, InputError)


def test_a_baseline_hides_known_findings_and_no_others(nets, tmp_path):
    file = str(tmp_path / "known.json")
    model = (f"{nets}:flawed", "-i", "3x8x8")
    written = run(*model, "--select", "JC001", "--write-baseline", file)
    assert (written.exit_code, "1 finding written" in written.output) == (0, True)
    as_json = run(*model, "--write-baseline", str(tmp_path / "all.json"), "--json")
    assert json.loads(as_json.stdout)["exit_code"] == as_json.exit_code == 0
    again = run(*model, "--select", "JC001", "--baseline", file)
    assert (again.exit_code, "(1 known before)" in again.output) == (0, True)
    more = run(*model, "--baseline", file, "--json")
    found = json.loads(more.output)
    assert (more.exit_code, found["known"]) == (1, 1)
    assert "JC001" not in [finding["code"] for finding in found["findings"]]
    # Other numbers are another finding.
    assert run(f"{nets}:flawed", "-i", "3x10x10", "--baseline", file).exit_code == 1


@pytest.mark.parametrize("text", [None, "{}", "[1]", "no json", '{"known": [{"code": 1}]}'])
def test_a_baseline_that_cannot_be_read_says_how_to_write_one(nets, tmp_path, text):
    file = tmp_path / "known.json"
    if text is not None:
        file.write_text(text)
    refused = run(f"{nets}:flawed", "-i", "3x8x8", "--baseline", str(file))
    assert isinstance(refused.exception, InputError)
    # An existing file may be of another kind, so overwriting it is not advised.
    advised = f"write one with --write-baseline {file}" in str(refused.exception)
    assert advised == (text is None)
    assert "--write-baseline" in str(refused.exception)
    assert "\n" not in str(refused.exception)


def test_a_baseline_that_cannot_be_written_says_why(nets, tmp_path):
    for file in (tmp_path / "no_such_folder" / "known.json", tmp_path):
        refused = run(f"{nets}:flawed", "-i", "3x8x8", "--write-baseline", str(file))
        assert isinstance(refused.exception, InputError)
        assert f"{str(file)!r} cannot be written" in str(refused.exception)


def test_a_plan_as_json_holds_what_the_table_holds(nets):
    found = json.loads(run(f"{nets}:flawed", "-i", "3x8x8", "--json", command=plan).output)
    (row,) = found["rows"]
    assert (row["output"], row["multiply_adds"], row["lost"]) == ([3, 3, 8], 9 * 9 * 24, [1, 1])
    assert [field["size"] for field in row["field"]] == [3, 3]
    assert found["multiply_adds"] == row["multiply_adds"]
    layers = json.loads(run("conv:4:k3", "-i", "9x9x3", "--json", command=plan).output)
    assert layers["rows"][0]["name"] == "layers.0 (conv 3x3)"


def test_a_plan_notes_an_input_axis_that_may_be_a_batch(nets):
    for words in ((f"{nets}:batch", "-i", "8x48x48x3"), ("conv:4:k3", "-i", "8x48x48x3")):
        assert "leave it out: 48x48x3" in run(*words, command=plan).output
    for words in ((f"{nets}:batch", "-i", "48x48x3"), ("conv:4:k3", "-i", "48x48x3")):
        assert "note" not in run(*words, command=plan).output


def test_lint_of_a_persons_model_asks_for_the_shape_of_its_input(nets):
    message = str(run(f"{nets}:flawed").exception)
    assert message.startswith(f"the input of {nets}:flawed is not known; add")
    assert "--input 224x224x3" in message


def test_layers_in_words_are_offered_where_they_are_taken():
    assert "conv:32:k3 is a layer, and this command takes a model" in str(
        run("conv:32:k3", "-i", "9x9x3").exception
    )
    assert "words such as conv:32:k3" not in str(run("digitz").exception)
    assert "words such as conv:32:k3" in str(run("digitz", command=plan).exception)


@pytest.mark.parametrize("command", [lint, plan])
def test_a_network_that_is_too_large_for_its_input_names_an_input_to_type(command):
    message = str(run("lenet5", "-i", "30x30x1", command=command).exception)
    assert message.startswith("lenet5: input_shape (30, 30, 1) has a size that is not a multiple")
    assert message.endswith("Use --input 28x28x1 or 32x32x1.")
    for name in ("digits", "residual"):
        message = str(run(name, "-i", "28x28", command=command).exception)
        assert "input_shape must be (height, width, channels), got (28, 28)" in message


def test_a_constructor_of_the_package_is_a_function_like_a_persons():
    assert "input 64x64x3" in run("jaxcnn.models:residual", "-i", "64x64x3", command=plan).output


def test_a_network_of_the_package_has_its_published_input():
    assert "input 32x32x3" in run("residual").output
    assert "9x9" in run("residual", "-i", "9x9x3").output
    assert "28x28x1" in run("digits", command=plan).output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{}", ["does not name a function", "write module:function"]),
        ("{}:", ["does not name a function"]),
        ("{}.py:flawed", ["names a file", "write {}:flawed"]),
        ("no_such_module_here:flawed", ["there is no module no_such_module_here"]),
        ("{}:flwaed", ["has no flwaed", "did you mean flawed"]),
        ("{}:CONSTANT", ["is not a function but a int"]),
        ("{}:needs", ["needs width, but is given no arguments", "give width a default"]),
        ("{}:fails", ["fails() failed, ZeroDivisionError"]),
        ("{}:number", ["returned a int", "must return a Flax NNX module or a function"]),
    ],
)
def test_a_wrong_model_name_is_refused_with_what_to_type(nets, name, words):
    with pytest.raises(InputError) as error:
        load_model(name.format(nets))
    for each in words:
        assert each.format(nets) in str(error.value)


def test_a_model_whose_module_cannot_be_imported_is_refused_with_the_reason(nets, tmp_path):
    (tmp_path / f"{nets}_broken.py").write_text("import no_such_thing")
    with pytest.raises(InputError, match=r"_broken failed at .*_broken\.py:1: No module named"):
        load_model(f"{nets}_broken:net")
    (tmp_path / f"{nets}_worse.py").write_text("1 / 0")
    with pytest.raises(InputError, match=r"failed, ZeroDivisionError at .*_worse\.py:1: "):
        load_model(f"{nets}_worse:net")


def test_an_input_shape_is_sizes_joined_by_x():
    assert example_shape("224x224x3") == (224, 224, 3)
    assert example_shape("100") == (100,)
    for text in ("", "224,224", "3x", "-1x3"):
        with pytest.raises(InputError, match="is not a shape"):
            example_shape(text)
