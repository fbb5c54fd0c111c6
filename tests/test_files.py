"""Files are written whole or not at all."""

import pytest

from jaxcnn.files import atomic_write


def test_atomic_write_replaces_a_file_only_if_the_block_succeeds(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(SystemError), atomic_write(path) as temporary:
        temporary.write_text("ne")
        raise SystemError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
