"""``jaxcnn train``: its options, what it shows, how it ends, and how it goes on."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from rich.console import Console

from jaxcnn.cli.progress import Display, ReadingBar
from jaxcnn.cli.train import SECTIONS
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
from tests.cli.runs import SETTINGS, call, refused


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
        lines[-1],
    )


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_resuming_a_finished_run_prints_its_result_again_and_changes_nothing(capfd, trained):
    folder, out = trained
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ended = call(capfd, "train", "--resume", folder)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-1] == out.splitlines()[-1]
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} <= {".lock"}


def test_event_files_are_in_the_run_folder(trained):
    assert list((trained[0] / "tensorboard").glob("events.out.tfevents.*"))


def test_ctrl_c_saves_the_run_which_resume_completes(capfd, pictures, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def interrupt(self, event):
        if isinstance(event, Validated) and event.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
        show(self, event)

    show = Display.__call__
    monkeypatch.setattr(Display, "__call__", interrupt)
    ended = call(capfd, "train", pictures, "--out", folder, "--epochs", "4", *SETTINGS)
    assert (ended.code, ended.err) == (130, "")
    last = ended.out.splitlines()[-1]
    assert re.fullmatch(
        rf"stopped after step \d+; continue with: jaxcnn train --resume {folder}", last
    )
    ended = call(capfd, "train", "--resume", folder, "--save-steps", "3")
    assert (ended.code, ended.err) == (0, "")
    assert "continues after step" in ended.out
    assert [line["split"] for line in metrics(folder)].count("validation") == 4
    assert ended.out.splitlines()[-1].startswith("test accuracy")


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
        ("mnist --resume r --seed 3 --workers 2", ["leave out DATA, --seed ", "--workers"]),
        ("--resume r --out x --recipe best", ["leave out --recipe, --out "]),
        ("--out .", [". exists already", "name another folder"]),
        ("--epochs 0", ["epochs must be an integer >= 1, got 0"]),
        ("--epochs many", ["epochs 'many' is not understood"]),
        ("--augment spin", ["spin"]),
        ("--recipe quik", ["recipe must be one of", "Use --recipe quick"]),
        ("--epoch 3", ["No such option: --epoch", "--epochs"]),
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
