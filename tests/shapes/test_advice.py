"""What the errors of shapes advise is possible."""

import re

import pytest
from hypothesis import given

from jaxcnn.errors import InputError
from jaxcnn.shapes import conv_shapes, pool_shapes
from jaxcnn.testing import impossible_conv_problems
from tests.cases import many


@many
@given(impossible_conv_problems().filter(lambda problem: problem.groups > 1))
def test_the_groups_that_an_error_advises_are_possible(problem):
    try:
        problem.shapes()
    except InputError as error:
        (way,) = error.advice if error.args[0].startswith("groups") else (None,)
    except TypeError:
        return
    if way is None:
        return
    kernel = problem.kernel_shape
    if isinstance(way, str):
        found = re.fullmatch(r"groups=(\d+) with a kernel of shape \(([\d, ]+)\)", way)
        groups, kernel = int(found[1]), tuple(map(int, found[2].split(",")))
        assert kernel[:-2] == problem.kernel_size
    else:
        (groups,) = way.values
    ones = (1,) * len(problem.kernel_size)
    shapes = conv_shapes((*ones, problem.in_channels), (*ones, *kernel[-2:]), groups=groups)
    assert shapes.groups == groups


@pytest.mark.parametrize(
    ("x", "kernel", "groups"), [((7, 7, 6), (3, 3, 3, 4), 1), ((7, 7, 3), (3, 3, 5, 4), 1)]
)
def test_the_kernel_that_an_error_about_channels_advises_is_possible(x, kernel, groups):
    with pytest.raises(InputError) as caught:
        conv_shapes(x, kernel, groups=groups)
    message = str(caught.value)
    shape = tuple(map(int, re.search(r"a kernel of shape \(([\d, ]+)\)", message)[1].split(",")))
    assert conv_shapes(x, shape, groups=groups).output == (5, 5, 4)
    if found := re.search(r"or groups=(\d+)", message):
        assert conv_shapes(x, kernel, groups=int(found[1])).groups == int(found[1])


def test_the_padding_that_a_pool_of_padding_alone_advises_is_possible():
    with pytest.raises(InputError, match=r"output 0 .* Use padding=\(\(1, 0\),\)\."):
        pool_shapes((4, 1), (2,), stride=1, padding=[(2, 0)])
    assert pool_shapes((4, 1), (2,), stride=1, padding=[(1, 0)]).output == (4, 1)
