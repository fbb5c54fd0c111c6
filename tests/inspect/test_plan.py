"""Plans of traced models, against the plans of stacks and published numbers."""

import json
from fractions import Fraction

from flax import nnx
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.geometry import ReceptiveField
from jaxcnn.inspect import Plan, PlanRow, plan_of
from jaxcnn.nn import ConvSpec, PoolSpec, Stack, plan
from tests.inspect.known import networks


@st.composite
def stacks(draw):
    """An input shape and a few layers that fit it."""
    shape = (draw(st.integers(6, 20)), draw(st.integers(6, 20)), draw(st.integers(1, 3)))
    layers = []
    for _ in range(draw(st.integers(1, 3))):
        size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 2))
        pad = draw(st.integers(0, size - 1))
        if draw(st.booleans()):
            kind = draw(st.sampled_from(["max", "avg"]))
            # A pool whose windows are single cells is a slice, which joins the next layer.
            layers.append(PoolSpec(kind, size + 1, stride, pad // 2))
        else:
            bias = draw(st.booleans())
            layers.append(ConvSpec(4, size, stride, pad, activation="relu", use_bias=bias))
    try:
        plan(shape, layers)
    except InputError:
        assume(False)
    return shape, layers


@given(stacks())
def test_the_plan_of_a_traced_stack_is_the_plan_of_its_layers(drawn):
    shape, layers = drawn
    stack = nnx.eval_shape(lambda: Stack(shape, layers, rngs=nnx.Rngs(0)))
    built, traced = plan(shape, layers), plan_of(stack, shape)
    assert [
        row.name.partition(" (")[2].removeprefix("global ").split()[0] for row in traced.rows
    ] == [
        {"conv": "conv", "max": "max", "avg": "average"}[str(layer).partition(":")[0]]
        for layer in layers
    ]
    for found, row in zip(traced.rows, built.rows, strict=True):
        assert (found.output, found.field, found.lost) == (row.output, row.field, row.lost)
        assert (found.parameters, found.multiply_adds) == (row.parameters, row.multiply_adds)


def test_resnet18_has_its_published_size_and_cost():
    found = plan_of(networks.shapes_of(networks.ResNet18), (224, 224, 3))
    # Torchvision's table of models: 11,689,512 parameters, 1.81 billion multiply-adds.
    assert found.parameters == 11_689_512
    assert round(found.multiply_adds / 1e9, 2) == 1.81
    # Araujo et al., doi:10.23915/distill.00021 give 435 cells to the last block of ResNet-18.
    assert [field.size for field in found.rows[-3].field] == [435, 435]


cells = st.integers(-9, 9) | st.fractions(-9, 9)
fields = st.lists(st.builds(ReceptiveField, cells, cells, cells), min_size=2, max_size=2)


@given(st.just(()) | fields, st.none() | st.integers(0, 10**12))
def test_the_json_of_a_plan_holds_its_numbers(fields, multiply_adds):
    row = PlanRow("conv", (5, 5, 6), 60, multiply_adds, tuple(fields), (0, 1))
    (found,) = json.loads(Plan((7, 7, 1), (row,), ("a note",)).to_json())["rows"]
    assert found["multiply_adds"] == multiply_adds
    for field, each in zip(fields, found["field"], strict=True):
        for name, number in each.items():
            assert Fraction(number) == getattr(field, name)
