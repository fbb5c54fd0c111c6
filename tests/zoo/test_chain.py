"""From a file of torchvision to an ONNX file: loaded, trained further, exported, run elsewhere."""

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
import torchvision
from flax import nnx

from jaxcnn import export, models
from jaxcnn.models.weights.files import read
from jaxcnn.models.weights.names import variables
from jaxcnn.train import Run, Started, TrainConfig, fit
from tests.cli.runs import CLASSES, write_pictures

pytestmark = pytest.mark.zoo

SIZE = 32


def test_a_resnet_of_torchvision_is_loaded_trained_exported_and_run(tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=7)
    file = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(theirs.state_dict(), file)

    loaded = models.load("resnet18", file, input_shape=(SIZE, SIZE, 3))
    models.save(loaded, tmp_path / "again.safetensors", names="torchvision")
    again = read(tmp_path / "again.safetensors").tensors
    assert set(again) == set(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(again[key], value.numpy())

    notes = []
    config = TrainConfig(
        model="resnet18", weights=file, image_size=(SIZE, SIZE), epochs=1, batch_size=8, augment=()
    )
    result = fit(
        None,
        write_pictures(tmp_path / "pictures"),
        config,
        folder=tmp_path / "run",
        callbacks=[lambda event: notes.extend(event.notes if isinstance(event, Started) else ())],
    )
    new = "head.dense.bias head.dense.kernel"
    count = len(variables(loaded)) - 2
    assert f"weights of {file.name}: {count} variables by the names of torchvision, new: {new}" in (
        notes
    )

    run = Run.open(result.folder)
    model = run.build()()
    run.trained(model)
    kernels = [np.asarray(each.stem[0].conv.kernel[...]) for each in (model, loaded)]
    assert not np.array_equal(*kernels)
    path = tmp_path / "resnet18.onnx"
    export(model, run.data.image_shape, path, classes=run.data.classes)
    images = np.random.default_rng(0).normal(size=(3, SIZE, SIZE, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images})
    model.eval()
    want = np.asarray(nnx.jit(lambda model, x: model(x))(model, images))
    assert logits.shape == (3, len(CLASSES))
    np.testing.assert_allclose(logits, want, rtol=1e-4, atol=1e-4 * abs(want).max())
