"""``compare``: where a network and one of PyTorch part, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcnn.errors import InputError
from jaxcnn.keywords import suggest_keywords
from jaxcnn.models.registry import NETWORKS
from jaxcnn.models.weights.arithmetic import distance, option_reasons, weight_reasons
from jaxcnn.models.weights.calls import Call, our_calls, torch_calls, torch_output
from jaxcnn.models.weights.comparison import Comparison, Row
from jaxcnn.models.weights.names import COUNT, places, to_torch, variables
from jaxcnn.nn.activations import ACTIVATIONS, find_activation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jax.typing import ArrayLike

    from jaxcnn.models.published import Rules
    from jaxcnn.models.weights.names import Place

OUTPUT = "output"
"""The row of the whole network."""

SLACK = 16
"""How much larger than its own rounding the effect of an earlier layer's may be."""

OTHERS = 16
"""The roundings of an entry in a layer without a kernel."""

POOLS = ("MaxPool", "AvgPool", "Upsample")
"""The layers without weights that are compared, in their order."""

FUNCTIONS = {name: each.function for name, each in ACTIVATIONS.items() if name != "gelu"} | {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu by tanh": jax.nn.gelu,
    "relu6": jax.nn.relu6,
    "hard_swish": jax.nn.hard_swish,
    "hard_sigmoid": jax.nn.hard_sigmoid,
}
"""The activations that are recognised between two layers."""


@suggest_keywords
def compare(
    model: nnx.Module, torch_model: Any, images: ArrayLike, *, rules: Rules | None = None
) -> Comparison:
    """Finds the first layer at which a network and one of PyTorch part, and says why.

    Both are copied, run in float64 in evaluation mode, and compared layer by layer: every layer
    with weights, the pools in their order, the output. So what is left is rounding, about
    n*u of an output's norm after layers whose sums have n terms, u = 1.1e-16; the tolerance is
    that with a slack for what an earlier layer's rounding grows to. Each layer is also given the
    same input as its counterpart, so that a layer that differs by itself is told from one that
    only passes on a difference. The reasons are options (stride, padding, dilation, groups, ceil
    mode, epsilon, align_corners, ...), weights, and the activation between two layers.

    Args:
      model: the module.
      torch_model: a ``torch.nn.Module`` for images (N, C, *spatial).
      images: (N, *spatial, C).
      rules: how the paths of the model's modules become PyTorch's names
        (:data:`jaxcnn.models.published.Rules`); None for those of the package's networks with which
        the most weights have a counterpart.

    Raises:
      InputError: (a ValueError) if no layer has a counterpart, or if ``images`` is no batch.
      TypeError: if ``model`` or ``torch_model`` is no module, or ``images`` no numbers.

    What ``print(compare(model, torch_model, images))`` may print:

    >>> reason = "padding (1, 1) here, (0, 1) there"
    >>> row = Row("stem.0.conv", "conv1", (1, 5, 5, 64), 0.21, 5e-12, (reason,))
    >>> print(Comparison((row,), ours_alone=(), theirs_alone=()))
    layer        PyTorch's  output  difference  allowed
    stem.0.conv  conv1      5x5x64     2.1e-01  5.0e-12  <
    first difference: stem.0.conv (conv1)
      padding (1, 1) here, (0, 1) there
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model must be a Flax NNX module, got {type(model).__name__}")
    try:
        pixels = np.asarray(images, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"images must be an array (N, *spatial, C) of numbers: {error}") from None
    if pixels.ndim < 3:
        raise InputError(f"images must be a batch (N, *spatial, C), got the shape {pixels.shape}")
    theirs, their_error = torch_calls(torch_model, pixels)
    state = torch_model.state_dict().items()
    weights = {key: each.detach().double().cpu().numpy() for key, each in state}
    counts = {key for key in weights if key.rpartition(".")[2] == COUNT}
    named = _named(model, set(weights) - counts, rules)
    if not set(named) & set(weights):
        raise InputError(
            f"no weight of the model has the name of one of the {type(torch_model).__name__}; give "
            f"the rules for these two, such as rules=((r'^stem', 'conv1'),)"
        )
    own = {path: np.asarray(each.get_value()) for path, each in variables(model).items()}
    ours, our_error = our_calls(model, pixels)
    stops = (("the model", our_error), ("PyTorch's", their_error))
    given = f"; the images are {pixels.shape}"
    notes = [f"{which} stops, {error}{given}" for which, error in stops if error]
    whole = [] if notes else [(ours[-1], theirs[-1])]
    pairs = [*_pairs(ours, theirs, named), *whole]
    rows: list[Row] = []
    terms = 0
    for i, (here, there) in enumerate(pairs):
        kernel = own.get(f"{here.name}.kernel")
        terms += OTHERS if kernel is None else kernel[..., 0].size
        row = Row(
            here.name or OUTPUT,
            there.name or type(torch_model).__name__,
            here.y.shape,
            distance(_aligned(here.y, _activated(here, there.y)), _activated(here, there.y)),
            SLACK * terms * float(np.finfo(np.float64).eps) / 2,
        )
        if row.differs:
            mine, its = _weights(here.name, named, own, weights)
            reasons = _reasons(here, there, row.allowed, mine, its)
            if not reasons and not any(each.differs for each in rows):
                reasons = _before(pairs[i - 1] if i else None, here, there, row.allowed)
            row = replace(row, reasons=tuple(reasons))
        rows.append(row)
    alone = [place.path for key, place in named.items() if key not in weights]
    others = [key for key in weights if key not in named and key not in counts]
    return Comparison(tuple(rows), tuple(alone), tuple(others), tuple(notes))


def _named(model: nnx.Module, keys: set[str], rules: Rules | None) -> dict[str, Place]:
    """The places of the model's variables by the names that most of the keys have."""
    known = [each for network in NETWORKS.values() for each in network.names.values()]
    candidates = list({id(each): each for each in known}.values()) if rules is None else [rules]
    best: dict[str, Place] = {}
    for each in candidates:
        try:
            found = places(model, "theirs", {"theirs": each})
        except (InputError, LookupError):  # these rules are not for such a network
            continue
        if not best or len(keys & set(found)) > len(keys & set(best)):
            best = found
    return best


