"""``jaxcnn export``: files of runs and of models, and what is refused in one line."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from jaxcnn.data import read_picture
from jaxcnn.train import Run
from tests.cli.runs import CLASSES, call, refused


def test_a_file_of_a_run_gives_the_runs_probabilities(capfd, trained, pictures, tmp_path):
    path = tmp_path / "run.onnx"
    ended = call(capfd, "export", trained[0], path, "--layout", "nchw")
    assert (ended.code, ended.err) == (0, "")
    run = Run.open(trained[0])
    height, width, channels = run.data.image_shape
    assert f"images Nx{channels}x{height}x{width} -> logits Nx3\n" in ended.out
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    facts = {
        key: json.loads(text)
        for key, text in session.get_modelmeta().custom_metadata_map.items()
        if key in ("classes", "mean", "std")
    }
    assert facts["classes"] == list(CLASSES)
    picture = read_picture(pictures / "red" / "1.png", run.data.image_shape, run.data.resize)
    shown = (picture / 255 - facts["mean"]) / facts["std"]
    images = np.moveaxis(shown[None], -1, 1).astype("float32")
    (logits,) = session.run(None, {"images": images})
    shares = jax.nn.softmax(jnp.asarray(logits[0]))
    np.testing.assert_allclose(shares, run.predict(picture), rtol=1e-3, atol=1e-5)


def test_a_network_of_the_package_and_a_function_are_exported(capfd, tmp_path, monkeypatch):
    ended = call(capfd, "export", "digits", tmp_path / "digits.onnx", "--no-fold")
    assert (ended.code, ended.err) == (0, "")
    assert "images Nx28x28x1 -> logits Nx1x1x10" in ended.out
    assert "4 Conv" in ended.out
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.py").write_text("def make():\n    return lambda x: x * 2 + 1\n")
    ended = call(capfd, "export", "theirs:make", "theirs.stablehlo", "--input", "5x2")
    assert (ended.code, ended.err) == (0, "")
    program = jax.export.deserialize(bytearray((tmp_path / "theirs.stablehlo").read_bytes()))
    np.testing.assert_array_equal(program.call(np.ones((3, 5, 2), "float32"))["logits"], 3)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("digits", "digits.pt"), "must end in .onnx or .stablehlo"),
        (("digit", "digits.onnx"), "did you mean digits?"),
        (("digits", "digits.onnx", "--best"), "--best needs a run"),
        (("digits", "digits.onnx", "--layout", "nhcw"), "Use --layout nhwc."),
        (("digits", "nowhere/digits.onnx"), "nowhere is not a folder"),
        (("conv:32:k3", "layers.onnx"), "conv:32:k3 is a layer, and this command takes a model"),
        (("vgg11", "vgg11.onnx", "--input", "16x64x3"), "Use --input 32x64x3."),
        ((".", "digits.onnx"), "is not a run folder"),
    ],
)
def test_what_cannot_be_exported_is_one_line(capfd, tmp_path, monkeypatch, words, reason):
    monkeypatch.chdir(tmp_path)
    assert reason in refused(capfd, "export", *words)


@pytest.mark.parametrize("words", [("digits.pt",), ("digits.onnx", "--layout", "nhcw")])
def test_a_wrong_word_is_refused_before_a_model_is_built(capfd, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jaxcnn.cli.export.resolve", lambda *_, **__: pytest.fail("was built"))
    refused(capfd, "export", "digits", *words)


def test_the_input_of_a_run_is_its_own(capfd, trained, tmp_path):
    words = ("export", trained[0], tmp_path / "run.onnx", "--input", "3x3x3")
    assert "omit it" in refused(capfd, *words)


def test_without_the_extra_the_line_says_what_to_type(capfd, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    line = refused(capfd, "export", "digits", tmp_path / "digits.onnx")
    assert "jaxcnn.export needs onnx; type: pip install 'jaxcnn[onnx]'" in line
