"""``jaxcnn.export``: what a file holds, how it is checked, and what is refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from flax import nnx
from jax import lax

import jaxcnn
from jaxcnn import InputError
from jaxcnn.exchange import stablehlo
from jaxcnn.exchange.onnx_out import convolution, rules
from jaxcnn.nn import Conv
from tests.exchange.models import SHAPE, Small, assert_test_vectors_hold, wanted
from tests.exchange.programs import graph_of


@pytest.fixture(scope="module")
def model():
    return Small(nnx.Rngs(0))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The file, and what ``export`` returned."""
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    found = jaxcnn.export(
        model, SHAPE, path, classes=list("abcde"), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1)
    )
    return path, found


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_a_file_gives_the_models_outputs_in_evaluation_mode_for_any_batch(model, exported):
    run = session(exported[0])
    for count in (1, 7):
        images = np.random.default_rng(count).standard_normal((count, *SHAPE)).astype("float32")
        got = dict(
            zip(("logits", "maps"), run.run(["logits", "maps"], {"images": images}), strict=True)
        )
        for name, want in wanted(model, jnp.asarray(images)).items():
            np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5)
    assert not model.drop.deterministic, "the module was changed"


def test_the_types_of_the_file_are_those_returned_and_the_batch_is_symbolic(exported):
    path, found = exported
    run = session(path)
    for nodes, types in ((run.get_inputs(), found.inputs), (run.get_outputs(), found.outputs)):
        assert {node.name: tuple(node.shape) for node in nodes} == types
    assert found.inputs == {"images": ("N", 8, 6, 3)}
    assert found.outputs == {"logits": ("N", 5), "maps": ("N", 4, 3, 4)}


def test_arrays_have_the_paths_of_the_parameters(exported):
    file = onnx.load(exported[0])
    onnx.checker.check_model(file, full_check=True)
    names = {array.name for array in file.graph.initializer}
    assert {"conv.kernel", "norm.bias", "head.kernel", "head.bias"} <= names


def test_batch_normalisation_is_folded_unless_not_wanted(model, exported, tmp_path):
    path = tmp_path / "unfolded.onnx"
    found = jaxcnn.export(model, SHAPE, path, fold=False)
    assert not {"Mul", "Sub"} & set(exported[1].operators)
    assert found.operators["Mul"] == found.operators["Sub"] == 1
    images = np.random.default_rng(0).standard_normal((2, *SHAPE)).astype("float32")
    both = [session(p).run(None, {"images": images}) for p in (path, exported[0])]
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_metadata_names_classes_normalisation_layout_and_version(exported):
    found = session(exported[0]).get_modelmeta().custom_metadata_map
    assert json.loads(found["classes"]) == list("abcde")
    assert json.loads(found["mean"]) == [0.5, 0.4, 0.3]
    assert json.loads(found["std"]) == [0.2, 0.2, 0.1]
    assert (found["layout"], found["jaxcnn_version"]) == ("nhwc", jaxcnn.__version__)


def test_the_test_vectors_of_the_file_hold(exported):
    run = session(exported[0])
    recorded = json.loads(run.get_modelmeta().custom_metadata_map["test_vectors"])
    names = [node.name for node in run.get_outputs()]
    assert_test_vectors_hold(
        recorded, lambda images: dict(zip(names, run.run(None, {"images": images}), strict=True))
    )


def test_channels_first_at_the_edge_moves_the_channels_of_images_and_maps(model, tmp_path):
    path = tmp_path / "first.onnx"
    found = jaxcnn.export(model, SHAPE, path, layout="nchw")
    assert (found.inputs["images"], found.outputs["maps"]) == (("N", 3, 8, 6), ("N", 4, 4, 3))
    assert "Transpose" not in found.operators
    images = np.random.default_rng(0).standard_normal((2, *SHAPE)).astype("float32")
    got = session(path).run(["maps"], {"images": np.moveaxis(images, -1, 1)})[0]
    want = wanted(model, jnp.asarray(images))["maps"]
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), want, rtol=1e-4, atol=1e-5)


