"""Key files under a passphrase: of no use to who copies them, and never half sealed for good."""

from pathlib import Path
from typing import Never

import pytest

from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.passphrase import NEXT, WRAPPING, PassphraseWrapper
from tallystick.adapters.keys.wrapper import PlainFiles
from tallystick.errors import FieldInvalid, Misconfigured
from tallystick.runtime import SystemRandomness
from tallystick.secret import Secret

PASSPHRASE, OTHER = Secret("six words of a list are well enough"), Secret("some other words, also long enough")
KEY = bytes(range(32))


def prepare(root: Path, passphrase: Secret = PASSPHRASE) -> PassphraseWrapper:
    return PassphraseWrapper.prepare(root, passphrase, SystemRandomness())


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a directory `keys` whose one key is sealed."""
    root = tmp_path_factory.mktemp("platform")
    wrapper = prepare(root)
    PassphraseWrapper.adopt(root)
    with KeyDirectory(root / "keys", write=True, wrapper=wrapper) as files:
        files.create("vault-1.key", KEY)
    return root


def test_the_passphrase_opens_what_it_sealed_and_no_other_one_does(sealed: Path) -> None:
    wrapper = PassphraseWrapper.open(sealed, PASSPHRASE)
    with KeyDirectory(sealed / "keys", write=False, wrapper=wrapper) as files:
        assert KEY == files.read("vault-1.key")
    assert KEY not in (sealed / "keys" / "vault-1.key").read_bytes()
    with pytest.raises(Misconfigured, match="not the passphrase"):
        PassphraseWrapper.open(sealed, OTHER)


def test_a_sealed_file_under_another_name_or_altered_does_not_open(sealed: Path, tmp_path: Path) -> None:
    wrapper = PassphraseWrapper.open(sealed, PASSPHRASE)
    content = (sealed / "keys" / "vault-1.key").read_bytes()
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("at-rest-1.key", content)
        files.create("vault-1.key", content[:-1] + bytes([content[-1] ^ 1]))
    with KeyDirectory(tmp_path / "keys", write=False, wrapper=wrapper) as files:
        for name in ("at-rest-1.key", "vault-1.key"):
            with pytest.raises(Misconfigured, match="does not open"):
                files.read(name)


def test_a_key_put_there_in_clear_is_not_taken_where_keys_are_sealed(sealed: Path, tmp_path: Path) -> None:
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        files.create("vault-1.key", KEY)
    wrapper = PassphraseWrapper.open(sealed, PASSPHRASE)
    with KeyDirectory(tmp_path / "keys", write=False, wrapper=wrapper) as files, pytest.raises(Misconfigured):
        files.read("vault-1.key")


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FieldInvalid, match="at least 20 characters"):
        prepare(tmp_path, Secret("x" * 19))
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, b"{}", b"no JSON"])
def test_a_missing_or_damaged_salt_stops_the_process(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / WRAPPING).write_bytes(content)
    with pytest.raises(Misconfigured, match=WRAPPING):
        PassphraseWrapper.open(tmp_path, PASSPHRASE)


def test_protecting_goes_on_where_a_crash_stopped_it_and_leaves_no_clear_key(tmp_path: Path) -> None:
    names = [f"key-{number}" for number in range(4)]
    with KeyDirectory(tmp_path / "keys", write=True) as files:
        for name in names:
            files.create(name, KEY)
    with KeyDirectory(tmp_path / "half", write=True) as files:
        files.create("key-0", KEY)
    first = prepare(tmp_path)
    with KeyDirectory(tmp_path / "keys", write=True, wrapper=first) as files:
        files.destroy("key-0")
        files.create("key-0", KEY)  # as far as the crashed run came
    again = prepare(tmp_path)
    with KeyDirectory(tmp_path / "keys", write=True, wrapper=PlainFiles()) as files:
        assert 3 == files.protect(again)
        assert [KEY] * 4 == [files.read(name) for name in names]
    PassphraseWrapper.adopt(tmp_path)
    assert not (tmp_path / NEXT).exists()
    assert all(KEY not in (tmp_path / "keys" / name).read_bytes() for name in names)
    with pytest.raises(Misconfigured, match="not the passphrase"):
        PassphraseWrapper.open(tmp_path, OTHER)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_crash_while_a_passphrase_is_prepared_leaves_nothing_in_the_way_of_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def crash(*_: object) -> Never:
        raise OSError("the machine stopped")

    places = {"write": "msgspec.json.encode", "fsync": "os.fsync", "rename": "pathlib.Path.rename"}
    with monkeypatch.context() as crashing:
        crashing.setattr(places[call], crash)
        with pytest.raises(OSError, match="stopped"):
            prepare(tmp_path)
    prepare(tmp_path, OTHER)
    PassphraseWrapper.adopt(tmp_path)
    PassphraseWrapper.open(tmp_path, OTHER)
    assert [WRAPPING] == [path.name for path in tmp_path.iterdir()]
