"""The child process of :mod:`jaxcnn.convolve.verify`: asks oneDNN, and holds it to float64.

Questions come pickled on standard input. On standard output, among the lines that oneDNN writes of
itself, each question has a line where it begins and one where it ends; the process may not live to
write the second.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import sys
from collections.abc import Callable
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib.stride_tricks import as_strided

from jaxcnn.convolve.algorithms import onednn
from jaxcnn.convolve.draws import Product, Question
from jaxcnn.convolve.layout import laid
from jaxcnn.convolve.problem import Problem

Asked = Callable[[Question, tuple[jax.Array, ...]], jax.Array]


def ask(question: Question, operands: tuple[jax.Array, ...]) -> jax.Array:
    """What oneDNN answers."""
    if isinstance(question, Product):
        return jax.jit(lambda a, b: onednn.product(a, b, transpose_a=question.transpose_a))(
            *operands
        )
    problem, numbers = question.problem, question.numbers
    if numbers is None:
        return jax.jit(lambda *operands: onednn.call(problem, *operands))(*operands)
    laid_out = jax.jit(lambda x, kernel: laid(x, kernel, numbers))(*operands)
    y = jax.jit(lambda x, kernel: onednn.call(problem, x, kernel, numbers))(*laid_out)
    return jnp.moveaxis(y, numbers.out_spec[1], -1)


def drawn_operands(question: Question, seed: int) -> list[np.ndarray]:
    """Arrays whose magnitudes lie between 1/8 and 1, so that nothing underflows."""
    rng = np.random.default_rng(seed)
    if isinstance(question, Product):
        left = (question.inner, question.rows)
        shapes = [left if question.transpose_a else left[::-1], (question.inner, question.columns)]
        dtype = question.dtype
    else:
        problem = question.problem
        shapes = [problem.x_shape, problem.kernel_shape]
        dtype = problem.dtype
    return [
        (rng.uniform(1 / 8, 1, shape) * rng.choice((-1, 1), shape)).astype(jnp.dtype(dtype))
        for shape in shapes
    ]


def exact(question: Question, operands: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    """The answer in float64, its terms' magnitudes, and how many they are."""
    first, second = (a.astype(np.float64) for a in operands)
    if isinstance(question, Product):
        first = first.T if question.transpose_a else first
        return first @ second, abs(first) @ abs(second), question.inner
    problem = question.problem
    y = _convolution(problem, first, second)
    magnitude = _convolution(problem, abs(first), abs(second))
    return y, magnitude, problem.taps * problem.group_channels[0]


def _convolution(problem: Problem, x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The definition: every window as a row, times the kernel, group by group."""
    x = np.pad(x, [(0, 0), *problem.padding, (0, 0)])
    batch, *steps, last = x.strides
    windows = as_strided(
        x,
        (problem.batch, *problem.output, *problem.filter, problem.in_channels),
        (
            batch,
            *(step * s for step, s in zip(steps, problem.stride, strict=True)),
            *(step * d for step, d in zip(steps, problem.dilation, strict=True)),
            last,
        ),
        writeable=False,
    )
    c, o = problem.group_channels
    rows = windows.reshape(-1, problem.taps, problem.groups, c)
    rows = rows.transpose(2, 0, 1, 3).reshape(problem.groups, -1, problem.taps * c)
    columns = kernel.reshape(problem.taps * c, problem.groups, o).transpose(1, 0, 2)
    return (rows @ columns).transpose(1, 0, 2).reshape(problem.output_shape)


def complaint(question: Question, got: jax.Array, operands: list[np.ndarray]) -> str:
    """How an answer is wrong; empty where it is not.

    A sum of n terms in float32, whatever its order, lies within gamma_n of the terms' magnitudes
    (N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., lemma 3.1); where the
    result is bfloat16, one more rounding follows.
    """
    want, magnitude, terms = exact(question, operands)
    if got.shape != want.shape:
        return f"shape {got.shape} for {want.shape}"
    share = (terms + 1) * 2.0**-24
    bound = share / (1 - share) * magnitude
    if got.dtype == jnp.bfloat16:
        bound = bound + 2.0**-8 * (abs(want) + bound)
    values = np.asarray(got).astype(np.float64)
    # `not <=` and not `>`: NaN is wrong.
    wrong = ~(abs(values - want) <= bound)
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{values[place]:.9g} for {want[place]:.9g} at {list(place)}, "
        f"{int(wrong.sum())} of {wrong.size} entries wrong"
    )


def report(*words: object) -> None:
    """A line of our own, in its place among oneDNN's, which C buffers apart from Python."""
    ctypes.CDLL(None).fflush(None)
    os.write(1, ("jaxcnn\t" + "\t".join(map(str, words)) + "\n").encode())


def examine(asked: Asked, numbered: list[tuple[int, Question]]) -> None:
    """Puts each question and reports."""
    for number, question in numbered:
        operands = drawn_operands(question, number)
        report("begin", number)
        answer = jax.block_until_ready(asked(question, tuple(map(jax.device_put, operands))))
        report("end", number, complaint(question, answer, operands))


if __name__ == "__main__":
    # Which function asks is an argument, so that a test can put one that fails in its place.
    module, name = sys.argv[1].split(":")
    examine(getattr(import_module(module), name), pickle.load(sys.stdin.buffer))
