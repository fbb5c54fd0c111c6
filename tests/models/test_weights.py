"""A file's weights come in and go out bit for bit; whatever has no place is in one error."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import models
from jaxcnn.errors import InputError
from jaxcnn.models.weights.files import read, write
from jaxcnn.models.weights.match import MOST
from tests.models.tiny import COUNT, register, shapes, tensors, tiny


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as monkeypatch:
        register(monkeypatch)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


def bytes_of(found):
    return {key: (each.dtype.name, each.shape, each.tobytes()) for key, each in found.items()}


@given(
    st.sampled_from(["float32", "bfloat16", "float16"]),
    st.integers(0, 99),
    st.sampled_from(["", "module.", "model.backbone."]),
    st.booleans(),
)
def test_a_file_that_is_loaded_and_saved_has_every_byte_again(folder, dtype, seed, prefix, counted):
    given = tensors(dtype, seed)
    if not counted:
        del given[COUNT]
    write(folder / "a.safetensors", {prefix + key: each for key, each in given.items()})
    model = models.load("tiny", folder / "a.safetensors")
    models.save(model, folder / "b.safetensors", names="library")
    assert bytes_of(read(folder / "b.safetensors").tensors) == bytes_of(given)
    # By way of the package's own names, too.
    models.save(model, folder / "own.safetensors")
    again = models.load("tiny", folder / "own.safetensors")
    models.save(again, folder / "c.safetensors", names="library")
    assert bytes_of(read(folder / "c.safetensors").tensors) == bytes_of(
        given | {COUNT: np.zeros((), np.int64)}
    )


def test_each_value_is_at_its_place(folder):
    given = tensors()
    write(folder / "a.safetensors", given)
    model = models.load("tiny", folder / "a.safetensors")
    same = np.testing.assert_array_equal
    same(model.stem.conv.kernel[...], given["conv1.weight"].transpose(2, 3, 1, 0))
    same(model.stem.norm.scale[...], given["bn1.weight"])
    same(model.stem.norm.var[...], given["bn1.running_var"])
    same(model.stages[0][0].squeeze.kernel[...], given["se.fc1.weight"][:, :, 0, 0].T)
    same(model.stages[1][0].kernel[...], given["mix.weight"].transpose(2, 3, 1, 0))
    same(model.stages[2][0].scale[...], given["gamma"][:, 0, 0])
    # PyTorch flattens channels first.
    whole = given["classifier.0.weight"].reshape(5, 6, 4, 3)
    same(model.stages[3][0].kernel[...], whole.transpose(2, 3, 1, 0))
    same(model.head.dense.kernel[...], given["fc.weight"].T)


def test_a_loaded_model_computes_as_one_that_was_built_with_the_same_values(folder):
    built = tiny((4, 3, 2), 3, rngs=nnx.Rngs(3))
    models.save(built, folder / "a.safetensors", names="library", name="tiny")
    loaded = models.load("tiny", folder / "a.safetensors")
    x = jnp.linspace(-1, 1, 48).reshape(2, 4, 3, 2)
    for model in (built, loaded):
        model.eval()
    np.testing.assert_array_equal(built(x), loaded(x))
    loaded.train()  # the streams of Dropout are there, too
    assert loaded(x).shape == (2, 3)


def faults_of(error):
    """The keys that an error lists, in the order of its numbers."""
    text = str(error.value)
    if "reasons" not in text:
        return [re.search(r"names of \w+: (\S+) ", text)[1]]
    found = re.findall(r"^  (\d+)\. (\S+) ", text, re.MULTILINE)
    assert [int(number) for number, _ in found] == list(range(1, len(found) + 1))
    more = re.search(r"^  and (\d+) more$", text, re.MULTILINE)
    assert f"for {len(found) + int(more[1] if more else 0)} reasons" in text
    return [key for _, key in found]


changes = st.sampled_from(["rename", "drop", "add", "reshape", "integer"])


@given(st.dictionaries(st.sampled_from(sorted(shapes())), changes, min_size=1, max_size=8))
def test_all_that_has_no_place_is_listed_and_nothing_else(folder, changed):
    given = tensors()
    wanted = []
    for key, change in changed.items():
        if change in ("rename", "drop"):
            given[f"{key}x"] = given.pop(key)
            wanted += [key, f"{key}x"]
        if change == "drop":
            del given[wanted.pop()]
        elif change == "add":
            given[f"more.{key}"] = given[key]
            wanted.append(f"more.{key}")
        elif change == "reshape":
            given[key] = np.zeros((*given[key].shape, 2), np.float32)
            wanted.append(key)
        elif change == "integer":
            given[key] = given[key].view(np.int32)
            wanted.append(key)
        elif change == "rename":
            # The nearest candidate of a key that was renamed is the key itself.
            assert f"{key}x"
    if "bn1.running_mean" in wanted and changed["bn1.running_mean"] in ("rename", "drop"):
        pass  # the count belongs to the running mean of the model, which is still wanted
    write(folder / "a.safetensors", given)
    with pytest.raises(InputError) as error:
        models.load("tiny", folder / "a.safetensors", classes=3)
    assert sorted(faults_of(error)) == sorted(wanted)


def test_the_nearest_candidate_is_named_on_both_sides(folder):
    given = tensors()
    given["layer.bn1.weight"] = given.pop("bn1.weight")
    write(folder / "a.safetensors", given)
    with pytest.raises(InputError) as error:
        models.load("tiny", folder / "a.safetensors")
    assert str(error.value).splitlines() == [
        f"{folder / 'a.safetensors'} does not fit tiny for 4x3x2 and 3 outputs by the names of "
        f"library, for 2 reasons:",
        "  1. layer.bn1.weight (4,) is in the file alone; the nearest in tiny: bn1.weight (4,)",
        "  2. bn1.weight (4,), the model's stem.norm.scale, is in tiny alone; the nearest in the "
        "file: layer.bn1.weight (4,)",
    ]


def test_a_long_list_says_how_many_more_there_are(folder):
    write(folder / "a.safetensors", {f"x{i}": np.zeros(2, np.float32) for i in range(30)})
    with pytest.raises(InputError, match=f"and {30 + len(shapes()) - MOST} more") as error:
        models.load("tiny", folder / "a.safetensors")
    assert len(faults_of(error)) == MOST
