"""Commands in this process, and folders of pictures on which they train in a second."""

import sys
from dataclasses import dataclass

import numpy as np
import PIL.Image
import pytest

from jaxcnn import cli

CLASSES = ("blue", "red", "very yellow")
MODEL = "conv:4:k3:same:relu global_avg dense:{classes}"
SETTINGS = ("--model", MODEL, "--batch-size", "8", "--augment", "flip", "--learning-rate", "0.05")


@dataclass
class Ended:
    """A command that has ended: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


def call(capfd, *words):
    """Runs ``jaxcnn words``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["jaxcnn", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    out, err = capfd.readouterr()
    return Ended(end.value.code or 0, out, err)


def refused(capfd, *words):
    """The one line of a command that is refused."""
    ended = call(capfd, *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("jaxcnn: ")
    assert ended.err.count("\n") == 1
    return ended.err


def write_pictures(folder, count=12, seed=0):
    """A folder of pictures for each class, whose color says the class; sizes differ."""
    rng = np.random.default_rng(seed)
    colors = ((0, 0, 150), (150, 0, 0), (150, 150, 0))
    for name, color in zip(CLASSES, colors, strict=True):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            height, width = rng.integers(8, 13, 2)
            pixels = rng.integers(0, 90, (height, width, 3)) + color
            path = folder / name / f"{i}.png"
            PIL.Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder
