"""``jaxcnn train``: its options, what it shows, how it ends, and how it goes on."""

import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from flax import nnx
from rich.console import Console

from jaxcnn.cli.progress import Display, ReadingBar
from jaxcnn.cli.train import SECTIONS
from jaxcnn.models import residual, save
from jaxcnn.train import (
    Compiled,
    Progress,
    Reading,
    Result,
    TrainConfig,
    Validated,
    Warned,
    recipe,
)
from jaxcnn.train.config import SETTINGS as ALL_SETTINGS
from tests.cli.runs import SETTINGS, call, refused, write_pictures


def option(name):
    return "--" + name.replace("_", "-")


def test_every_setting_is_an_option_with_its_explanation(capfd):
    shown = call(capfd, "train", "--help")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    text = " ".join(shown.out.split())
    for entry in fields(TrainConfig):
        assert re.search(
            rf"{option(entry.name)} [A-Zx]+ {re.escape(ALL_SETTINGS[entry.name].help)}", text
        )
    for title in SECTIONS.values():
        assert f"{title}:" in text


def test_options_of_settings_override_the_recipe(capfd, tmp_path, monkeypatch):
    def fit(model, data, config, **_):
        seen.append((model, data, config))
        return Result(tmp_path, 1, True, False, 0.0, 0.0, 0.0, None, 0.0, 0.0)

    seen = []
    monkeypatch.setattr("jaxcnn.train.fit", fit)
    given = {"epochs": 1, "optimizer": "sgd", "clip": "none", "image_size": "6x5", "mesh": "data=1"}
    words = [word for name, text in given.items() for word in (option(name), text)]
    ended = call(capfd, "train", "data", "--recipe", "best", "--augment", "flip shift:1", *words)
    assert ended.code == 0, ended.err
    changed = given | {"clip": None, "image_size": (6, 5), "augment": ("flip", "shift:1")}
    assert seen == [(None, "data", replace(recipe("best"), **changed))]


def test_a_run_shows_device_data_network_compilation_epochs_and_result(trained):
    folder, out = trained
    lines = out.splitlines()
    assert re.fullmatch(rf"jaxcnn on .+, run folder {re.escape(str(folder))}", lines[0])
    assert re.search(r"sizes from .* are resized to", out)
    assert "splits drawn from 36 images" in out
    (total,) = (line.split() for line in lines if line.startswith("total"))
    assert total[1] == str((3 * 3 * 3 + 1) * 4 + (4 + 1) * 3)
    assert re.search(r"^compiled in \d+\.\d s$", out, re.MULTILINE)
    validations = [line for line in metrics(folder) if line["split"] == "validation"]
    shown = re.findall(r"^epoch (\d)/4  loss .* val (\S+)  .* img/s$", out, re.MULTILINE)
    assert shown == [(str(i + 1), f"{v['accuracy']:.2%}") for i, v in enumerate(validations)]
    assert re.fullmatch(
        rf"test accuracy \S+%, loss \S+, after \d+ steps in \d+ s and \d+ s of compilation; "
        rf"run folder {re.escape(str(folder))}",
        lines[-2],
    )
    assert lines[-1] == f"next: jaxcnn evaluate {folder}, or jaxcnn predict {folder} FILE..."


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_resuming_a_finished_run_prints_its_result_again_and_changes_nothing(capfd, trained):
    folder, out = trained
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ended = call(capfd, "train", "--resume", folder)
    assert (ended.code, ended.err) == (0, "")
    *_, already, result, following = ended.out.splitlines()
    assert already.startswith(f"{folder} is finished already")
    assert [result, following] == out.splitlines()[-2:]
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} <= {".lock"}


