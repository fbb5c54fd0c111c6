"""Folders of pictures as data sets.

Every picture is decoded once when a folder is opened, so that its faults are known before training;
all of them are in one error.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.data.dataset import Dataset
from jaxcnn.data.faults import refuse
from jaxcnn.data.images import Images
from jaxcnn.data.pictures import Resize, decode, is_grey, read_bytes, read_picture
from jaxcnn.data.splits import SPLITS, draw_splits, drawn_note
from jaxcnn.data.tree import Tree, read_tree
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jaxcnn.data.download import Progress

_CHUNK = 256  # pictures that are read into memory at a time
_THREADS = min(16, os.cpu_count() or 1)
_LARGEST = 224  # the side of the square that pictures of different sizes get, at most


@dataclass(frozen=True)
class Pictures:
    """Pictures on disk, which are decoded whenever they are read.

    Attributes:
      root: the folder.
      paths: of the N pictures, relative to it.
      image_shape: (H, W, C).
      resize: how a picture gets this size; None if it must have it.
    """

    root: str
    paths: tuple[str, ...]
    image_shape: tuple[int, int, int]
    resize: Resize | None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return (len(self.paths), *self.image_shape)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The pictures (n, H, W, C) of ``indices`` (n,), uint8."""
        images = np.empty((len(indices), *self.image_shape), np.uint8)

        def read(place: int) -> None:
            path = Path(self.root, self.paths[indices[place]])
            images[place] = read_picture(path, self.image_shape, self.resize)

        for _ in _in_threads(read, range(len(indices))):
            pass
        return images


@dataclass(frozen=True)
class _Facts:
    """What is known of a picture once it was decoded."""

    sha256: str
    size: tuple[int, int]
    grey: bool


def open_folder(
    root: Path,
    *,
    image_size: tuple[int, int] | None,
    resize: str,
    channels: int | None,
    shares: dict[str, float],
    seed: int,
    memory: int,
    progress: Progress,
) -> Dataset:
    """The data set of a folder; the arguments are those of :func:`jaxcnn.data.open_dataset`."""
    if channels not in (None, 1, 3, 4):
        raise InputError(f"pictures have 1, 3 or 4 channels, got channels {channels}")
    tree = read_tree(root)
    files, splits, drawing = tree.splits, None, []
    missing = {split: share for split, share in shares.items() if split not in files}
    if missing and not tree.faults:
        source = files.get("train", files.get("all", []))
        labels = np.array([tree.classes.index(name) for _, name in source])
        drawn = draw_splits(labels, [path for path, _ in source], missing, seed)
        files = files | {split: [source[i] for i in indices] for split, indices in drawn.items()}
        splits = {split: [path for path, _ in files[split]] for split in drawn}
        drawing.append(drawn_note(drawn, seed))
    facts = _checked(root, tree, tree.faults, progress)
    shape, fitted, notes = _shape_of(facts, image_size, resize, channels)
    digest = hashlib.sha256(json.dumps([tree.classes, shape, str(fitted)]).encode())
    for split in SPLITS:
        lines = [(split, path, name, facts[path].sha256) for path, name in files[split]]
        digest.update(json.dumps(lines).encode())
    in_memory = sum(len(files[split]) for split in SPLITS) * math.prod(shape) <= memory
    images = {
        split: _load(root, files[split], tree.classes, shape, fitted, in_memory, progress)
        for split in SPLITS
    }
    return Dataset(
        name=root.resolve().name,
        classes=tree.classes,
        train=images["train"],
        validation=images["validation"],
        test=images["test"],
        digest=digest.hexdigest(),
        resize=fitted,
        notes=(*tree.notes, *notes, *drawing),
        splits=splits,
    )


