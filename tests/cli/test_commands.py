"""The command line: what the commands print, and their exit codes."""

import json
import os
import re
import subprocess
import sys

import jax
import pytest
from flax import nnx

import jaxcnn
from jaxcnn import models
from jaxcnn.inspect import plan_of
from tests.cli.runs import call


def run(capfd, *words):
    """Exit code, standard output and standard error of a command."""
    ended = call(capfd, *words)
    return ended.code, ended.out, ended.err


def test_size_prints_the_formula_with_the_numbers_in_it(capfd):
    words = "size 7 --kernel-size 3 --stride 2 --padding 1".split()
    code, out, err = run(capfd, *words)
    assert (code, err) == (0, "")
    assert "k = (7 + 1 + 1 - 3)/2 + 1 = 4" in out


def test_a_piped_table_has_no_trailing_blanks(capfd):
    _, out, _ = run(capfd, "lint", "--list-rules")
    assert len(out.splitlines()) > 10
    assert all(line == line.rstrip() for line in out.splitlines())


def test_size_prints_the_padding_that_keeps_the_size(capfd):
    _, out, _ = run(capfd, "size", "7", "-k", "3")
    assert "padding ((7 - 1)*1 + 3 - 7)/2 = 1 on both sides keeps size 7" in out
    _, out, _ = run(capfd, "size", "7", "-k", "4", "-p", "same")
    assert "1.5 is not whole: the uneven pair 1-2 keeps size 7" in out


def test_size_with_floor_prints_the_cells_dropped(capfd):
    code, out, _ = run(capfd, *"size 224 -k 7 -s 2 -p 3 --rounding floor".split())
    assert code == 0
    assert "112.5, rounded to 112" in out
    assert "1 of 230 cells at the end are never read" in out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("size 7 -k 3 -s 3", ["2.333... is not an integer", "1 row", "6 or 9", "--rounding floor"]),
        (
            "size 224 -k 7 -s 2 -p 3",
            ["112.5 is not an integer", "--padding 3-2 or 3-4", "223 or 225"],
        ),
        ("size 2 -k 3", ["is larger than the padded size 2", "--padding 0-1"]),
        (f"size {10**400} -k 3 -s 2", ["99.5 is not an integer", f"size {10**400 - 1} or"]),
        ("size 7 -k 3 -p -1", ["padding '-1' is not understood; write 1 for every side"]),
        ("size 7 -k 3 -s 0", ["stride must be an integer >= 1, got 0"]),
        ("size 7 -k 3 -p most", ["padding 'most' is not understood", "or a name: valid, same"]),
        ("size 7 -k 3 -p 1,2", ["padding '1,2' is not understood", "3-2 for before"]),
        ("plan -i 28 max:k2", ["layer 1 (max:k2): needs an input (*spatial, channels)", "(28,)"]),
        ("plan nowhere:net -i 7x7x1", ["there is no module nowhere", "module:function"]),
        ("plan nowhere:net", ["input of nowhere:net is not known", "--input 224x224x3"]),
        ("plan nowhere:net max:k2", ["nowhere:net names a model; leave the other words out"]),
        ("lint digit", ["there is no network digit; did you mean digits?", "`jaxcnn models`"]),
        ("plan -i big", ["input 'big' is not a shape", "224x224x3"]),
        (
            "plan -i 7x7x1 conv:6:k3:s3",
            ["layer 1 (conv:6:k3:s3): conv: height 7", "Use :p0-2x0-2, sizes", "or :floor"],
        ),
        (
            "plan linear conv:2:k3",
            ["'linear' is not a kind of layer; the kinds are conv, max, avg", "conv:32:k3"],
        ),
        (
            "explain 8x7x1 --kernel-size 3x3 --out-channels 1",
            ["8x7x1 has 1 spatial axes but --kernel-size 3x3 has 2"],
        ),
    ],
)
def test_an_input_error_is_one_line_on_standard_error_and_exit_code_2(
    monkeypatch, capfd, tmp_path, words, parts
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, *words.split())
    assert code == 2
    assert err.startswith("jaxcnn: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert all(part in err for part in parts), err
    assert list(tmp_path.iterdir()) == []


def test_version_prints_the_version(capfd):
    code, out, _ = run(capfd, "--version")
    assert (code, out) == (0, f"jaxcnn {jaxcnn.__version__}\n")


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_missing_device_is_one_line_on_standard_error(platform):
    words = [sys.executable, "-m", "jaxcnn", "doctor"]
    environment = os.environ | {"JAX_PLATFORMS": platform}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:  # on a machine with a GPU the command succeeds
        assert done.returncode == 2
        assert re.fullmatch(
            rf"jaxcnn: JAX finds no device with JAX_PLATFORMS={platform}.*unset it\n", done.stderr
        )


@pytest.mark.parametrize("words", ["plan", "size 7 -k 3", "explain 8x9x9x4 -k 3x3 -c 4", "--help"])
def test_a_closed_pipe_ends_a_command_silently(words):
    line = f"{sys.executable} -m jaxcnn {words} | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("size", "Missing argument 'size'"),
        ("size seven -k 3", "Invalid value for 'size'"),
        ("size 7", "Missing option '--kernel-size'"),
        ("no-such-command", "No such command 'no-such-command'"),
        ("predict", "Missing argument"),
        ("--no-such-option", "No such option: --no-such-option"),
    ],
)
def test_a_usage_error_is_one_line_on_standard_error_and_exit_code_2(capfd, words, part):
    code, out, err = run(capfd, *words.split())
    assert (code, out) == (2, "")
    assert err.startswith("jaxcnn: ")
    assert part in err
    assert err.count("\n") == 1


