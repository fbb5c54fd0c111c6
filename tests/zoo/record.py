"""Records what a small network of each family computes in its other library.

    python -m tests.zoo.record

writes ``tests/models/recorded/values.json``, which ``tests/models/test_recorded.py`` reads where
the other library is not. Inputs and weights are from the formula of ``tests/models/formula.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import timm
import torch
import torchvision

from jaxcnn.models.registry import NETWORKS
from tests.models.formula import CLASSES, drawn
from tests.zoo.parity import fill_torch, maps_of, second
from tests.zoo.rivals import families

PATH = Path(__file__).parents[1] / "models" / "recorded" / "values.json"


def record(name: str) -> dict:
    """What the first rival of this network computes from one input, in float64."""
    family = families([name])[name]
    shape = family.sizes[0]
    library, rival = next(iter(family.rivals.items()))
    network = rival(name, shape, CLASSES).double().eval()
    fill_torch(network)
    x = torch.tensor(second(drawn("input", (1, *shape))))
    maps, y = maps_of(network, family.stage_names(network), x)
    (y * torch.tensor(second(drawn("loss", _last(y).shape)))).sum().backward()
    return {
        "library": library,
        "input_shape": shape,
        "output": [_short(each) for each in _last(y).flatten()[:CLASSES]],
        "norms of maps": [_short(each.norm()) for each in maps],
        "norms of gradients": {
            name: _short(parameter.grad.norm()) for name, parameter in network.named_parameters()
        },
    }


def _last(y: torch.Tensor) -> torch.Tensor:
    return y.detach().movedim(1, -1)


def _short(value: torch.Tensor) -> float:
    """The value to 11 digits."""
    return float(f"{float(value):.11g}")


def main() -> None:
    """Writes the file."""
    quick = [name for name, family in families(NETWORKS).items() if name == family.quick]
    versions = {each.__name__: each.__version__ for each in (torch, torchvision, timm)}
    found = {"made by": versions, "networks": {name: record(name) for name in quick}}
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
