"""Every public function lowers for every platform, with the types that its documentation gives."""

import pytest

from jaxcnn import ops, reference
from jaxcnn.testing import assert_lowers
from tests.ops.calls import call_of, typed


@pytest.mark.parametrize("name", ops.__all__)
def test_every_operation_and_its_reference_lower_for_every_platform(name):
    arrays, returns = typed(name, "float32")
    for forms in (ops, reference) if name in reference.__all__ else (ops,):
        assert_lowers(call_of(forms, name), arrays, returns=returns)


def test_every_reference_has_a_fast_form():
    assert set(reference.__all__) <= set(ops.__all__)
