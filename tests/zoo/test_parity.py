"""Every network computes what its rival in another library does, with the same random weights.

In float64, to 1e-9: logits, the maps of all stages, the gradients of the loss for all parameters,
and parameters and running statistics after three training steps. In float32, our distance from the
rival's float64 may be some times the rival's own: rounding is all that is left.
"""

from __future__ import annotations

from functools import cache, lru_cache

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import nnx

from jaxcnn.models.registry import NETWORKS
from tests.models.formula import CLASSES, empty
from tests.zoo.parity import (
    EXAMPLES,
    Batch,
    Outcome,
    computed_by_torch,
    computed_by_us,
    distances,
    fill_torch,
    give,
    logits,
    second,
)
from tests.zoo.rivals import FAMILIES, families

pytestmark = pytest.mark.zoo

WITHOUT_RIVAL = {"digits", "residual"}
"""Networks of the package alone."""

FAMILY_OF = families(NETWORKS)
QUICK = {family.quick for family in FAMILIES.values()}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILY_OF]
LIBRARIES = [
    pytest.param(name, library, marks=param.marks)
    for param in NAMES
    for (name,) in [param.values]
    for library in list(FAMILY_OF[name].rivals)[1:]
]

FLOAT32_SHARE = 8
"""How many times the rival's distance from its own result in float64 ours may be.

Two orders of summation of n terms have errors of one distribution; norms of many entries differ
little between draws of it. The rest is for arrays with few entries.
"""

KINKS = float(jnp.finfo("float32").eps) ** 0.5
"""A rectifier whose input is within rounding of zero passes its whole gradient or none. A share eps
of the gradient's terms may so differ between two orders of summation, of relative norm sqrt(eps).
"""


def _pair(name: str, shape: tuple[int, ...], library: str):
    """Our network and the rival with the same weights, and the rules for names."""
    theirs = FAMILY_OF[name].rivals[library](name, shape, CLASSES)
    fill_torch(theirs)
    published = NETWORKS[name]
    rules = published.names.get(library, ())
    ours = empty(lambda: published.build(shape, CLASSES, rngs=nnx.Rngs(0)))
    give(theirs.state_dict(), ours, rules)
    return ours, theirs, rules


@cache
def _batch(name: str, shape: tuple[int, ...]) -> Batch:
    published = NETWORKS[name]
    ours = nnx.eval_shape(lambda: published.build(shape, CLASSES, rngs=nnx.Rngs(0)))
    x = jnp.zeros((EXAMPLES, *shape))
    return Batch.drawn(shape, nnx.eval_shape(lambda model: model(x), ours).shape)


def _ours(name: str, shape: tuple[int, ...], dtype: str) -> Outcome:
    ours, _, rules = _pair(name, shape, next(iter(FAMILY_OF[name].rivals)))
    return computed_by_us(ours, rules, _batch(name, shape), dtype)


@lru_cache(maxsize=1)
def _theirs(name: str, shape: tuple[int, ...], dtype: str) -> Outcome:
    family = FAMILY_OF[name]
    _, theirs, _ = _pair(name, shape, next(iter(family.rivals)))
    return computed_by_torch(theirs, family.stage_names(theirs), _batch(name, shape), dtype)


PARTS = ("evaluation", "gradients", "trained")


def test_every_network_has_a_rival():
    assert set(NETWORKS) == set(FAMILY_OF) | WITHOUT_RIVAL


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_in_float64_a_network_computes_what_its_rival_does(name, which):
    shape = FAMILY_OF[name].sizes[which]
    with jax.enable_x64(True):
        got = _ours(name, shape, "float64")
    want = _theirs(name, shape, "float64")
    for part in PARTS:
        far = distances(getattr(got, part), getattr(want, part))
        assert not {name: each for name, each in far.items() if not each < 1e-9}, part


@pytest.mark.parametrize("name", NAMES)
def test_in_float32_a_network_is_as_near_to_float64_as_its_rival(name):
    shape = FAMILY_OF[name].sizes[1]
    rounded = _theirs(name, shape, "float32")
    exact = _theirs(name, shape, "float64")
    got = _ours(name, shape, "float32")
    for part in PARTS:
        ours, theirs, true = (getattr(each, part) for each in (got, rounded, exact))
        allowed, kinks = distances(theirs, true), 0 if part == "evaluation" else KINKS
        far = {
            name: (each, allowed[name])
            for name, each in distances(ours, true).items()
            if not each <= FLOAT32_SHARE * allowed[name] + kinks
        }
        assert not far, part


@pytest.mark.parametrize(("name", "library"), LIBRARIES)
def test_another_librarys_names_give_its_logits(name, library):
    shape = FAMILY_OF[name].sizes[0]
    ours, theirs, _ = _pair(name, shape, library)
    images = _batch(name, shape).images
    theirs.eval()
    with torch.no_grad():
        want = logits(theirs(torch.tensor(second(images)))).numpy()
    ours.eval()
    got = second(nnx.jit(lambda model, x: model(x))(ours, jnp.asarray(images)))
    assert distances({"": got}, {"": want})[""] < 1e-4
