"""The files of a folder of class folders, without their contents."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jaxcnn.data.pictures import SUFFIXES

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Tree:
    """The pictures below a folder.

    Attributes:
      splits: for each split, or for ``all`` where the folder has class folders themselves, the path
        of each picture, relative to the folder and with ``/``, and its class; in order of paths.
      classes: the names of the class folders of ``train`` or ``all``, sorted.
      faults: what must be put right, a line each.
      notes: what was left out.
    """

    splits: dict[str, list[tuple[str, str]]]
    classes: tuple[str, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def read_tree(root: Path) -> Tree:
    """The pictures in ``root/CLASS``, or in ``root/train/CLASS``, ``root/val/CLASS`` and so on.

    They may be at any depth below the class. The folder ``val`` may be called ``valid`` or
    ``validation``. Names that begin with a dot are ignored; other files than pictures are left out
    with a note.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for path in ("cat/1.png", "dog/old/2.JPG", "dog/readme.txt"):
    ...         Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
    ...         Path(folder, path).touch()
    ...     tree = read_tree(Path(folder))
    >>> tree.splits, tree.notes
    ({'all': [('cat/1.png', 'cat'), ('dog/old/2.JPG', 'dog')]},
     ('1 file is no picture and was left out: dog/readme.txt',))
    """
    faults: list[str] = []
    others: list[str] = []
    top = _folders(root, faults)
    named = {name: _SPLIT_NAMES[name.lower()] for name in top if name.lower() in _SPLIT_NAMES}
    if "train" not in named.values() or not all(_folders(root / name, faults) for name in named):
        named = {}  # classes that are called so
    places = {split: name for name, split in named.items()} or {"all": "."}
    if len(places) < len(named):
        faults.append(f"two folders for one split: {', '.join(named)}")
    splits: dict[str, list[tuple[str, str]]] = {}
    classes: dict[str, list[str]] = {}
    for split, place in places.items():
        classes[split] = _folders(root / place, faults)
        splits[split] = []
        for name in classes[split]:
            pictures, rest = _files(root, Path(place, name), faults)
            if not pictures:
                faults.append(f"{Path(place, name).as_posix()}: the folder has no pictures")
            splits[split] += [(path, name) for path in pictures]
            others += rest
        loose = _loose(root / place)
        others += [Path(place, name).as_posix() for name in loose]
        if not classes[split]:
            has = "only pictures, and no folder for each class" if loose else "no class folders"
            inside = "" if place == "." else f"{place}: "
            faults.append(f"{inside}the folder has {has}; put the pictures of each class into one")
    if named:
        others += [name for name in top if name not in named] + _loose(root)
    known = classes.get("train", classes.get("all", []))
    for split, place in places.items():
        if unknown := sorted(set(classes[split]) - set(known)):
            faults.append(
                f"{place}: classes that train does not have: {', '.join(unknown)}; train has "
                f"{', '.join(known)}"
            )
    return Tree(splits, tuple(known), tuple(faults), _left_out(others))


def _folders(path: Path, faults: list[str]) -> list[str]:
    try:
        return sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        faults.append(f"{path}: cannot be read ({error.strerror})")
        return []


def _loose(path: Path) -> list[str]:
    """The files in a folder that should have folders alone."""
    if not os.access(path, os.R_OK):
        return []
    return sorted(p.name for p in path.iterdir() if p.is_file() and not p.name.startswith("."))


def _files(root: Path, place: Path, faults: list[str]) -> tuple[list[str], list[str]]:
    """The pictures and the other files below ``root/place``, relative to ``root``."""

    def failed(error: OSError) -> None:
        faults.append(f"{error.filename}: cannot be read ({error.strerror})")

    pictures, others = [], []
    for folder, below, names in os.walk(root / place, onerror=failed):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                path = Path(folder, name).relative_to(root).as_posix()
                (pictures if name.lower().endswith(SUFFIXES) else others).append(path)
    return sorted(pictures), others


def _left_out(others: list[str]) -> tuple[str, ...]:
    if not others:
        return ()
    few = ", ".join(sorted(others)[:3]) + (", ..." if len(others) > 3 else "")
    are = "file is no picture and was" if len(others) == 1 else "files are no pictures and were"
    return (f"{len(others)} {are} left out: {few}",)
