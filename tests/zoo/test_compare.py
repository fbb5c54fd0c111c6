"""``compare`` finds the layer at which two networks part, and the option that is another."""

import copy
import tempfile

import numpy as np
import pytest
import torch
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from jaxcnn.errors import InputError
from jaxcnn.models import compare, load, residual
from jaxcnn.models.network import Chain
from jaxcnn.models.weights.files import write
from jaxcnn.models.weights.names import from_torch, to_torch, torch_name, variables
from jaxcnn.nn import (
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    GlobalAvgPool,
    MaxPool,
    SqueezeExcite,
    Upsample,
)
from tests.models.formula import CLASSES
from tests.zoo.rivals import families

pytestmark = pytest.mark.zoo

RULES = ((r"^0$", "first"), (r"^1$", "norm"), (r"^6\.", "gate."), (r"^9$", "last"))
IMAGES = np.random.default_rng(0).normal(size=(2, 13, 10, 4))


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.squeeze, self.expand = nn.Linear(6, 2), nn.Linear(2, 6)
        self.activation = torch.relu

    def forward(self, x):
        y = self.expand(self.activation(self.squeeze(x.mean((2, 3)))))
        return x * torch.sigmoid(y)[:, :, None, None]


class Theirs(nn.Module):
    """A network with a layer of each kind."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=True)
        self.max = nn.MaxPool2d(2, 1, padding=1)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.avg = nn.AvgPool2d(3, 1, padding=1)
        self.gate = Gate()
        self.last = nn.Linear(6, 5)

    def forward(self, x):
        y = self.act(self.norm(self.first(x)))
        y = self.gate(self.avg(self.up(self.max(y))))
        return self.last(y.mean((2, 3)))


def networks():
    """The two networks with the same weights."""
    torch.manual_seed(0)
    theirs = Theirs()
    for value in theirs.state_dict().values():
        if value.ndim == 1:
            value.uniform_(0.5, 1)
    rngs = nnx.Rngs(0)
    ours = Chain(
        [
            Conv(4, 6, (3, 3), stride=2, padding=1, groups=2, rounding="floor", rngs=rngs),
            BatchNorm(6, rngs=rngs),
            nnx.relu,
            MaxPool((2, 2), stride=1, padding=1),
            Upsample(2, method="linear"),
            AvgPool((3, 3), stride=1, padding=1, count_include_pad=True),
            SqueezeExcite(6, 2, rngs=rngs),
            lambda x: x,
            GlobalAvgPool(keepdims=False),
            Dense(6, 5, rngs=rngs),
        ]
    )

    class Ours(nnx.Module):
        def __init__(self):
            self.layers = ours

        def __call__(self, x):
            return self.layers(x)

    model = Ours()
    rules = tuple((pattern.replace("^", r"^layers\."), name) for pattern, name in RULES)
    state = theirs.state_dict()
    for path, variable in variables(model).items():
        value = state[torch_name(path, rules)].numpy()
        variable[...] = from_torch(value, path, variable.shape)
    return model, theirs, rules


MODEL, THEIRS, NAMES = networks()
ORDER = ("first", "norm", "max", "up", "avg", "gate.squeeze", "gate.expand", "last")

CHANGES = [
    ("first", {"padding": (0, 1)}, "padding (1, 1) here, ((0, 0), (1, 1)) there"),
    ("first", {"padding": (1, 0)}, "padding (1, 1) here, ((1, 1), (0, 0)) there"),
    ("first", {"stride": (1, 1)}, "stride 2 here, 1 there"),
    ("first", {"dilation": (2, 1)}, "dilation 1 here, (2, 1) there"),
    ("first", {"padding_mode": "circular"}, "padding_mode zeros here, circular there"),
    ("first", {"bias": None}, "no bias there"),
    ("norm", {"eps": 1e-3}, "epsilon 1e-05 here, 0.001 there"),
    ("max", {"kernel_size": 3}, "kernel_size 2 here, 3 there"),
    ("max", {"dilation": 2}, "dilation 1 here, 2 there"),
    ("max", {"padding": 0}, "padding (1, 1) here, (0, 0) there"),
    ("max", {"stride": 2, "ceil_mode": True}, "rounding floor here, ceil there"),
    ("up", {"align_corners": True}, "coordinates half_pixel here, align_corners there"),
    ("up", {"mode": "nearest"}, "method linear here, floor there"),
    ("avg", {"count_include_pad": False}, "count_include_pad True here, False there"),
]
ACTIVATIONS = {
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
    "hard_swish": nn.Hardswish(),
    "tanh": nn.Tanh(),
    "linear": nn.Identity(),
}


def changed(name, options):
    theirs = copy.deepcopy(THEIRS)
    layer = theirs.get_submodule(name)
    for option, value in options.items():
        setattr(layer, option, value)
    if "padding_mode" in options:
        layer._reversed_padding_repeated_twice = [1, 1, 1, 1]
    return theirs


def test_networks_that_agree_have_no_difference():
    found = compare(MODEL, THEIRS, IMAGES, rules=NAMES)
    assert found.first is None
    assert [row.name for row in found.rows] == [*ORDER, "Theirs"]
    assert all(row.difference < row.allowed / 16 < 1e-12 for row in found.rows)
    assert (found.ours_alone, found.theirs_alone, found.notes) == ((), (), ())
    assert str(found).endswith("\nno difference in 9 rows")


@pytest.mark.parametrize(("name", "options", "reason"), CHANGES)
def test_a_changed_option_is_found_at_its_layer_with_both_values(name, options, reason):
    found = compare(MODEL, changed(name, options), IMAGES, rules=NAMES)
    assert found.first.name == name
    assert reason in found.first.reasons
    assert all(not row.reasons for row in found.rows if row is not found.first)
    assert f"first difference: {found.first.path} ({name})\n  " in str(found)


@given(st.sampled_from(sorted(THEIRS.state_dict())), st.sampled_from([1e-6, 0.1]))
def test_a_changed_weight_is_found_at_its_layer(key, share):
    theirs = copy.deepcopy(THEIRS)
    value = theirs.state_dict()[key]
    name, _, leaf = key.rpartition(".")
    if not value.is_floating_point():
        value += 1  # the count of batches changes nothing
        assert compare(MODEL, theirs, IMAGES, rules=NAMES).first is None
        return
    value *= 1 + share
    found = compare(MODEL, theirs, IMAGES, rules=NAMES).first
    assert found.name == name
    assert [reason.partition(":")[0] for reason in found.reasons] == [f"other values of {leaf}"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_another_activation_between_two_layers_is_named(activation):
    theirs = copy.deepcopy(THEIRS)
    theirs.act = ACTIVATIONS[activation]
    found = compare(MODEL, theirs, IMAGES, rules=NAMES)
    assert found.first.name == "max"
    after = "after layers.1 (norm) comes relu here"
    assert found.first.reasons == (f"{after}, {activation} there",)


def test_an_activation_within_a_layer_is_named():
    theirs = changed("gate", {"activation": nn.functional.silu})
    found = compare(MODEL, theirs, IMAGES, rules=NAMES).first
    assert found.name == "gate.expand"
    assert found.reasons == ("after layers.6.squeeze (gate.squeeze) comes relu here, silu there",)


def test_two_faults_are_both_found():
    theirs = changed("norm", {"eps": 1e-3})
    theirs.last.weight.data *= 2
    found = compare(MODEL, theirs, IMAGES, rules=NAMES)
    assert [row.name for row in found.rows if row.reasons] == ["norm", "last"]
    assert str(found).splitlines()[-1].startswith("  layers.9: other values of weight: they differ")


def test_a_network_that_stops_is_compared_up_to_there():
    theirs = changed("first", {"padding": (0, 0)})
    theirs.norm = nn.BatchNorm2d(7)
    found = compare(MODEL, theirs, IMAGES, rules=NAMES)
    assert [row.name for row in found.rows] == ["first"]
    assert found.first.reasons == ("padding (1, 1) here, (0, 0) there",)
    assert found.notes[0].startswith("PyTorch's stops, RuntimeError: ")
    assert found.notes[0].endswith("; the images are (2, 13, 10, 4)")


def test_layers_without_a_counterpart_are_listed():
    theirs = copy.deepcopy(THEIRS)
    theirs.extra = nn.Linear(2, 2)
    found = compare(MODEL, theirs, IMAGES, rules=NAMES[:1] + NAMES[2:])
    assert found.ours_alone == tuple(
        f"layers.1.{each}" for each in ("bias", "mean", "scale", "var")
    )
    assert set(found.theirs_alone) == {
        "extra.bias",
        "extra.weight",
        *(f"norm.{each}" for each in ("weight", "bias", "running_mean", "running_var")),
    }
    assert "only in PyTorch's: " in str(found)


def test_neither_network_is_changed():
    theirs = copy.deepcopy(THEIRS).train()
    before = {key: value.clone() for key, value in theirs.state_dict().items()}
    MODEL.train()
    compare(MODEL, theirs, IMAGES, rules=NAMES)
    assert theirs.training
    assert not any(module._forward_hooks for module in theirs.modules())
    assert MODEL.layers[1].use_running_average is False
    assert MODEL.layers[1].mean.dtype == np.float32
    assert type(MODEL.layers[1]).__call__.__name__ == "__call__"
    for key, value in theirs.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])


def test_the_rules_of_a_network_of_the_package_are_found():
    rival = families(["resnet18"])["resnet18"].rivals["huggingface"]
    theirs = rival("resnet18", (32, 32, 3), CLASSES).eval()
    path = f"{tempfile.mkdtemp()}/a.safetensors"
    write(path, {key: value.numpy() for key, value in theirs.state_dict().items()})
    model = load("resnet18", path, input_shape=(32, 32, 3))
    images = IMAGES[:1, :, :, :3]
    assert compare(model, theirs, images).first is None
    conv = theirs.resnet.encoder.stages[1].layers[0].layer[0].convolution
    conv.padding = (0, 0)
    first = compare(model, theirs, images).first
    assert first.path == "stages.1.0.conv1.conv"
    assert first.reasons == ("padding (1, 1) here, (0, 0) there",)


class Calling(nnx.Module):
    """A convolution and a pool that are called twice, and what is done between them."""

    def __init__(self, between, activation="linear"):
        rngs = nnx.Rngs(0)
        self.conv = Conv(4, 4, (3, 3), padding=1, activation=activation, rngs=rngs)
        self.norm = BatchNorm(4, rngs=rngs)
        self.pool = MaxPool((2, 2), stride=1)
        self.between = between

    def __call__(self, x):
        y = self.pool(self.norm(self.between(self.conv(x))))
        return self.pool(self.conv(y))


class NormAct(nn.BatchNorm2d):
    """A norm whose activation is its submodule, as timm's."""

    def __init__(self, channels, act):
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), act

    def forward(self, x):
        return self.act(self.drop(super().forward(x)))


