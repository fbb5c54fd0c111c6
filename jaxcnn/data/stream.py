"""Batches of images that are read ahead of their use."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import parent_process
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.extra import requires_extra
from jaxcnn.geometry.check import integer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import grain

    from jaxcnn.data.images import Images

    Batch = tuple[np.ndarray, np.ndarray]

_AHEAD = 2  # batches that are read before they are asked for, by each worker


def batches(
    images: Images,
    indices: Callable[[int], np.ndarray],
    first: int,
    end: int,
    *,
    workers: int = 0,
) -> Iterator[Batch]:
    """The batches of the steps from ``first`` up to, but not including, ``end``.

    A batch depends on its step alone: whatever ``first`` and ``workers``, step s gives the same.
    Closing the iterator ends its threads or processes.

    Args:
      images: what to read.
      indices: gives the indices (b,) of a step; with workers it must be picklable.
      first: the first step, from 0.
      end: the step after the last.
      workers: processes that read; 0 for two threads of this process. Processes need ``grain``, of
        the extra ``stream``; they are spawned, so a script needs ``if __name__ == "__main__":``.

    Yields:
      images (b, H, W, C), uint8, and labels (b,), int32.

    Raises:
      InputError: (a ValueError) if images cannot be read, or if a worker ends unexpectedly.

    >>> from jaxcnn.data import Images
    >>> few = Images(np.zeros((6, 8, 8, 1), np.uint8), np.arange(6))
    >>> steps = batches(few, lambda step: np.arange(2) + 2 * step, 1, 3)
    >>> [labels.tolist() for _, labels in steps]
    [[2, 3], [4, 5]]
    """
    integer("workers", workers, least=0)
    steps = _Steps(images, indices, integer("first", first, least=0), end)
    return _by_processes(steps, workers) if workers else _by_threads(steps)


@dataclass(frozen=True)
class _Steps:
    """The batches as a sequence."""

    images: Images
    indices: Callable[[int], np.ndarray]
    first: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.first)

    def __getitem__(self, index: int) -> Batch:
        chosen = self.indices(self.first + index)
        return self.images.read(chosen), self.images.labels[chosen]


def _by_threads(steps: _Steps) -> Iterator[Batch]:
    pool = ThreadPoolExecutor(_AHEAD)
    ahead = deque()
    try:
        for place in range(len(steps)):
            ahead.append(pool.submit(steps.__getitem__, place))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def require_workers(workers: int) -> None:
    """Raises unless this installation can read with as many worker processes.

    Raises:
      MissingExtraError: if that needs a package that is missing.
    """
    if workers:
        with requires_extra("reading with worker processes"):
            import grain  # noqa: F401, only to see that it is there


def _by_processes(steps: _Steps, workers: int) -> Iterator[Batch]:
    require_workers(workers)
    import grain
    from absl.flags import FLAGS

    if not FLAGS.is_parsed():  # grain 0.2.18 needs it: github.com/google/grain/issues/1355
        FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(
        num_workers=max(1, min(workers, len(steps))), per_worker_buffer_size=_AHEAD
    )
    # One thread: a worker reads one batch after the other.
    reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    data = grain.MapDataset.source(steps).to_iter_dataset(reading)
    return _closing(data.mp_prefetch(options, _prepare_worker))


def _closing(data: grain.IterDataset[Batch]) -> Iterator[Batch]:
    iterator = iter(data)
    try:
        for images, labels in iterator:  # in shared memory, which is freed with the iterator
            yield np.array(images), np.array(labels)
    except RuntimeError as error:
        raise InputError(f"a worker that reads images failed: {error}; use workers=0") from None
    finally:
        iterator.close()


def _prepare_worker(index: int, count: int) -> None:  # noqa: ARG001, the signature of grain
    """Leaves Ctrl-C to the parent process, and ends with it even if that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
