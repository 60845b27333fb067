"""At-rest keys of parts."""

from pathlib import Path

import pytest

from tallystick import limits
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.epochs import FileEpochKeys
from tallystick.errors import KeyUnknown, Misconfigured
from tallystick.runtime import Millis, SystemRandomness

NOW = Millis(1_767_268_812_345)
START = NOW - NOW % limits.EPOCH_MS


@pytest.fixture
def keys(tmp_path: Path) -> FileEpochKeys:
    return FileEpochKeys(tmp_path / "epochs", SystemRandomness())


def test_an_epoch_is_named_by_its_beginning_and_has_one_key(keys: FileEpochKeys) -> None:
    first = keys.current(NOW)
    assert first == f"ep_{START}"
    assert first == keys.current(Millis(START + limits.EPOCH_MS - 1))
    assert keys.current(Millis(START + limits.EPOCH_MS)) == f"ep_{START + limits.EPOCH_MS}"
    assert len(keys.key(first).secret) == 32
    assert keys.key(first).secret != keys.key(f"ep_{START + limits.EPOCH_MS}").secret


def test_the_key_is_on_disk_before_the_epoch_is_named(keys: FileEpochKeys, tmp_path: Path) -> None:
    epoch = keys.current(NOW)
    assert (tmp_path / "epochs" / epoch).read_bytes() == keys.key(epoch).secret


def test_after_a_restart_the_epoch_goes_on_under_its_key(keys: FileEpochKeys, tmp_path: Path) -> None:
    epoch, key = keys.current(NOW), keys.key(keys.current(NOW)).secret
    keys.close()
    again = FileEpochKeys(tmp_path / "epochs", SystemRandomness())
    assert (again.current(NOW), again.key(epoch).secret) == (epoch, key)


def test_a_key_is_destroyed_on_time_on_disk_and_in_memory(keys: FileEpochKeys, tmp_path: Path) -> None:
    epoch = keys.current(NOW)
    keys.key(epoch)
    assert keys.destroy_before(Millis(START + limits.EPOCH_KEPT_MS - 1)) == []
    assert keys.destroy_before(Millis(START + limits.EPOCH_KEPT_MS)) == [epoch]
    assert list((tmp_path / "epochs").iterdir()) == []
    with pytest.raises(KeyUnknown):
        keys.key(epoch)


@pytest.mark.parametrize("epoch", ["", "ep_", "ep_x", "../vault.key", "ep_1\n", "ep_1"])
def test_what_names_no_epoch_has_no_key(keys: FileEpochKeys, epoch: str) -> None:
    with pytest.raises(KeyUnknown):
        keys.key(epoch)


def test_a_second_process_reads_and_makes_nothing(keys: FileEpochKeys, tmp_path: Path) -> None:
    reader = FileEpochKeys(tmp_path / "epochs", SystemRandomness(), write=False)
    with pytest.raises(KeyUnknown):
        reader.current(NOW)
    epoch = keys.current(NOW)
    assert reader.current(NOW) == epoch
    assert reader.key(epoch).secret == keys.key(epoch).secret


def test_processes_that_share_a_directory_seal_under_one_key_of_an_epoch(
    keys: FileEpochKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FileEpochKeys(tmp_path / "epochs", SystemRandomness())
    monkeypatch.setattr(KeyDirectory, "names", lambda _: [])  # neither sees the other one's in time
    assert keys.current(NOW) == other.current(NOW)
    assert keys.key(f"ep_{START}").secret == other.key(f"ep_{START}").secret


def test_what_one_process_destroyed_no_other_one_keeps(keys: FileEpochKeys, tmp_path: Path) -> None:
    other = FileEpochKeys(tmp_path / "epochs", SystemRandomness())
    epoch = keys.current(NOW)
    other.key(epoch)
    assert [epoch] == keys.destroy_before(Millis(START + limits.EPOCH_KEPT_MS))
    assert [] == other.destroy_before(Millis(START + limits.EPOCH_KEPT_MS))
    with pytest.raises(KeyUnknown):
        other.key(epoch)


def test_a_stray_or_damaged_file_stops_the_process(keys: FileEpochKeys, tmp_path: Path) -> None:
    epoch = keys.current(NOW)
    keys.close()
    (tmp_path / "epochs" / epoch).write_bytes(b"short")
    with pytest.raises(Misconfigured, match="damaged"):
        FileEpochKeys(tmp_path / "epochs", SystemRandomness()).key(epoch)
    (tmp_path / "epochs" / "stray").touch(mode=0o600)
    with pytest.raises(Misconfigured, match="is none"):
        FileEpochKeys(tmp_path / "epochs", SystemRandomness(), write=False)
