"""Laws of the blocks and sizes of MobileNet, EfficientNet, ConvNeXt and U-Net."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.errors import Advice, InputError
from jaxcnn.models.convnext import ConvNeXtBlock
from jaxcnn.models.inverted import Block, InvertedResidual, multiple_of_8, stages_of
from jaxcnn.models.network import check_input
from jaxcnn.models.unet import unet_3d

sizes = st.integers(1, 60)


@given(sizes, sizes, st.sampled_from([3, 5]), st.sampled_from([1, 2]))
def test_an_inverted_residual_divides_every_size_by_its_stride_rounded_up(height, width, f, stride):
    block = Block(f, 12, 8, stride, 4, "relu")
    x = jax.ShapeDtypeStruct((2, height, width, 4), "float32")
    model = nnx.eval_shape(lambda: InvertedResidual(4, block, rngs=nnx.Rngs(0)))
    y = nnx.eval_shape(lambda model, x: model(x), model, x)
    assert y.shape == (2, -(-height // stride), -(-width // stride), 8)


@pytest.mark.parametrize(
    "build",
    [
        lambda rate, rngs: InvertedResidual(
            4, Block(3, 8, 4, 1, 2, "relu"), drop_rate=rate, rngs=rngs
        ),
        lambda rate, rngs: ConvNeXtBlock(4, drop_rate=rate, rngs=rngs),
    ],
    ids=["inverted", "convnext"],
)
def test_stochastic_depth_leaves_a_block_out_for_whole_examples(build):
    x = jnp.linspace(-1, 1, 32 * 3 * 3 * 4).reshape(32, 3, 3, 4)
    block = build(0.25, nnx.Rngs(1))
    if isinstance(block, ConvNeXtBlock):
        block.layer_scale.scale[...] = jnp.ones(4)
    y = block(x)
    block.set_attributes(nnx.Dropout, deterministic=True)
    left_out = np.asarray((y == x).all((1, 2, 3)))
    assert 0 < left_out.sum() < 32
    kept = ((block(x) - x) / 0.75 + x)[~left_out]
    np.testing.assert_allclose(y[~left_out], kept, rtol=1e-4, atol=1e-5)


def test_the_rates_of_stochastic_depth_rise_in_equal_steps_from_zero():
    rows = [[Block(3, 8, 4, 1, 0, "relu")] * 2, [Block(3, 8, 4, 1, 0, "relu")] * 3]
    (stage,) = stages_of(rows, 4, drop_rate=0.5, rngs=nnx.Rngs(0))
    rates = [layer.rate for row in stage for block in row for layer in block.drop]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.4])


@given(st.floats(0, 5000))
def test_channels_are_a_multiple_of_8_that_loses_less_than_a_tenth(channels):
    got = multiple_of_8(channels)
    assert got % 8 == 0
    assert 0.9 * channels <= got <= max(8, channels + 8)


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=3),
    st.sampled_from([1, 8, 16, 32]),
    st.integers(0, 3),
)
def test_sizes_that_do_not_fit_are_refused_with_the_nearest_ones(spatial, factor, multiples):
    shape, least = (*spatial, 3), max(1, multiples * factor)

    def check(shape):
        return check_input(shape, None, len(spatial), least=least, multiple=factor)

    if all(size % factor == 0 and size >= least for size in spatial):
        assert check(shape) == shape
        return
    with pytest.raises(InputError) as caught:
        check(shape)
    (advice,) = caught.value.advice
    assert isinstance(advice, Advice)
    for values in advice.values:
        assert check(values) == values
        for size, other in zip(shape, values, strict=True):
            assert abs(size - other) < factor or other == max(least, factor)


def test_the_3d_unet_has_the_parameters_of_the_paper_and_the_scales_of_its_norms():
    model = nnx.eval_shape(lambda: unet_3d((8, 8, 8, 3), rngs=nnx.Rngs(0)))
    parameters = nnx.to_flat_state(nnx.state(model, nnx.Param))
    counted = sum(leaf.size for path, leaf in parameters if path[-1] != "scale")
    assert counted == 19_069_955