def test_event_files_are_in_the_run_folder(trained):
    assert list((trained[0] / "tensorboard").glob("events.out.tfevents.*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_run_which_resume_completes_where_the_data_is_now(
    capfd, pictures, tmp_path, monkeypatch, number, code
):
    folder, data, now = tmp_path / "run", tmp_path / "data", tmp_path / "elsewhere"
    shutil.copytree(pictures, data)

    def interrupt(self, event):
        if isinstance(event, Validated) and event.epoch == 1:
            os.kill(os.getpid(), number)
        show(self, event)

    show = Display.__call__
    monkeypatch.setattr(Display, "__call__", interrupt)
    ended = call(capfd, "train", data, "--out", folder, "--epochs", "4", *SETTINGS)
    assert (ended.code, ended.err) == (code, "")
    last = ended.out.splitlines()[-1]
    assert re.fullmatch(
        rf"stopped after step \d+; continue with: jaxcnn train --resume {folder}", last
    )
    data.rename(now)
    advice = rf"no longer at {data}; put them back, or say where .* train --resume {folder} DATA"
    for words in (["train", "--resume", folder], ["evaluate", folder]):
        ended = call(capfd, *words)
        assert ended.code == 2
        assert re.search(advice, ended.err)
    (other := write_pictures(tmp_path / "other", seed=3)).rename(tmp_path / "more")
    ended = call(capfd, "train", "--resume", folder, other.with_name("more"))
    assert ended.code == 2
    assert "is not that with which" in ended.err
    monkeypatch.chdir(tmp_path)
    ended = call(capfd, "train", "--resume", folder, "elsewhere", "--save-steps", "3")
    assert (ended.code, ended.err) == (0, "")
    monkeypatch.chdir("/")
    assert "continues after step" in ended.out
    assert [line["split"] for line in metrics(folder)].count("validation") == 4
    assert ended.out.splitlines()[-2].startswith("test accuracy")
    assert call(capfd, "evaluate", folder).code == 0


def test_a_closed_pipe_does_not_end_a_run(pictures, tmp_path):
    words = ["train", pictures, "--out", tmp_path / "run", "--epochs", "1", *SETTINGS]
    run = subprocess.Popen(
        [sys.executable, "-m", "jaxcnn", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline().startswith("jaxcnn on ")
    run.stdout.close()
    assert (run.wait(), run.stderr.read()) == (0, "")
    assert metrics(tmp_path / "run")[-1]["split"] == "test"


@pytest.mark.parametrize("words", ["train --epochs 1", "doctor"])
def test_ctrl_c_during_the_imports_is_exit_code_130_and_no_traceback(words, tmp_path):
    code = (
        "import gc, os, signal, sys, jaxcnn.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Finder:\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name == 'jax':\n"
        "            gc.callbacks.append(lambda *_: os.kill(os.getpid(), signal.SIGINT))\n"
        "            gc.collect()  # XLA has such a callback, where exceptions are swallowed\n"
        "sys.meta_path.insert(0, Finder)\n"
        f"sys.argv[1:] = {words.split()}\n"
        "jaxcnn.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_exit_code_2(capfd, pictures, tmp_path, monkeypatch):
    def full(path, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_text", full)
    ended = call(capfd, "train", pictures, "--out", tmp_path / "run", *SETTINGS)
    assert ended.code == 2
    assert ended.err.startswith("jaxcnn: ")
    assert ended.err.count("\n") == 1
    assert os.strerror(errno.ENOSPC) in ended.err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("--resume nowhere", ["nowhere is not a run folder"]),
        ("mnist --resume r --seed 3 --workers 2", ["leave out --seed ", "--workers"]),
        ("--resume r --out x --recipe best", ["leave out --recipe, --out "]),
        ("--out .", [". exists already", "name another folder"]),
        ("--epochs 0", ["--epochs must be an integer >= 1, got 0"]),
        ("--epochs many", ["--epochs must be an integer, got 'many'"]),
        ("--optimizer adam", ["--optimizer must be one of", "Use --optimizer adamw."]),
        ("--clip 0", ["--clip must be above 0"]),
        ("--test-share 0", ["--test-share must be above 0 and below 1, got 0"]),
        (
            "--accumulate 3 --batch-size 8",
            ["--accumulate 3 does not divide --batch-size 8. Use --accumulate 2."],
        ),
        ("--augment spin", ["--augment: augmentation must be one of", "got 'spin'"]),
        ("--recipe quik", ["--recipe must be one of", "Use --recipe quick"]),
        ("--epoch 3", ["No such option: --epoch", "--epochs"]),
        ("--lr 0.1", ["No such option: --lr; did you mean --learning-rate?"]),
        ("--batchsize 8", ["No such option: --batchsize; did you mean --batch-size?"]),
        ("--bs 8", ["did you mean --batch-size?"]),
        ("--wd 0.1", ["did you mean --weight-decay?"]),
        ("--distributed", ["name it with --out"]),
        ("--process 1 --out x", ["process given without coordinator and processes"]),
        ("--coordinator here --processes 2 --process 0 --out x", ["'here' is not host:port"]),
        ("--coordinator a:1 --processes 2 --process 2 --out x", ["numbered from 0 to 1"]),
        ("--coordinator x.invalid:1 --processes 2 --process 1 --out x", ["cannot be reached"]),
    ],
)
def test_a_wrong_call_is_one_line_before_anything_is_read_or_written(
    capfd, tmp_path, monkeypatch, words, parts
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    line = refused(capfd, "train", *words.split())
    assert all(part in line for part in parts), line
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_a_file_of_weights_that_does_not_fit_is_refused_before_there_is_a_run(
    capfd, pictures, tmp_path
):
    save(residual((9, 9, 1), 3, rngs=nnx.Rngs(0)), tmp_path / "grey.safetensors")
    words = ("--model", "residual", "--out", tmp_path / "run", "--weights")
    for name, message in (
        ("none", f"{tmp_path / 'none'} cannot be read (No such file or directory)\n"),
        ("grey.safetensors", "(3, 3, 3, 32) in residual. Use --channels 1.\n"),
    ):
        ended = call(capfd, "train", pictures, *words, tmp_path / name)
        assert ended.code == 2
        assert ended.err.startswith("jaxcnn: ")
        assert ended.err.endswith(message)
        assert ended.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_missing_extra_is_found_before_the_run_folder_is_made(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "grain", None)
    line = refused(capfd, "train", "--workers", "2", "--out", "run")
    assert "type: pip install 'jaxcnn[stream]'" in line
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_has_a_line_on_a_terminal_too():
    display = Display()
    display.console.file, display.console._force_terminal = io.StringIO(), True
    display.training.bar.add_task("train", total=4, **display.training.shown)
    display.training.task = 0
    display(progress(step=4))
    display(Validated(1, 4, 0.1, 0.75, True))
    lines = display.console.file.getvalue().splitlines()
    assert any(re.fullmatch(r"epoch 0/1  loss .* val 75\.00%  0 img/s", line) for line in lines)


def progress(**changed):
    given = dict.fromkeys((entry.name for entry in fields(Progress)), 0) | {"epochs": 1}
    return Progress(**given | changed)


def test_the_bar_shows_the_validation_of_the_last_epoch():
    display = Display()
    bar = display.training
    bar.task = bar.bar.add_task("train", total=4, **bar.shown)
    display(progress(step=4, validation_accuracy=None))
    assert bar.bar.tasks[0].fields["val"] == "-"
    display(Validated(1, 4, 0.1, 0.75, True))
    assert bar.bar.tasks[0].fields["val"] == "75.00%"


def test_the_bar_of_reading_shows_how_much_and_disappears():
    file = io.StringIO()
    with ReadingBar(Console(file=file, force_terminal=True, width=80)) as reading:
        assert file.getvalue() == ""
        for done in range(4):
            reading("reading [bold] things", done, 3)
        reading("something of unknown size", 5, 0)
        assert [(t.completed, t.total) for t in reading.bar.tasks] == [(3, 3), (5, None)]
    assert "reading [bold] things" in file.getvalue()
    assert file.getvalue().endswith("\x1b[2K")


def test_a_display_of_another_process_is_silent(capfd):
    with Display(silent=True) as display:
        for event in (Reading("a", 1, 2), Compiled(1.0), Warned("b")):
            display(event)
        display.say("c")
    assert capfd.readouterr() == ("", "")


def test_a_run_that_stops_early_says_so(capfd):
    with Display() as display:
        display(Result(Path("r"), 7, True, True, 9.0, 2.0, 0.0, 0.5, 0.25, 0.5))
    assert "after 7 steps in 9 s and 2 s of compilation; stopped early" in capfd.readouterr().out
