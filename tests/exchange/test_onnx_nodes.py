"""ONNX's own node tests: the published values of every operator that ``from_onnx`` claims."""

from __future__ import annotations

import warnings
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from jaxcnn.exchange.onnx_in.operators import OPERATORS
from jaxcnn.exchange.onnx_in.read import OLDEST
from jaxcnn.exchange.onnx_in.values import DTYPES
from jaxcnn.models import from_onnx

QUICK = (
    *("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    *("MaxUnpool", "BatchNormalization", "Pad"),
)
"""The operators whose tests run by default; the others' are marked slow."""

NOT_PASSED = {
    "test_training_dropout_default": "cells dropped at random",
    "test_training_dropout_default_mask": "cells dropped at random",
    "test_training_dropout": "cells dropped at random",
    "test_training_dropout_mask": "cells dropped at random",
    "test_dynamicquantizelinear_expanded": "XLA multiplies by a rounded reciprocal: a tie breaks",
}

WITHOUT_VECTORS = {"GlobalLpPool"}
"""Operators without a node test, which ``test_from_onnx.py`` compares with the reference."""


@cache
def _cases():
    """The node tests whose operators are all claimed, with arrays of dtypes that are."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows in the making of the published values
        found = collect_testcases(None)
    return {case.name: case for case in found if _is_claimed(case)}


def _operators(case):
    return {node.op_type for node in case.model.graph.node}


def _is_claimed(case):
    graph = case.model.graph
    kinds = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    opset = case.model.opset_import[0].version
    domains = {node.domain for node in graph.node}
    return (
        _operators(case) <= {*OPERATORS}
        and kinds <= {*DTYPES}
        and opset >= OLDEST
        and domains == {""}
        and case.name not in NOT_PASSED
    )


def _array(value):
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _failure(case, folder):
    """Why the outputs differ from the published ones; empty if they do not."""
    path = folder / "node.onnx"
    path.write_bytes(case.model.SerializeToString())
    try:
        apply, params = from_onnx(path)
        call = apply if apply.settings else jax.jit(apply)  # one program compiles faster than many
        for inputs, outputs in case.data_sets:
            found = call(params, *map(_array, inputs))
            found = found if isinstance(found, tuple) else (found,)
            for got, want in zip(found, map(_array, outputs), strict=True):
                _assert_close(np.asarray(got), np.asarray(want), case)
    except Exception as error:  # each case is reported
        return f"{case.name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""


def _assert_close(got, want, case):
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    if not jnp.issubdtype(got.dtype, jnp.floating):
        np.testing.assert_array_equal(got, want)
        return
    rtol = max(case.rtol, 2 * float(jnp.finfo(got.dtype).eps))
    got, want = got.astype(np.float64), want.astype(np.float64)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=case.atol)


def _failures(cases, folder):
    with jax.enable_x64(True):  # the published values have integers of 64 bits
        return [text for case in cases if (text := _failure(case, folder))]


def test_convolutions_and_pools_have_the_published_values(tmp_path):
    cases = [case for case in _cases().values() if _operators(case) <= {*QUICK}]
    assert len(cases) > 60
    assert not (found := _failures(cases, tmp_path)), "\n".join(found)


@pytest.mark.slow
def test_all_other_operators_have_the_published_values(tmp_path):
    cases = [case for case in _cases().values() if not _operators(case) <= {*QUICK}]
    assert len(cases) > 900
    assert not (found := _failures(cases, tmp_path)), "\n".join(found)


@pytest.mark.slow
def test_every_operator_has_published_values_here():
    covered = {name for case in _cases().values() for name in _operators(case)}
    assert {*OPERATORS} - covered == WITHOUT_VECTORS
