"""Folders of IDX files, as MNIST, Fashion-MNIST, EMNIST or KMNIST are published."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jaxcnn.data.faults import refuse
from jaxcnn.data.idx import read_idx
from jaxcnn.data.parts import Parts, checked_parts
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"(?P<split>.*)(?P<what>images|labels)[-.]idx\d-ubyte(\.gz)?")
_SPLITS = ((r"test|t10k", "test"), (r"val", "validation"), (r"", "train"))


def has_idx(folder: Path) -> bool:
    """Whether a file in ``folder`` has the name of an IDX file."""
    return any(_NAME.fullmatch(path.name) for path in folder.iterdir())


def read_idx_folder(folder: Path) -> Parts:
    """The arrays of the IDX files in ``folder``: a file of images and one of labels for each split.

    The word before ``images`` or ``labels`` tells the split: ``test`` or ``t10k``, ``val``, or
    anything else for train.

    Raises:
      InputError: (a ValueError) if a file is missing, or cannot be read: all faults at once.
    """
    found: dict[str, dict[str, Path]] = {}
    faults = []
    for path in sorted(folder.iterdir()):
        if match := _NAME.fullmatch(path.name):
            split = next(split for words, split in _SPLITS if re.search(words, match["split"]))
            before = found.setdefault(split, {}).setdefault(match["what"], path)
            if before != path:
                faults.append(f"{before.name} and {path.name} are both {match['what']} of {split}")
    for split, files in found.items():
        for what in {"images", "labels"} - set(files):
            faults.append(
                f"there is no file of {what} for {split}, such as {split}-{what}-idx-ubyte"
            )
    if "train" not in found:
        faults.append("there are no files for train")
    arrays = {split: {} for split in found}
    for split, files in found.items():
        for what, path in files.items():
            try:
                arrays[split][what] = read_idx(path)
            except InputError as error:
                faults.append(str(error))
    refuse(folder, faults)
    return checked_parts(
        str(folder),
        None,
        {split: (both["images"], both["labels"]) for split, both in arrays.items()},
    )
