"""The experiment with known networks, imported from the experiments folder."""

import sys
from importlib import import_module
from pathlib import Path

_FOLDER = str(Path(__file__).parents[2] / "experiments")

sys.path.insert(0, _FOLDER)
networks = import_module("lint_known_networks")
sys.path.remove(_FOLDER)
