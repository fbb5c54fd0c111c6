"""Downloads from a server on this machine that breaks off, forgets, refuses and lies."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn.data.download import fetch

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@contextmanager
def server(content=CONTENT, breaks=(), ranges=True, status=None):
    """Yields the address of ``content`` and the list of the ranges that were asked for.

    Args:
      content: what is served.
      breaks: the bytes after which each of the first answers breaks off.
      ranges: whether ``Range`` is obeyed.
      status: an error code to answer with.
    """
    asked, left = [], list(breaks)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Range"))
            if status:
                self.send_error(status)
                return
            first = int(asked[-1][6:-1]) if asked[-1] and ranges else 0
            if first and first >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            self.wfile.write(content[first:][: left.pop(0) if left else None])

        def log_message(self, *_):
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}/file", asked
    finally:
        serving.shutdown()
        serving.server_close()


def get(path, address, size=SIZE, digest=DIGEST):
    steps = []
    content = fetch(path, address, size, digest, lambda *step: steps.append(step))
    return content, steps


@given(
    breaks=st.lists(st.integers(0, 4000), max_size=3),
    before=st.sampled_from([0, 1, 5000, SIZE, SIZE + 7]),
    ranges=st.booleans(),
)
def test_a_download_that_breaks_off_goes_on_and_ends_whole(
    tmp_path_factory, breaks, before, ranges
):
    path = tmp_path_factory.mktemp("kept") / "new" / "file"
    path.parent.mkdir()
    path.with_name("file.part").write_bytes((CONTENT + b"1234567")[:before])
    with server(breaks=[at + 1 for at in breaks], ranges=ranges) as (address, asked):
        content, steps = get(path, address)
        assert content == path.read_bytes() == CONTENT
        assert list(path.parent.iterdir()) == [path]
        if steps:
            assert steps[-1] == ("file", SIZE, SIZE)
        if before == 5000:
            assert asked[0] == "bytes=5000-"
        count = len(asked)
        assert get(path, address)[0] == CONTENT
        assert len(asked) == count  # a file that is there is not asked for


def test_a_wrong_digest_is_refused_and_leaves_nothing(tmp_path):
    with (
        server(CONTENT[::-1]) as (address, _),
        pytest.raises(ValueError, match=rf"its SHA-256 is .*, not {DIGEST}"),
    ):
        get(tmp_path / "file", address)
    assert not (tmp_path / "file").exists()
    assert (tmp_path / "file.part").stat().st_size == 0


def test_a_file_that_is_larger_than_published_is_refused(tmp_path):
    with server() as (address, _), pytest.raises(ValueError, match="more than 100 bytes"):
        get(tmp_path / "file", address, size=100)
    assert not (tmp_path / "file").exists()


def test_a_file_that_the_server_lacks_is_refused_with_where_to_put_it(tmp_path):
    with server(status=404) as (address, _):
        with pytest.raises(ValueError, match="Not Found") as error:
            get(tmp_path / "file", address)
        for words in (address, "file (10,240 bytes)", f"put it into {tmp_path}"):
            assert words in str(error.value)


def test_without_a_network_the_error_names_file_address_size_and_folder(tmp_path):
    with server() as (address, _):
        pass  # nobody listens there any more
    with pytest.raises(ValueError, match="refused") as error:
        get(tmp_path / "file", address)
    for words in (address, "file (10,240 bytes)", f"put it into {tmp_path}"):
        assert words in str(error.value)


def test_a_kept_file_that_is_damaged_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=r"file is damaged.*10239 bytes.*delete it"):
        get(tmp_path / "file", "http://127.0.0.1:9/file")


def test_of_two_downloads_at_once_one_waits_for_the_other(tmp_path):
    with server() as (address, asked):
        got = []
        threads = [
            threading.Thread(target=lambda: got.append(get(tmp_path / "file", address)[0]))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == [CONTENT] * 4
        assert asked.count(None) == len(asked)  # none appended to another's half
