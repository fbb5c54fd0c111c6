"""XLA's known faults do not affect calls that lax computes: results are right, without crashes.

Cases of partitioned programs run in a process with eight devices; cases of faults that end the
process run in a child process.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxlib.mlir import ir

import jaxcnn
from jaxcnn.cli.doctor import state
from jaxcnn.convolve import Problem, conv_general_dilated, known_faults
from jaxcnn.convolve.known_faults import FAULTS
from jaxcnn.convolve.lower import LAX_RULES
from jaxcnn.testing import assert_within, gamma
from tests.cases import few, many, run_on_eight_devices
from tests.convolve.drawn import (
    arrays,
    as_call,
    defined,
    defined_gradients,
    numbers,
    problems,
)


@many
@given(st.integers(0, 6), st.integers(1, 3), st.integers(-9, 3), st.integers(-9, 3), st.booleans())
def test_crop_is_a_slice_and_padding_equal_to_negative_padding(n, base, lo, hi, last):
    x = np.arange(1, 2 * n + 1).reshape((2, n) if last else (n, 2))
    spread = base * (n - 1) + 1 if n else 0
    if spread + lo + hi < 0 or min(lo, hi) < -spread:
        return  # lax refuses it
    canvas = np.zeros((2, spread), int)
    canvas[:, ::base] = x if last else x.T
    want = np.pad(canvas, ((0, 0), (max(lo, 0), max(hi, 0))))
    want = want[:, max(-lo, 0) : want.shape[1] - max(-hi, 0)]
    cut, ((low, high),) = known_faults.crop(jnp.asarray(x), [int(last)], [(lo, hi)], [base])
    assert min(low, high) >= 0
    cut = np.asarray(cut) if last else np.asarray(cut).T
    got = np.zeros((2, base * (cut.shape[1] - 1) + 1 if cut.size else 0), int)
    got[:, ::base] = cut
    np.testing.assert_array_equal(np.pad(got, ((0, 0), (low, high))), want)


def test_every_fault_is_reported_somewhere():
    for fault in FAULTS:
        assert fault.threads, fault.name
        assert all(thread.startswith("https://github.com/") for thread in fault.threads)


CROPPED = (
    Problem(1, (15, 6), 8, (1, 1), 8, padding=((0, 0), (-5, 1))),
    Problem(1, (15, 6), 17, (1, 1), 17, padding=((-15, 1), (0, 0))),
    Problem(1, (4, 5), 1, (2, 2), 3, padding=((-1, 2), (3, -2)), base_dilation=(1, 2)),
    Problem(2, (7,), 2, (2,), 2, padding=((2, -3),), dtype="complex64"),
)
"""Problems with negative padding."""


def crops_rightly(convolve: Any) -> None:
    """Checks all problems, with known sizes and with a symbolic batch."""
    for problem in CROPPED:
        x, kernel = arrays(problem)
        want, magnitude = defined(problem, x, kernel)
        call = jax.jit(as_call(problem, convolve))
        (batch,) = jax.export.symbolic_shape("b")
        symbolic = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
        exported = jax.export.export(call)(symbolic, kernel)
        bound = 4 * gamma(100, "float32") * magnitude
        for y in (call(x, kernel), exported.call(x, kernel)):
            assert_within(np.asarray(y).real, want, bound, str(problem))


POOLS = ((np.max, lax.max, -np.inf), (np.min, lax.min, np.inf), (np.sum, lax.add, 0.0))


def pools_crop_rightly() -> None:
    """Checks lax's pools with negative padding, including windows of one cell."""
    draws = np.random.default_rng(0)
    x = draws.permutation(63).reshape(7, 9).astype("float32")
    cuts = [((0, 0), (-3, -2)), *draws.integers(-2, 2, (12, 2, 2)).tolist()]
    for number, padding in enumerate(cuts):
        window = (1, 1) if number % 2 == 0 else (2, 1)
        by_numpy, by_lax, start = POOLS[number % 3]
        wide = np.pad(x, [(max(lo, 0), max(hi, 0)) for lo, hi in padding], constant_values=start)
        (top, bottom), (left, right) = ((max(-lo, 0), max(-hi, 0)) for lo, hi in padding)
        wide = wide[top : wide.shape[0] - bottom, left : wide.shape[1] - right]
        windows = np.lib.stride_tricks.sliding_window_view(wide, window)
        pool = jax.jit(partial(_pool, by_lax, start, window, tuple(map(tuple, padding))))
        np.testing.assert_array_equal(pool(x), by_numpy(windows, (2, 3)), str((window, padding)))


