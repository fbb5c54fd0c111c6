"""The constructors of networks take what they can use, and refuse the rest in words to type."""

from __future__ import annotations

import inspect

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn.errors import Advice, InputError
from jaxcnn.models import build
from jaxcnn.models.network import stochastic_depth
from jaxcnn.models.registry import NETWORKS

SOME = {
    "digits": (1, 45, 3),
    "residual": (1, 45, 3),
    "lenet5": (1, 45, 1),
    "vgg11": (1, 45, 3),
    "resnet18": (1, 45, 3),
    "regnet_y_400mf": (1, 45, 3),
    "mobilenet_v3_small": (1, 45, 3),
    "convnext_tiny": (1, 45, 3),
    "unet": (1, 45, 2),
    "unet_3d": (1, 8, 9, 2),
    "dcgan": (3,),
    "densenet121": (1, 45, 3),
    "mobilenet_v2": (1, 45, 3),
    "efficientnet_b0": (1, 45, 3),
}
"""A network of each family, and an input that is small and no multiple of anything."""

DEEP = ("convnext_tiny", "densenet121", "mobilenet_v2", "efficientnet_b0")

some_network = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in DEEP else ()) for name in SOME]
)
each_network = pytest.mark.parametrize("name", NETWORKS)


def output(name, shape, x_shape=None, classes=7):
    """The shape of the output for two inputs; nothing is computed."""

    def call():
        model = NETWORKS[name].build(shape, classes, rngs=nnx.Rngs(0))
        return model(jnp.ones((2, *(x_shape or shape))))

    return nnx.eval_shape(call).shape


@some_network
def test_an_input_is_accepted_or_answered_with_inputs_that_are(name):
    shapes = [SOME[name]]
    try:
        NETWORKS[name].build(SOME[name], 7, rngs=None)
    except InputError as error:
        (advice,) = error.advice
        assert isinstance(advice, Advice)
        assert advice.argument == "input_shape"
        shapes = advice.values
    except (AttributeError, TypeError):  # accepted, and then there are no random streams
        pass
    for shape in shapes:
        assert output(name, shape)[0] == 2


@pytest.mark.parametrize(
    ("name", "least"),
    [("vgg11", 32), ("lenet5", 16), pytest.param("densenet121", 29, marks=pytest.mark.slow)],
)
def test_the_least_size_is_the_least_of_which_the_layers_leave_a_cell(name, least):
    assert output(name, (least, least, 3)) == (2, 7)
    with pytest.raises(InputError, match=f"has a size below {least}, .*=\\({least}, 40, 3\\)"):
        output(name, (least - 1, 40, 3))
    with pytest.raises(InputError):
        output(name, (least, least, 3), (least - 1, least, 3))


@each_network
@pytest.mark.parametrize("classes", [0, -3])
def test_too_few_classes_are_refused_as_classes(name, classes):
    published = NETWORKS[name]
    with pytest.raises(InputError, match=r"^classes must be an integer >= 1"):
        published.build(published.input_shape, classes, rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match=r"^classes must be an integer >= 1, got '10'"):
        published.build(published.input_shape, "10", rngs=nnx.Rngs(0))


@each_network
def test_a_constructor_has_the_published_form_and_answers_other_names(name):
    published = NETWORKS[name]
    parameters = inspect.signature(published.build).parameters
    assert list(parameters) == ["input_shape", "classes", "rngs"]
    assert parameters["classes"].default == published.classes
    with pytest.raises(TypeError, match=f"^{name} has no argument num_classes; use classes"):
        published.build(published.input_shape, num_classes=3, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"^input_shape must be "):
        published.build((*published.input_shape, 1, 1), rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"^input_shape\[0\] must be an integer >= 1"):
        published.build((0, *published.input_shape[1:]), rngs=nnx.Rngs(0))


def test_build_answers_the_old_name_of_its_input():
    with pytest.raises(TypeError, match="build has no argument image_shape; use input_shape"):
        build("digits", image_shape=(28, 28, 1), classes=10, rngs=nnx.Rngs(0))


def test_a_network_without_classes_gives_the_features_before_its_last_layer():
    assert output("residual", (9, 12, 3), classes=None) == (2, 128)
    assert output("digits", (9, 12, 3), classes=None) == (2, 3, 3, 64)


def test_stochastic_depth_takes_whole_examples_and_keeps_the_mean():
    layer = stochastic_depth(0.5, nnx.Rngs(0))
    y = np.asarray(layer(jnp.ones((200, 2, 3, 4))))
    of_examples = y[:, 0, 0, 0]
    assert set(of_examples) == {0.0, 2.0}
    np.testing.assert_array_equal(y, np.broadcast_to(of_examples[:, None, None, None], y.shape))
    assert 60 < (of_examples > 0).sum() < 140  # 4 deviations of 7 are 28
    layer.eval()
    np.testing.assert_array_equal(layer(jnp.ones((2, 2, 3, 4))), 1)
