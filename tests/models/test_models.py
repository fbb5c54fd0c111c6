"""Models by name give one number for each class of images of any size, or say what is wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import example, given
from hypothesis import strategies as st

from jaxcnn.errors import InputError
from jaxcnn.inspect import lint
from jaxcnn.models import build, default_name, load_model, names
from jaxcnn.models.halving import halved, halving_kernel
from jaxcnn.models.residual import Block
from jaxcnn.nn import Stack

NETS = """
import jax
import jax.numpy as jnp
from flax import nnx

class Net(nnx.Module):
    def __init__(self, classes, *, rngs, width=3):
        self.linear = nnx.Linear(width, classes, rngs=rngs)

    def __call__(self, x):
        return self.linear(x.mean((1, 2)))

def three(rngs):
    return Net(3, rngs=rngs)

def none():
    return Net(5, rngs=nnx.Rngs(0))

def everything(**given):
    assert sorted(given) == ["classes", "input_shape", "rngs"], given
    return Net(given["classes"], rngs=given["rngs"])

def shape(input_shape, classes, rngs=None):
    return nnx.Sequential(lambda x: jnp.zeros((len(x), *(1,) * len(input_shape), classes)))

def plain():
    return lambda x: x

def pair():
    return nnx.Sequential(lambda x: (x, x))

def breaks():
    return nnx.Sequential(lambda x: x.reshape(7))

def raises():
    return helper()

def helper():
    return {}["no such thing"]

