"""Ctrl-C and SIGTERM during a run."""

import gc
import os
import signal
import threading

import pytest

from jaxcnn.train.interruption import SIGNALS, interruption


class Ended(BaseException):
    """Raised by the handlers that were there before."""


@pytest.fixture(autouse=True)
def raising():
    """Handlers that raise, as Python's own for Ctrl-C does."""

    def end(number, _frame):
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in SIGNALS}
    yield end
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)  # a Python handler runs before the next line


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_first_signal_sets_the_flag_and_a_second_acts_as_usual(raising, first, second):
    with pytest.raises(Ended) as ended, interruption() as interrupted:
        assert not interrupted()
        send(first)
        assert interrupted()
        send(second)
    assert ended.value.args == (second,)
    assert [signal.getsignal(number) for number in SIGNALS] == [raising] * 2


def test_the_handlers_come_back_whether_the_block_ends_or_raises(raising):
    with interruption() as interrupted:
        pass
    assert not interrupted()
    with pytest.raises(KeyError), interruption():
        raise KeyError
    assert [signal.getsignal(number) for number in SIGNALS] == [raising] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_during_a_callback_of_the_garbage_collector_is_not_swallowed():
    """XLA has such a callback, and Python only prints what one raises."""

    def callback(phase, _info):
        if phase == "start":
            send(signal.SIGINT)

    gc.callbacks.append(callback)
    try:
        gc.collect()  # the handler from before raises, and nobody hears of it
        with interruption() as interrupted:
            gc.collect()
            assert interrupted()
    finally:
        gc.callbacks.remove(callback)


def test_another_thread_leaves_the_handlers_alone(raising):
    found = []

    def run():
        with interruption() as interrupted:
            found.extend([interrupted(), *map(signal.getsignal, SIGNALS)])

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False, raising, raising]


def test_blocks_inside_one_another_each_take_one_signal():
    with pytest.raises(Ended), interruption() as outer, interruption() as inner:
        send(signal.SIGINT)
        assert (inner(), outer()) == (True, False)
        send(signal.SIGINT)
        assert outer()
        send(signal.SIGINT)
