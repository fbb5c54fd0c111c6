"""Dataset: drawn splits, measurements, the digest, and faults of several splits."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxcnn.data import Dataset, Images
from jaxcnn.data.splits import draw_splits
from tests.cases import many
from tests.data.drawn import drawn_images

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5).filter(lambda sizes: max(sizes) > 2)


@many
@given(
    sizes=SIZES,
    validation=st.floats(0.01, 0.6),
    test=st.floats(0.01, 0.35),
    seed=st.integers(0, 9),
)
def test_every_class_keeps_its_share_in_each_drawn_split(sizes, validation, test, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    shares = {"validation": validation, "test": test}
    drawn = draw_splits(labels, range(len(labels)), shares, seed)
    assert sorted(np.concatenate(list(drawn.values())).tolist()) == list(range(len(labels)))
    shares["train"] = 1 - validation - test
    for label, size in enumerate(sizes):
        counts = {split: np.sum(labels[indices] == label) for split, indices in drawn.items()}
        assert counts["train"] >= 1
        if size > 2:
            assert min(counts.values()) >= 1
        if min(shares.values()) * size >= 1:  # otherwise the rule of one image each decides
            assert all(abs(counts[split] - shares[split] * size) <= 1 for split in shares)


def test_another_seed_draws_another_split_and_the_same_seed_the_same():
    labels = np.arange(200) % 2
    first, again, other = (
        draw_splits(labels, range(200), {"test": 0.5}, seed)["test"].tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize("share", [0, -0.1, 1, 0.95])
def test_a_share_that_leaves_a_split_empty_is_refused(share):
    with pytest.raises(ValueError, match=r"share.*; use 0\.1"):
        Dataset.from_arrays(drawn_images(9, (4, 4, 1)), np.arange(9) % 3, validation=share)


def test_too_few_images_to_draw_a_split_are_refused():
    images, labels = drawn_images(4, (4, 4, 1)), np.arange(4) % 2
    with pytest.raises(ValueError, match=r"too few to draw a test split.*3 or more.*yourself"):
        Dataset.from_arrays(images, labels)
    # The advice: one split less to draw needs one image less, and given splits need none.
    assert len(Dataset.from_arrays(images, labels, validation=(images, labels)).test) == 2
    given = (images[:2], labels[:2])
    assert len(Dataset.from_arrays(*given, validation=given, test=given).train) == 2


@many
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)),
    count=st.integers(6, 30),
    high=st.integers(1, 256),
)
def test_the_measure_is_that_of_the_training_images(shape, count, high):
    images = np.random.default_rng(count).integers(0, high, (count, *shape), np.uint8)
    data = Dataset.from_arrays(images, np.arange(count) % 2)
    units = data.train.images.astype(np.float64) / 255
    mean, deviation = data.measure()
    # Each of the (at most n) roundings of the means over n values is relative to values up to 1.
    tolerance = units.size * np.finfo(np.float64).eps
    np.testing.assert_allclose(mean, units.mean((0, 1, 2)), rtol=0, atol=tolerance)
    expected = np.maximum(units.std((0, 1, 2)), 1 / 255)
    np.testing.assert_allclose(deviation, expected, rtol=0, atol=np.sqrt(tolerance))


def test_a_constant_channel_has_a_deviation_that_may_be_divided_by():
    images = np.full((9, 4, 4, 2), 51, np.uint8)
    mean, deviation = Dataset.from_arrays(images, np.arange(9) % 3).measure()
    # The sum over the 256 counted values has one rounding each.
    np.testing.assert_allclose(mean, 0.2, rtol=256 * np.finfo(float).eps)
    assert deviation == (1 / 255, 1 / 255)


def test_the_measure_does_not_depend_on_the_size_of_its_chunks(monkeypatch):
    data = Dataset.from_arrays(drawn_images(40, (4, 4, 3)), np.arange(40) % 2)
    whole = data.measure()
    monkeypatch.setattr("jaxcnn.data.dataset._CHUNK", 100)
    assert data.measure() == whole


def test_the_digest_changes_with_anything_in_the_data():
    images, labels = drawn_images(30, (4, 4, 1)), np.arange(30) % 3

    def digest(images=images, labels=labels, **options):
        return Dataset.from_arrays(images, labels, **options).digest

    pixel, label = images.copy(), labels.copy()
    pixel[3, 1, 2, 0] ^= 1
    label[3] = 1
    others = [
        digest(pixel),
        digest(labels=label),
        digest(seed=1),
        digest(images.reshape(30, 2, 8, 1)),
        digest(classes=["a", "b", "c"]),
        digest(validation=0.2),
        digest(test=(images[:3], labels[:3])),
    ]
    assert digest() == digest()
    assert len({digest(), *others}) == len(others) + 1


def test_labels_without_a_class_are_refused_in_all_splits_at_once():
    images = drawn_images(3, (4, 4, 1))
    with pytest.raises(ValueError, match="2 reasons") as error:
        Dataset.from_arrays(
            images,
            np.array([0, 1, 7]),
            classes=["cat", "dog"],
            validation=(images, np.array([0, 1, 1])),
            test=(images, np.array([5, 1, 2])),
        )
    assert "1 of the 3 labels of train are not below the number of classes, 2" in str(error.value)
    assert "2 of the 3 labels of test" in str(error.value)
    assert "the first is 5 at index 0" in str(error.value)


@pytest.mark.parametrize("classes", [["cat"], ["cat", "cat"]])
def test_one_class_or_two_of_one_name_are_refused(classes):
    images = drawn_images(6, (4, 4, 1))
    with pytest.raises(ValueError, match="cat"):
        Dataset.from_arrays(images, np.zeros(6, int), classes=classes)


def test_splits_of_different_sizes_are_refused():
    data = Dataset.from_arrays(drawn_images(30, (4, 4, 1)), np.arange(30) % 3)
    with pytest.raises(ValueError, match=r"images of test are \(5, 4, 1\), those of train \(4, 4"):
        dataclasses.replace(data, test=Images(drawn_images(1, (5, 4, 1)), np.zeros(1, int)))


def test_a_class_without_training_images_is_noted():
    images = drawn_images(20, (4, 4, 1))
    data = Dataset.from_arrays(images, np.arange(20) % 2 * 2)
    assert any(note.endswith("1 of 3 classes: 1") for note in data.notes)


@many
@given(
    st.lists(st.integers(0, 60), min_size=3, max_size=30),
    st.integers(0, 10**9),
    st.sampled_from(["train", "test"]),
)
@example([0, 0, 1], 12, "train")
@example([0, 0, 1], 13, "train")
@example([0, 0, 1], 13, "test")
def test_labels_are_numbers_of_classes_unless_most_of_those_have_no_image(few, large, split):
    """By the definition: more than 10, and more than there are, are absent."""
    labels = {"train": np.array(few), "validation": np.array(few), "test": np.array(few)}
    labels[split][1] = large
    images = drawn_images(len(few), (2, 2, 1))
    most = max(max(each) for each in labels.values())
    known = len(set(labels["train"].tolist()))
    absent = most + 1 - known
    options = {name: (images, labels[name]) for name in ("validation", "test")}
    if most < 1:
        return
    if absent <= 10 or absent <= known:
        data = Dataset.from_arrays(images, labels["train"], **options)
        assert len(data.classes) == most + 1
        assert any(f"no training image for {absent} of" in note for note in data.notes) == (
            absent > 0
        )
        return
    with pytest.raises(ValueError, match=f"label {most} at index .* only {known:,} diff") as error:
        Dataset.from_arrays(images, labels["train"], **options)
    found = re.search(r"index (\d+) of (\w+)", str(error.value))
    assert labels[found[2]][int(found[1])] == most
    if most < 100:
        names = [str(label) for label in range(most + 1)]
        assert Dataset.from_arrays(images, labels["train"], classes=names, **options)


def test_a_data_set_is_shown_in_a_line_without_pixels():
    for classes in (2, 300):
        data = Dataset.from_arrays(drawn_images(900, (4, 3, 1)), np.arange(900) % classes)
        for each in (data, data.train):
            assert len(repr(each)) < 100
            assert "4x3x1" in repr(each)
        assert f"; {classes} classes: '0', '1'" in repr(data)
