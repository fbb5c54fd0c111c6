"""Plans of traced models, against published numbers."""

import json
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.geometry import ReceptiveField
from jaxcnn.inspect import Plan, PlanRow, plan_of
from tests.inspect.known import networks


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
