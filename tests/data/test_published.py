"""Published data sets: MNIST as it comes with the package, and others from a server."""

import gzip
import hashlib
import shutil

import numpy as np
import pytest

from jaxcnn.data import open_dataset, open_images
from jaxcnn.data.published import MNIST_FOLDER, PUBLISHED, Published
from tests.data.drawn import drawn_images
from tests.data.test_files import cifar_archive


def test_the_splits_of_mnist_are_the_published_sets():
    data = open_dataset("mnist")
    assert [len(data.train), len(data.validation), len(data.test)] == [55_000, 5_000, 10_000]
    # The count of each digit among the 60,000 and the 10,000.
    both = np.concatenate([data.train.labels, data.validation.labels])
    assert np.bincount(both).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert np.bincount(data.test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert data.image_shape == (28, 28, 1)
    assert data.train.images.max() == 255
    mean, deviation = data.measure()
    assert (round(mean[0], 3), round(deviation[0], 3)) == (0.131, 0.308)  # as commonly given


@pytest.mark.parametrize("damage", ["truncate", "flip a bit", "recompress", "remove"])
def test_a_file_of_mnist_that_is_not_as_published_is_an_error(tmp_path, monkeypatch, damage):
    folder = shutil.copytree(MNIST_FOLDER, tmp_path / "mnist")
    monkeypatch.setattr("jaxcnn.data.published.MNIST_FOLDER", folder)
    path = folder / "train-labels-idx1-ubyte.gz"
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
    with pytest.raises(ValueError, match=r"train-labels.*reinstall jaxcnn"):
        open_dataset("mnist")


def test_cifar_from_its_folder_keeps_its_names_and_its_last_training_images(tmp_path, monkeypatch):
    images, labels = drawn_images(24, (32, 32, 3)), np.arange(24) % 4
    content = cifar_archive(images, labels, ["ant", "bee", "cow", "dog"], fine=True)
    (tmp_path / "cifar100").mkdir()
    (tmp_path / "cifar100" / "few.tar.gz").write_bytes(content)
    files = {"few.tar.gz": (len(content), hashlib.sha256(content).hexdigest())}
    monkeypatch.setitem(PUBLISHED, "cifar100", Published("http://no.such.place", files))
    monkeypatch.setattr("jaxcnn.data.published._HELD_OUT", 2)
    data = open_dataset("cifar100", folder=tmp_path)
    assert np.array_equal(data.train.images, images[12:22])
    assert np.array_equal(data.validation.images, images[22:])
    assert np.array_equal(data.test.labels, labels[:12])
    assert data.classes == ("ant", "bee", "cow", "dog")
    grey = open_dataset("cifar100", folder=tmp_path, channels=1, image_size=(8, 8))
    assert grey.image_shape == (8, 8, 1)
    assert grey.resize is not None
    order = ["dog", "cow", "bee", "ant"]
    shown = open_images("cifar100", order, (32, 32, 3), None, folder=tmp_path)
    assert [order[label] for label in shown.labels] == [data.classes[i] for i in labels[:12]]


def test_what_is_no_data_set_is_refused_with_the_names(tmp_path):
    for where in ("mnits", tmp_path / "none", tmp_path / "none.npz"):
        with pytest.raises(ValueError, match=r"is no data set.*mnist, fashion-mnist, cifar10"):
            open_dataset(where)
