"""A plan as JSON holds the numbers of the plan, whole or not."""

import json
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.geometry import Plan, PlanRow, ReceptiveField

cells = st.integers(-9, 9) | st.fractions(-9, 9)
fields = st.lists(st.builds(ReceptiveField, cells, cells, cells), min_size=2, max_size=2)


@given(st.just(()) | fields, st.none() | st.integers(0, 10**12))
def test_a_plan_as_json_holds_its_numbers(fields, multiply_adds):
    row = PlanRow("conv", (5, 5, 6), 60, multiply_adds, tuple(fields), (0, 1))
    (found,) = json.loads(Plan((7, 7, 1), (row,), ("a note",)).to_json())["rows"]
    assert found["multiply_adds"] == multiply_adds
    for field, each in zip(fields, found["field"], strict=True):
        for name, number in each.items():
            assert Fraction(number) == getattr(field, name)