class TheirCalls(nn.Module):
    def __init__(self, ours, between, act=None, after=lambda y: y):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(2, 1)
        self.norm = NormAct(4, act or nn.Identity())
        self.between, self.after = between, after
        for path, variable in variables(ours).items():
            value = torch.tensor(to_torch(variable[...], path))
            self.state_dict()[torch_name(path, ())].copy_(value)

    def forward(self, x):
        y = self.pool(self.norm(self.between(self.conv(x))))
        return self.after(self.pool(self.after(self.conv(y))))


def test_a_layer_that_is_called_twice_has_two_rows():
    ours = Calling(nnx.relu)
    found = compare(ours, TheirCalls(ours, torch.relu), IMAGES, rules=())
    assert [row.name for row in found.rows] == [
        *("conv", "norm", "pool", "conv", "pool", "TheirCalls")
    ]
    assert found.first is None
    found = compare(ours, TheirCalls(ours, torch.relu, after=lambda y: 2 * y), IMAGES, rules=())
    assert [row.differs for row in found.rows] == [False, False, False, False, True, True]


def test_a_norm_is_compared_before_the_activation_in_it():
    ours = Calling(nnx.tanh)
    theirs = TheirCalls(ours, torch.tanh, nn.ReLU(inplace=True))
    found = compare(ours, theirs, IMAGES, rules=()).first
    assert found.reasons == ("after norm (norm) comes linear here, relu there",)
    theirs.norm.eps = 1e-3
    found = compare(ours, theirs, IMAGES, rules=()).first
    assert (found.name, found.reasons) == ("norm", ("epsilon 1e-05 here, 0.001 there",))


