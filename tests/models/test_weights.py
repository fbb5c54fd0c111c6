"""A file's weights come in and go out bit for bit; whatever has no place is in one error."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn import models
from jaxcnn.errors import InputError
from jaxcnn.models.densenet import DenseNet
from jaxcnn.models.registry import NETWORKS
from jaxcnn.models.weights.compare import _named
from jaxcnn.models.weights.files import read, write
from jaxcnn.models.weights.match import MOST
from jaxcnn.models.weights.names import from_torch, places, to_torch, torch_shape, variables
from tests.cases import many
from tests.models.formula import published_model
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
    if not {"fc.weight", "fc.bias"} & set(given):  # a file without a head: it is new
        wanted = [key for key in wanted if key not in ("fc.weight", "fc.bias")]
    assume(wanted)
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


def test_the_number_of_classes_is_that_of_the_file(folder):
    write(folder / "a.safetensors", tensors(classes=9))
    model = models.load("tiny", folder / "a.safetensors")
    assert model.head.dense.out_features == 9
    models.save(model, folder / "b.safetensors", names="library")
    assert bytes_of(read(folder / "b.safetensors").tensors) == bytes_of(tensors(classes=9))


@pytest.mark.parametrize("has_head", [True, False])
def test_the_head_is_new_for_other_classes_and_nothing_else_is(folder, has_head):
    given = tensors(classes=9)
    if not has_head:
        del given["fc.weight"], given["fc.bias"]
    write(folder / "a.safetensors", given)
    one, same, other = (
        models.load("tiny", folder / "a.safetensors", classes=5, rngs=nnx.Rngs(seed))
        for seed in (1, 1, 2)
    )
    models.save(one, folder / "b.safetensors", names="library")
    again = read(folder / "b.safetensors").tensors
    kept = {key: each for key, each in given.items() if not key.startswith("fc.")}
    assert bytes_of({key: again[key] for key in kept}) == bytes_of(kept)
    assert set(again) - set(kept) == {"fc.weight", "fc.bias"}
    kernels = [np.asarray(model.head.dense.kernel[...]) for model in (one, same, other)]
    assert kernels[0].shape == (5, 5)
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        # A head of which a part is missing is not new.
        ({"fc.bias": None}, {"classes": 3}, r"fc.bias \(3,\), the model's head.dense.bias, is in"),
        ({"fc.weight": None, "fc.bias": None}, {}, r"\n Use classes=3 for a new head\."),
        ({}, {"input_shape": (4, 3, 3)}, r"\. Use input_shape=\(4, 3, 2\)\.$"),
        ({}, {"input_shape": (5, 3, 2)}, r"shape \(5, 72\) in the file, \(5, 90\) in tiny"),
        (
            {COUNT: np.zeros(2, np.int64)},
            {},
            rf"{COUNT} is int64 \(2,\) in the file, not one int64",
        ),
        ({COUNT: np.zeros((), np.int32)}, {}, rf"{COUNT} is int32 \(\) in the file, not one int64"),
        (
            {"gamma": np.ones((6, 1, 1))},
            {},
            r"gamma is float64 in the file, which JAX would round; set JAX_ENABLE_X64=1 in the env",
        ),
        (
            {each: np.ones((4,)) for each in ("bn1.weight", "bn1.bias", "bn1.running_mean")},
            {},
            r"of library: bn1.bias and 2 more are float64 in the file",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_type(folder, changes, arguments, words):
    given = {key: each for key, each in (tensors() | changes).items() if each is not None}
    write(folder / "a.safetensors", given)
    with pytest.raises(InputError, match=words):
        models.load("tiny", folder / "a.safetensors", **arguments)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_running_statistics_of_16_bits_are_float32(folder, dtype):
    given = tensors(dtype)
    write(folder / "a.safetensors", given)
    model = models.load("tiny", folder / "a.safetensors")
    norm = model.stem.norm
    assert {each.dtype.name for each in (norm.mean, norm.var)} == {"float32"}
    assert {each.dtype.name for each in (norm.scale, model.stem.conv.kernel)} == {dtype}
    np.testing.assert_array_equal(norm.var[...], given["bn1.running_var"].astype("float32"))


def test_a_head_that_cannot_be_new_is_not_advised(folder):
    given = {key: each for key, each in tensors().items() if key not in ("fc.bias", "gamma")}
    del given["fc.weight"]
    write(folder / "a.safetensors", given)
    for classes, words in ((None, "Use classes=3 for a new head"), (3, "is in tiny alone")):
        with pytest.raises(InputError, match=words) as error:
            models.load("tiny", folder / "a.safetensors", classes=classes)
        assert ("Use" in str(error.value)) == (classes is None)


def test_the_names_in_torchvisions_file_of_densenet_are_its_own_with_another_dot():
    names = NETWORKS["densenet121"].names
    model = nnx.eval_shape(lambda: DenseNet((32, 32, 3), 5, (1, 2, 1, 1), rngs=nnx.Rngs(0)))
    renamed = {
        re.sub(r"^(.*denselayer\d+\.(?:norm|conv))([12]\.\w+)$", r"\1.\2", key): place.shape
        for key, place in places(model, "torchvision", names).items()
    }
    assert renamed["features.denseblock2.denselayer2.norm.2.running_var"] == (128,)
    found = places(model, "torchvision_file", names)
    assert {key: place.shape for key, place in found.items()} == renamed


def test_arguments_of_another_type_are_refused_by_name(folder):
    path = folder / "a.safetensors"
    write(path, tensors())
    before = path.read_bytes()
    for arguments, words in (
        ({"path": None}, "load: path must be a path, got None"),
        ({"input_shape": 28}, r"load: input_shape must be \(\*spatial, C\), such as .*, got 28"),
        ({"input_shape": "4x3x2"}, "load: input_shape must be .*, got '4x3x2'"),
        ({"rngs": 0}, r"load: rngs must be nnx.Rngs, such as nnx.Rngs\(0\), got 0"),
    ):
        with pytest.raises(TypeError, match=words):
            models.load(**{"name": "tiny", "path": path} | arguments)
    with pytest.raises(TypeError, match="save: path must be a path, got None"):
        models.save(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), None)
    with pytest.raises(TypeError, match="save: model must be a Flax NNX module, got dict"):
        models.save({"a": 1}, path)
    with pytest.raises(InputError, match="save: the List has no parameters or running statistics"):
        models.save(nnx.List([]), path)
    with pytest.raises(InputError, match="save: the model is not tiny: they differ in 17 var"):
        models.save(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), path, name="tiny")
    assert path.read_bytes() == before


def test_arguments_that_mean_nothing_are_refused(folder):
    write(folder / "a.safetensors", tensors())
    with pytest.raises(
        InputError, match=r"load: name must be one of .*, got 'tinny'\. Use name=\"tiny\""
    ):
        models.load("tinny", folder / "a.safetensors")
    with pytest.raises(InputError, match="load: classes must be an integer >= 1, got 0"):
        models.load("tiny", folder / "a.safetensors", classes=0)
    model = models.load("tiny", folder / "a.safetensors")
    with pytest.raises(InputError, match="save: names must be one of 'jaxcnn', 'library', 'other'"):
        models.save(model, folder / "b.safetensors", names="tensorflow")
    with pytest.raises(InputError, match='say which, as in name="digits", or use names="jaxcnn"'):
        models.save(tiny((4, 3, 2), 3, rngs=nnx.Rngs(0)), folder / "b.safetensors", names="library")
    with pytest.raises(InputError, match="the model is not tiny: they differ in 17 variables, "):
        models.save(model.head, folder / "b.safetensors", names="library", name="tiny")
    with pytest.raises(InputError, match=r"use a name that ends in .safetensors, such as .*b.safe"):
        models.save(model, folder / "b.pth")


def test_a_file_in_parts_is_read_by_its_index(folder):
    given = tensors()
    parts = [dict(list(given.items())[part::2]) for part in (0, 1)]
    for number, part in enumerate(parts):
        write(folder / f"part{number}.safetensors", part)
    index = folder / "model.safetensors.index.json"
    keys = {key: f"part{number}.safetensors" for number in (0, 1) for key in parts[number]}
    index.write_text(json.dumps({"weight_map": keys}))
    assert bytes_of(read(index).tensors) == bytes_of(given)
    before = read(index).digest
    write(folder / "part1.safetensors", parts[1] | {"gamma": np.zeros((6, 1, 1), np.float32)})
    assert read(index).digest != before
    write(folder / "part1.safetensors", parts[1] | {"more": np.zeros(1)})
    with pytest.raises(InputError, match="differ in 1 keys, more among them; download them again"):
        read(index)
    for text in ("{}", "[1]", "no", '{"weight_map": {"a": "../b.safetensors"}}'):
        index.write_text(text)
        with pytest.raises(InputError, match=r"no weight_map|is not a file beside it") as error:
            read(index)
        assert "\n" not in str(error.value)


@given(st.integers(0, 400), st.binary(max_size=20))
def test_what_is_no_whole_file_is_one_line(folder, length, tail):
    write(folder / "a.safetensors", {"a": np.ones(30, np.float32)})
    whole = (folder / "a.safetensors").read_bytes()
    (folder / "b.safetensors").write_bytes((whole[:length] + tail)[: len(whole) - 1])
    with pytest.raises(InputError) as error:
        read(folder / "b.safetensors")
    assert str(error.value).startswith(str(folder / "b.safetensors"))
    assert "\n" not in str(error.value)


def test_files_that_are_not_there_or_would_execute_code_are_one_line(folder):
    (folder / "old.pth").write_bytes(b"\x80\x02}q\x00.")
    (folder / "model.bin").write_bytes(b"PK\x03\x04 and so on")
    (folder / "inside").mkdir()
    cases = {
        "none.safetensors": r"cannot be read \(No such file or directory\)$",
        "inside": r"cannot be read \(Is a directory\); name a file in it$",
        "": r"cannot be read \(Is a directory\); name a file in it such as .*a\.safetensors$",
        "old.pth": "is a pickle, which could execute anything and is not loaded; convert it where",
        "model.bin": "PyTorch is not installed; install it, or convert|does not hold tensors alone",
    }
    for name, words in cases.items():
        with pytest.raises(InputError, match=words) as error:
            models.load("tiny", folder / name)
        assert "\n" not in str(error.value)


def test_writing_replaces_a_file_whole_or_not_at_all(folder, monkeypatch):
    path = folder / "kept.safetensors"
    write(path, {"a": np.zeros(3, np.float32)})
    before = path.read_bytes()

    def fails(_tensors, temporary, **_):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.numpy.save_file", fails)
    with pytest.raises(InputError, match=r"kept.safetensors cannot be written \(disk full\); use"):
        write(path, {"a": np.ones(3, np.float32)})
    assert path.read_bytes() == before
    assert not list(folder.glob(".*kept*"))
    with pytest.raises(InputError, match="cannot be written"):
        write(folder / "nowhere" / "a.safetensors", {"a": np.ones(3, np.float32)})


def test_a_tensor_is_written_as_it_is_whatever_its_strides(folder):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    write(folder / "a.safetensors", {"a": array, "b": array[0, 0, 0]})
    found = read(folder / "a.safetensors").tensors
    np.testing.assert_array_equal(found["a"], array)
    assert found["b"].shape == ()


SMALL = ("vgg11_bn", "resnet18", "regnet_y_400mf", "mobilenet_v3_small", "convnext_tiny")
"""Networks of several families whose shapes take a second."""


def every(quick):
    marks = {name: () if name in quick else pytest.mark.slow for name in NETWORKS}
    return [pytest.param(name, marks=each) for name, each in marks.items()]


@pytest.mark.parametrize("name", every(("vgg11_bn", "unet")))
def test_compare_finds_the_rules_of_a_network_among_all(name):
    network, model = NETWORKS[name], published_model(name)
    assert _named(model, {"weight"}, None)
    for names in network.names:
        keys = set(places(model, names, network.names))
        assert set(_named(model, keys, None)) == keys


@pytest.mark.parametrize("name", every(SMALL))
def test_names_and_layouts_of_a_network_are_one_to_one(name):
    network, model = NETWORKS[name], published_model(name)
    ours = {path: each.get_value().shape for path, each in variables(model).items()}
    for names in network.names:
        found = places(model, names, network.names)  # which refuses two variables of one name
        assert {place.path for place in found.values()} == set(ours)
        for key, place in found.items():
            assert re.fullmatch(r"[\w.-]+", key)
            assert sorted(n for n in place.shape if n > 1) == sorted(
                n for n in ours[place.path] if n > 1
            ) or np.prod(place.shape) == np.prod(ours[place.path])


sizes = st.integers(1, 4)


@many
@given(st.lists(sizes, min_size=1, max_size=5), st.sampled_from(["kernel", "other"]), st.data())
def test_a_layout_is_undone_by_its_inverse(shape, leaf, data):
    shape = tuple(shape)
    axes = data.draw(st.none() | st.integers(2, 6))
    if leaf == "kernel" and len(shape) < 2:
        shape += (2,)
    theirs = torch_shape(shape, leaf, axes)
    assert axes is None or len(theirs) == axes
    value = np.arange(np.prod(shape)).reshape(shape)
    there = to_torch(value, leaf, theirs)
    assert there.shape == theirs
    np.testing.assert_array_equal(from_torch(there, leaf, shape), value)
