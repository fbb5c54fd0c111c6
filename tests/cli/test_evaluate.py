"""``jaxcnn evaluate``: the measures of a run, on its own test images and on others."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.cli.evaluate import MOST, _by_class, _confusion
from jaxcnn.cli.tables import aligned
from jaxcnn.train.tasks import measure
from tests.cli.runs import CLASSES, call, refused, write_pictures


def test_evaluate_prints_the_accuracy_and_loss_of_the_end_of_training(capfd, trained):
    folder, out = trained
    ended = call(capfd, "evaluate", folder)
    assert (ended.code, ended.err) == (0, "")
    measures = ended.out.splitlines()[0].rpartition(",")[0]
    assert out.splitlines()[-2].startswith(f"test {measures}, after")
    assert all(name in ended.out for name in CLASSES)


def test_json_agrees_with_the_predictions_of_every_picture(capfd, trained, tmp_path):
    """Truth: ``predict`` on the same files, counted here."""
    data = write_pictures(tmp_path / "others", count=4, seed=7)
    (data / "blue" / "0.png").rename(data / "red" / "in truth blue.png")
    found = json.loads(call(capfd, "evaluate", trained[0], data, "--json").out)
    listed = json.loads(call(capfd, "predict", trained[0], data, "--json").out)
    counts = np.zeros((3, 3), int)
    nats = []
    for each in listed:
        label = Path(each["file"]).parent.name
        shares = {p["class"]: p["probability"] for p in each["predictions"]}
        guess = each["predictions"][0]["class"]
        counts[CLASSES.index(label), CLASSES.index(guess)] += 1
        nats.append(-np.log(shares[label]))
    assert found["images"] == counts.sum() == 12
    assert found["confusion"] == counts.tolist()
    assert found["accuracy"] == counts.trace() / 12
    assert found["loss"] == pytest.approx(np.mean(nats), rel=1e-5)
    for i, row in enumerate(found["classes"]):
        assert (row["name"], row["images"]) == (CLASSES[i], counts[i].sum())
        assert row["recall"] == counts[i, i] / counts[i].sum()
        predicted = counts[:, i].sum()
        assert row["precision"] == (counts[i, i] / predicted if predicted else None)


def test_changed_images_are_refused(capfd, trained, pictures):
    picture = pictures / "red" / "0.png"
    kept = picture.read_bytes()
    try:
        shutil.copy(pictures / "blue" / "0.png", picture)
        assert "is not that with which" in refused(capfd, "evaluate", trained[0])
    finally:
        picture.write_bytes(kept)


def test_what_is_not_there_is_one_line(capfd, trained):
    assert "nowhere is not a run folder" in refused(capfd, "evaluate", "nowhere")
    assert "nowhere is no data set" in refused(capfd, "evaluate", trained[0], "nowhere")


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_run_without_a_checkpoint_is_refused_before_pictures_are_read(
    capfd, trained, tmp_path, command
):
    for name in ("config.json", "data.json"):
        shutil.copy(trained[0] / name, tmp_path)
    assert "no checkpoint to restore" in refused(capfd, command, tmp_path, tmp_path / "nowhere")


@st.composite
def evaluations(draw):
    classes = draw(st.integers(2, 3 * MOST))
    count = draw(st.integers(1, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.normal(size=(count, classes))
    logits -= np.log(np.exp(logits).sum(1, keepdims=True))
    return measure(logits, rng.integers(0, classes, count))


@given(evaluations(), st.integers(20, 200))
def test_tables_fit_and_lack_nothing_that_they_do_not_mention(found, width):
    classes = [f"class {i}" for i in range(len(found.confusion))]
    lines = _confusion(found.confusion, classes, width)
    wrong = found.confusion.sum() - found.confusion.trace()
    if lines[0].split() == ["label", "taken", "for", "images"]:
        counts = [int(line.split()[-1]) for line in lines[1:] if line.startswith("class")]
        assert counts == sorted(counts, reverse=True)
        pairs = np.count_nonzero(found.confusion - np.diag(found.confusion.diagonal()))
        assert len(counts) == min(MOST, pairs)
        assert sum(counts) == wrong or f"and {pairs - MOST} more pairs" in lines[-1]
    elif wrong:
        assert max(map(len, lines)) <= width
        cells = [[int(cell) for cell in line.split()[-len(classes) :]] for line in lines[1:]]
        assert cells == found.confusion.tolist()
    rows = _by_class(found, classes)
    if len(classes) <= 2 * MOST:
        assert len(rows) == 1 + len(classes)
    else:
        assert len(rows) == 2 + MOST
        assert f"and {len(classes) - MOST} classes" in rows[-1]


cells = st.lists(st.text(st.characters(categories=["L", "N"])), min_size=3, max_size=3)


@given(st.lists(cells, min_size=1), st.integers(0, 3))
def test_aligned_columns_begin_or_end_at_one_place(rows, left):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, line in zip(rows, aligned(rows, left=left), strict=True):
        at = 0
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            start = at if i < left else at + width - len(cell)
            assert line[start : start + len(cell)] == cell
            at += width + 2
