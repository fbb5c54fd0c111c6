"""Every assertion finds a wrong function and prints the problem; every law holds for jaxcnn."""

import re
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from hypothesis import assume, find, given
from hypothesis import strategies as st
from jax.extend.core import Primitive
from jax.interpreters import mlir

import jaxcnn
from jaxcnn import reference, testing
from jaxcnn.testing import (
    ConvProblem,
    PoolProblem,
    assert_adjoint,
    assert_gradients_match,
    assert_lowers,
    assert_matches_reference,
    assert_obeys_geometry,
    assert_refuses,
    assert_transforms,
    conv_problems,
    impossible_conv_problems,
    impossible_pool_problems,
    pool_problems,
)
from tests.cases import DTYPES, SEARCH, few, many
from tests.testing import broken

CONV = ConvProblem(size=(5,), kernel_size=(2,), in_channels=2, out_channels=2, use_bias=True)
PLAIN = ConvProblem(size=(5,), kernel_size=(2,))
LOW = ConvProblem(size=(5,), kernel_size=(2,), dtype="bfloat16")
REMAINDER = ConvProblem(size=(5,), kernel_size=(2,), stride=(2,))
TIES = PoolProblem(size=(12,), kernel_size=(3,), ties=True)
MAX = PoolProblem(size=(5,))
PADDED = PoolProblem(kind="avg", size=(5,), padding=((1, 0),))

FOUND = [
    (assert_obeys_geometry, broken.drops_the_last_output, CONV, "shape"),
    (assert_obeys_geometry, broken.shape_depends_on_tracing, CONV, "shape"),
    (assert_obeys_geometry, broken.returns_float32, LOW, "bfloat16"),
    (assert_refuses, broken.floors_without_notice, REMAINDER, r"shape \(1, 2, 1\) was returned"),
    (
        assert_matches_reference,
        broken.drops_the_last_output,
        CONV,
        r"shape \(1, 3, 2\) but expected \(1, 4, 2\)",
    ),
    (assert_matches_reference, broken.flips_the_kernel, CONV, "output, 6 roundings in float32"),
    (assert_matches_reference, broken.forgets_the_bias, CONV, "entries exceed their bound"),
    (assert_matches_reference, broken.multiplies_in_bfloat16, PLAIN, "roundings in float32: "),
    (assert_matches_reference, broken.is_a_little_more_than_the_maximum, MAX, "allowed is 0 "),
    (assert_matches_reference, broken.counts_the_padding, PADDED, r"at \[0, 0, 0\]"),
    *(
        (assert_gradients_match, partial(broken.scales_the_gradient, of=i), CONV, name)
        for i, name in enumerate(("gradient of x", "gradient of kernel", "gradient of bias"))
    ),
    (assert_gradients_match, broken.takes_the_last_of_equal_maxima, TIES, "gradient of x"),
    (assert_transforms, broken.differs_when_compiled, CONV, r"jit\(fn\) = fn"),
    (assert_transforms, broken.maps_over_the_kernel_wrongly, PLAIN, r"vmap\(fn\) over kernel"),
    (assert_transforms, broken.pulls_back_more_than_it_pushes, PLAIN, r"<J v, u> = <v, J\^T u>"),
]


@pytest.mark.parametrize(("law", "fn", "problem", "words"), FOUND)
def test_an_assertion_finds_a_wrong_function_and_prints_the_problem_as_a_call_to_paste(
    law, fn, problem, words
):
    with pytest.raises(AssertionError) as caught:
        law(fn, problem)
    message = str(caught.value)
    assert re.search(words, message), message
    printed = re.search(r"problem: (.*)", message)[1]
    assert eval(printed, vars(testing)) == problem


@pytest.mark.parametrize("law", [assert_matches_reference, assert_gradients_match])
def test_a_function_is_compared_with_the_reference_that_is_given(law):
    law(broken.flips_the_kernel, CONV, reference=broken.flips_the_kernel)
    with pytest.raises(AssertionError):
        law(jaxcnn.conv, CONV, reference=broken.flips_the_kernel)


@pytest.mark.parametrize("of", [0, 1, 2])
def test_central_differences_find_a_gradient_that_is_wrong_in_the_reference_too(of):
    wrong = partial(broken.scales_the_gradient, of=of)
    with pytest.raises(AssertionError, match=r"(?s)central difference.*along a direction"):
        assert_gradients_match(wrong, CONV, reference=wrong)


def test_an_exception_inside_a_function_is_reported_with_the_problem():
    def fails(*_, **__):
        raise KeyError("nothing here")

    with pytest.raises(AssertionError, match=r"(?s)ConvProblem.*KeyError: 'nothing here'"):
        assert_matches_reference(fails, CONV)


