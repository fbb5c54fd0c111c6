"""``jaxcnn bench``: output, files and exit codes."""

import json
import subprocess
import sys

import pytest

from jaxcnn import cli
from jaxcnn.bench import measure as measuring
from jaxcnn.bench import memory
from jaxcnn.bench.ceiling import Ceilings
from jaxcnn.bench.check import WrongResultError
from jaxcnn.bench.roster import XLA_BACKENDS
from jaxcnn.bench.row import pool, row

ROWS = (row("dense", 3, 2, 4, 6, batch=2), pool("max", 2, 3, 6, stride=2))


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs the command over two small rows, with given ceilings."""
    monkeypatch.setattr("jaxcnn.cli.bench.OVERVIEW", ROWS)
    monkeypatch.setattr("jaxcnn.bench.pytorch.is_installed", lambda: False)
    monkeypatch.setattr("jaxcnn.bench.ceiling.measure_ceilings", lambda *_: Ceilings(100.0, 10.0))
    monkeypatch.setattr(measuring, "memory_is_counted", lambda: False)

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["jaxcnn", "bench", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capfd.readouterr()
        return end.value.code or 0, out, err

    return command


def test_bench_prints_rows_ratios_and_means_and_writes_its_files(run, tmp_path):
    files = ["--json", str(tmp_path / "run.json"), "--picture", str(tmp_path / "run.png")]
    code, out, err = run("--quick", *files)
    assert (code, err) == (0, "")
    for part in ("3x3 2-4 @6 b2", "2x2 max pool 3 s2 @6 b8", "lax / jaxcnn", "Geometric means"):
        assert part in out
    data = json.loads((tmp_path / "run.json").read_text())
    assert [(line["group"], line["direction"]) for line in data["rows"]] == [
        ("dense", "forward"),
        ("dense", "input"),
        ("dense", "kernel"),
        ("pool", "forward"),
        ("pool", "input"),
    ]
    assert (tmp_path / "run.png").stat().st_size > 10_000


@pytest.mark.skipif(not memory.memory_is_counted(), reason="peak memory cannot be measured")
def test_bench_prints_a_table_of_memory_and_a_line_for_each_contender_left_out(
    run, monkeypatch, tmp_path
):
    monkeypatch.setattr(measuring, "memory_is_counted", memory.memory_is_counted)
    monkeypatch.setattr("jaxcnn.cli.bench.OVERVIEW", ROWS[:1])
    monkeypatch.setitem(XLA_BACKENDS, "lax-ynnpack", "--xla_no_such_flag=1")
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = run("--quick", "--xla-backends", "--json", str(tmp_path / "run.json"))
    assert (code, err) == (0, "")
    assert "Peak memory of a call, MiB" in out
    assert (
        "lax-ynnpack was left out in 3 of 3: exit code 1: Unknown flag in XLA_FLAGS: "
        "--xla_no_such_flag=1\n"
    ) in out
    for line in json.loads((tmp_path / "run.json").read_text())["rows"]:
        assert {"lax", "jaxcnn", "jaxcnn-plain"} <= set(line["peak_mib"])
        assert set(line["ms"]) | set(line["left_out"]) >= set(XLA_BACKENDS)


def test_bench_filters_rows_by_name_or_group(run):
    _, out, _ = run("--quick", "--rows", "pool")
    assert "max pool" in out
    assert "3x3" not in out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("alexnet", ["there is no network alexnet", "`jaxcnn models` lists the networks"]),
        ("conv:32:k3", ["conv:32:k3 is a layer, and this command takes a model; `jaxcnn plan`"]),
        ("jaxcnn.nn.activations:find_activation --input 3x2", ["needs name, but is given"]),
        ("jaxcnn.models:unet --input 8x8x3", ["size that is not a multiple of 16"]),
        ("nets:picky --input 5x2", ["does not accept an input of shape (5, 2)", "reshape"]),
        ("--dtype float64", ["dtype must be one of float32, bfloat16", "'float64'"]),
        ("--rows nothing", ["no row of overview has 'nothing'", "'3x3 2-4 @6 b2'"]),
        ("--json nowhere/run.json", ["there is no folder nowhere"]),
        ("--picture .", ["--picture . is a folder"]),
    ],
)
def test_a_usage_error_of_bench_is_one_line_and_exit_code_2(
    run, monkeypatch, tmp_path, words, parts
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text("def picky():\n    return lambda x: x.reshape(7)\n")
    code, out, err = run(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith("jaxcnn: ")
    assert err.count("\n") == 1
    assert all(part in err for part in parts), err


def test_a_wrong_result_in_bench_is_one_line_that_names_the_row(run, monkeypatch):
    def wrong(*_):
        raise WrongResultError("3x3 2-4 @6 b2, forward, float32: jaxcnn: 1 differs from 2 by 1")

    monkeypatch.setattr(measuring, "_check", wrong)
    code, _, err = run("--quick")
    assert code == 2
    assert err == (
        "jaxcnn: wrong result: 3x3 2-4 @6 b2, forward, float32: jaxcnn: 1 differs from 2 by 1\n"
    )


def test_ctrl_c_in_bench_prints_the_results_so_far_and_exits_with_130(run, monkeypatch, tmp_path):
    measure = measuring.measure

    def stopped(row, direction, *rest, **more):
        if direction == "kernel":
            raise KeyboardInterrupt
        return measure(row, direction, *rest, **more)

    monkeypatch.setattr(measuring, "measure", stopped)
    code, out, _ = run("--quick", "--json", str(tmp_path / "run.json"))
    assert code == 130
    assert "3x3 2-4 @6 b2" in out
    assert len(json.loads((tmp_path / "run.json").read_text())["rows"]) == 2


def test_importing_bench_imports_neither_jax_nor_torch():
    code = (
        "import sys, jaxcnn.bench, jaxcnn.cli.bench; print('jax' in sys.modules);"
        "import jaxcnn.bench.measure, jaxcnn.bench.pytorch; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nFalse\n"
