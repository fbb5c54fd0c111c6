"""Every public function lowers for every platform, with the types that its documentation gives."""

import pytest

from jaxcnn import ops, reference
from jaxcnn.testing import assert_lowers
from tests.ops.calls import call_of, typed


@pytest.mark.parametrize("name", ops.__all__)
def test_every_operation_lowers_for_every_platform_in_both_forms(name):
    arrays, returns = typed(name, "float32")
    for forms in (ops, reference) if name in reference.__all__ else (ops,):
        assert_lowers(call_of(forms, name), arrays, returns=returns)