def test_names_of_input_and_outputs_are_those_given(model, tmp_path):
    path = tmp_path / "named.onnx"
    found = jaxcnn.export(model, SHAPE, path, input_name="x", output_names=("y", "z"))
    assert (list(found.inputs), list(found.outputs)) == (["x"], ["y", "z"])


@pytest.mark.parametrize("suffix", ["onnx", "stablehlo"])
def test_a_program_that_differs_from_the_model_is_an_error_and_leaves_the_old_file(
    model, tmp_path, monkeypatch, suffix
):
    path = tmp_path / f"old.{suffix}"
    path.write_text("old")

    def shifted(op):
        value = convolution.convolution(op)
        return op.result(op.node("Add", value.name, op.number(1e-3)), value.axes)

    def shifted_runner(path):
        run = stablehlo_runner(path)
        return lambda images: {name: y + 1e-3 for name, y in run(images).items()}

    stablehlo_runner = stablehlo.runner
    monkeypatch.setitem(rules.RULES, "jaxcnn_conv", shifted)
    monkeypatch.setattr(stablehlo, "runner", shifted_runner)
    with pytest.raises(InputError, match=r"differs from the model's.* by .*nothing was written"):
        jaxcnn.export(model, SHAPE, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nodes_have_the_names_of_their_layers(exported):
    names = {node.op_type: node.name for node in onnx.load(exported[0]).graph.node}
    assert (names["Conv"], names["MatMul"]) == ("conv", "head")


def test_a_layer_that_is_called_twice_names_two_nodes(tmp_path):
    layer = Conv(3, 3, (3, 3), padding=1, rngs=nnx.Rngs(0))

    class Twice(nnx.Module):
        def __init__(self):
            self.conv = layer

        def __call__(self, x):
            return self.conv(jnp.tanh(self.conv(x)))

    jaxcnn.export(Twice(), SHAPE, tmp_path / "twice.onnx")
    nodes = onnx.load(tmp_path / "twice.onnx").graph.node
    assert [node.name for node in nodes if node.op_type == "Conv"] == ["conv", "conv_1"]


def test_normalisation_may_be_an_array(tmp_path):
    path = tmp_path / "small.onnx"
    mean = np.array([0.5, 0.25], "float32")
    jaxcnn.export(lambda x: x * 2, (2,), path, mean=mean, std=mean)
    found = session(path).get_modelmeta().custom_metadata_map
    assert json.loads(found["std"]) == [0.5, 0.25]
    assert "layout" not in found


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("bfloat16", 0.1), ("float16", 0.01), ("float32", 1e-4)]
)
def test_narrow_dtypes_are_reproduced(tmp_path, dtype, tolerance):
    model = Conv(3, 4, (3, 3), dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0))
    path = tmp_path / "narrow.onnx"
    jaxcnn.export(model, SHAPE, path, dtype=dtype)
    run = session(path)
    assert run.get_inputs()[0].type == {"float16": "tensor(float16)"}.get(dtype, "tensor(float)")
    images = np.random.default_rng(0).standard_normal((2, *SHAPE))
    carried = images.astype("float16" if dtype == "float16" else "float32")
    got = run.run(None, {"images": carried})[0].astype("float32")
    want = model(jnp.asarray(images, dtype)).astype("float32")
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_uint8_images_are_normalised_inside(tmp_path):
    path = tmp_path / "bytes.onnx"
    found = jaxcnn.export(
        lambda x: x.astype("float32") / 255, (4, 4, 1), path, dtype="uint8", layout="nchw"
    )
    assert session(path).get_inputs()[0].type == "tensor(uint8)"
    assert found.operators["Cast"] == 1


