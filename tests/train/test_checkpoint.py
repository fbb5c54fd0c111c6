"""Checkpoints: what is restored is what was saved, bit for bit, and damage is found."""

import gc
import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.train.checkpoint import Checkpoints
from tests.train.states import LIKE, assert_holds, assert_same, error_of, flip, saved, state_of

DTYPES = ("float32", "bfloat16", "int32", "uint32", "uint8", "bool")
KEYS = ("threefry2x32", "rbg", "unsafe_rbg")


class Pair(NamedTuple):
    first: object
    second: object


@st.composite
def arrays(draw):
    """An array of random bits, NaNs and all, or an array of keys."""
    shape = draw(st.lists(st.integers(0, 3), max_size=3).map(tuple))
    seed, kind = draw(st.integers(0, 2**31)), draw(st.sampled_from(DTYPES + KEYS))
    if kind in KEYS:
        key = jax.random.key(seed, impl=kind)
        return jax.random.split(key, shape) if shape else key
    random = np.random.default_rng(seed)
    if kind == "bool":
        return jnp.asarray(random.integers(0, 2, shape) == 1)
    dtype = np.dtype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    bits = random.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    return jnp.asarray(bits.view(dtype)[..., 0])


def trees():
    """A tree with a number and an empty array, and with nodes that have no leaves."""
    nodes = st.recursive(
        st.one_of(arrays(), st.none(), st.just(())),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(st.sampled_from(["a", "b.c", "d/e", "0", "é ü"]), inner, max_size=3),
            st.builds(Pair, inner, inner),
            st.builds(lambda array: nnx.State({"layers": {0: nnx.Param(array)}}), arrays()),
        ),
        max_leaves=8,
    )
    last = st.integers(0, 9).map(lambda i: (jnp.int32(i), jnp.zeros((0, i))))
    return st.builds(Pair, nodes, last)


@given(trees())
def test_a_restored_tree_is_the_saved_one_bit_for_bit(tree):
    with TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder, "checkpoint"))
        info = {"best": 0.1 + 0.2, "epoch": 3, "list": [1, None, "é"]}
        checkpoints.save(7, tree, info)
        restored, restored_info = checkpoints.restore(jax.eval_shape(lambda: tree))
        assert_same(restored, tree)
        assert restored_info == info
        assert_same(checkpoints.restore(restored)[0], tree)  # arrays serve as well


def test_the_newest_two_and_the_best_are_kept(tmp_path):
    folder = tmp_path / "checkpoint"
    checkpoints = Checkpoints(folder)
    assert (checkpoints.steps(), checkpoints.best()) == ([], None)
    kept = {1: [1], 2: [1, 2], 3: [2, 3], 4: [2, 3, 4], 5: [2, 4, 5], 6: [5, 6], 7: [6, 7]}
    for step, steps in kept.items():
        checkpoints.save(step, state_of(step), {"step": step}, best=step in (2, 6))
        assert checkpoints.steps() == steps
        assert checkpoints.best() == (None if step < 2 else 2 if step < 6 else 6)
    assert checkpoints.newest() == folder / "7"
    assert_holds(checkpoints, 6, step=6)
    assert_holds(checkpoints, 7)
    assert sorted(path.name for path in folder.iterdir()) == ["6", "7", "best"]


def test_a_saved_step_is_not_written_again_but_may_become_the_best(tmp_path):
    checkpoints = saved(tmp_path / "checkpoint", 1, 2, 3, 4)
    assert checkpoints.steps() == [1, 3, 4]
    checkpoints.save(4, state_of(5), {"step": 5})
    assert checkpoints.best() == 1
    checkpoints.save(4, state_of(5), {"step": 5}, best=True)
    assert (checkpoints.steps(), checkpoints.best()) == ([3, 4], 4)
    checkpoints.save(4, state_of(5), {"step": 5})
    assert checkpoints.best() == 4
    assert_holds(checkpoints, 4)


