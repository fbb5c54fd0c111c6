"""``lint``: every rule finds its flaw, and reports nothing in the same network without it."""

import json
from itertools import pairwise

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import lax

from jaxcnn.errors import InputError
from jaxcnn.inspect import RULES, lint
from tests.inspect.programs import IMAGE


def conv(x, kernel_size, channels=8, *, stride=1, padding="VALID", dilation=1):
    if isinstance(padding, int):
        padding = ((padding, padding),) * 2
    kernel = jnp.ones((kernel_size, kernel_size, x.shape[-1], channels), x.dtype)
    how = {"rhs_dilation": (dilation, dilation), "dimension_numbers": IMAGE}
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, **how)


def transposed(x, kernel_size, stride):
    kernel = jnp.ones((kernel_size, kernel_size, x.shape[-1], 8))
    return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=IMAGE)


def chain(*layers):
    def network(x):
        for layer in layers:
            x = layer(x)
        return x

    return network


def dilated(*dilations):
    return chain(*(lambda x, d=d: conv(x, 3, padding=d, dilation=d) for d in dilations))


def widths(*channels):
    return chain(*(lambda x, c=c: conv(x, 3, c, padding=1) for c in channels))


class Normed(nnx.Module):
    def __init__(self, use_bias):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, 8, (3, 3), use_bias=use_bias, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.conv(x))