@pytest.mark.parametrize(
    ("between", "theirs", "reason"),
    [
        (lambda y: 2 * y, torch.relu, "its input is another already, though conv (conv) gives"),
        (lambda y: y, torch.tanh, "after conv (conv) comes relu here, tanh there"),
    ],
)
def test_what_is_between_two_layers_is_named_only_if_it_is_known(between, theirs, reason):
    ours = Calling(between, activation="relu")
    found = compare(ours, TheirCalls(ours, theirs), IMAGES, rules=()).first
    assert found.name == "norm"
    assert found.reasons[0].startswith(reason)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TypeError, match=r"model must be a Flax NNX module, got int"):
        compare(3, THEIRS, IMAGES)
    for images in ("abc", [[1, 2], [3]]):
        with pytest.raises(TypeError, match=r"images must be an array \(N, \*spatial, C\) of num"):
            compare(MODEL, THEIRS, images)
    with pytest.raises(TypeError, match=r"torch_model must be a torch.nn.Module, got int"):
        compare(MODEL, 3, IMAGES)
    with pytest.raises(InputError, match=r"images must be a batch .*, got the shape \(3, 3\)"):
        compare(MODEL, THEIRS, np.zeros((3, 3)))
    with pytest.raises(
        InputError, match="no weight of the model has the name of one of the Theirs"
    ):
        compare(residual((8, 8, 3), 2, rngs=nnx.Rngs(0)), THEIRS, np.zeros((1, 8, 8, 3)))