def open_folder_images(
    root: Path,
    classes: tuple[str, ...],
    image_shape: tuple[int, int, int],
    resize: Resize | None,
    memory: int,
    progress: Progress,
) -> Images:
    """All pictures of a folder; the arguments are those of :func:`jaxcnn.data.open_images`."""
    tree = read_tree(root)
    files = tree.splits.get("test") or [file for part in tree.splits.values() for file in part]
    faults = list(tree.faults)
    if unknown := sorted({name for _, name in files} - set(classes)):
        faults.append(
            f"the class folders {', '.join(unknown)} are none of the classes {', '.join(classes)}"
        )
    tree = Tree({"all": files}, classes, (), ())
    facts = _checked(root, tree, faults, progress)
    if resize is None:
        wrong = [path for path, _ in files if facts[path].size != image_shape[:2]]
        height, width = image_shape[:2]
        refuse(
            root,
            [
                f"{path}: the picture is {facts[path].size[0]}x{facts[path].size[1]}, not "
                f"{height}x{width}; resize it"
                for path in wrong
            ],
        )
    in_memory = len(files) * math.prod(image_shape) <= memory
    return _load(root, files, classes, image_shape, resize, in_memory, progress)


def _checked(
    root: Path, tree: Tree, faults: Sequence[str], progress: Progress
) -> dict[str, _Facts]:
    """The facts of every picture by its path; all faults are one error."""
    paths = [path for part in tree.splits.values() for path, _ in part]
    facts, wrong = {}, []

    def look(path: str) -> _Facts | str:
        try:
            content = read_bytes(root / path)
            image = decode(path, content)
        except InputError as error:
            return str(error).replace(f"{root / path}: ", f"{path}: ")
        sha256 = hashlib.sha256(content).hexdigest()
        return _Facts(sha256, (image.height, image.width), is_grey(image))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pictures that are reported, or decoded all the same
        for path, found in zip(paths, _in_threads(look, paths), strict=True):
            progress("checking pictures", len(facts) + len(wrong) + 1, len(paths))
            if isinstance(found, str):
                wrong.append(found)
            else:
                facts[path] = found
    refuse(root, [*faults, *wrong])
    return facts


def _shape_of(
    facts: dict[str, _Facts], image_size: tuple[int, int] | None, how: str, channels: int | None
) -> tuple[tuple[int, int, int], Resize | None, list[str]]:
    """The shape that all pictures get, how, and what to say of it."""
    notes = []
    grey = sum(fact.grey for fact in facts.values())
    if channels is None:
        channels = 1 if grey == len(facts) else 3
        if 0 < grey < len(facts):
            notes.append(f"{grey} of {len(facts)} pictures are grey; all are read as RGB")
    sizes = {fact.size for fact in facts.values()}
    resize = None
    if image_size is not None:
        resize = Resize(image_size, how)
        notes.append(f"pictures are resized to {resize}")
    elif len(sizes) > 1:
        side = min(_LARGEST, round(float(np.median([min(fact.size) for fact in facts.values()]))))
        resize = Resize((side, side), how)
        small, large = (
            f"{h}x{w}" for h, w in (min(sizes, key=math.prod), max(sizes, key=math.prod))
        )
        notes.append(
            f"{len(sizes)} sizes from {small} to {large} are resized to {resize}; image_size "
            f"chooses another size"
        )
    return (*(resize.size if resize else next(iter(sizes))), channels), resize, notes


def _load(
    root: Path,
    files: list[tuple[str, str]],
    classes: tuple[str, ...],
    image_shape: tuple[int, int, int],
    resize: Resize | None,
    in_memory: bool,
    progress: Progress,
) -> Images:
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[name] for _, name in files], np.int32)
    pictures = Pictures(str(root), tuple(path for path, _ in files), image_shape, resize)
    if not in_memory:
        return Images(pictures, labels)
    images = np.empty(pictures.shape, np.uint8)
    for first in range(0, len(files), _CHUNK):
        end = min(first + _CHUNK, len(files))
        images[first:end] = pictures.read(np.arange(first, end))
        progress("reading pictures", end, len(files))
    return Images(images, labels)


def _in_threads(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """The results in order; Pillow decodes outside of Python's lock."""
    pool = ThreadPoolExecutor(_THREADS)
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)
