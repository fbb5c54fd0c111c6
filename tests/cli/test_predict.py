"""``jaxcnn predict``: classes and probabilities of pictures, and all faults at once."""

import json
import shutil

import numpy as np
import pytest

from jaxcnn.data import read_picture
from jaxcnn.train import Run
from tests.cli.runs import CLASSES, call


def test_probabilities_are_those_of_the_run_for_the_picture_as_it_is_read(capfd, trained, pictures):
    paths = [pictures / "red" / "1.png", pictures / "blue" / "2.png"]
    ended = call(capfd, "predict", trained[0], *paths, "--top", "2", "--json")
    assert (ended.code, ended.err) == (0, "")
    run = Run.open(trained[0])
    for path, found in zip(paths, json.loads(ended.out), strict=True):
        assert found["file"] == str(path)
        shares = run.predict(read_picture(path, run.data.image_shape, run.data.resize))
        best = np.argsort(-shares)[:2]
        assert [p["class"] for p in found["predictions"]] == [CLASSES[i] for i in best]
        got = [p["probability"] for p in found["predictions"]]
        # A batch of two and one of one may sum in another order.
        assert got == pytest.approx(shares[best].tolist(), rel=1e-4)


def test_a_folder_is_searched_and_each_picture_has_a_line(capfd, trained, pictures):
    folder = pictures / "very yellow"
    ended = call(capfd, "predict", trained[0], folder, pictures / "red" / "0.png", "--top", "1")
    lines = ended.out.splitlines()
    names = [*sorted(map(str, folder.glob("*.png"))), str(pictures / "red" / "0.png")]
    assert [line.split("  ")[0] for line in lines] == names
    assert len({line.rindex("  ") for line in lines}) == 1
    assert all(line.endswith("%") for line in lines)


def test_pictures_of_hidden_files_are_not_searched(capfd, trained, pictures, tmp_path):
    shutil.copy(pictures / "red" / "0.png", tmp_path / "seen.png")
    (tmp_path / "._seen.png").write_bytes(b"no picture")
    ended = call(capfd, "predict", trained[0], tmp_path)
    assert (ended.code, ended.out.count("\n")) == (0, 1)


def test_all_faults_are_in_one_error_and_nothing_is_predicted(capfd, trained, pictures, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    cut = (pictures / "red" / "0.png").read_bytes()[:60]
    (tmp_path / "cut.png").write_bytes(cut)
    wrong = [tmp_path / name for name in ("empty", "text.png", "cut.png", "absent.png")]
    ended = call(capfd, "predict", trained[0], pictures / "red" / "0.png", *wrong)
    assert (ended.code, ended.out) == (2, "")
    first, *faults = ended.err.splitlines()
    assert first == "jaxcnn: the pictures cannot be used, for 4 reasons:"
    assert all(any(str(path) in line for line in faults) for path in wrong)


def test_a_call_without_pictures_is_one_line(capfd, trained):
    ended = call(capfd, "predict", trained[0])
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "FILE" in ended.err