def dilated_pools_are_right() -> None:
    """Checks lax's pools with base dilation, large enough for XLA's libraries."""
    draws = np.random.default_rng(0)
    x = draws.integers(-9, 9, (64, 128)).astype("float32")
    for number in range(9):
        by_numpy, by_lax, start = POOLS[number % 3]
        window, strides, apart = (2, 1), (2, 1), (1, 2)
        if number > 2:
            window, strides, apart = ((1, 2)[:: draws.choice((-1, 1))] for _ in range(3))
        pads = ((0, 0), (1, -2)) if number % 2 else ((-3, 2), (0, 1))
        wide = np.full([(n - 1) * b + 1 for n, b in zip(x.shape, apart, strict=True)], start, "f4")
        wide[:: apart[0], :: apart[1]] = x
        wide = np.pad(wide, [(max(lo, 0), max(hi, 0)) for lo, hi in pads], constant_values=start)
        (top, bottom), (left, right) = ((max(-lo, 0), max(-hi, 0)) for lo, hi in pads)
        wide = wide[top : wide.shape[0] - bottom, left : wide.shape[1] - right]
        windows = np.lib.stride_tricks.sliding_window_view(wide, window)
        windows = windows[:: strides[0], :: strides[1]]
        how = {"window_strides": strides, "base_dilation": apart}
        pool = jax.jit(partial(_pool, by_lax, start, window, pads, **how))
        np.testing.assert_array_equal(pool(x), by_numpy(windows, (2, 3)), str((window, how)))


def _pool(computation: Any, start: float, window: Any, padding: Any, x: Any, **how: Any) -> Any:
    how = {"window_strides": (1, 1)} | how
    return lax.reduce_window(x, np.float32(start), computation, window, padding=padding, **how)


@pytest.mark.parametrize("how", ["jaxcnn", "install"])
def test_convolutions_and_pools_with_negative_padding_are_right_and_end_no_process(how):
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import crop; crop({how!r})"],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr[-3000:]


def crop(how: str) -> None:
    """The program of the child process above."""
    if how == "jaxcnn":
        crops_rightly(conv_general_dilated)
    else:
        with jaxcnn.install():
            crops_rightly(lax.conv_general_dilated)
            pools_crop_rightly()
            dilated_pools_are_right()
    print("right")