def test_a_function_of_one_example_is_mapped_over_the_batch(tmp_path):
    kernel = jnp.ones((4, 3, 3, 3))

    def function(x):  # (C, H, W), as in Equinox
        assert x.ndim == 3
        return lax.conv(x[None], kernel, (1, 1), "VALID")[0]

    found = jaxcnn.export(function, (3, 5, 5), tmp_path / "mapped.onnx")
    assert found.operators["Conv"] == 1


def test_constants_of_a_function_have_the_names_that_it_closes_over():
    params = {"stem": {"kernel": jnp.ones((3, 3, 3, 4))}}

    def function(x):
        return jaxcnn.conv(x, params["stem"]["kernel"])

    graph, _ = graph_of(function, SHAPE)
    assert "params.stem.kernel" in graph.arrays


class TestRefused:
    def test_another_suffix(self, model, tmp_path):
        with pytest.raises(InputError, match=r"must end in \.onnx or \.stablehlo"):
            jaxcnn.export(model, SHAPE, tmp_path / "model.pt")

    def test_a_missing_folder(self, model, tmp_path):
        with pytest.raises(InputError, match="is not a folder"):
            jaxcnn.export(model, SHAPE, tmp_path / "none" / "model.onnx")

    def test_another_shape(self, model, tmp_path):
        with pytest.raises(InputError, match="does not accept an input of shape"):
            jaxcnn.export(model, (8, 6, 4), tmp_path / "model.onnx")

    def test_a_model_of_one_batch_size(self, tmp_path):
        with pytest.raises(InputError, match="number of images that is left open"):
            jaxcnn.export(lambda x: x.reshape(int(x.shape[0]), 8), (8,), tmp_path / "model.onnx")

    def test_another_layout(self, model, tmp_path):
        with pytest.raises(InputError, match="layout"):
            jaxcnn.export(model, SHAPE, tmp_path / "model.onnx", layout="hwcn")

    def test_a_folder(self, model, tmp_path):
        (tmp_path / "model.stablehlo.json").mkdir()
        with pytest.raises(InputError, match=r"json is a folder"):
            jaxcnn.export(model, SHAPE, tmp_path / "model.stablehlo")

    def test_complex_images(self, model, tmp_path):
        with pytest.raises(InputError, match="complex64 is none of images"):
            jaxcnn.export(model, SHAPE, tmp_path / "model.onnx", dtype="complex64")

    def test_float64_images(self, tmp_path):
        with jax.enable_x64(True), pytest.raises(InputError, match=r"does not compute .* float64"):
            jaxcnn.export(lambda x: x + 1, (3,), tmp_path / "model.onnx", dtype="float64")

    def test_a_dtype_that_onnx_runtime_lacks(self, tmp_path):
        with pytest.raises(InputError, match="converts to float8_e4m3fn"):
            jaxcnn.export(
                lambda x: x.astype("float8_e4m3fn").astype("float32"), (3,), tmp_path / "model.onnx"
            )

    def test_a_call_of_python_as_stablehlo(self, tmp_path):
        def printed(x):
            jax.debug.print("{}", x.sum())
            return x

        with pytest.raises(InputError, match="no form in StableHLO"):
            jaxcnn.export(printed, (3,), tmp_path / "model.stablehlo")

    @pytest.mark.parametrize("names", [("one",), ("one", "one"), "ab"])
    def test_names_that_are_not_one_for_each_output(self, model, tmp_path, names):
        with pytest.raises(InputError, match="2 different names"):
            jaxcnn.export(model, SHAPE, tmp_path / "model.onnx", output_names=names)

    def test_an_unknown_primitive_with_the_layer_before_it(self, tmp_path):
        layer = Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))

        class Sorted(nnx.Module):
            def __init__(self):
                self.conv = layer

            def __call__(self, x):
                return jnp.sort(self.conv(x), -1)

        with pytest.raises(InputError, match=r"sort \(test_export.py:\d+, after conv.bias\) has"):
            jaxcnn.export(Sorted(), SHAPE, tmp_path / "model.onnx")
