"""Folders of pictures: layouts, splits, faults before training, the digest."""

import itertools
import os
import pickle

import numpy as np
import pytest

from jaxcnn.data import Resize, open_dataset, open_images
from tests.data.drawn import drawn_images, save_folder, save_picture

COUNT = 36
NAMES = [["cat", "dog", "eel"][index % 3] for index in range(COUNT)]


@pytest.fixture
def folder(tmp_path):
    return save_folder(tmp_path / "animals", drawn_images(COUNT, (6, 5, 3)), NAMES)


def pictures_of(data):
    """The label and the pixels of every picture, for each split."""
    return {
        split: [
            (data.classes[label], image.tobytes())
            for image, label in zip(part.read(np.arange(len(part))), part.labels, strict=True)
        ]
        for split, part in (
            ("train", data.train),
            ("validation", data.validation),
            ("test", data.test),
        )
    }


def test_a_split_is_drawn_written_down_and_covers_every_picture(folder):
    data = open_dataset(folder)
    assert data.classes == ("cat", "dog", "eel")
    assert {split: len(paths) for split, paths in data.splits.items()} == {
        "train": 30, "validation": 3, "test": 3,
    }  # fmt: skip
    paths = sorted(path for part in data.splits.values() for path in part)
    assert paths == sorted(f"{name}/{index:03}.png" for index, name in enumerate(NAMES))
    everything = sorted(itertools.chain(*pictures_of(data).values()))
    expected = zip(NAMES, drawn_images(COUNT, (6, 5, 3)), strict=True)
    assert everything == sorted((name, image.tobytes()) for name, image in expected)
    assert any("by seed 0" in note for note in data.notes)
    assert pictures_of(open_dataset(folder, seed=1)) != pictures_of(data)


def test_pictures_on_disk_are_the_pictures_in_memory(folder):
    near, far = (
        open_dataset(folder, image_size=(4, 4)),
        open_dataset(folder, image_size=(4, 4), memory=0),
    )
    assert near.train.in_memory
    assert not far.train.in_memory
    assert pictures_of(near) == pictures_of(far)
    assert near.digest == far.digest
    assert near.measure() == far.measure()
    again = pickle.loads(pickle.dumps(far.train))
    assert np.array_equal(again.read(np.array([2])), near.train.images[[2]])


@pytest.mark.parametrize("validation", ["val", "valid", "validation", None])
def test_given_splits_are_kept_and_missing_ones_drawn_from_train(tmp_path, validation):
    counts = {"train": 30, "test": 6} | ({validation: 3} if validation else {})
    for split, count in counts.items():
        save_folder(tmp_path / split, drawn_images(count, (6, 5, 1), count), NAMES[:count])
    data = open_dataset(tmp_path)
    assert data.image_shape == (6, 5, 1)
    assert len(data.test) == 6
    if validation:
        assert [len(data.train), len(data.validation)] == [30, 3]
        assert data.splits is None
    else:
        assert [len(data.train), len(data.validation)] == [27, 3]
        assert set(data.splits) == {"train", "validation"}


def test_a_class_may_be_called_train(tmp_path):
    names = [["bus", "train"][index % 2] for index in range(20)]
    data = open_dataset(save_folder(tmp_path, drawn_images(20, (4, 4, 1)), names))
    assert data.classes == ("bus", "train")


def test_grey_pictures_stay_grey_and_a_mixture_becomes_rgb(tmp_path):
    grey = save_folder(tmp_path, drawn_images(COUNT, (6, 5, 1)), NAMES)
    assert open_dataset(grey).image_shape == (6, 5, 1)
    assert open_dataset(grey, channels=4).image_shape == (6, 5, 4)
    save_picture(grey / "cat" / "color.png", drawn_images(1, (6, 5, 3))[0])
    data = open_dataset(grey)
    assert data.image_shape == (6, 5, 3)
    assert "36 of 37 pictures are grey; all are read as RGB" in data.notes
    assert open_dataset(grey, channels=1).image_shape == (6, 5, 1)


def test_pictures_of_different_sizes_get_the_median_side_and_it_is_noted(folder):
    for index in range(40):
        save_picture(folder / "cat" / f"large{index}.png", drawn_images(1, (12, 20, 3))[0])
    data = open_dataset(folder)
    assert data.image_shape == (12, 12, 3)
    assert data.resize == Resize((12, 12))
    assert any("2 sizes from 6x5 to 12x20 are resized to 12x12" in note for note in data.notes)


def test_hidden_files_are_ignored_and_others_are_noted(folder):
    (folder / ".hidden").mkdir()
    (folder / "cat" / "._000.png").write_bytes(b"not a picture")
    (folder / "cat" / "Thumbs.db").touch()
    (folder / "readme.md").touch()
    notes = open_dataset(folder).notes
    assert notes[0] == "2 files are no pictures and were left out: cat/Thumbs.db, readme.md"


def test_every_fault_of_a_folder_is_in_one_error(folder):
    (folder / "cat" / "000.png").write_bytes(b"text")
    whole = (folder / "dog" / "001.png").read_bytes()
    (folder / "dog" / "001.png").write_bytes(whole[:-30])
    (folder / "fox").mkdir()
    with pytest.raises(ValueError, match=r"animals cannot be used, for 3 reasons") as error:
        open_dataset(folder)
    lines = str(error.value).splitlines()[1:]
    for line, words in zip(
        lines,
        [
            "fox: the folder has no pictures",
            "cat/000.png: is no picture",
            "dog/001.png: cannot",
        ],
        strict=True,
    ):
        assert line.strip().startswith(words)