def told_by_doctor(before: str = "") -> str:
    """The report of ``jaxcnn doctor`` on reductions, after a line of a shell script."""
    code = 'from jaxcnn.cli.doctor import state; print(dict(state())["XLA\'s reductions"])'
    done = subprocess.run(
        ["sh", "-c", f"{before}\n{shlex.join([sys.executable, '-c', code])}"],
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def test_doctor_reports_wrong_reductions_and_its_advice_helps(monkeypatch):
    (fault,) = (fault for fault in FAULTS if fault.name == "reduction of a product")
    said = told_by_doctor()
    if version("jaxlib") in fault.seen:
        assert said.startswith("wrong numbers"), said
    monkeypatch.setattr(known_faults, "reduces_rightly", lambda: False)
    advice = dict(state())["XLA's reductions"].partition(": ")[2]
    assert told_by_doctor(advice) == "right"


@pytest.mark.parametrize("spoil", [lambda y: y.at[-1].add(1), lambda y: y.at[32_768].set(jnp.nan)])
def test_the_reduction_probe_sees_one_wrong_number(monkeypatch, spoil):
    def squares(_, x):
        return jnp.square(x).sum(1)

    for put, right in ((lambda y: y, True), (spoil, False)):
        monkeypatch.setattr(
            known_faults, "_row_sums_of_squares", lambda m, x, put=put: put(squares(m, x))
        )
        assert known_faults.reduces_rightly() is right


reversed_p = Primitive("reversed_window")
"""lax's convolution with every axis of its window reversed, for which JAX has no argument."""
reversed_p.def_abstract_eval(
    lambda *operands, **params: lax.conv_general_dilated_p.abstract_eval(*operands, **params)[0]
)


def _lower_reversed(context: Any, x: Any, kernel: Any, **params: Any) -> Any:
    (y,) = LAX_RULES[None](context, x, kernel, **params)
    reversal = ir.DenseBoolArrayAttr.get([True] * len(params["window_strides"]))
    y.owner.attributes["window_reversal"] = reversal
    return [y]


mlir.register_lowering(reversed_p, _lower_reversed)


@few
@given(st.sampled_from((1, 2, 4, 16)), st.data())
def test_a_reversed_window_is_a_flipped_kernel_in_groups_too(groups, data):
    """This holds on CPUs. XLA:GPU is reported to differ, so jaxcnn reverses no window."""
    channels = (1, 2, 4)
    bounds = {"channels": channels, "filters": channels, "padding": (0, 2), "ranks": (1, 2)}
    problem = data.draw(problems(groups=(groups,), **bounds))
    x, kernel = arrays(problem)
    call = as_call(problem, lax.conv_general_dilated)
    (equation,) = jax.make_jaxpr(call)(x, kernel).eqns
    got = jax.jit(partial(reversed_p.bind, **equation.params))(x, kernel)
    flipped = jnp.flip(kernel, tuple(range(problem.axes)))
    want, magnitude = defined(problem, x, flipped)
    assert_within(got, want, 4 * gamma(100, "float32") * magnitude, str(problem))


def test_partitioned_programs_have_the_numbers_of_unpartitioned_ones():
    run_on_eight_devices(__name__)


SPECS = {"rows": P(None, "d"), "examples": P("d"), "channels": P(*(None,) * 3, "d"), "whole": P()}
DIVIDED = (
    # For these cases, lax's own results are wrong, or the process ends (jaxlib 0.10.2).
    ("rows", "whole", Problem(8, (16, 8), 8, (1, 1), 16, 1, (3, 3), ((1, 1),) * 2)),
    ("rows", "whole", Problem(8, (16, 8), 8, (1, 1), 16, 1, (1, 1), ((0, 1),) * 2)),
    ("rows", "channels", Problem(8, (16, 8), 8, (1, 1), 16, 2)),
    ("rows", "channels", Problem(8, (16, 8), 8, (3, 3), 16, 1, (3, 3), ((1, 1),) * 2)),
    ("examples", "channels", Problem(8, (24, 8), 8, (1, 1), 16, 2)),
)
"""How x and kernel are partitioned, and the problem."""


def drawn_partitions(count: int) -> list[tuple[str, str, Problem]]:
    """Further drawn cases of all kinds."""
    draws = np.random.default_rng(0)
    found = []
    while len(found) < count:
        f, s, d, groups = (
            int(draws.choice(of)) for of in ((1, 3, 4), (1, 2, 3), (1, 2), (1, 2, 8))
        )
        lo, hi = (int(n) for n in draws.integers(-1, 3, 2))
        base = int(draws.choice((1, 1, 2)))
        problem = Problem(
            8, (16, 8), 8, (f, f), 16, groups, (s, s), ((lo, hi),) * 2, (base,) * 2, (d, d)
        )
        if not problem.is_empty:
            division = str(draws.choice(list(SPECS))), str(draws.choice(["whole", "channels"]))
            found.append((*division, problem))
    return found


def _all_directions(call: Any) -> Any:
    def run(x: jax.Array, kernel: jax.Array, g: jax.Array) -> tuple[jax.Array, ...]:
        y, pull_back = jax.vjp(call, x, kernel)
        return y, *pull_back(jnp.where(jnp.isnan(y), 0, g))  # an output gradient divided as y is

    return run


def on_eight_devices(drawn: int = 5, convolve: Any = conv_general_dilated) -> None:
    mesh = Mesh(np.array(jax.devices()), ("d",))
    for of_x, of_kernel, problem in (*DIVIDED, *drawn_partitions(drawn)):
        x, kernel = arrays(problem)
        g = jnp.asarray(numbers(problem.output_shape, 2).astype(np.float32))
        specs = SPECS[of_x], SPECS[of_kernel], P()
        divided = [
            jax.device_put(array, NamedSharding(mesh, spec))
            for array, spec in zip((x, kernel, g), specs, strict=True)
        ]
        got = jax.jit(_all_directions(as_call(problem, convolve)))(*divided)
        want, magnitude = defined(problem, x, kernel)
        wants, magnitudes = defined_gradients(problem, x, kernel, g)
        for result, right, scale in zip(got, [want, *wants], [magnitude, *magnitudes], strict=True):
            bound = 4 * gamma(problem.multiply_adds // problem.out_channels, "float32") * scale
            assert_within(result, right, bound, f"x by {of_x}, kernel by {of_kernel}: {problem}")
    print(jax.device_count(), "devices")
