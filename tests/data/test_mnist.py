"""MNIST: the published splits, damaged files, and the checks of Digits."""

import gzip
import shutil

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxcnn.data import Digits, load_mnist
from jaxcnn.data.mnist import FOLDER
from tests.cases import many


def test_the_splits_of_mnist_are_the_published_sets():
    train, validation, test = (load_mnist(split) for split in ("train", "validation", "test"))
    assert [len(split) for split in (train, validation, test)] == [55_000, 5_000, 10_000]
    # The count of each digit among the 60,000 and the 10,000.
    both = np.concatenate([train.labels, validation.labels])
    assert np.bincount(both).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert np.bincount(test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    for split in (train, validation, test):
        assert split.images.shape == (len(split), 28, 28, 1)
        assert split.images.dtype == split.labels.dtype == np.uint8
        assert split.images.max() == 255


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(FOLDER, tmp_path / "mnist")


@pytest.mark.parametrize("damage", ["truncate", "flip a bit", "recompress", "remove"])
def test_a_file_of_mnist_that_is_not_as_published_is_an_error(folder, damage):
    path = folder / "t10k-labels-idx1-ubyte.gz"
    content = path.read_bytes()
    if damage == "truncate":
        path.write_bytes(content[:-1])
    elif damage == "flip a bit":
        path.write_bytes(content[:2000] + bytes([content[2000] ^ 1]) + content[2001:])
    elif damage == "recompress":
        labels = bytearray(gzip.decompress(content))
        labels[-1] ^= 1
        path.write_bytes(gzip.compress(bytes(labels)))
    else:
        path.unlink()
    with pytest.raises(ValueError, match=r"t10k-labels.*reinstall jaxcnn"):
        load_mnist("test", folder=folder)


def test_an_unknown_split_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="'train', 'validation', 'test', got 'dev'"):
        load_mnist("dev")


DTYPES = ("uint8", "int8", "int32", "float16", "float32", "bool")


@many
@given(
    shape=st.sampled_from([(3, 28, 28, 1), (3, 28, 28), (3, 1, 28, 28), (3, 32, 32, 3), (0,), ()]),
    pixels=st.sampled_from(DTYPES),
    count=st.integers(0, 4),
    labelled=st.sampled_from(DTYPES),
    digits=st.lists(st.integers(-2, 12), min_size=4, max_size=4),
)
@example(shape=(), pixels="uint8", count=3, labelled="uint8", digits=[0] * 4)
def test_digits_take_only_uint8_images_and_as_many_labels_from_0_to_9(
    shape, pixels, count, labelled, digits
):
    images, labels = np.ones(shape, pixels), np.array(digits[:count]).astype(labelled)
    right = shape == (3, 28, 28, 1) and pixels == "uint8" and count == 3
    if right and labelled in ("uint8", "int8", "int32") and set(labels) <= set(range(10)):
        assert len(Digits(images, labels)) == 3
        return
    with pytest.raises((ValueError, TypeError), match=r"^(images|labels) .*(; use |, got )"):
        Digits(images, labels)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.ones((3, 28, 28), np.uint8), np.zeros(3, int)),
        (np.full((3, 28, 28, 1), 0.5), np.zeros(3, int)),
        (np.ones((3, 28, 28, 1), np.uint8), np.eye(10)[:3].astype(int)),
        (np.ones((3, 28, 28, 1), np.uint8), np.arange(1, 4) * 1.0),
        (np.ones((3, 28, 28, 1), np.uint8), np.arange(8, 11)),
        (np.ones((3, 28, 28, 1), np.uint8).tolist(), np.arange(3)),
    ],
)
def test_following_the_advice_of_digits_makes_valid_digits(images, labels):
    for _ in range(2):
        try:
            Digits(images, labels)
            return
        except (ValueError, TypeError) as error:
            code = str(error).split("; use ")[-1].split(", use ")[-1]
        names = {"images": images, "labels": labels, "np": np}
        if "images" in code:
            images = eval(code, names)
            images = images.astype(np.uint8) if images.dtype == int else images
        else:
            labels = eval(code, names)
    Digits(images, labels)