def test_assert_lowers_finds_a_primitive_without_a_rule_for_a_platform():
    only_cpu = Primitive("only_cpu")
    only_cpu.def_abstract_eval(lambda x: x)
    identity = mlir.lower_fun(lambda x: x, multiple_results=False)
    mlir.register_lowering(only_cpu, identity, platform="cpu")
    x = jnp.ones(3)
    assert_lowers(only_cpu.bind, (x,), platforms=("cpu",))
    with pytest.raises(AssertionError, match="does not hold: lowers for cpu, tpu"):
        assert_lowers(only_cpu.bind, (x,), platforms=("cpu", "tpu"))


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [((4,), "float32", r"shapes: \(3,\) != \(4,\)"), ((3,), "float16", "float32 != float16")],
)
def test_assert_lowers_finds_a_shape_or_dtype_that_was_not_expected(shape, dtype, words):
    returns = jax.ShapeDtypeStruct(shape, dtype)
    with pytest.raises(AssertionError, match=words):
        assert_lowers(jnp.sin, (jnp.ones(3),), returns=returns)


def test_hypothesis_shrinks_a_failure_to_a_small_problem():
    def fails(problem):
        try:
            assert_matches_reference(broken.flips_the_kernel, problem)
        except AssertionError:
            return True

    found = find(conv_problems(ranks=(1,)), fails, settings=SEARCH)
    assert found.kernel_size == (2,)
    assert (found.batch, found.in_channels, found.out_channels, found.groups) == (1, 1, 1, 1)
    assert found.size[0] <= 2


LAWS = (assert_obeys_geometry, assert_matches_reference, assert_gradients_match, assert_transforms)
POOLS = {"max": jaxcnn.max_pool, "avg": jaxcnn.avg_pool}


@given(st.data())
def test_every_law_holds_for_our_conv_and_pools(data):
    problem = data.draw(conv_problems(dtypes=DTYPES) | pool_problems(dtypes=DTYPES))
    ours = jaxcnn.conv if isinstance(problem, ConvProblem) else POOLS[problem.kind]
    data.draw(st.sampled_from(LAWS))(ours, problem)


@few
@given(conv_problems(dtypes=DTYPES))
def test_our_conv_transpose_is_the_adjoint_of_conv(problem):
    for ours in (jaxcnn.conv_transpose, reference.conv_transpose):
        try:
            assert_adjoint(ours, problem)
        except AssertionError as error:
            # An output that reads only padding goes back to an image of no cells, which is refused.
            assume("= 0 cells" not in str(error))
            raise


@many
@given(impossible_conv_problems(dtypes=DTYPES) | impossible_pool_problems(dtypes=DTYPES))
def test_our_conv_and_pools_refuse_every_impossible_problem(problem):
    ours = jaxcnn.conv if isinstance(problem, ConvProblem) else POOLS[problem.kind]
    assert_refuses(ours, problem)


def _forgets_the_groups(y, kernel, **kwargs):
    return jaxcnn.conv_transpose(y, kernel, **kwargs | {"groups": 1})


def _is_smaller(y, kernel, **kwargs):
    return jaxcnn.conv_transpose(y, kernel, **kwargs)[..., :-1, :]


def _adds_a_hundredth(y, kernel, **kwargs):
    return jaxcnn.conv_transpose(y, kernel, **kwargs) + jnp.asarray(0.01, y.dtype)


@pytest.mark.parametrize("wrong", [_forgets_the_groups, _is_smaller, _adds_a_hundredth])
def test_assert_adjoint_finds_a_function_that_is_not_the_adjoint(wrong):
    @few
    @given(conv_problems(ranks=(1, 2)).filter(lambda problem: problem.groups > 1))
    def found(problem):
        with pytest.raises(AssertionError, match="does not hold: fn is the adjoint of conv"):
            assert_adjoint(wrong, problem)

    found()


@few
@given(conv_problems(dtypes=("float64",), ranks=(1,)))
def test_64_bits_are_enabled_for_a_float64_problem_and_disabled_afterwards(problem):
    assert not jax.config.jax_enable_x64
    assert_matches_reference(jaxcnn.conv, problem)
    assert not jax.config.jax_enable_x64


WITHOUT_HYPOTHESIS = """
import sys
sys.modules["hypothesis"] = None
import jaxcnn
from jaxcnn.testing import ConvProblem, assert_gradients_match, assert_refuses
assert_gradients_match(jaxcnn.conv, ConvProblem())
try:
    assert_refuses(jaxcnn.conv, ConvProblem())
except AssertionError as error:
    print(str(error).splitlines()[0])
from jaxcnn.testing import conv_problems
"""


def test_without_hypothesis_the_laws_work_and_a_strategy_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HYPOTHESIS], capture_output=True, text=True, check=False
    )
    assert done.stdout == "does not hold: what the geometry refuses is refused\n", done.stderr
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "ImportError: jaxcnn.testing.conv_problems draws problems with hypothesis"
    )
    assert last.endswith('use: pip install "jaxcnn[testing]"')


def test_every_listed_name_is_there_and_another_raises_attribute_error():
    assert {name: getattr(testing, name) for name in testing.__all__}
    with pytest.raises(AttributeError, match=r"'jaxcnn\.testing' has no attribute 'other'"):
        _ = testing.other
