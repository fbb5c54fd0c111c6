"""The README is the first program: its examples are run, its commands checked against the text."""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def test_the_examples_of_the_readme_run_as_printed():
    flags = doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testfile(str(README), module_relative=False, optionflags=flags)
    assert tried >= 15
    assert failed == 0


def consoles():
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL)
    return [block.removeprefix("$ ").partition("\n") for block in blocks]


@pytest.mark.parametrize(("command", "_", "printed"), consoles())
def test_the_commands_of_the_readme_print_what_it_shows(command, _, printed):
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr).strip() == printed.strip()


def test_the_pictures_of_the_readme_are_there():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text())
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