def _pairs(
    ours: list[Call], theirs: list[Call], named: Mapping[str, Place]
) -> list[tuple[Call, Call]]:
    """The layers of both networks, in the order of ours."""
    names = {place.path.rpartition(".")[0]: key.rpartition(".")[0] for key, place in named.items()}
    pools = {}
    for kind in POOLS:
        here = [i for i, call in enumerate(ours) if _is(kind, call)]
        there = [call for call in theirs if _is(kind, call)]
        if len(here) == len(there):
            pools |= dict(zip(here, there, strict=True))
    leaves: dict[str, list[Call]] = {}
    for call in theirs:
        if call.own or not [*call.layer.children()]:
            leaves.setdefault(call.name, []).append(call)
    times: Counter[str] = Counter()  # a layer may be called several times
    found = []
    for i, call in enumerate(ours):
        calls = leaves.get(names.get(call.name, ""), []) if call.name else []
        if i in pools:
            found.append((call, pools[i]))
        elif times[call.name] < len(calls):
            found.append((call, calls[times[call.name]]))
        times[call.name] += 1
    return found


def _is(kind: str, call: Call) -> bool:
    name = type(call.layer).__name__
    return kind in name and not name.startswith(("Adaptive", "Global"))


def _activated(call: Call, y: np.ndarray) -> np.ndarray:
    """The output of PyTorch's layer with the activation that is a part of ours."""
    activation = getattr(call.layer, "activation", "linear")
    return _applied(find_activation(activation).function, y)


def _applied(function: Callable[[jax.Array], jax.Array], x: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(function(jnp.asarray(x)))


def _aligned(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Our array in the layout of theirs: channels first or last, or flat; itself if none fits."""
    forms = [np.moveaxis(ours, -1, 1), ours] if ours.ndim > 2 else [ours]
    fitting = [form.reshape(theirs.shape) for form in forms if form.size == theirs.size]
    return min(fitting, key=lambda form: distance(form, theirs), default=forms[0])


def _weights(
    path: str,
    named: Mapping[str, Place],
    own: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The weights of a layer on both sides, in PyTorch's layout, by PyTorch's names."""
    places = {key: each for key, each in named.items() if each.path.rpartition(".")[0] == path}
    if not path or not places:
        return {}, {}
    module = next(iter(places)).rpartition(".")[0]
    mine = {
        key.rpartition(".")[2]: to_torch(own[each.path], each.path, each.shape)
        for key, each in places.items()
    }
    its = {
        key.rpartition(".")[2]: each
        for key, each in weights.items()
        if key.rpartition(".")[0] == module and not key.endswith(COUNT)
    }
    return mine, its


def _reasons(
    here: Call,
    there: Call,
    allowed: float,
    mine: Mapping[str, np.ndarray],
    its: Mapping[str, np.ndarray],
) -> list[str]:
    """Why a layer gives another output for the same input; nothing if it does not."""
    if not here.name:
        return []
    try:
        again = _activated(here, torch_output(there.layer, _aligned(here.x, there.x)))
    except (RuntimeError, ValueError):  # PyTorch refuses an input of another shape
        again = there.y
    if distance(_aligned(here.y, again), again) <= allowed:
        return []
    found = option_reasons(here.layer, there.layer, here.x.shape[1:-1])
    found += weight_reasons(mine, its)
    kinds = f"{type(here.layer).__name__} here, {type(there.layer).__name__} there"
    return found or [f"another formula with the same options and weights: {kinds}"]


def _before(pair: tuple[Call, Call] | None, here: Call, there: Call, allowed: float) -> list[str]:
    """What is between a layer and the one before, whose outputs agree."""
    if pair is None:
        return ["its input is another already"]
    mine, its = pair
    fused = getattr(mine.layer, "activation", "linear")
    applied, other = (_between(each.y, x, allowed) for each, x in ((mine, here.x), (its, there.x)))
    applied = fused if applied == "linear" else applied if fused == "linear" else None
    after = f"{mine.name} ({its.name})"
    if applied and other and applied != other:
        return [f"after {after} comes {applied} here, {other} there"]
    return [f"its input is another already, though {after} gives the same"]


def _between(y: np.ndarray, x: np.ndarray, allowed: float) -> str | None:
    """The name of the activation that makes x of y."""
    if y.shape != x.shape:
        return None
    found = (name for name, f in FUNCTIONS.items() if distance(_applied(f, y), x) <= allowed)
    return next(found, None)
