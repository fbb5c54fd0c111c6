import gzip
import shutil

import numpy as np
import pytest

from jaxcnn.data import load_mnist
from jaxcnn.data.mnist import FOLDER


def test_the_splits_are_the_published_sets():
    train, validation, test = (load_mnist(split) for split in ("train", "validation", "test"))
    assert [len(split) for split in (train, validation, test)] == [55_000, 5_000, 10_000]
    # How often each digit occurs in the 60,000 and the 10,000, counted by the set's authors.
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


@pytest.mark.parametrize("spoil", ["truncate", "flip a bit", "recompress", "remove"])
def test_a_file_that_is_not_as_published_is_refused(folder, spoil):
    path = folder / "t10k-labels-idx1-ubyte.gz"
    content = path.read_bytes()
    if spoil == "truncate":
        path.write_bytes(content[:-1])
    elif spoil == "flip a bit":
        path.write_bytes(content[:2000] + bytes([content[2000] ^ 1]) + content[2001:])
    elif spoil == "recompress":
        labels = bytearray(gzip.decompress(content))
        labels[-1] ^= 1
        path.write_bytes(gzip.compress(bytes(labels)))
    else:
        path.unlink()
    with pytest.raises(ValueError, match=r"t10k-labels.*reinstall jaxcnn"):
        load_mnist("test", folder=folder)


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'train', 'validation', 'test', got 'dev'"):
        load_mnist("dev")
