"""Files that are written whole, and folders that one process alone writes to."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path``, and moves it there when the block succeeds.

    If the block or the move fails, the temporary file is deleted and ``path`` stays as it was.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "note.txt")
    ...     with atomic_write(path) as temporary:
    ...         _ = temporary.write_text("done")
    ...     path.read_text()
    'done'
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds a lock on the folder of ``path``, a file that it creates and leaves there.

    The operating system releases the lock when the process ends, even if it is killed. Only those
    that ask for the lock are kept out.

    Raises:
      InputError: (a ValueError) if another process, or another block of this one, holds the lock,
        or if the file system has none.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, lock(pathlib.Path(folder, "lock")):
    ...     pass
    """
    try:
        file = path.open("ab+", buffering=0)
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be written to ({error.strerror}); name another folder"
        ) from None
    with file:
        try:
            _lock(file)
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        except (BlockingIOError, PermissionError):  # in use, on POSIX and on Windows
            file.seek(0)
            raise InputError(
                f"{path.parent} is in use by process {file.read().decode() or '?'}; wait until it "
                f"ends, or name another folder"
            ) from None
        except OSError as error:
            raise InputError(
                f"{path.parent} cannot be locked ({error.strerror}); name a folder of another disk"
            ) from None
        yield


if os.name == "posix":
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

else:
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(1 << 20)  # the bytes under the lock cannot be read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
