"""The examples and commands of the README give the results that it shows."""

import doctest
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings

import jaxcnn
from jaxcnn.testing import ConvProblem
from tests.testing.broken import scales_the_gradient

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


def test_the_property_test_of_the_readme_works_as_pasted_and_finds_a_wrong_convolution():
    (block,) = re.findall(r"```python\n(from hypothesis .*?)```", README.read_text(), re.DOTALL)
    ours = settings.default
    settings.register_profile("as pasted", settings.get_profile("default"), deadline=200)
    settings.load_profile("as pasted")  # with hypothesis' default deadline
    try:
        names = {"my_conv": jaxcnn.conv}
        exec(block, names)
        names["test_my_convolution"]()
        # One problem only, because it takes minutes to shrink a drawn failure.
        names["my_conv"] = partial(scales_the_gradient, of=1)
        with pytest.raises(AssertionError, match="does not hold: gradient of fn"):
            names["test_my_convolution"].hypothesis.inner_test(ConvProblem(size=(3,)))
    finally:
        settings.register_profile("ours again", ours)
        settings.load_profile("ours again")


def test_the_pictures_of_the_readme_are_there():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text())
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