def test_no_command_prints_the_help_on_standard_error_with_exit_code_2(capfd):
    code, out, err = run(capfd)
    assert (code, out) == (2, "")
    assert "Commands:" in err


def test_plan_prints_the_worked_example(capfd):
    code, out, _ = run(capfd, *"plan -i 7x7x1 conv:6:k3:relu conv:10:k3:relu".split())
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[2] == ["layers.0", "(conv", "3x3)", "5x5x6", "60", "1,350", "3x3", "1x1", "0"]
    assert lines[3] == ["layers.1", "(conv", "3x3)", "3x3x10", "550", "4,860", "5x5", "1x1", "0"]


def test_plan_without_layers_prints_the_digits_network(capfd):
    _, out, _ = run(capfd, "plan")
    model = models.build("digits", (28, 28, 1), 10, rngs=nnx.Rngs(0))
    assert out.strip() == str(plan_of(model, (28, 28, 1)))


@pytest.mark.parametrize(
    "words",
    [
        "residual -i 16x16x3",
        "conv:6:k3:relu batchnorm dropout:0.5 flatten dense:10:relu -i 7x7x1",
        "conv:6:k3 global_avg dense:10 -i 7x7x1",
    ],
)
def test_plan_takes_model_names_and_every_word(capfd, words):
    code, out, err = run(capfd, "plan", *words.split())
    assert (code, err) == (0, "")
    network, shape = words.split(" -i ")
    model = models.build(network, tuple(map(int, shape.split("x"))), 10, rngs=nnx.Rngs(0))
    weights = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    (total,) = (line.split() for line in out.splitlines() if line.startswith("total"))
    assert total[1] == f"{weights:,}"


NETS = """
from flax import nnx

def six():
    return nnx.Conv(1, 6, (7, 7), strides=2, padding=((3, 3), (3, 3)), rngs=nnx.Rngs(0))
"""


def test_plan_and_lint_read_any_model_that_a_function_returns(monkeypatch, capfd, tmp_path):
    (tmp_path / "some_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    code, out, _ = run(capfd, *"plan some_nets:six -i 224x224x1".split())
    assert code == 0
    assert "112x112x6" in out
    code, out, _ = run(capfd, *"lint some_nets:six -i 224x224x1".split())
    assert code == 1
    assert "112.5" in out or "never read" in out
    code, out, _ = run(capfd, *"lint some_nets:six -i 224x224x1 --json".split())
    assert code == 1
    assert json.loads(out)


def test_python_m_jaxcnn_runs_the_command_line():
    words = [sys.executable, "-m", "jaxcnn", "size", "7", "-k", "3"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "= 5" in done.stdout


def test_models_lists_every_network_with_its_counts(capfd):
    code, out, err = run(capfd, "models")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(models.names())
    entries = json.loads(run(capfd, "models", "--json")[1])
    assert [entry["name"] for entry in entries] == list(models.names())
    assert all(f"{entry['parameters']:,}" in out for entry in entries)