def needs(depth):
    return depth
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The name of a module of models in the current folder, different in every test."""
    name = f"nets_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def _build(name, shape=(8, 8, 3), classes=5):
    return build(name, shape, classes, rngs=nnx.Rngs(0))


def _shapes(name, shape, classes):
    """The shapes of the output for two images and of the parameters; nothing is computed."""
    model = nnx.eval_shape(lambda: _build(name, shape, classes))
    graph, state = nnx.split(model)
    x = jax.ShapeDtypeStruct((2, *shape), "float32")
    y = jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, x)
    return y.shape, [leaf.shape for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))]


ANY_SIZE = ("digits", "residual")
"""The networks for images of every size."""

sizes = st.integers(1, 70)


@given(st.sampled_from(ANY_SIZE), sizes, sizes, st.integers(1, 4), st.integers(2, 1000))
@example("digits", 1, 1, 1, 2)
@example("residual", 1, 1, 4, 2)
def test_a_model_gives_one_number_for_each_class_whatever_the_images(
    name, height, width, channels, classes
):
    output, _ = _shapes(name, (height, width, channels), classes)
    assert output == ((2, 1, 1, classes) if name == "digits" else (2, classes))


@given(st.sampled_from(ANY_SIZE), st.integers(20, 60), st.integers(20, 60))
def test_no_model_loses_cells_or_shifts_its_windows(name, height, width):
    model = nnx.eval_shape(lambda: _build(name, (height, width, 3)))
    codes = ["JC001", "JC003"]
    assert lint(model, (height, width, 3), select=codes).findings == ()


@given(st.integers(1, 999))
def test_a_halving_kernel_halves_exactly_with_the_same_padding_on_both_sides(size):
    (kernel,) = halving_kernel((size,))
    assert (size + 2 - kernel) % 2 == 0
    assert halved((size,)) == ((size + 2 - kernel) // 2 + 1,) == (-(-size // 2),)


def test_digits_for_mnist_is_the_network_of_its_four_words():
    words = ["conv:32:k4:s2:p1:relu", "conv:64:k4:s2:p1:relu", "conv:64:k3:p1:relu", "conv:10:k7"]
    model, stack = (
        nnx.eval_shape(make)
        for make in (
            lambda: _build("digits", (28, 28, 1), 10),
            lambda: Stack((28, 28, 1), words, rngs=nnx.Rngs(0)),
        )
    )
    assert nnx.graphdef(model) == nnx.graphdef(stack)
    assert sum(np.prod(shape) for shape in _shapes("digits", (28, 28, 1), 10)[1]) == 101_674


def test_a_residual_block_begins_as_its_shortcut_and_then_learns_in_every_parameter():
    x = jnp.linspace(-1, 1, 2 * 6 * 5 * 3).reshape(2, 6, 5, 3)
    block = Block((6, 5), 3, 3, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(block(x), jax.nn.relu(x))
    block = Block((6, 5), 3, 4, rngs=nnx.Rngs(0))
    want = x
    for layer in block.shortcut:
        want = layer(want)
    np.testing.assert_array_equal(block(x), jax.nn.relu(want))
    assert block(x).shape == (2, 3, 3, 4)
    block.norm2.scale[...] = jnp.ones(4)
    # The square: a sum of normalised numbers would have no gradient before the normalisation.
    gradients = nnx.jit(nnx.grad(lambda block: (block(x) ** 2).sum()))(block)
    leaves = jax.tree.leaves(gradients)
    assert len(leaves) == len(jax.tree.leaves(nnx.state(block, nnx.Param))) == 9
    assert all(np.any(leaf) for leaf in leaves)


def test_the_default_is_digits_for_small_images_of_one_channel():
    assert default_name((28, 28, 1)) == default_name((32, 32, 1)) == "digits"
    assert default_name((28, 33, 1)) == default_name((28, 28, 3)) == "residual"
    assert default_name((28, 28, 1)) in names()


def test_layers_in_words_are_a_stack():
    model = _build("conv:8:k3:relu batchnorm dropout:0.5 flatten dense:{classes}")
    assert isinstance(model, Stack)
    assert model.output_shape == (5,)
    assert _build("conv:5:k8").output_shape == (1, 1, 5)


@pytest.mark.parametrize("function", ["Net", "none", "everything", "shape"])
def test_a_function_is_given_the_arguments_that_it_names(nets, function):
    model = _build(f"{nets}:{function}")
    assert model(jnp.ones((2, 8, 8, 3))).reshape(2, -1).shape == (2, 5)


def test_a_function_without_offers_is_called_alone(nets):
    assert load_model(f"{nets}:plain", classes=3)(7) == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "residul",
            "'residul' is neither a model nor a layer; did you mean residual? use a name of",
        ),
        ("", "names no model; use a name of `jaxcnn models`, layers such as"),
        ("conv:8:k3 dens:5", "'dens:5' is neither a model nor a layer; did you mean dense? use"),
        ("flatten residual", "'residual' is neither a model nor a layer"),
        ("conv:8:k3", "gives (2, 6, 6, 8) for two images of 8x8x3, not one number for each of the"),
        ("conv:8:k3", "5 classes, (2, 5); add global_avg dense:5 at the end"),
        ("flatten dense:7", "gives (2, 7) for two images of 8x8x3, not"),
        ("flatten dense:7", "; add dense:5 at the end"),
        ("dense:5", "layer 1 (dense:5): needs a vector, got (8, 8, 3); write flatten or"),
        ("nets:three", "gives (2, 3) for two images of 8x8x3, not one number for each of the 5"),
        ("nets:plain", "the function returned a function; it must return a Flax NNX module"),
        ("nets:pair", "returns a tuple; it must return one array"),
        ("nets:breaks", "does not accept images of shape (2, 8, 8, 3), TypeError at "),
        ("nets:absent", "has no absent; did you mean raises"),
        ("nowhere_at_all:net", "or set PYTHONPATH to that folder; write module:function"),
        ("nets:needs", "needs depth, but is given input_shape, classes, rngs alone; give depth a"),
    ],
)
def test_a_model_that_does_not_classify_is_refused_with_what_to_write(nets, name, message):
    with pytest.raises(InputError) as caught:
        _build(name.replace("nets", nets))
    assert message in str(caught.value)
    name = name.replace("nets", nets)
    assert str(caught.value).startswith(f"model {name}: ")
    assert "net" not in name or str(caught.value).count(name) == 1


@pytest.mark.parametrize(
    ("function", "code"), [("breaks", "x.reshape(7)"), ("raises", '{}["no such thing"]')]
)
def test_an_error_in_the_code_of_a_model_is_refused_with_its_line(nets, function, code):
    (line,) = (n for n, text in enumerate(NETS.splitlines(), 1) if code in text)
    with pytest.raises(InputError, match=rf"Error at .*{nets}\.py:{line}: "):
        _build(f"{nets}:{function}")


def test_wrong_shapes_and_classes_are_refused():
    with pytest.raises(InputError, match=r"input_shape must be \(height, width, channels\)"):
        _build("digits", (28, 28))
    with pytest.raises(InputError, match=r"input_shape\[2\] must be an integer >= 1, got 0"):
        _build("digits", (28, 28, 0))
    with pytest.raises(InputError, match="classes must be an integer >= 2, got 1"):
        _build("digits", classes=1)
    with pytest.raises(TypeError, match="model must be a name, got 3; use a name of"):
        _build(3)
