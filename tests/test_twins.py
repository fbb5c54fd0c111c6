"""Every operation has a reference in jaxcnn.reference, with the same name and signature."""

import inspect

import pytest

from jaxcnn import ops, reference
from tests.ops.calls import CALLS

LAYOUTS = {"kernel_from_keras", "kernel_from_torch", "kernel_to_keras", "kernel_to_torch"}
"""Conversions that move axes and compute nothing, so no definition to compare with exists."""


def test_every_operation_except_the_kernel_layouts_has_a_reference():
    assert set(ops.__all__) - set(reference.__all__) == LAYOUTS
    assert set(reference.__all__) <= set(ops.__all__)


@pytest.mark.parametrize("name", reference.__all__)
def test_an_operation_and_its_reference_have_the_same_signature(name):
    fast, definition = getattr(ops, name), getattr(reference, name)
    assert fast is not definition
    assert inspect.signature(fast) == inspect.signature(definition)
    assert inspect.get_annotations(fast) == inspect.get_annotations(definition)


def test_the_table_of_calls_has_every_operation():
    assert set(CALLS) == set(ops.__all__)