def narrowing(*sides):
    """A chain of layers whose outputs have these sides."""
    return chain(
        *(
            lambda x, a=a, b=b: conv(x, 1 if a == b else 2, stride=a // b)
            for a, b in pairwise(sides)
        )
    )


# Code, a network with the flaw, the same network without it, the input shape, words of the finding.
CASES = {
    "rows lost": (
        "JC001",
        lambda x: conv(x, 3, stride=2),
        lambda x: conv(x, 2, stride=2),
        (8, 8, 3),
        ["8: (8 + 0 + 0 - 3)/2 + 1 = 3.5 outputs, cut to 3", "1 row at the end", "size 7 or 9"],
    ),
    "padding lost": (
        "JC001",
        lambda x: conv(x, 7, stride=2, padding=3),
        lambda x: conv(x, 7, stride=2, padding=((3, 2), (3, 2))),
        (16, 16, 3),
        [
            "1 row of the padding at the end is never read",
            "kernel_size 6 with padding 2 on both sides, kernel_size 8, or size 15 or 17",
        ],
    ),
    "rows lost by a pool": (
        "JC001",
        lambda x: nnx.max_pool(conv(x, 3, padding=1), (2, 2), (2, 2)),
        lambda x: nnx.max_pool(conv(x, 2), (2, 2), (2, 2)),
        (9, 9, 3),
        ["(9 + 0 + 0 - 2)/2 + 1 = 4.5", "size 8 or 10"],
    ),
    "cells skipped": (
        "JC002",
        lambda x: conv(x, 1, stride=2),
        lambda x: conv(x, 2, stride=2),
        (8, 8, 3),
        ["reads 16 of 8x8 = 64 cells and never the other 75%"],
    ),
    "cells skipped by a dilation": (
        "JC002",
        lambda x: conv(x, 3, stride=2, dilation=2, padding=2),
        lambda x: conv(x, 3, stride=2, dilation=1, padding=1),
        (9, 9, 3),
        ["kernel 3 moves by 2 along height with dilation 2"],
    ),
    "uneven padding by name": (
        "JC003",
        lambda x: conv(x, 3, stride=2, padding="SAME"),
        lambda x: conv(x, 4, stride=2, padding="SAME"),
        (8, 8, 3),
        [
            "padding is 0 before and 1 after",
            "cells 1 to 7 of 0 to 7",
            "0.5 cells towards the end",
            "kernel_size 2 with padding 0 on both sides, "
            "kernel_size 4 with padding 1 on both sides",
            "size 7 with padding 1 on both sides, or size 9 with padding 0 on both sides",
        ],
    ),
    "checkerboard": (
        "JC004",
        lambda x: transposed(x, 3, 2),
        lambda x: transposed(x, 4, 2),
        (5, 5, 3),
        [
            "kernel 3 is not a multiple of stride 2",
            "sums of 1 and 2 products",
            "kernel_size 2 or 4",
        ],
    ),
    "holes": (
        "JC005",
        dilated(2, 2, 2),
        dilated(1, 2, 3),
        (32, 32, 3),
        ["dilations 2, 2, 2 leave holes: an output reads 7 of the 13 rows"],
    ),
    "holes after a stride": (
        "JC005",
        chain(lambda x: conv(x, 2, stride=2), dilated(2, 4)),
        chain(lambda x: conv(x, 2, stride=2), dilated(1, 2, 4)),
        (64, 64, 3),
        ["dilations 2, 4 leave holes: an output reads 7 of the 13 rows"],
    ),
    "field too small": (
        "JC006",
        dilated(1, 1),
        dilated(1, 1),
        {"flawed": (16, 16, 3), "sound": (5, 5, 3)},
        ["see 5x5 of an input of 16x16, 10% of it"],
    ),
    "field too large": (
        "JC007",
        dilated(*[1] * 8),
        dilated(*[1] * 8),
        {"flawed": (4, 4, 3), "sound": (12, 12, 3)},
        ["span 17x17, 4.2 times the input of 4x4", "from conv2 on"],
    ),
    "mostly padding by one layer": (
        "JC008",
        dilated(6),
        dilated(2),
        (7, 7, 3),
        ["of what its windows read is its own padding: 9 taps over an input of 7x7"],
    ),
    "mostly padding through the layers": (
        "JC008",
        dilated(*[1] * 8),
        dilated(*[1] * 8),
        {"flawed": (4, 4, 3), "sound": (32, 32, 3)},
        ["75% of its outputs are made mostly of padding, the worst to 69%", "6 layers after it"],
    ),
    "bias before a normalisation": (
        "JC009",
        Normed(use_bias=True),
        Normed(use_bias=False),
        (8, 8, 3),
        ["norm subtracts each channel's mean", "bias of 8 numbers", "use_bias=False in conv"],
    ),
    "channels": (
        "JC010",
        widths(30, 10),
        widths(32, 10),
        (8, 8, 3),
        ["30 channels fill 94% of the 32", "24 or 32 channels"],
    ),
    "wide channels": (
        "JC010",
        widths(136, 8),
        widths(192, 8),
        (8, 8, 3),
        ["136 channels fill 53% of the 256", "128 or 192 channels"],
    ),
    "memory": (
        "JC011",
        narrowing(16, 16, 4, 4, 4, 4),
        narrowing(16, 8, 8, 8, 8, 8),
        (16, 16, 8),
        ["1 of 5 layers hold 80% of the", "conv1 8.2 kB"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_reports_its_flaw_and_nothing_in_the_same_network_without_it(name):
    code, flawed, sound, shape, words = CASES[name]
    shapes = shape if isinstance(shape, dict) else {"flawed": shape, "sound": shape}
    found = lint(flawed, shapes["flawed"], select=[code])
    text = " ".join(finding.message + finding.change for finding in found.findings)
    assert {finding.code for finding in found.findings} == {code}
    for each in words:
        assert each in text
    assert not lint(sound, shapes["sound"], select=[code]).findings


def test_every_rule_has_a_case_a_reason_and_an_example():
    assert {code for code, *_ in CASES.values()} == {rule.code for rule in RULES}
    assert len({rule.code for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.reason.endswith(".")
        assert rule.example
        assert all(line in str(rule) for line in (rule.code, rule.name, rule.reason, rule.example))


def flawed(x):
    return conv(conv(x, 1, 30, stride=2), 3, stride=2)


def codes(report):
    return {finding.code for finding in report.findings}


def test_rules_are_selected_and_ignored_by_code():
    everything = lint(flawed, (16, 16, 3))
    assert {"JC001", "JC002", "JC010"} <= codes(everything)
    assert everything.checked == tuple(rule.code for rule in RULES)
    assert codes(lint(flawed, (16, 16, 3), select=["JC002"])) == {"JC002"}
    rest = lint(flawed, (16, 16, 3), ignore=["JC002"])
    assert codes(rest) == codes(everything) - {"JC002"}
    assert "JC002" not in rest.checked


def test_a_rule_is_ignored_for_one_layer_by_the_layers_name():
    everything = lint(flawed, (16, 16, 3))
    names = {f.layer.partition(" ")[0] for f in everything.findings if f.code == "JC002"}
    assert len(names) == 1
    rest = lint(flawed, (16, 16, 3), ignore=[f"JC002@{names.pop()}"])
    assert codes(rest) == codes(everything) - {"JC002"}
    assert "JC002" in rest.checked
    with pytest.raises(
        InputError, match=r"'JC002@covn1', but no layer is 'covn1'; use JC002@conv1"
    ):
        lint(flawed, (16, 16, 3), ignore=["JC002@covn1"])


def test_an_input_is_given_by_a_shape_and_dtype_or_a_shape_dtype_struct():
    def net(x):
        return conv(x, 3, stride=2) if x.dtype == jnp.bfloat16 else 1 / 0

    struct = jax.ShapeDtypeStruct((8, 8, 3), jnp.bfloat16)
    assert lint(net, struct) == lint(net, (8, 8, 3), dtype="bfloat16")
    with pytest.raises(InputError, match=r"dtype 'float17' is not a dtype"):
        lint(net, (8, 8, 3), dtype="float17")


@pytest.mark.parametrize("argument", ["select", "ignore"])
def test_an_unknown_rule_code_is_refused(argument):
    with pytest.raises(InputError, match=rf"{argument} has 'JC999'.*JC001, "):
        lint(flawed, (16, 16, 3), **{argument: ["JC999"]})


def test_the_json_of_a_report_holds_its_findings_and_exit_code():
    report = lint(flawed, (16, 16, 3))
    read = json.loads(report.to_json())
    assert read["exit_code"] == report.exit_code == 1
    assert read["input"] == [16, 16, 3]
    assert [finding["message"] for finding in read["findings"]] == [
        finding.message for finding in report.findings
    ]


def test_the_text_of_a_report_has_every_finding_with_its_layer_and_change():
    report = lint(flawed, (16, 16, 3))
    text = str(report)
    for finding in report.findings:
        assert f"  {finding.code} {finding.rule}: {finding.message}" in text
        assert finding.layer in text
        assert finding.change in text
    assert text.endswith(f"input 16x16x3: {len(report.findings)} findings")


def test_findings_name_the_file_of_the_models_code():
    assert {f.where.partition(":")[0] for f in lint(flawed, (16, 16, 3)).findings} == {
        "test_lint.py"
    }


def test_a_network_without_flaws_gives_an_empty_report():
    report = lint(jax.nn.relu, (8, 8, 3))
    assert (report.findings, report.exit_code) == ((), 0)
    assert str(report) == "0 layers, input 8x8x3: nothing found"
