"""The house: imports run downward, the integers need no JAX, what is public is documented."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import jaxcnn

ROOT = Path(jaxcnn.__file__).parent

# What each room may import, besides itself. errors, keywords and activations are open to all;
# environment says what the program runs on.
OPEN = {"errors", "keywords", "activations"}
MAY_IMPORT = {
    "errors": set(),
    "keywords": set(),
    "activations": {"geometry"},
    "environment": {"errors"},
    "geometry": {"errors"},
    "shapes": {"errors", "keywords", "geometry"},
    "onednn": {"errors"},
    "reference": OPEN | {"geometry", "shapes"},
    "convolve": OPEN | {"geometry", "shapes", "onednn"},
    "ops": OPEN | {"geometry", "shapes", "convolve"},
    "nn": OPEN | {"geometry", "shapes", "convolve", "ops", "inspect"},
    "data": OPEN | {"geometry"},
    "inspect": {"errors", "keywords", "geometry"},
    "train": OPEN | {"geometry", "shapes", "ops", "inspect", "nn", "data", "environment"},
    "testing": OPEN | {"geometry", "shapes", "reference", "ops"},
    "bench": OPEN | {"geometry", "shapes", "convolve", "ops", "environment"},
    "cli": OPEN
    | {"geometry", "shapes", "convolve", "ops", "nn", "data", "inspect", "train", "environment"}
    | {"testing", "bench", "onednn"},
    "__main__": {"cli"},
}


def _room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _modules_imported(path):
    """The names after ``jaxcnn.`` of everything a file imports, wherever in the file."""
    package = ["jaxcnn", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "jaxcnn" and len(parts) > 1:
                yield parts[1]


FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path):
    room = _room(path)
    assert room in MAY_IMPORT, f"{room} has no place in the house yet"
    up = set(_modules_imported(path)) - MAY_IMPORT[room] - {room, "__version__"}
    assert not up, f"{path.relative_to(ROOT)} in {room} imports {', '.join(sorted(up))}"


def test_the_house_has_no_circle():
    placed = set()
    while len(placed) < len(MAY_IMPORT):
        free = {room for room, below in MAY_IMPORT.items() if below <= placed} - placed
        assert free, f"a circle among {set(MAY_IMPORT) - placed}"
        placed |= free


def test_forbidden_imports_are_seen_in_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    folder = tmp_path / "geometry"
    folder.mkdir()
    for text in (
        "import jaxcnn.ops",
        "from jaxcnn import ops",
        "from jaxcnn.ops.conv import conv",
        "from .. import ops",
        "from ..ops import conv",
        "def f():\n    import jaxcnn.ops.conv as c",
    ):
        (folder / "file.py").write_text(text)
        assert list(_modules_imported(folder / "file.py")) == ["ops"], text


def test_geometry_works_where_jax_is_not_installed():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['jax', 'jaxlib', 'flax', 'chex']));"
        "from jaxcnn import geometry; print(geometry.output_size(7, 3, stride=2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_the_face_imports_nothing_until_it_is_asked():
    code = "import sys, jaxcnn; jaxcnn.__version__; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


FACES = sorted(path.parent.relative_to(ROOT) for path in ROOT.rglob("__init__.py"))
PACKAGES = [".".join(["jaxcnn", *face.parts]) for face in FACES]


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_lists_it_has_and_documents(name):
    package = importlib.import_module(name)
    assert package.__doc__, f"{name} does not say what lives there"
    listed = getattr(package, "__all__", [])
    assert len(listed) == len(set(listed))
    for entry in listed:
        value = getattr(package, entry)
        if inspect.isfunction(value) or inspect.isclass(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), f"{name}.{entry} has no docstring"


SHOWN = [f"jaxcnn.{room}" for room in ("geometry", "nn", "ops", "reference", "shapes", "testing")]


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_public_is_shown_at_work(name):
    package = importlib.import_module(name)
    bare = [
        entry
        for entry in package.__all__
        if inspect.isroutine(value := getattr(package, entry)) or inspect.isclass(value)
        if ">>>" not in (value.__doc__ or "")
    ]
    assert not bare, f"without an example in {name}: {', '.join(bare)}"
