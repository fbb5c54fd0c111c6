"""The order of training: every example equally often, wherever training continues."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.data.order import INT32, Order
from jaxcnn.errors import InputError

orders = st.builds(
    Order,
    count=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    epochs=st.integers(1, 4),
    seed=st.integers(0, INT32),
)


@given(orders)
def test_every_example_is_seen_once_in_each_epoch(order):
    places = np.concatenate([order.indices(step) for step in range(order.steps)])
    weights = np.concatenate([order.weights(step) for step in range(order.steps)])
    seen = places[weights > 0]
    assert weights.sum() == order.epochs * order.count
    for epoch in range(order.epochs):
        part = seen[epoch * order.count : (epoch + 1) * order.count]
        assert sorted(part) == list(range(order.count))


@given(orders, st.data())
def test_a_step_is_the_same_wherever_training_continues(order, data):
    step = data.draw(st.integers(0, order.steps - 1))
    again = Order(order.count, order.batch_size, order.epochs, order.seed)
    for earlier in range(step):
        order.indices(earlier)
    assert np.array_equal(order.indices(step), again.indices(step))


@given(orders)
def test_an_epoch_ends_with_the_step_that_completes_it(order):
    for epoch in range(1, order.epochs + 1):
        end = order.end_of_epoch(epoch)
        assert order.epochs_done(end) >= epoch > order.epochs_done(end - 1)


@given(st.integers(2, 40), st.integers(0, INT32))
def test_epochs_have_different_orders(count, seed):
    """Two orders of n examples agree with probability 1/n!, so n is 20 or more here."""
    order = Order(count + 20, count + 20, 2, seed)
    assert not np.array_equal(order.indices(0), order.indices(1))


def test_the_order_never_changes():
    """NumPy promises the draws of RandomState; a resumed run depends on them."""
    assert Order(8, 8, 1, seed=3).indices(0).tolist() == ORDER_OF_8


ORDER_OF_8 = [1, 0, 2, 7, 5, 3, 6, 4]


@pytest.mark.parametrize("name", ["count", "batch_size", "epochs"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(InputError, match=name):
        Order(**{"count": 3, "batch_size": 2, "epochs": 1} | {name: 0})


def test_more_steps_than_an_int32_counts_are_refused_with_the_epochs_that_fit():
    with pytest.raises(InputError, match="use 2147483647 or fewer"):
        Order(count=1, batch_size=1, epochs=INT32 + 1)
    assert Order(count=1, batch_size=1, epochs=INT32).steps == INT32


def test_threads_that_read_ahead_get_the_same_batches():
    """Few examples: every batch spans epochs that another thread has not begun, or has left."""
    order, alone = (Order(count=3, batch_size=40, epochs=3_000) for _ in range(2))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(order.indices, range(order.steps)))
    finally:
        sys.setswitchinterval(before)
    assert np.array_equal(found, [alone.indices(step) for step in range(order.steps)])
