"""Directories of key files."""

import os
import stat
from pathlib import Path

import pytest

from tallystick.adapters.keys import directory
from tallystick.adapters.keys.directory import FILE_MAX, UNFINISHED, KeyDirectory
from tallystick.errors import AlreadyExists, Misconfigured, NotFound


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directory_and_files_are_open_to_their_owner_only_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with KeyDirectory(tmp_path / "keys", write=True) as files:
            files.create("one", b"key")
    finally:
        os.umask(before)
    assert mode(tmp_path / "keys") == 0o700
    assert mode(tmp_path / "keys" / "one") == 0o600


def test_what_was_created_is_read_back_and_listed(tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("two", b"second")
        files.create("one", b"first")
        assert files.names() == ["one", "two"]
        assert files.read("one") == b"first"


def test_a_file_in_use_is_never_replaced(tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("one", b"first")
        with pytest.raises(AlreadyExists):
            files.create("one", b"second")
        assert files.read("one") == b"first"


def test_destruction_overwrites_the_file_before_it_removes_it(tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("one", b"secret bytes")
        (tmp_path / "witness").hardlink_to(tmp_path / "keys" / "one")
        files.destroy("one")
        assert files.names() == []
        with pytest.raises(NotFound):
            files.read("one")
    assert (tmp_path / "witness").read_bytes() == bytes(len(b"secret bytes"))


def test_destroying_twice_is_harmless(tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.destroy("never there")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_names: object, **_places: object) -> None:
        raise OSError("no space left")

    with KeyDirectory(tmp_path / "keys", write=True) as files:
        monkeypatch.setattr(os, "link", full_disk)
        with pytest.raises(OSError, match="no space left"):
            files.create("one", b"key")
    assert list((tmp_path / "keys").iterdir()) == []


def test_what_a_crash_left_unfinished_is_destroyed_by_the_next_writer_only(tmp_path: Path) -> None:
    KeyDirectory(tmp_path / "keys", write=True).close()
    left = tmp_path / "keys" / f"{UNFINISHED}0123"
    left.touch(mode=0o600)
    with KeyDirectory(tmp_path / "keys", write=False) as files:
        assert files.names() == []
        assert left.exists()
    KeyDirectory(tmp_path / "keys", write=True).close()
    assert not left.exists()


@pytest.mark.parametrize("rights", [0o710, 0o750, 0o701])
def test_a_directory_that_is_open_to_others_is_refused(tmp_path: Path, rights: int) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys").chmod(rights)
    with pytest.raises(Misconfigured, match="open to others"):
        KeyDirectory(tmp_path / "keys", write=True)


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o620])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, rights: int) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("one", b"key")
        (tmp_path / "keys" / "one").chmod(rights)
        with pytest.raises(Misconfigured, match="open to others"):
            files.read("one")


def test_a_link_is_followed_neither_to_a_directory_nor_to_a_file(tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("one", b"key")
        (tmp_path / "keys" / "link").symlink_to("one")
        with pytest.raises(Misconfigured):
            files.read("link")
    (tmp_path / "other").symlink_to("keys")
    with pytest.raises(Misconfigured):
        KeyDirectory(tmp_path / "other", write=False)


def test_a_file_longer_than_any_key_is_refused(tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("long", bytes(FILE_MAX + 1))
        with pytest.raises(Misconfigured, match="longer"):
            files.read("long")


def test_one_process_writes_and_others_may_read(tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("one", b"key")
        with pytest.raises(Misconfigured, match="another process"):
            KeyDirectory(tmp_path / "keys", write=True)
        with KeyDirectory(tmp_path / "keys", write=False) as reader:
            assert reader.read("one") == b"key"
    KeyDirectory(tmp_path / "keys", write=True).close()


def test_who_shares_a_directory_lets_in_others_who_share_it_and_nobody_who_wants_it_alone(tmp_path: Path) -> None:
    with shared(tmp_path) as one, shared(tmp_path) as other:
        one.create("one", b"key")
        assert b"key" == other.adopt("one")
        with pytest.raises(AlreadyExists):
            other.create("one", b"another")
        with pytest.raises(Misconfigured, match="another process"):
            KeyDirectory(tmp_path / "keys", write=True)
    with KeyDirectory(tmp_path / "keys", write=True) as alone:
        assert b"key" == alone.read("one")


def test_who_has_a_directory_alone_keeps_out_who_would_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "LOCK_TRIES", 2)
    with KeyDirectory(tmp_path / "keys", write=True), pytest.raises(Misconfigured, match="another process"):
        shared(tmp_path)


def test_of_two_who_create_one_file_at_once_the_first_ones_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared(tmp_path) as one, shared(tmp_path) as other:
        monkeypatch.setattr(other, "names", list)  # it looked before the other one's was there
        one.create("one", b"key")
        with pytest.raises(AlreadyExists):
            other.create("one", b"another")
        assert b"key" == other.read("one")
    assert ["one"] == [path.name for path in (tmp_path / "keys").iterdir()]


def test_what_another_process_writes_just_now_is_left_to_it_for_a_while(tmp_path: Path) -> None:
    with shared(tmp_path):
        left = tmp_path / "keys" / f"{UNFINISHED}0123"
        left.touch(mode=0o600)
        shared(tmp_path).close()
        assert left.exists()
        os.utime(left, (0, 0))
        shared(tmp_path).close()
        assert not left.exists()


def test_a_crash_amid_a_creation_leaves_no_copy_beyond_the_destruction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared(tmp_path) as files:
        with monkeypatch.context() as crash:
            crash.setattr(os, "unlink", stop)
            with pytest.raises(KeyboardInterrupt):
                files.create("one", b"key")
        files.destroy("one")
    assert {bytes(3)} >= {path.read_bytes() for path in (tmp_path / "keys").iterdir()}


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def shared(tmp_path: Path) -> KeyDirectory:
    return KeyDirectory(tmp_path / "keys", write=True, shared=True)


def test_a_reader_makes_no_directory(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be opened"):
        KeyDirectory(tmp_path / "keys", write=False)
    assert not (tmp_path / "keys").exists()
