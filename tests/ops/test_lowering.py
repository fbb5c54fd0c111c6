"""Every public function lowers for every platform, with the types that its documentation gives."""

from functools import partial

import jax
import pytest

from jaxcnn import ops, reference
from jaxcnn.testing import assert_lowers

X, KERNEL, BIAS = (2, 8, 8, 4), (3, 3, 4, 6), (6,)
WINDOW = {"window": (2, 2)}

# name: shapes of the arrays, other arguments, shapes of what is returned
CALLS = {
    "adaptive_avg_pool": ([X], {"output_size": (3, 3)}, [(2, 3, 3, 4)]),
    "adaptive_max_pool": ([X], {"output_size": (3, 3)}, [(2, 3, 3, 4)]),
    "avg_pool": ([X], WINDOW, [(2, 4, 4, 4)]),
    "blur_pool": ([X], {"rounding": "floor"}, [(2, 4, 4, 4)]),
    "causal_conv": ([(2, 8, 4), (3, 4, 6), BIAS], {}, [(2, 8, 6)]),
    "causal_conv_state": ([(3, 4, 6)], {"batch": 2}, [(2, 2, 4)]),
    "causal_conv_stream": ([(2, 8, 4), (2, 2, 4), (3, 4, 6), BIAS], {}, [(2, 8, 6), (2, 2, 4)]),
    "conv": ([X, KERNEL, BIAS], {"padding": 1}, [(2, 8, 8, 6)]),
    "conv_transpose": ([(2, 8, 8, 6), KERNEL, (4,)], {"stride": 2}, [(2, 17, 17, 4)]),
    "depthwise_conv": ([X, (3, 3, 4, 2), (8,)], {}, [(2, 6, 6, 8)]),
    "global_avg_pool": ([X], {}, [(2, 4)]),
    "global_lp_pool": ([X], {}, [(2, 4)]),
    "global_max_pool": ([X], {}, [(2, 4)]),
    "kernel_from_keras": ([KERNEL], {}, [KERNEL]),
    "kernel_from_torch": ([(6, 4, 3, 3)], {}, [KERNEL]),
    "kernel_to_keras": ([KERNEL], {}, [KERNEL]),
    "kernel_to_torch": ([KERNEL], {}, [(6, 4, 3, 3)]),
    "local_conv": ([X, (6, 6, *KERNEL), (6, 6, 6)], {}, [(2, 6, 6, 6)]),
    "lp_pool": ([X], WINDOW, [(2, 4, 4, 4)]),
    "max_pool": ([X], WINDOW, [(2, 4, 4, 4)]),
    "max_pool_with_indices": ([X], WINDOW, [(2, 4, 4, 4)] * 2),
    "max_unpool": ([(2, 4, 4, 4)] * 2, {"output_size": (8, 8)}, [X]),
    "min_pool": ([X], WINDOW, [(2, 4, 4, 4)]),
    "pad": ([X], {"padding": 1, "boundary": "reflect"}, [(2, 10, 10, 4)]),
    "pixel_shuffle": ([X], {"factor": 2}, [(2, 16, 16, 1)]),
    "pixel_unshuffle": ([X], {"factor": 2}, [(2, 4, 4, 16)]),
    "separable_conv": ([X, (3, 3, 4, 2), (1, 1, 8, 6), BIAS], {}, [(2, 6, 6, 6)]),
}


@pytest.mark.parametrize("name", ops.__all__)
def test_it_lowers_for_every_platform_in_both_forms(name):
    shapes, kwargs, returned = CALLS[name]
    arrays = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    returns = [jax.ShapeDtypeStruct(shape, "float32") for shape in returned]
    if name == "max_unpool":
        arrays[1] = jax.ShapeDtypeStruct(shapes[1], "int32")
    if name == "max_pool_with_indices":
        returns[1] = jax.ShapeDtypeStruct(returned[1], "int32")
    for forms in (ops, reference) if name in reference.__all__ else (ops,):
        assert_lowers(partial(getattr(forms, name), **kwargs), arrays, returns=returns)


def test_no_definition_is_without_a_fast_form():
    assert set(reference.__all__) <= set(ops.__all__)