def test_a_long_list_of_faults_ends_with_their_number(folder):
    for index, name in enumerate(NAMES):
        (folder / name / f"{index:03}.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"for 36 reasons(.|\n)*and 16 more$"):
        open_dataset(folder)


def test_a_class_that_train_lacks_is_refused_with_both_lists(tmp_path):
    save_folder(tmp_path / "train", drawn_images(COUNT, (6, 5, 1)), NAMES)
    save_folder(tmp_path / "val", drawn_images(2, (6, 5, 1)), ["cat", "fox"])
    with pytest.raises(
        ValueError, match="val: classes that train does not have: fox; train has cat"
    ):
        open_dataset(tmp_path)


def test_pictures_without_class_folders_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no class folders; put"):
        open_dataset(tmp_path)
    save_picture(tmp_path / "a.png", drawn_images(1, (6, 5, 1))[0])
    with pytest.raises(ValueError, match="used: the folder has only pictures, and no folder for"):
        open_dataset(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_picture_that_may_not_be_read_is_refused(folder):
    (folder / "cat" / "000.png").chmod(0)
    with pytest.raises(ValueError, match=r"cat/000\.png: cannot be read"):
        open_dataset(folder)


def test_the_digest_of_a_folder_changes_with_anything_in_it(folder):
    first = open_dataset(folder).digest
    seen = {
        first,
        open_dataset(folder, seed=1).digest,
        open_dataset(folder, image_size=(4, 4)).digest,
    }
    (folder / "cat" / "000.png").rename(folder / "cat" / "new.png")
    seen.add(open_dataset(folder).digest)
    (folder / "cat" / "new.png").rename(folder / "dog" / "000.png")
    seen.add(open_dataset(folder).digest)
    (folder / "dog" / "000.png").rename(folder / "cat" / "000.png")
    assert open_dataset(folder).digest == first
    save_picture(folder / "cat" / "000.png", drawn_images(1, (6, 5, 3), seed=9)[0])
    seen.add(open_dataset(folder).digest)
    assert len(seen) == 6


def test_progress_counts_every_picture_when_checked_and_when_read(folder):
    steps = []
    open_dataset(folder, progress=lambda *step: steps.append(step))
    assert steps[:COUNT] == [("checking pictures", done, COUNT) for done in range(1, COUNT + 1)]
    assert [step for step in steps[COUNT:] if step[0] != "reading pictures"] == []
    assert sum(done for _, done, _ in steps[COUNT:]) == COUNT


def test_pictures_to_evaluate_have_the_labels_of_the_given_classes(folder):
    order = ("eel", "ant", "dog", "cat")
    images = open_images(folder, order, (4, 4, 1), Resize((4, 4)))
    assert images.image_shape == (4, 4, 1)
    assert sorted(order[label] for label in images.labels) == sorted(NAMES)
    with pytest.raises(ValueError, match="class folders eel are none of the classes cat, dog"):
        open_images(folder, ("cat", "dog"), (6, 5, 3), None)
    with pytest.raises(
        ValueError, match=r"36 reasons(.|\n)*cat/000\.png: the picture is 6x5, not 4x4"
    ):
        open_images(folder, order, (4, 4, 3), None)


def test_a_test_split_is_what_is_evaluated(tmp_path):
    save_folder(tmp_path / "train", drawn_images(COUNT, (6, 5, 1)), NAMES)
    save_folder(tmp_path / "test", drawn_images(2, (6, 5, 1)), ["dog", "cat"])
    images = open_images(tmp_path, ("cat", "dog", "eel"), (6, 5, 1), None)
    assert images.labels.tolist() == [0, 1]


def test_arrays_to_evaluate_must_have_known_labels_and_the_size(tmp_path):
    path = tmp_path / "few.npz"
    np.savez(path, images=drawn_images(6, (6, 5)), labels=np.arange(6))
    assert open_images(path, "abcdef", (6, 5, 3), None).labels.tolist() == list(range(6))
    with pytest.raises(ValueError, match="labels up to 5, but there are 5 classes: a, b, c, d, e"):
        open_images(path, "abcde", (6, 5, 1), None)
    with pytest.raises(ValueError, match=r"images of \(6, 5, 1\), not \(8, 8, 1\)"):
        open_images(path, "abcdef", (8, 8, 1), None)
    np.savez(path, images=drawn_images(2, (6, 5)), labels=np.array([0, 2**31 - 1]))
    with pytest.raises(ValueError, match="labels up to 2147483647, but there are 2 classes: a, b"):
        open_images(path, "ab", (6, 5, 1), None)
    np.savez(path, images=drawn_images(2, (6, 5)), labels=np.array([0, 2]), classes=["b", "a"])
    with pytest.raises(ValueError, match="labels up to 2, but there are 2 classes: b, a"):
        open_images(path, "abc", (6, 5, 1), None)
    np.savez(path, images=drawn_images(6, (6, 5)), labels=np.arange(6) % 2, classes=["a", "z"])
    with pytest.raises(
        ValueError, match="has the classes a, z, but z are none of the classes a, b"
    ):
        open_images(path, "ab", (6, 5, 1), None)
