"""The bytes that the scaling experiment reads from compiled programs."""

import doctest
from pathlib import Path

import pytest

SHAPES = "(f32[3]{0}, u8[2,2]{1,0})"


@pytest.fixture
def scaling(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "experiments")
    import scaling

    return scaling


@pytest.mark.parametrize(
    ("groups", "devices"),
    [
        ("replica_groups=[2,4]<=[8]", 4),
        ("replica_groups={{0,1,2},{3,4,5}}", 3),
        ("replica_groups=mesh['a'=4,'b'=2] {'a'}", 4),
        ("replica_groups=mesh['a'=4,'b'=2] {'a','b'}", 8),
        ("replica_groups=mesh['a'=8] {'a':(1)2}", 2),
    ],
)
def test_bytes_and_groups_are_read_in_every_notation(scaling, groups, devices):
    line = f"  %a = {SHAPES} all-reduce(%b, %c), channel_id=1, {groups}, to_apply=%add"
    found = scaling.collectives(f"{line}\n  %d = f32[3]{{0}} add(%e, %f)")
    assert found == [{"kind": "all-reduce", "bytes": 16, "group": devices}]


def test_a_notation_that_is_not_known_is_an_error(scaling):
    with pytest.raises(ValueError, match="not understood"):
        scaling.collectives("%a = f32[] all-reduce(%b), replica_groups=new")


def test_the_example_holds(scaling):
    assert doctest.testmod(scaling).failed == 0
