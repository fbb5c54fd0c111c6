"""The comparison of a file with its model decides something, or is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxcnn
from jaxcnn import InputError
from jaxcnn.exchange import vectors
from jaxcnn.exchange.onnx_out import convolution, rules
from jaxcnn.exchange.source import source_of
from jaxcnn.nn import Conv
from tests.exchange.models import SHAPE


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_factor_of_two_is_seen_in_narrow_dtypes(tmp_path, monkeypatch, dtype):
    model = Conv(64, 16, (3, 3), dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0))

    def doubled(op):
        value = convolution.convolution(op)
        return op.result(op.node("Mul", value.name, op.number(1.5)), value.axes)

    monkeypatch.setitem(rules.RULES, "jaxcnn_conv", doubled)
    with pytest.raises(InputError, match="differs from the model's"):
        jaxcnn.export(model, (4, 4, 64), tmp_path / "narrow.onnx", dtype=dtype)


def test_what_a_head_of_zeros_hides_is_seen(tmp_path, monkeypatch):
    class Hidden(nnx.Module):
        def __init__(self):
            self.conv = Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))
            self.head = nnx.Linear(4, 5, kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.head(jax.nn.relu(self.conv(x)).mean((1, 2)))

    monkeypatch.setitem(rules.RULES, "max", lambda op: op.values[0])
    with pytest.raises(InputError, match="with parameters drawn at random"):
        jaxcnn.export(Hidden(), SHAPE, tmp_path / "hidden.onnx")


def test_closed_over_weights_explain_a_difference():
    """Two sums that nearly cancel, of images that have no roundings of their own."""
    draws = np.random.default_rng(0)
    one = draws.standard_normal((3000, 4)).astype("float32")
    other = one * (1 + 0.01 * draws.standard_normal((3000, 4)).astype("float32"))

    def function(x):
        x = x.astype("float32") / 255
        return x @ one - x @ other

    found = vectors.vectors_of(source_of(function, (3000,), "uint8", "nhwc"))
    assert found.tolerances["logits"] > 1e-4 * abs(found.outputs[0]["logits"]).max()


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (lambda x: {"good": x, "bad": x / 0}, "bad of the model is not finite"),
        (lambda x: jnp.sin(x * 1e9), "decides nothing"),
        (lambda _: None, "names \\(\\)"),
        (lambda x: {"a": {"b": x}, "a.b": 2 * x}, "different names"),
    ],
)
def test_a_model_whose_comparison_shows_nothing_is_refused(tmp_path, outputs, reason):
    with pytest.raises(InputError, match=reason):
        jaxcnn.export(outputs, (3,), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_integers_may_differ_where_rounding_changes_them():
    """Classes of pixels whose two best logits are nearly equal."""
    kernel = np.repeat(np.random.default_rng(0).standard_normal((64, 1)), 2, 1).astype("float32")
    kernel[:, 1] *= 1 + 1e-3 * np.sign(np.random.default_rng(1).standard_normal(64))
    classes = source_of(lambda x: jnp.argmax(x @ kernel, -1), (32, 32, 64), "float32", "nhwc")
    found = vectors.vectors_of(classes)
    assert 0 < found.tolerances["logits"] < 0.1
    largest = source_of(lambda x: jnp.argmax(x, -1), (32, 32, 64), "float32", "nhwc")
    found = vectors.vectors_of(largest)
    assert found.tolerances["logits"] == 0


def test_the_rule_of_the_test_images_gives_them():
    for dtype in ("float32", "float16", "uint8", "int32", "bool"):
        images, rule = vectors.images_of((2, 5, 3), dtype)
        np.testing.assert_array_equal(images, eval(rule, {"numpy": np}), strict=True)
