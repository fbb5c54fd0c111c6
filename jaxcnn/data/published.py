"""Published data sets by name: MNIST comes with the package, the others are downloaded.

Each file is checked by its SHA-256 whenever it is read. The digests of the downloaded files are
those of TensorFlow Datasets (``url_checksums``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcnn.data.cifar import read_cifar
from jaxcnn.data.download import checked, default_folder, fetch
from jaxcnn.data.idx import read_idx
from jaxcnn.data.parts import Parts, checked_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxcnn.data.download import Progress

MNIST_FOLDER = Path(__file__).parent / "mnist_files"

_HELD_OUT = 5_000  # training images, the last ones, to choose settings by


@dataclass(frozen=True)
class Published:
    """A published data set.

    Attributes:
      address: of the folder of its files; None if they come with the package.
      files: the size and the SHA-256 of each.
      classes: the name of each label, unless a file has them.
    """

    address: str | None
    files: dict[str, tuple[int, str]]
    classes: tuple[str, ...] | None = None


PUBLISHED = {
    # Y. LeCun, C. Cortes, C. Burges; licence CC BY-SA 3.0: see mnist_files/README.md.
    "mnist": Published(
        None,
        {
            "train-images-idx3-ubyte.gz": (
                9_719_438,
                "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
            ),
            "train-labels-idx1-ubyte.gz": (
                28_857,
                "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
            ),
            "t10k-images-idx3-ubyte.gz": (
                1_616_508,
                "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                4_517,
                "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
            ),
        },
    ),
    # H. Xiao, K. Rasul, R. Vollgraf, 2017: https://arxiv.org/abs/1708.07747.
    "fashion-mnist": Published(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        {
            "train-images-idx3-ubyte.gz": (
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            "train-labels-idx1-ubyte.gz": (
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            "t10k-images-idx3-ubyte.gz": (
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        },
        (
            *("t-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
    ),
    "cifar10": Published(
        "https://www.cs.toronto.edu/~kriz",
        {
            "cifar-10-binary.tar.gz": (
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            )
        },
    ),
    "cifar100": Published(
        "https://www.cs.toronto.edu/~kriz",
        {
            "cifar-100-binary.tar.gz": (
                168_513_733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            )
        },
    ),
}


def read_published(name: str, folder: Path | None, progress: Progress) -> Parts:
    """The splits of a published data set; validation is the last 5,000 of the training images.

    Args:
      name: one of :data:`PUBLISHED`.
      folder: where a folder of this name has the files, or they are put; None for
        :func:`jaxcnn.data.download.default_folder`. MNIST is read from the package.
      progress: see :func:`jaxcnn.data.download.fetch`.

    Raises:
      InputError: (a ValueError) if a file cannot be had, or is not as published.
    """
    published = PUBLISHED[name]
    if published.address is None:
        remedy = "reinstall jaxcnn to restore it"
        return _split(
            name,
            published,
            lambda file: checked(MNIST_FOLDER / file, published.files[file][1], remedy),
        )
    address, home = published.address, (folder or default_folder()) / name
    return _split(
        name,
        published,
        lambda file: fetch(home / file, f"{address}/{file}", *published.files[file], progress),
    )


def _split(name: str, published: Published, content_of: Callable[[str], bytes]) -> Parts:
    contents = {file: content_of(file) for file in published.files}
    if len(contents) == 1:
        ((file, content),) = contents.items()
        classes, arrays = read_cifar(file, content)
    else:
        read = [read_idx(file, content) for file, content in contents.items()]
        classes, arrays = published.classes, {"train": read[:2], "test": read[2:]}
    (images, labels), test = arrays["train"], arrays["test"]
    splits = {
        "train": (images[:-_HELD_OUT], labels[:-_HELD_OUT]),
        "validation": (images[-_HELD_OUT:], labels[-_HELD_OUT:]),
        "test": test,
    }
    return checked_parts(name, classes, splits)
