"""The extras: the library works without them; training and the commands need one."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from jaxcnn.extra import PACKAGES, MissingExtraError, requires_extra


def run(code, missing=PACKAGES):
    """A Python process in which the packages in ``missing`` cannot be imported."""
    block = f"import sys; sys.modules.update(dict.fromkeys({list(missing)}))\n"
    words = [sys.executable, "-c", block + code]
    return subprocess.run(words, capture_output=True, text=True, check=False)


LIBRARY = """
import jax
import jax.numpy as jnp
from flax import nnx

import jaxcnn
from jaxcnn import *
import jaxcnn.bench.measure
import jaxcnn.bench.pytorch
import jaxcnn.data
import jaxcnn.environment
from jaxcnn.bench import OVERVIEW

x, kernel = jnp.ones((1, 7, 7, 1)), jnp.ones((3, 3, 1, 6))
loss = lambda kernel: jaxcnn.max_pool(jaxcnn.conv(x, kernel), 5).sum()
assert jax.grad(loss)(kernel).shape == kernel.shape
layer = jaxcnn.nn.Conv(1, 6, (3, 3), rngs=nnx.Rngs(0))
assert layer(x).shape == jaxcnn.reference.conv(x, kernel).shape
assert jaxcnn.lint(layer, (7, 7, 1)).layers
jaxcnn.testing.assert_matches_reference(jaxcnn.conv, jaxcnn.testing.ConvProblem())
assert OVERVIEW and len(jaxcnn.data.open_dataset("mnist").validation) == 5000

"""


def test_the_library_works_without_the_extras():
    done = run(LIBRARY, set(PACKAGES) - {"rich"})  # Flax itself needs rich
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@pytest.mark.parametrize("package", ["typer", "rich"])
@pytest.mark.parametrize("words", ["plan", "train", "lint --list-rules"])
def test_a_command_without_the_extra_is_one_line_with_what_to_type_and_exit_code_2(package, words):
    code = f"from jaxcnn.cli import main; sys.argv[1:] = {words.split()}; main()"
    done = run(code, [package])
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        rf"jaxcnn: (the command line|jaxcnn\.train) needs {package}; "
        r"type: pip install 'jaxcnn\[train\]'\n",
        done.stderr,
    )


@pytest.mark.parametrize("package", ["matplotlib", "orbax"])
def test_importing_train_without_the_extra_is_an_error_with_what_to_type(package):
    done = run("import jaxcnn\njaxcnn.train", [package])
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"jaxcnn.train needs {package}; type: pip install 'jaxcnn[train]'\n"
    )
    done = run("from jaxcnn.cli import main; sys.argv[1:] = ['train']; main()", [package])
    advice = f"jaxcnn: jaxcnn.train needs {package}; type: pip install 'jaxcnn[train]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", advice)


def test_each_package_is_required_by_the_extra_that_its_advice_names():
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    names = {"orbax": "orbax-checkpoint", "PIL": "pillow"}
    for package, extra in PACKAGES.items():
        assert any(entry.startswith(names.get(package, package)) for entry in extras[extra])


def test_a_missing_package_outside_the_extra_keeps_its_error():
    with pytest.raises(ModuleNotFoundError) as error, requires_extra("this"):
        import no_such_package  # noqa: F401, the import must fail
    assert not isinstance(error.value, MissingExtraError)
