"""Multiply-adds of a plan, against formulas such as the product of an einsum's sizes."""

from math import prod

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from jaxcnn.inspect import plan_of

LETTERS = "abcdefgh"


@st.composite
def einsums(draw):
    """Words such as ``abc,bd->acd``, and the size of every letter.

    A letter is in both operands and the result, in one operand and the result, or is summed.
    """
    sizes, operands, result = {}, ["", ""], ""
    for letter in LETTERS[: draw(st.integers(1, 5))]:
        sizes[letter] = draw(st.integers(1, 5))
        role = draw(st.sampled_from(["batch", "left", "right", "sum"]))
        operands[0] += letter if role != "right" else ""
        operands[1] += letter if role != "left" else ""
        result += letter if role != "sum" else ""
    operands = [draw(st.permutations(["z", *words])) for words in operands]  # one sum at least
    sizes["z"] = draw(st.integers(2, 5))
    result = draw(st.permutations(list(result)))
    return ",".join(map("".join, operands)) + "->" + "".join(result), sizes


def of_input(x, letters, sizes):
    return jnp.broadcast_to(x.sum(), [sizes[letter] for letter in letters])


def product(x, words, sizes, weights):
    first, second = words.partition("->")[0].split(",")
    shape = [sizes[letter] for letter in second]
    other = jnp.zeros(shape, x.dtype) if weights else of_input(x, second, sizes)
    return jnp.einsum(words, of_input(x, first, sizes), other)


@given(einsums(), st.booleans(), st.integers(1, 100), st.integers(1, 3))
def test_multiply_adds_of_an_einsum_in_loops_are_the_product_of_its_sizes_and_the_steps(
    drawn, weights, steps, outer
):
    words, sizes = drawn

    def step(x, _):
        return x + product(x, words, sizes, weights).sum(), None

    def repeated(x, _):
        return lax.scan(step, x, None, length=steps)[0], None

    plan = plan_of(lambda x: lax.scan(repeated, x, None, length=outer)[0], (3,))
    assert plan.multiply_adds == prod(sizes.values()) * steps * outer


class Recurrent:
    """Layers that read, from the previous step, their own state and that of the layer below."""

    def __init__(self, width, hidden, depth, start):
        widths = [width] + [hidden] * depth
        self.start, self.hidden = start, hidden
        self.below = [jnp.ones((n, hidden)) for n in widths[:-1]]
        self.own = [jnp.ones((hidden, hidden)) for _ in range(depth)]
        self.initial = [jnp.ones((1, hidden)) for _ in range(depth if start == "learnt" else 0)]

    def begin(self, x):
        if self.start == "the input":
            return [jnp.broadcast_to(x[:1, :1], (1, self.hidden)) for _ in self.own]
        return self.initial or [jnp.zeros((1, self.hidden)) for _ in self.own]

    def step(self, state, x):
        pairs = zip(state, [x[None], *state[:-1]], self.own, self.below, strict=True)
        made = [jnp.tanh(h @ own + below @ other) for h, below, own, other in pairs]
        return made, made[-1]

    def __call__(self, x):
        (x,) = x
        return lax.scan(self.step, self.begin(x), x)[1]

    def until_done(self, x):
        (x,) = x
        start = jnp.zeros((), jnp.int32), self.begin(x)
        return lax.while_loop(
            lambda each: each[1][0].sum() < 9,
            lambda each: (each[0] + jnp.ones((), jnp.int32), self.step(each[1], x[0])[0]),
            start,
        )[1][-1]


STARTS = st.sampled_from(["zeros", "learnt", "the input"])


@given(st.integers(1, 130), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), STARTS)
def test_multiply_adds_of_a_recurrent_network_are_its_products_at_every_step(
    steps, width, hidden, depth, start
):
    plan = plan_of(Recurrent(width, hidden, depth, start), (steps, width))
    matrices = width * hidden + (2 * depth - 1) * hidden**2
    assert plan.multiply_adds == steps * matrices
    assert plan.parameters == matrices + (start == "learnt") * depth * hidden


@given(st.integers(1, 4), st.integers(1, 3), STARTS)
def test_every_product_in_a_while_loop_is_listed_with_unknown_multiply_adds(hidden, depth, start):
    plan = plan_of(Recurrent(2, hidden, depth, start).until_done, (3, 2))
    assert [row.multiply_adds for row in plan.rows].count(None) == 2 * depth


def attention(x, heads):
    """Attention in plain JAX; x: (N, T, C)."""
    q, k, v = (x @ jnp.ones((x.shape[-1],) * 2, x.dtype) for _ in range(3))
    q, k, v = (a.reshape(*x.shape[:2], heads, -1) for a in (q, k, v))
    made = jax.nn.dot_product_attention(q, k, v)
    return made.reshape(x.shape) @ jnp.ones((x.shape[-1],) * 2, x.dtype)


@given(st.integers(2, 9), st.integers(1, 3), st.integers(1, 4))
def test_multiply_adds_of_attention_are_those_of_its_projections_and_two_products(
    length, heads, each
):
    width = heads * each
    plan = plan_of(lambda x: attention(x, heads), (length, width))
    assert plan.multiply_adds == 4 * length * width**2 + 2 * length**2 * width


def test_multiply_adds_of_a_while_loop_are_unknown():
    plan = plan_of(lambda x: lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ y, x), (4, 4))
    assert plan.multiply_adds is None
    assert "at least 0" in str(plan)


@pytest.mark.parametrize("known", [True, False])
def test_multiply_adds_of_a_cond_are_those_of_the_branch_taken_or_unknown(known):
    def net(x):
        chooses = True if known else x.sum() > 0
        return lax.cond(chooses, lambda x: x @ x, lambda x: x @ x @ x, x)

    plan = plan_of(net, (4, 4))
    assert plan.multiply_adds == (4**3 if known else None)
    assert bool(plan.notes) != known


def test_a_cond_between_branches_of_equal_cost_has_that_cost():
    plan = plan_of(lambda x: lax.cond(x.sum() > 0, lambda x: x @ x, lambda x: x @ x.T, x), (4, 4))
    assert plan.multiply_adds == 4**3


def test_an_unsupported_operation_that_may_multiply_has_unknown_multiply_adds():
    def net(x):
        return jnp.linalg.cholesky(x @ jnp.ones((4, 4), x.dtype))

    plan = plan_of(net, (4, 4))
    assert plan.multiply_adds is None
    assert "at least 64" in str(plan)
