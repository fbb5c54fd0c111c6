"""``lint`` applies the rules to a traced model and reports their findings layer by layer."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.geometry.text import format_count, format_shape
from jaxcnn.inspect.rules import RULES, Option, Rule
from jaxcnn.inspect.rules.rule import any_of
from jaxcnn.inspect.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import jax
    from jax.typing import DTypeLike

    from jaxcnn.inspect.network import Network


@dataclass(frozen=True)
class Finding:
    """One flaw of one layer.

    Attributes:
      code, rule: the code and name of the rule that found it.
      layer: the layer's name and description.
      where: file and line of the model's code; empty if not known.
      message: the flaw, with its numbers.
      change: the change that removes it.
      options: the changes as data; each is enough on its axis.
    """

    code: str
    rule: str
    layer: str
    where: str
    message: str
    change: str
    options: tuple[Option, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """The code, layer and message, which identify the finding in a baseline."""
        return self.code, self.layer, self.message


@dataclass(frozen=True)
class Report:
    """The findings of :func:`lint`; ``str`` returns them as text.

    Attributes:
      input_shape: the shape of one example.
      layers: the number of layers.
      checked: the codes of the applied rules.
      findings: the findings, in the order of the layers.
      notes: unknown facts about the network, in words.
      known: the number of findings left out because a baseline has them.
    """

    input_shape: tuple[int, ...]
    layers: int
    checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    known: int = 0

    @property
    def exit_code(self) -> int:
        """0 without findings, else 1."""
        return int(bool(self.findings))

    def to_json(self) -> str:
        """The report as JSON."""
        fields = asdict(self)
        found = {"input": fields.pop("input_shape"), **fields, "exit_code": self.exit_code}
        return json.dumps(found, indent=2)

    def without(self, known: Iterable[tuple[str, str, str]]) -> Report:
        """The report without known findings, given as (code, layer, message)."""
        counted = Counter(known)
        new = []
        for finding in self.findings:
            if counted[finding.key]:
                counted[finding.key] -= 1
            else:
                new.append(finding)
        left_out = len(self.findings) - len(new)
        return replace(self, findings=tuple(new), known=self.known + left_out)

    def __str__(self) -> str:
        found = len(self.findings)
        looked = f"{format_count(self.layers, 'layer')}, input {format_shape(self.input_shape)}"
        known = f" ({self.known} known before)" if self.known else ""
        notes = [f"note: {note}" for note in self.notes]
        if not found:
            return "\n".join([*notes, f"{looked}: nothing found{known}"])
        lines, layer = [], None
        for finding in self.findings:
            if finding.layer != layer:
                layer = finding.layer
                lines.append(f"{layer}  {finding.where}".rstrip())
            lines.append(f"  {finding.code} {finding.rule}: {finding.message}")
            lines.append(f"  {'':{len(finding.code)}} -> {finding.change}")
        counted = f"{looked}: {found} finding{'' if found == 1 else 's'}{known}"
        return "\n".join([*lines, *notes, counted])


def lint(
    model: Callable[..., Any],
    input_shape: Sequence[int] | jax.ShapeDtypeStruct,
    *,
    select: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    dtype: DTypeLike = "float32",
) -> Report:
    """Traces a model and reports what its convolutions lose, shift and waste, layer by layer.

    The model may use any library; it is neither run nor changed. The rules, with their reasons and
    sources, are in :data:`jaxcnn.inspect.RULES`; ``print`` one to read it.

    Args:
      model: a Flax NNX module, or any function of one array.
      input_shape: the shape of one example, as the model expects it ((*spatial, C) in most of
        Flax), or its ``jax.ShapeDtypeStruct``.
      select: codes of the rules to apply, such as ``["JC001", "JC004"]``; None applies all.
      ignore: codes of rules to leave out; ``"JC001@conv1"`` leaves it out only for layer conv1.
      dtype: the input's dtype, if ``input_shape`` has none.

    Raises:
      InputError: if the model does not accept such an input, or if ``select`` or ``ignore`` has
        an unknown code or layer name.

    >>> from flax import nnx
    >>> stem = nnx.Conv(3, 64, (7, 7), strides=2, padding=((3, 3), (3, 3)), rngs=nnx.Rngs(0))
    >>> print(lint(stem, (224, 224, 3), select=["JC001"]))
    conv1 (conv 7x7 s2 p3)
      JC001 rows dropped: height and width 224: (224 + 3 + 3 - 7)/2 + 1 = 112.5 outputs, cut to \
112: 1 row of the padding at the end is never read
            -> kernel_size 6 with padding 2 on both sides, kernel_size 8, or size 223 or 225
    1 layer, input 224x224x3: 1 finding
    """
    ignore = list(ignore)
    rules = _chosen(select, ignore)
    network = trace(model, input_shape, dtype=dtype)
    silenced = _silenced(ignore, network)
    number = {id(layer): n for n, layer in enumerate(network.layers)}
    found = [
        (number[id(flaw.layer)], rule, flaw)
        for rule in rules
        for flaw in rule.find(network)
        if (rule.code, flaw.layer.name) not in silenced
    ]
    findings = tuple(
        Finding(
            rule.code,
            rule.name,
            str(flaw.layer),
            flaw.layer.where,
            flaw.message,
            flaw.change,
            flaw.options,
        )
        for _, rule, flaw in sorted(found, key=lambda each: (each[0], each[1].code))
    )
    codes = tuple(rule.code for rule in rules)
    return Report(network.input_shape, len(network.layers), codes, findings, network.notes)


def _silenced(ignore: Iterable[str], network: Network) -> set[tuple[str, str]]:
    """The ignored pairs of code and layer name."""
    pairs = {(code, name) for code, at, name in (each.partition("@") for each in ignore) if at}
    names = [layer.name for layer in network.layers]
    for code, name in sorted(pairs):
        if name not in names:
            near = get_close_matches(name, names, n=3) or names[:3]
            hint = (
                f"use {any_of(f'{code}@{each}' for each in near)}" if near else "the model has none"
            )
            raise InputError(f"ignore has '{code}@{name}', but no layer is {name!r}; {hint}")
    return pairs


def _chosen(select: Iterable[str] | None, ignore: Iterable[str]) -> tuple[Rule, ...]:
    """The rules that are selected and not ignored.

    Raises:
      InputError: if no rule has a code.
    """
    codes = [rule.code for rule in RULES]
    select = codes if select is None else list(select)
    ignore = list(ignore)
    for name, given in (("select", select), ("ignore", ignore)):
        for code in (each.partition("@")[0] if name == "ignore" else each for each in given):
            if code not in codes:
                raise InputError(
                    f"{name} has {code!r}, which is not a rule; use {', '.join(codes)}"
                )
    return tuple(rule for rule in RULES if rule.code in select and rule.code not in ignore)
