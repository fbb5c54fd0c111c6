"""Imports run downward, the geometry needs no JAX, and public names are documented."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxcnn

ROOT = Path(jaxcnn.__file__).parent

# The rooms that each room may import. A room is a folder of jaxcnn, or a file beside the folders.
ANYONE = {"errors", "keywords"}
MAY_IMPORT = {
    "errors": set(),
    "keywords": set(),
    "files": {"errors"},
    "extra": set(),
    "environment": set(),
    "geometry": {"errors"},
    "onednn": {"errors"},
    "shapes": ANYONE | {"geometry"},
    "reference": ANYONE | {"geometry", "shapes"},
    "convolve": ANYONE | {"geometry", "onednn"},
    "ops": ANYONE | {"geometry", "shapes", "convolve"},
    "inspect": ANYONE | {"geometry"},
    "nn": ANYONE | {"geometry", "shapes", "convolve", "ops", "inspect"},
    "exchange": ANYONE | {"geometry", "shapes", "convolve", "ops", "inspect", "files", "extra"},
    "models": ANYONE | {"geometry", "ops", "nn", "exchange", "files", "extra"},
    "data": ANYONE | {"geometry", "extra"},
    "train": ANYONE | {"geometry", "convolve", "models", "data", "environment", "files", "extra"},
    "testing": ANYONE | {"geometry", "shapes", "reference"},
    "bench": ANYONE | {"geometry", "convolve", "ops", "inspect", "environment", "testing"},
    "cli": ANYONE
    | {"geometry", "shapes", "onednn", "convolve", "nn", "inspect", "data", "models", "train"}
    | {"exchange", "bench", "environment", "files", "extra"},
    "__main__": {"cli"},
}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def _module(path):
    """``jaxcnn.ops.conv`` for the file of that module, ``jaxcnn.ops`` for its ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["jaxcnn", *(parts[:-1] if parts[-1] == "__init__" else parts)])


def _is_for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _statements(node, types):
    """All statements below ``node``; with ``types``, also those that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if types or not _is_for_types(child):
            yield child
            yield from _statements(child, types)


def _imported(path, types=True):
    """The dotted names in jaxcnn that a file imports, at the top or inside a function."""
    package = ["jaxcnn", *path.relative_to(ROOT).parent.parts]
    for node in _statements(ast.parse(path.read_text()), types):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.startswith("jaxcnn."))


def _rooms_imported(path):
    return {name.split(".")[1] for name in _imported(path)} - {"__version__"}


def _room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path):
    room = _room(path)
    assert room in MAY_IMPORT, f"{room} has no place in the house yet"
    up = _rooms_imported(path) - MAY_IMPORT[room] - {room}
    assert not up, f"{path.relative_to(ROOT)} in {room} imports {', '.join(sorted(up))}"


def test_the_table_of_rooms_allows_nothing_that_no_file_needs():
    needed = {room: set() for room in MAY_IMPORT}
    for path in FILES:
        needed[_room(path)] |= _rooms_imported(path)
    unused = {room: MAY_IMPORT[room] - needed[room] - ANYONE for room in MAY_IMPORT}
    assert not any(unused.values()), {room: names for room, names in unused.items() if names}


def test_the_table_in_contributing_is_this_one():
    text = (ROOT.parent / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*?) ?\|$", text, re.MULTILINE)
    shown = {room: set(re.findall(r"\w+", rooms)) for room, rooms in rows}
    files = {path.stem for path in ROOT.glob("*.py")}
    assert shown == {room: MAY_IMPORT[room] - files for room in MAY_IMPORT if room not in files}


def _circle(arrows):
    """A circle in the graph ``arrows``, node -> nodes; an empty list if there is none."""
    done = set()

    def walk(node, trail):
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        found = next((f for n in sorted(arrows[node]) if (f := walk(n, [*trail, node]))), [])
        done.add(node)
        return found

    return next((found for node in sorted(arrows) if (found := walk(node, []))), [])


def test_no_circle_among_the_imports_of_folders():
    assert not _circle(MAY_IMPORT)


def test_no_circle_among_the_imports_of_files():
    """Imports inside functions count; imports only for type checkers do not."""
    modules = {_module(path) for path in FILES}
    arrows = {}
    for path in FILES:
        names = list(_imported(path, types=False))
        targets = {name if name in modules else name.rpartition(".")[0] for name in names}
        arrows[_module(path)] = targets & modules
    assert not (found := _circle(arrows)), " -> ".join(found)


def test_the_search_for_import_circles_finds_one():
    assert _circle({"a": {"b", "c"}, "b": {"d"}, "c": set(), "d": {"c"}}) == []
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": set()}) == ["b", "c", "b"]


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
        "if TYPE_CHECKING:\n    from jaxcnn import ops",
    ):
        (folder / "file.py").write_text(text)
        assert _rooms_imported(folder / "file.py") == {"ops"}, text


def test_geometry_works_where_jax_is_not_installed():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['jax', 'jaxlib', 'flax', 'chex']));"
        "from jaxcnn import geometry; print(geometry.output_size(7, 3, stride=2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_import_jaxcnn_does_not_import_jax():
    code = "import sys, jaxcnn; jaxcnn.__version__; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


FACES = sorted(path.parent.relative_to(ROOT) for path in ROOT.rglob("__init__.py"))
PACKAGES = [".".join(["jaxcnn", *face.parts]) for face in FACES]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_defines_and_documents_the_names_in_its_all(name):
    package = importlib.import_module(name)
    assert package.__doc__, f"{name} does not say what lives there"
    listed = getattr(package, "__all__", [])
    assert len(listed) == len(set(listed))
    for entry in listed:
        value = getattr(package, entry)
        if inspect.isfunction(value) or inspect.isclass(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), f"{name}.{entry} has no docstring"


SHOWN = [
    f"jaxcnn.{room}"
    for room in ("geometry", "models", "nn", "ops", "reference", "shapes", "testing")
]


@pytest.mark.parametrize("name", SHOWN)
def test_every_public_name_has_an_example(name):
    package = importlib.import_module(name)

    def shown(entry):
        text = getattr(package, entry).__doc__ or ""
        alike = re.search(r"called as :func:`(\w+)`", text)
        return ">>>" in text or (alike is not None and shown(alike[1]))

    bare = [
        entry
        for entry in package.__all__
        if inspect.isroutine(value := getattr(package, entry)) or inspect.isclass(value)
        if not shown(entry)
    ]
    assert not bare, f"without an example in {name}: {', '.join(bare)}"
