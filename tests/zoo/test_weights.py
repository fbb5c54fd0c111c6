"""A file of another library's weights is loaded whole, and written again with the same bytes."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.models import load, save
from jaxcnn.models.registry import NETWORKS
from jaxcnn.models.weights.files import read
from jaxcnn.models.weights.names import places
from tests.models.formula import CLASSES
from tests.zoo.parity import fill_torch
from tests.zoo.rivals import FAMILIES, families

pytestmark = pytest.mark.zoo

FAMILY_OF = families(NETWORKS)
QUICK = {family.quick for family in FAMILIES.values()}
CASES = [
    pytest.param(name, library, marks=() if name in QUICK else pytest.mark.slow)
    for name, family in FAMILY_OF.items()
    for library in family.rivals
    if library in NETWORKS[name].names
]


def rival_of(name, library):
    family = FAMILY_OF[name]
    network = family.rivals[library](name, family.sizes[0], CLASSES)
    fill_torch(network)
    return network


@pytest.mark.parametrize(("name", "library"), CASES)
def test_keys_and_shapes_are_those_of_the_library(name, library):
    network, shape = NETWORKS[name], FAMILY_OF[name].sizes[0]
    model = nnx.eval_shape(lambda: network.build(shape, CLASSES, rngs=nnx.Rngs(0)))
    found = places(model, library, network.names)
    ours = {key: place.shape for key, place in found.items()}
    ours |= {place.count: () for place in found.values() if place.count}
    rival = FAMILY_OF[name].rivals[library](name, shape, CLASSES)
    assert ours == {key: tuple(value.shape) for key, value in rival.state_dict().items()}


def bytes_of(path):
    return {k: (v.dtype, v.shape, v.tobytes()) for k, v in read(path).tensors.items()}


@pytest.mark.parametrize(("name", "library"), CASES)
def test_weights_of_another_library_come_in_and_go_out_bit_for_bit(name, library, tmp_path):
    state = rival_of(name, library).state_dict()
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            value.fill_(len(key))
    safetensors.torch.save_file(state, tmp_path / "in.safetensors")
    size = FAMILY_OF[name].sizes[0]
    model = load(name, tmp_path / "in.safetensors", input_shape=size)
    save(model, tmp_path / "out.safetensors", names=library)
    assert bytes_of(tmp_path / "out.safetensors") == bytes_of(tmp_path / "in.safetensors")


@pytest.mark.parametrize("wrap", ["", "state_dict", "model"])
@pytest.mark.parametrize("parallel", [False, True])
def test_a_file_of_torch_save_is_read(wrap, parallel, tmp_path):
    network = rival_of("resnet18", "torchvision").to(torch.bfloat16)
    state = (torch.nn.DataParallel(network) if parallel else network).state_dict()
    wrapped = {wrap: state, "epoch": 3, "optimizer": {"lr": 0.1}} if wrap else state
    torch.save(wrapped, tmp_path / "in.pth")
    size = FAMILY_OF["resnet18"].sizes[0]
    model = load("resnet18", tmp_path / "in.pth", input_shape=size)
    save(model, tmp_path / "out.safetensors", names="torchvision")
    again = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert set(again) == set(network.state_dict())
    for key, value in network.state_dict().items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=0)
    network.load_state_dict(again)


def test_what_torch_would_execute_is_refused(tmp_path):
    network = torch.nn.Linear(2, 3)
    cases = {
        "whole.pth": (network, {}, "does not hold tensors alone"),
        "two.pth": (
            {"model": network.state_dict(), "ema": network.state_dict()},
            {},
            r"but 2 of them: 'model', 'ema'; save one with torch.save\(checkpoint\['model'\], path",
        ),
        "none.pth": ([1, 2], {}, "does not hold one dictionary of tensors"),
        "old.pth": (
            network.state_dict(),
            {"_use_new_zipfile_serialization": False},
            "is a pickle, which could execute anything and is not loaded; convert it where",
        ),
        "sparse.pth": ({"a": torch.eye(3).to_sparse()}, {}, "a is no plain array"),
    }
    for name, (content, options, words) in cases.items():
        torch.save(content, tmp_path / name, **options)
        with pytest.raises(InputError, match=words) as error:
            load("resnet18", tmp_path / name)
        assert "\n" not in str(error.value)
    half = (tmp_path / "two.pth").read_bytes()[:-300]
    (tmp_path / "half.pth").write_bytes(half)
    with pytest.raises(InputError, match="does not hold tensors alone"):
        load("resnet18", tmp_path / "half.pth")
