"""Published files: downloaded once, checked by digest, kept in a folder."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    Progress = Callable[[str, int, int], None]

TIMEOUT = 30.0  # seconds without an answer
_PIECE = 2**18  # bytes written at a time
_TRIES = 5  # in a row without a byte more


def default_folder() -> Path:
    """``$JAXCNN_DATA``, or ``~/.cache/jaxcnn``."""
    return Path(os.environ.get("JAXCNN_DATA") or Path.home() / ".cache" / "jaxcnn")


def fetch(path: Path, address: str, size: int, sha256: str, progress: Progress) -> bytes:
    """The bytes of a published file, which is downloaded to ``path`` if it is not there.

    A download that stops goes on where it was, in this process or in the next: the bytes so far are
    in ``path`` with ``.part`` added, which is renamed when it is whole and has the right digest. Of
    two processes one downloads and the other waits.

    Args:
      path: where the file is kept.
      address: an http or https address.
      size: the number of bytes.
      sha256: the digest in hexadecimal.
      progress: called with the file's name, the bytes so far, and all bytes.

    Raises:
      InputError: (a ValueError) if the file cannot be downloaded (the message says where to put it
        by hand), or is not as published.
    """
    remedy = "delete it, and it is downloaded again"
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _download(path, address, size, sha256, progress)
        except (OSError, HTTPException) as error:
            if path.exists():  # another process was faster
                return checked(path, sha256, remedy)
            reason = error.reason if isinstance(error, URLError) else error
            raise InputError(
                f"{path.name} ({size:,} bytes) is not in {path.parent}, and {address} cannot be "
                f"downloaded ({reason}). Try again to go on where it stopped, or download the file "
                f"elsewhere and put it into {path.parent}"
            ) from None
    return checked(path, sha256, remedy)


def checked(path: Path, sha256: str, remedy: str) -> bytes:
    """The bytes of a file.

    Raises:
      InputError: (a ValueError) if it cannot be read, or has another digest; ends with ``remedy``.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise InputError(
            f"{path} is damaged or altered: its {len(content)} bytes have SHA-256 "
            f"{digest[:16]}..., not {sha256[:16]}...; {remedy}"
        )
    return content


def _download(path: Path, address: str, size: int, sha256: str, progress: Progress) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("ab") as file, _locked(file):
        if path.exists():  # by the process that was waited for
            return
        failures = 0
        while (have := part.stat().st_size) != size:
            try:
                _receive(file, address, have, size, lambda now: progress(path.name, now, size))
            except HTTPError as error:
                if error.code != 416 or not have:
                    raise
                file.truncate(0)
            except (OSError, HTTPException):
                failures = 0 if part.stat().st_size > have else failures + 1
                if failures == _TRIES or (not have and not part.stat().st_size):
                    raise
                time.sleep(failures)
        with part.open("rb") as whole:
            digest = hashlib.file_digest(whole, "sha256").hexdigest()
        if digest != sha256:
            file.truncate(0)
            raise OSError(f"its SHA-256 is {digest}, not {sha256}")
    part.replace(path)  # after it is closed, as some systems want it


def _receive(
    file: IO[bytes], address: str, have: int, size: int, progress: Callable[[int], None]
) -> None:
    """Appends what follows the ``have`` bytes of ``file``, which starts anew if it cannot go on."""
    request = Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206 and have:
            file.truncate(0)
            have = 0
        while piece := answer.read(_PIECE):
            file.write(piece)
            file.flush()
            have += len(piece)
            if have > size:
                file.truncate(0)
                raise HTTPError(
                    address, answer.status, f"it has more than {size:,} bytes", answer.headers, None
                )
            progress(have)
    if have < size:
        raise ConnectionError(f"the connection ended after {have:,} bytes")


@contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    """Waits until no other process has the lock on ``file``, where the system has such locks."""
    with suppress(ImportError):
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    yield
