"""IDX, .npz and CIFAR: what was written is read, and every fault is refused with its path."""

import gzip
import io
import struct
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.data import open_dataset
from jaxcnn.data.arrays import read_npz
from jaxcnn.data.cifar import read_cifar
from jaxcnn.data.idx import read_idx
from tests.cases import many
from tests.data.drawn import drawn_images, save_folder


def idx_bytes(array):
    """From the definition of the format."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@many
@given(sizes=st.lists(st.integers(0, 4), max_size=5), compressed=st.booleans())
def test_an_idx_file_gives_the_array_that_was_written(sizes, compressed):
    array = np.arange(np.prod(sizes, dtype=int)).astype(np.uint8).reshape(sizes)
    content = gzip.compress(idx_bytes(array)) if compressed else idx_bytes(array)
    assert np.array_equal(read_idx("file", content), array)


@many
@given(cut=st.integers(0, 40), compressed=st.booleans())
def test_every_truncation_of_an_idx_file_is_refused_with_its_path(cut, compressed):
    content = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))
    content = gzip.compress(content) if compressed else content
    if cut < len(content):
        with pytest.raises(ValueError, match=r"^the/file: "):
            read_idx("the/file", content[:cut])
    with pytest.raises(ValueError, match=r"^the/file: "):
        read_idx("the/file", content + b"\1")


def test_an_idx_file_of_another_type_is_refused():
    with pytest.raises(ValueError, match="type 0x0d; only unsigned bytes"):
        read_idx("floats", struct.pack(">HBBI", 0, 13, 1, 1) + bytes(4))


def test_npz_idx_and_folder_give_the_same_images(tmp_path):
    images, labels = drawn_images(40, (6, 5, 1)), np.arange(40) % 4
    names = np.array(["ant", "bee", "cow", "dog"])
    np.savez(tmp_path / "all.npz", images=images, labels=labels, classes=names)
    idx = tmp_path / "idx"
    idx.mkdir()
    (idx / "train-images-idx3-ubyte").write_bytes(idx_bytes(images[..., 0]))
    labelled = gzip.compress(idx_bytes(labels.astype(np.uint8)))
    (idx / "train-labels-idx1-ubyte.gz").write_bytes(labelled)
    save_folder(tmp_path / "folder", images, names[labels])
    npz, idx, folder = (open_dataset(tmp_path / name) for name in ("all.npz", "idx", "folder"))
    for split in ("train", "validation", "test"):
        one, two, three = (getattr(data, split) for data in (npz, idx, folder))
        assert np.array_equal(one.images, two.images)
        assert np.array_equal(one.labels, two.labels)
        assert len(one) == len(three)
    assert npz.classes == folder.classes
    assert idx.classes == ("0", "1", "2", "3")
    # A folder is sorted by its paths, and its split is drawn by them: all of it is the same set.
    for data in (npz, folder):
        whole = [
            (label, image.tobytes())
            for part in (data.train, data.validation, data.test)
            for image, label in zip(part.images, part.labels.tolist(), strict=True)
        ]
        expected = [(label, image.tobytes()) for image, label in zip(images, labels, strict=True)]
        assert sorted(whole) == sorted(expected)


@pytest.mark.parametrize(
    "words", ["x_{} y_{} train validation test", "{}_images {}_labels train val test"]
)
def test_the_splits_of_an_npz_file_are_kept(tmp_path, words):
    images, labels, *splits = words.split()
    counts = dict(zip(splits, (6, 4, 2), strict=True))
    arrays = {images.format(s): drawn_images(n, (4, 4)) for s, n in counts.items()}
    arrays |= {labels.format(s): np.arange(n).reshape(n, 1) % 2 for s, n in counts.items()}
    np.savez_compressed(tmp_path / "few.npz", **arrays)
    data = open_dataset(tmp_path / "few.npz")
    assert [len(data.train), len(data.validation), len(data.test)] == [6, 4, 2]
    assert data.splits is None
    assert np.array_equal(data.test.images[..., 0], arrays[images.format("test")])


def test_the_faults_of_all_arrays_of_an_npz_file_are_one_error(tmp_path):
    path = tmp_path / "few.npz"
    np.savez(
        path,
        x_train=np.full((4, 5, 5), 0.5),
        y_train=np.arange(4),
        x_test=np.ones((4, 5, 5, 7), np.uint8),
        y_test=np.arange(4),
    )
    with pytest.raises(ValueError, match=r"few\.npz.*2 reasons") as error:
        read_npz(path)
    assert "train: images must be uint8, from 0 to 255, got float64 from 0.5" in str(error.value)
    assert "test: images of shape (4, 5, 5, 7)" in str(error.value)


@pytest.mark.parametrize("damage", ["truncate", "text", "pickle", "names", "npy", "missing"])
def test_a_damaged_npz_file_is_refused_with_its_path(tmp_path, damage):
    path = tmp_path / "few.npz"
    images = drawn_images(4, (5, 5, 1))
    np.savez(path, images=images, labels=np.arange(4))
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "text":
        path.write_text("images and labels")
    elif damage == "pickle":
        np.savez(path, images=images, labels=np.array([0, "x", None, 3], object))
    elif damage == "names":
        np.savez(path, pictures=images)
    elif damage == "npy":
        with path.open("wb") as file:
            np.save(file, images)
    else:
        path.unlink()
    expected = {
        "text": r"is no \.npz file.*np\.savez",
        "pickle": "allow_pickle",
        "names": "has the arrays pictures.*np.savez",
        "npy": "is a .npy file.*np.savez",
    }
    with pytest.raises(ValueError, match=rf"few\.npz.*{expected.get(damage, '')}"):
        open_dataset(path)


def cifar_archive(images, labels, classes, fine):
    """From the definition of the format; ``fine`` as CIFAR-100, with a coarse label before."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    columns = [labels[:, None]] if not fine else [labels[:, None] % 3, labels[:, None]]
    records = np.concatenate([*columns, planes], 1).astype(np.uint8)
    half = len(images) // 2
    if fine:
        files = {"train.bin": records[half:], "test.bin": records[:half]}
        files["coarse_label_names.txt"] = "some\nother\n"
        files["fine_label_names.txt"] = "\n".join(classes) + "\n"
    else:
        middle = half + half // 2
        files = {"data_batch_2.bin": records[middle:], "data_batch_1.bin": records[half:middle]}
        files |= {"test_batch.bin": records[:half], "readme.html": "hello"}
        files["batches.meta.txt"] = "\n".join(classes) + "\n\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content.tobytes()
            member = tarfile.TarInfo(f"cifar/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("fine", [False, True])
def test_a_cifar_archive_gives_the_images_labels_and_names_that_were_written(fine):
    images, labels = drawn_images(12, (32, 32, 3)), np.arange(12) % 4
    classes, splits = read_cifar("file", cifar_archive(images, labels, "abcd", fine))
    assert classes == tuple("abcd")
    assert np.array_equal(splits["train"][0], images[6:])
    assert np.array_equal(splits["train"][1], labels[6:])
    assert np.array_equal(splits["test"][0], images[:6])
    assert np.array_equal(splits["test"][1], labels[:6])


def test_a_truncated_or_empty_cifar_archive_is_refused_with_its_path():
    content = cifar_archive(drawn_images(4, (32, 32, 3)), np.arange(4), "abcd", False)
    empty = gzip.compress(bytes(1024))
    for part in (content[:-200], content[: len(content) // 2], content[:20], b"", empty):
        with pytest.raises(ValueError, match=r"^cifar\.tar\.gz: "):
            read_cifar("cifar.tar.gz", part)


def test_the_faults_of_a_folder_of_idx_files_are_one_error(tmp_path):
    content = idx_bytes(drawn_images(3, (4, 4)))
    for name in ("train-images-idx3-ubyte", "emnist-images-idx3-ubyte", "t10k-images.idx3-ubyte"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content[:-1])
    with pytest.raises(ValueError, match="3 reasons") as error:
        open_dataset(tmp_path)
    for words in ("both images of train", "no file of labels for test", "labels-idx1-ubyte: the h"):
        assert words in str(error.value)
