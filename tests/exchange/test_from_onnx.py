"""ONNX graphs as functions agree with ONNX Runtime, and keep JAX's laws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax import export as jax_export
from jax.test_util import check_grads

import jaxcnn
from jaxcnn.inspect import plan_of
from jaxcnn.models import from_onnx
from jaxcnn.models.registry import NETWORKS
from jaxcnn.models.weights.names import variables
from jaxcnn.ops import kernel_to_torch
from tests.exchange.models import SHAPE, Small
from tests.exchange.onnx_files import model_of, reference, saved


def draws(shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


NET = """
    c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, weight, bias)
    n = BatchNormalization (c, scale, shift, mean, variance)
    r = Relu (n)
    m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
    s = Shape (m)
    first = Constant <value_int = 0> ()
    count = Gather <axis = 0> (s, first)
    row = Unsqueeze (count, zero)
    sizes = Concat <axis = 0> (row, rest)
    flat = Reshape (m, sizes)
    half = Mul (flat, factor)
    y = Gemm <transB = 1> (half, dense)
"""


def net(dtype="float32"):
    """A small network, whose reshape computes its sizes."""
    arrays = {
        "weight": draws((4, 3, 3, 3), dtype),
        "bias": draws(4, dtype),
        "scale": draws(4, dtype),
        "shift": draws(4, dtype),
        "mean": draws(4, dtype),
        "variance": draws(4, dtype) ** 2,
        "zero": np.int64([0]),
        "rest": np.int64([-1]),
        "factor": np.asarray(0.5, dtype),
        "dense": draws((5, 16), dtype),
    }
    return model_of(NET, {"x": ("n", 3, 8, 8)}, {"y": 2}, arrays, dtype=dtype)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return from_onnx(saved(net(), tmp_path_factory.mktemp("net")))


def test_parameters_are_the_arrays_of_floats_and_the_rest_is_constant(loaded):
    apply, params = loaded
    assert {name: array.shape for name, array in params.items()} == {
        **dict.fromkeys(("bias", "scale", "shift"), (4,)),
        "weight": (4, 3, 3, 3),
        "dense": (5, 16),
    }
    assert set(apply.params) == set(params)
    assert set(apply.constants) == {"mean", "variance", "zero", "rest", "factor"}
    assert [(each.name, each.shape) for each in apply.inputs] == [("x", ("n", 3, 8, 8))]


ZEROS = {  # nodes that read zeros as a running mean, and the gradient of sum(y) by zeros
    "y = BatchNormalization (x, scale, shift, zeros, ones)": None,
    "a = Identity (zeros) b = Identity (a) y = BatchNormalization (x, scale, shift, b, ones)": None,
    "y = BatchNormalization (x, scale, zeros, zeros, ones)": 2,
    "a = Identity (zeros) y = BatchNormalization (x, scale, zeros, a, ones)": 2,
    "a = Identity (zeros) b = BatchNormalization (x, scale, a, a, ones) y = Add (a, b)": 4,
}


@pytest.mark.parametrize("nodes", ZEROS)
def test_running_statistics_are_constants_whatever_else_reads_the_array(nodes, tmp_path):
    arrays = {"zeros": np.zeros(3, "float32"), "ones": np.ones(3, "float32")}
    arrays |= {"scale": draws(3), "shift": draws(3)}
    used = {name: array for name, array in arrays.items() if name in nodes}
    model = model_of(nodes, {"x": (2, 3)}, {"y": 2}, used)
    apply, params = from_onnx(saved(model, tmp_path))
    x = draws((2, 3))
    np.testing.assert_allclose(apply(params, x), reference(model, x), rtol=1e-5, atol=1e-5)
    gradients = jax.grad(lambda params: jnp.sum(apply(params, x)))(params)
    assert "ones" not in gradients
    if ZEROS[nodes] is None:
        assert set(gradients) == {"scale", "shift"}
    else:
        np.testing.assert_array_equal(gradients["zeros"], np.full(3, ZEROS[nodes]))


@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_has_its_values_for_any_batch(loaded, batch):
    apply, params = loaded
    x = draws((batch, 3, 8, 8), seed=1)
    want = reference(net(), x)
    np.testing.assert_allclose(jax.jit(apply)(params, x), want, rtol=1e-5, atol=1e-5)
    each = jax.vmap(lambda image: apply(params, image[None])[0])(jnp.asarray(x))
    np.testing.assert_allclose(each, want, rtol=1e-5, atol=1e-5)


def test_the_batch_size_may_be_symbolic(loaded):
    apply, params = loaded
    shape = jax_export.symbolic_shape("n, 3, 8, 8")
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    exported = jax_export.export(jax.jit(apply))(params, images)
    assert str(exported.out_avals[0].shape) == "(n, 5)"


def test_gradients_are_those_of_finite_differences(tmp_path):
    with jax.enable_x64(True):
        apply, params = from_onnx(saved(net("float64"), tmp_path))
        x = jnp.asarray(draws((2, 3, 8, 8), "float64", seed=1))
        check_grads(jax.jit(apply), (params, x), order=1, modes=["rev"], eps=1e-6)


def test_lint_and_plans_show_the_nodes(loaded):
    apply, params = loaded
    plan = str(plan_of(lambda x: apply(params, x), (3, 8, 8)))
    for words in ("c (conv 3x3 s2 p1)", "m (max pool 2x2 s2)", "y (dense)"):
        assert words in plan, plan
    assert "c (conv 3x3 s2 p1)" in str(jaxcnn.lint(lambda x: apply(params, x), (3, 8, 8)))


def test_feature_maps_keep_channels_last_from_the_first_layer_to_the_last(tmp_path):
    """Only the input and the output are transposed."""
    nodes = """
        a = Conv (x, weight)
        b = Relu (a)
        c = Conv (b, second)
        d = Add (c, bias)
        e = MaxPool <kernel_shape = [2, 2]> (d)
        f = Concat <axis = 1> (e, e)
        g = Softmax <axis = 1> (f)
        h = Pad (g, pads)
        y = GlobalAveragePool (h)
    """
    arrays = {
        "weight": draws((4, 3, 3, 3)),
        "second": draws((4, 4, 1, 1)),
        "bias": draws((4, 1, 1)),
        "pads": np.int64([0, 0, 1, 0, 0, 0, 0, 1]),
    }
    model = model_of(nodes, {"x": ("n", 3, 8, 8)}, {"y": 4}, arrays)
    apply, params = from_onnx(saved(model, tmp_path))
    x = draws((2, 3, 8, 8))
    program = jax.make_jaxpr(apply)(params, x)
    moved = [eqn for eqn in program.eqns if eqn.primitive.name == "transpose"]
    assert sum(eqn.invars[0].aval.shape[0] == 2 for eqn in moved) == 2
    np.testing.assert_allclose(apply(params, x), reference(model, x), rtol=1e-5, atol=1e-5)


def same(shape):
    return shape


STEPS = {  # a node, and the shape that it gives an array (N, C, H, W)
    "Relu ({x})": same,
    "Add ({x}, channels{c})": same,
    "Mul (scalar, {x})": same,
    "Sub ({x}, columns{w})": same,
    "Max ({x}, scalar)": same,
    "PRelu ({x}, channels{c})": same,
    "Softmax <axis = 1> ({x})": same,
    "Softmax <axis = -1> ({x})": same,
    "LogSoftmax <axis = 2> ({x})": same,
    "InstanceNormalization ({x}, features{c}, features{c})": same,
    "Transpose <perm = [0, 1, 3, 2]> ({x})": lambda s: (s[0], s[1], s[3], s[2]),
    "Transpose <perm = [0, 2, 1, 3]> ({x})": lambda s: (s[0], s[2], s[1], s[3]),
    "Concat <axis = 1> ({x}, {x})": lambda s: (s[0], 2 * s[1], s[2], s[3]),
    "Concat <axis = -1> ({x}, {x})": lambda s: (s[0], s[1], s[2], 2 * s[3]),
    "ReduceMean <keepdims = 1> ({x}, spatial)": lambda s: (s[0], s[1], 1, 1),
    "ReduceSum ({x}, one)": lambda s: (s[0], 1, s[2], s[3]),
    "Slice ({x}, zero, one, one)": lambda s: (s[0], 1, s[2], s[3]),
    "Pad ({x}, pads)": lambda s: (s[0], s[1], s[2] + 1, s[3] + 1),
    "GlobalLpPool ({x})": lambda s: (s[0], s[1], 1, 1),
    "Resize ({x}, nothing, scales)": lambda s: (s[0], s[1], 2 * s[2], 3 * s[3]),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4))
def test_drawn_chains_of_nodes_have_the_values_of_the_runtime(tmp_path_factory, steps):
    """Whatever follows a convolution, channels are where ONNX has them."""
    arrays = {
        "weight": draws((4, 3, 2, 2)),
        "scalar": draws(()),
        "zero": np.int64([0]),
        "one": np.int64([1]),
        "spatial": np.int64([2, 3]),
        "pads": np.int64([0, 0, 1, 0, 0, 0, 0, 1]),
        "nothing": np.float32([]),
        "scales": np.float32([1, 1, 2, 3]),
    }
    lines, shape = ["v0 = Conv (x, weight)"], (2, 4, 4, 5)
    for number, step in enumerate(steps):
        _, c, _, w = shape
        lines.append(f"v{number + 1} = {step.format(x=f'v{number}', c=c, w=w)}")
        arrays |= {f"channels{c}": draws((c, 1, 1)), f"features{c}": draws(c)}
        arrays[f"columns{w}"] = draws(w)
        shape = STEPS[step](shape)
    lines.append(f"y = Identity (v{len(steps)})")
    model = model_of("\n".join(lines), {"x": ("n", 3, 5, 6)}, {"y": 4}, arrays)
    apply, params = from_onnx(saved(model, tmp_path_factory.mktemp("chain")))
    x = draws((2, 3, 5, 6))
    got = apply(params, x)
    assert got.shape == shape
    np.testing.assert_allclose(got, reference(model, x), rtol=1e-3, atol=1e-3, strict=True)


OLD = {  # nodes as older opsets have them: with the opset, and an input's shape
    "y = Squeeze <axes = [1]> (x)": (11, (2, 1, 3)),
    "y = Unsqueeze <axes = [0, 3]> (x)": (11, (2, 3)),
    "y = Clip <min = -0.5, max = 0.5> (x)": (10, (4, 5)),
    "y = Softmax <axis = 1> (x)": (11, (2, 3, 4)),
    "y = LogSoftmax (x)": (12, (2, 3, 4)),
    'y = Pad <mode = "reflect", pads = [0, 0, 1, 2, 0, 0, 2, 1]> (x)': (10, (1, 2, 4, 5)),
    "y = Slice <axes = [0, 2], starts = [1, -3], ends = [9, -1]> (x)": (9, (3, 4, 5)),
    "y = ReduceSum <axes = [1], keepdims = 0> (x)": (11, (2, 3, 4)),
    "y = ReduceMax <axes = [-1]> (x)": (13, (2, 3, 4)),
    "y = Dropout <ratio = 0.3> (x)": (10, (2, 3)),
    "y, z = Split <axis = 1, split = [1, 3]> (x)": (11, (2, 4)),
    'y = Upsample <mode = "nearest", scales = [1., 1., 2., 3.]> (x)': (7, (1, 2, 3, 2)),
    "y = Cast <to = 6> (x) z = Cast <to = 1> (y)": (9, (2, 3)),
}


@pytest.mark.parametrize("nodes", OLD)
def test_older_opsets_have_the_reference_values(nodes, tmp_path):
    opset, shape = OLD[nodes]
    name = "z" if "z = Cast" in nodes else "y"
    rank = {"Squeeze": 2, "Unsqueeze": 4}.get(nodes.split()[2], len(shape))
    rank -= "keepdims = 0" in nodes
    model = model_of(nodes, {"x": shape}, {name: rank}, opset=opset)
    apply, params = from_onnx(saved(model, tmp_path))
    x = draws(shape)
    np.testing.assert_allclose(
        apply(params, x), reference(model, x), rtol=1e-5, atol=1e-6, strict=True
    )


def refusal(path, *words):
    with pytest.raises(jaxcnn.InputError) as caught:
        from_onnx(path)
    text = str(caught.value)
    assert "\n" not in text
    assert not [word for word in (str(path), *words) if word not in text], text


def test_all_that_is_not_supported_is_named_with_its_node(tmp_path):
    nodes = """
        a = NonZero (x)
        b = NonZero (x)
        c = Einsum <equation = "ij->ji"> (x)
        d = Det (x)
        e = LayerNormalization <stash_type = 16> (x, scale)
        f = Pad <mode = "magic"> (x, pads)
        g = Resize <nearest_mode = "magic", keep_aspect_ratio_policy = "any"> (x, none, scales)
    """
    arrays = {"scale": draws(4), "pads": np.int64([0, 0, 1, 1])}
    arrays |= {"none": np.float32([]), "scales": np.float32([2, 2])}
    path = saved(model_of(nodes, {"x": (4, 4)}, {"e": 2}, arrays), tmp_path)
    words = ("NonZero ('a', 'b')", "Det ('d')", "LayerNormalization 'e' has stash_type=16")
    words += (
        "Resize 'g' has nearest_mode='magic'",
        "Resize 'g' has keep_aspect_ratio_policy='any'",
    )
    refusal(path, *words, "Pad 'f' has mode='magic' (supported: 'constant', 'reflect'")


def test_damaged_files_are_refused_in_one_line(tmp_path):
    path = saved(net(), tmp_path)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    x = draws((1, 3, 8, 8))
    for length in generator.integers(0, len(whole), 20):
        path.write_bytes(whole[:length])
        refusal(path)
    refused = []
    for place in generator.integers(0, len(whole), 60):  # what can be read, is computed or refused
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            apply, params = from_onnx(path)
            jax.eval_shape(apply, params, x)
        except (jaxcnn.InputError, TypeError) as error:
            refused.append(str(error))
    assert refused
    assert not [text for text in refused if "\n" in text]
    refusal(tmp_path / "absent.onnx", "No such file")
    refusal(tmp_path, "cannot be read")


def external(folder, location, **place):
    """A file whose weight is in another file."""
    model = net()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location, **place)
    tensor.ClearField("raw_data")
    return saved(model, folder)


def test_weights_beside_the_file_are_read_and_no_others(tmp_path, loaded):
    folder = tmp_path / "model"
    folder.mkdir()
    weight = np.asarray(loaded[1]["weight"])
    (folder / "weights.bin").write_bytes(bytes(8) + weight.tobytes())
    (tmp_path / "secret.bin").write_bytes(weight.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = external(folder, "weights.bin", offset=8, length=weight.nbytes)
    np.testing.assert_array_equal(from_onnx(path)[1]["weight"], weight)
    refusal(external(folder, "weights.bin", offset=9, length=weight.nbytes), "truncated")
    refusal(external(folder, "absent.bin"), "'absent.bin', which is not beside it")
    for outside in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin"):
        refusal(external(folder, outside), "outside of its folder")


def test_calls_that_do_not_fit_are_refused(loaded, tmp_path):
    apply, params = loaded
    x = draws((1, 3, 8, 8))
    with pytest.raises(jaxcnn.InputError, match=r"missing: weight; not in the graph: extra"):
        apply({"extra": x} | {k: v for k, v in params.items() if k != "weight"}, x)
    with pytest.raises(jaxcnn.InputError, match=r"the graph has the inputs x; got 2"):
        apply(params, x, x)
    with pytest.raises(jaxcnn.InputError, match=r"'x' must have 4 axes, as in \(n, 3, 8, 8\)"):
        apply(params, x[0])
    with pytest.raises(TypeError, match="'x' must be float32, got int32"):
        apply(params, x.astype("int32"))
    with pytest.raises(jaxcnn.InputError, match=r"^Conv 'c': "):
        apply(params, x[:, :2])
    nodes = "y = Reshape (x, sizes)"
    model = model_of(nodes, {"x": ("n", 4)}, {"y": 2})
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("sizes", onnx.TensorProto.INT64, [2])
    )
    apply, params = from_onnx(saved(model, tmp_path))
    sizes = np.int64([-1, 2])
    assert apply(params, draws((3, 4)), sizes).shape == (6, 2)
    with pytest.raises(jaxcnn.InputError, match="'sizes' must be known when"):
        jax.jit(apply)(params, draws((3, 4)), sizes)


def test_an_output_that_a_node_does_not_compute_is_refused(tmp_path):
    nodes = "y, mean, variance = BatchNormalization (x, ones, ones, ones, ones)"
    arrays = {"ones": np.ones(3, "float32")}
    model = model_of(nodes, {"x": (2, 3)}, {"y": 2, "variance": 1}, arrays)
    apply, params = from_onnx(saved(model, tmp_path))
    with pytest.raises(
        jaxcnn.InputError, match=r"^BatchNormalization 'y': its output 'mean', 'variance' is not"
    ):
        apply(params, draws((2, 3)))


@given(
    *(st.sampled_from([-(2**63) + 1, -(2**31) + 1, -9, -2, 0, 2, 9, 2**31 - 1, 2**63 - 1]),) * 2,
    st.sampled_from([-2, -1, 1, 3]),
)
def test_slices_have_the_runtime_values_at_any_ends(tmp_path_factory, start, end, step):
    arrays = {"start": np.int64([start]), "end": np.int64([end]), "step": np.int64([step])}
    arrays["axis"] = np.int64([1])
    model = model_of("y = Slice (x, start, end, axis, step)", {"x": (2, 5)}, {"y": 2}, arrays)
    apply, params = from_onnx(saved(model, tmp_path_factory.mktemp("slice")))
    x = draws((2, 5))
    np.testing.assert_array_equal(apply(params, x), reference(model, x), strict=True)


def test_resize_with_an_empty_region_keeps_a_symbolic_batch(tmp_path):
    arrays = {"none": np.float32([]), "scales": np.float32([1, 1, 2, 3])}
    nodes = "y = Resize (x, none, scales)"
    model = model_of(nodes, {"x": ("n", 2, 3, 4)}, {"y": 4}, arrays, opset=11)
    apply, params = from_onnx(saved(model, tmp_path))
    images = jax.ShapeDtypeStruct(jax_export.symbolic_shape("n, 2, 3, 4"), jnp.float32)
    exported = jax_export.export(jax.jit(apply))(params, images)
    assert str(exported.out_avals[0].shape) == "(n, 2, 6, 12)"


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_integer_products_take_one_zero_point_at_any_rank(rank, tmp_path):
    nodes = "y = MatMulInteger (x, weight, one, columns)"
    arrays = {"weight": np.uint8([[1, 2], [3, 4], [5, 6]]), "one": np.uint8([7])}
    arrays["columns"] = np.uint8([3, 9])
    x = np.arange(2 ** (rank - 1) * 3, dtype="uint8").reshape((2,) * (rank - 1) + (3,))
    model = model_of(nodes, {"x": x.shape}, {"y": rank}, arrays, dtype="uint8")
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    apply, params = from_onnx(saved(model, tmp_path))
    np.testing.assert_array_equal(apply(params, x), reference(model, x), strict=True)


def test_several_inputs_are_passed_in_the_order_of_the_file(tmp_path):
    model = model_of("y = Sub (b, a)", {"b": (2, 3), "a": (2, 3)}, {"y": 2})
    apply, params = from_onnx(saved(model, tmp_path))
    b, a = draws((2, 2, 3))
    np.testing.assert_array_equal(apply(params, b, a), b - a)


def test_an_initialiser_may_be_an_output(tmp_path):
    arrays = {"weight": draws((3,)), "count": np.int64([3])}
    outputs = {"y": 2, "weight": 1, "count": 1, "copy": 1}
    model = model_of("y = Add (x, weight) copy = Identity (weight)", {"x": (2, 3)}, outputs, arrays)
    model.graph.output[2].type.tensor_type.elem_type = onnx.TensorProto.INT64
    apply, params = from_onnx(saved(model, tmp_path))
    _, weight, count, copy = apply({"weight": 2 * params["weight"]}, draws((2, 3)))
    np.testing.assert_array_equal(weight, 2 * arrays["weight"])
    np.testing.assert_array_equal(copy, weight)
    assert count == 3


def test_shapes_that_depend_on_the_data_are_refused_by_name(tmp_path):
    model = model_of("a = Cast <to = 7> (x) y = Reshape (x, a)", {"x": (1,)}, {"y": 1})
    # The cast makes x itself a setting.
    apply, params = from_onnx(saved(model, tmp_path))
    assert apply.settings == {"x"}
    with pytest.raises(jaxcnn.InputError, match="'x' must be known"):
        jax.jit(apply)(params, np.float32([1]))


ZOO = {  # networks whose layers differ, and a small input
    "digits": (28, 28, 1),
    "resnet18": (64, 64, 3),
    "densenet121": (32, 32, 3),
    "mobilenet_v3_small": (64, 64, 3),
    "efficientnet_b0": (64, 64, 3),
    "convnext_tiny": (64, 64, 3),
    "unet": (32, 32, 1),
}
QUICK = ("digits",)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in ZOO]
)
def test_an_exported_network_comes_back_with_its_values_and_gradients(name, tmp_path):
    network = NETWORKS[name]
    model = network.build(ZOO[name], network.classes, rngs=nnx.Rngs(0))
    model.eval()
    path = tmp_path / "model.onnx"
    jaxcnn.export(model, ZOO[name], path)
    apply, params = from_onnx(path)
    x = jnp.asarray(draws((2, *ZOO[name])))

    def outputs_and_gradient(function):
        return jax.jit(lambda x: (function(x), jax.grad(lambda x: jnp.sum(function(x)))(x)))(x)

    found = outputs_and_gradient(lambda x: apply(params, x))
    for got, want in zip(found, outputs_and_gradient(model), strict=True):
        scale = float(jnp.max(jnp.abs(want)))
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * scale)


def test_the_parameters_of_an_exported_network_have_the_gradients_of_the_model(tmp_path):
    """With ``fold=False`` the arrays have the paths of the parameters as names."""
    model = Small(nnx.Rngs(0))
    model.eval()
    path = tmp_path / "model.onnx"
    jaxcnn.export(model, SHAPE, path, fold=False)
    apply, params = from_onnx(path)
    x = jnp.asarray(draws((2, *SHAPE)))

    def loss(outputs):
        return sum(jnp.sum(jnp.sin(each)) for each in jax.tree.leaves(outputs))

    found = jax.jit(jax.grad(lambda params: loss(apply(params, x))))(params)
    wanted = variables(nnx.jit(nnx.grad(lambda model: loss(model(x))))(model))
    wanted["conv.kernel"] = kernel_to_torch(wanted["conv.kernel"][...])
    names = ("conv.kernel", "norm.bias", "head.kernel", "head.bias")
    for name in names:  # the scale is part of norm.var
        got, want = np.asarray(found[name]), np.asarray(wanted[name][...])
        atol = 1e-5 * np.abs(want).max()
        np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-5, atol=atol)