DAMAGE = {"a bit flipped": flip, "emptied": lambda path: os.truncate(path, 0), "gone": os.unlink}


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("how", DAMAGE)
def test_with_any_file_damaged_the_checkpoint_before_is_used(tmp_path, capfd, how):
    checkpoints = saved(tmp_path / "checkpoint", 1, 2, 3)
    files = files_of(checkpoints.folder / "3")
    assert len(files) > 6
    for path in files:
        whole = path.read_bytes()
        DAMAGE[how](path)
        assert_holds(checkpoints, 2, [f"{checkpoints.folder / '3'} is damaged: the files"])
        assert checkpoints.newest().name == "2"
        assert "checkpoint/3 is damaged" in error_of(checkpoints.restore, LIKE, step=3)
        path.write_bytes(whole)
    assert_holds(checkpoints, 3)
    gc.collect()  # objects left behind by threads would print errors now
    assert capfd.readouterr().err == ""


def test_a_resumed_run_replaces_what_is_damaged(tmp_path):
    checkpoints = saved(tmp_path / "checkpoint", 1, 2, 4, 6, best=6)
    flip(checkpoints.folder / "6" / "contents.txt")
    assert_holds(checkpoints, 4, ["6 is damaged"])
    saved(tmp_path / "checkpoint", 5)  # earlier than the damaged one
    assert (checkpoints.steps(), checkpoints.best()) == ([4, 5], None)
    assert_holds(checkpoints, 5)
    flip(checkpoints.folder / "5" / "contents.txt")
    saved(tmp_path / "checkpoint", 5)
    assert_holds(checkpoints, 5)
    flip(checkpoints.folder / "5" / "contents.txt")
    flip(checkpoints.folder / "4" / "contents.txt")
    assert "4 are damaged" in error_of(checkpoints.restore, LIKE)


def test_the_best_is_that_before_if_the_best_was_damaged(tmp_path):
    checkpoints = saved(tmp_path / "checkpoint", 1, 2)
    checkpoints.save(3, state_of(3), {"step": 3}, best=True)
    checkpoints.save(3, state_of(3), {"step": 3})
    assert (checkpoints.steps(), checkpoints.best()) == ([2, 3], 3)
    checkpoints.save(4, state_of(4), {"step": 4}, best=True)
    flip(checkpoints.folder / "4" / "info.json")
    checkpoints.save(4, state_of(4), {"step": 4})  # not the best this time
    assert (checkpoints.steps(), checkpoints.best()) == ([3, 4], 3)


def test_a_state_of_another_structure_is_one_line(tmp_path, capfd):
    checkpoints = saved(tmp_path / "checkpoint", 1)
    for change, words in {
        "weights": (jnp.ones((5, 4)), "['weights'] (5, 3) float32 where the network has .*(5, 4)"),
        "step": (jnp.float32(0), "['step'] () int32 where the network has .*float32"),
        "key": (jax.random.key(0, impl="rbg"), "['key'] () key<fry> where .*key<rbg>"),
        "zero": (jnp.ones(3), "nothing where the network has state['zero'] (3,) float32"),
    }.items():
        leaf, expected = words
        line = error_of(checkpoints.restore, LIKE | {change: leaf})
        assert "is not a checkpoint of the network in config.json: it holds" in line
        for part in expected.split(".*"):
            assert part in line
    gc.collect()
    assert capfd.readouterr().err == ""


def test_no_checkpoint_is_one_line(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    assert "does not exist, so there is no checkpoint" in error_of(checkpoints.restore, LIKE)
    (tmp_path / "checkpoint" / ".3.new").mkdir(parents=True)
    assert "has no complete checkpoint" in error_of(checkpoints.newest)
    saved(tmp_path / "checkpoint", 3)
    assert "no checkpoint of step 4, only of 3" in error_of(checkpoints.restore, LIKE, step=4)


def test_a_checkpoint_of_an_earlier_version_is_one_line(tmp_path):
    folder = tmp_path / "checkpoint" / "20"
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as orbax:
        orbax.save(folder, args=ocp.args.StandardSave({"step": jnp.int32(20)}))
    (folder / "contents.txt").write_text("['step'] () int32\n")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in files_of(folder)
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    for call in (lambda: checkpoints.restore(LIKE), checkpoints.newest):
        assert "was written by an earlier version of jaxcnn" in error_of(call)
