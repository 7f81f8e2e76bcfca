"""A file is written whole or not at all."""

import errno
import os
import pathlib

import pytest

from tfperf import whole_file


def test_the_new_text_replaces_the_old(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "result.json"
    for text in ("old", "new ü"):
        whole_file.write(path, text)
        assert path.read_text(encoding="utf-8") == text
        whole_file.write_bytes(path, text.encode("latin-1"))
        assert path.read_bytes() == text.encode("latin-1")
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_text_alone(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    whole_file.write(path, "old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        whole_file.write(path, "new")
    with pytest.raises(OSError, match="No space left"):
        whole_file.write_bytes(path, b"new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
