"""Part-opening keys and their published list."""

import base64
from pathlib import Path

import msgspec
import pytest

from tallystick import limits
from tallystick.adapters.keys.opening import SUITES, FileOpeningKeys
from tallystick.crypto.hpke import Suite, seal
from tallystick.crypto.jose import seal_jwe, verify_jws
from tallystick.crypto.signing import Ed25519Private, load_public
from tallystick.errors import EnvelopeUnopenable, KeyUnknown, Misconfigured, Unavailable
from tallystick.runtime import Millis
from tallystick.wire.keys import IDENTITY_KID, JWE_SUITE, LIST_TYPE, KeyList, PublishedKey

NOW = Millis(1_767_268_800_000)
END = Millis(NOW + limits.OPENING_KEY_LIFE_MS + limits.OPENING_KEY_OVERLAP_MS)
IDENTITY = Ed25519Private()


def open_keys(tmp_path: Path, *, write: bool = True) -> FileOpeningKeys:
    return FileOpeningKeys(tmp_path / "opening", lambda: IDENTITY, policies=("card", "login"), write=write)


@pytest.fixture
def keys(tmp_path: Path) -> FileOpeningKeys:
    keys = open_keys(tmp_path)
    keys.rotate(NOW)
    return keys


def listed(keys: FileOpeningKeys, now: Millis) -> KeyList:
    identity = load_public(keys.identity_pem())
    return msgspec.json.decode(verify_jws(identity, keys.published(now), IDENTITY_KID, LIST_TYPE), type=KeyList)


def sealed_for(key: PublishedKey) -> bytes:
    if isinstance(key.public, dict):
        return seal_jwe(key.public, b"part", b"info").encode()
    return seal(Suite(key.suite), base64.urlsafe_b64decode(key.public + "=="), b"part", b"info")


def test_the_list_is_signed_by_the_identity_and_names_one_key_of_each_suite(keys: FileOpeningKeys) -> None:
    published = listed(keys, NOW)
    assert [(key.suite, key.format) for key in published.keys] == [
        (Suite.MLKEM768_X25519, "hpke"),
        (Suite.P256, "hpke"),
        (JWE_SUITE, "jwe"),
    ]
    assert published.issued == NOW
    assert published.policies == ("card", "login")
    for key in published.keys:
        assert key.id.startswith("pk_")
        assert (key.not_before, key.not_after) == (NOW - limits.FRESHNESS_MS, END)


def test_what_is_sealed_for_a_published_key_opens_and_under_another_info_does_not(keys: FileOpeningKeys) -> None:
    for key in listed(keys, NOW).keys:
        opener = keys.opener(key.id, NOW)
        assert opener.open(sealed_for(key), b"info") == b"part"
        with pytest.raises(EnvelopeUnopenable):
            opener.open(sealed_for(key), b"other")
        with pytest.raises(EnvelopeUnopenable):
            opener.open(b"\xff\xfe", b"info")


def test_the_list_stays_the_same_until_keys_change(keys: FileOpeningKeys) -> None:
    later = Millis(NOW + limits.OPENING_KEY_LIFE_MS - 1)
    first = keys.published(NOW)
    keys.rotate(later)
    assert first == keys.published(later)
    keys.rotate(Millis(later + 1))
    assert first != keys.published(Millis(later + 1))


def test_a_successor_is_published_while_the_old_key_still_opens_for_the_overlap(keys: FileOpeningKeys) -> None:
    old = listed(keys, NOW).keys[0]
    change = Millis(NOW + limits.OPENING_KEY_LIFE_MS)
    assert keys.rotate(change) == []
    assert old.id not in {key.id for key in listed(keys, change).keys}
    assert keys.opener(old.id, Millis(END - 1)).open(sealed_for(old), b"info") == b"part"
    with pytest.raises(KeyUnknown):
        keys.opener(old.id, END)


def test_a_key_that_is_over_is_destroyed_without_a_copy(keys: FileOpeningKeys, tmp_path: Path) -> None:
    old = {key.id for key in listed(keys, NOW).keys}
    keys.rotate(Millis(NOW + limits.OPENING_KEY_LIFE_MS))
    assert set(keys.rotate(END)) == old
    left = {path.name for path in (tmp_path / "opening").iterdir()}
    assert left.isdisjoint(old)
    assert left == {key.id for key in listed(keys, END).keys}
    for key_id in old:
        with pytest.raises(KeyUnknown):
            keys.opener(key_id, NOW)


def test_after_a_restart_the_same_keys_open_and_are_published(keys: FileOpeningKeys, tmp_path: Path) -> None:
    before = listed(keys, NOW)
    sealed = {key.id: sealed_for(key) for key in before.keys}
    keys.close()
    again = open_keys(tmp_path)
    assert again.rotate(Millis(NOW + 1)) == []
    assert before.keys == listed(again, Millis(NOW + 1)).keys
    for key_id, envelope in sealed.items():
        assert again.opener(key_id, NOW).open(envelope, b"info") == b"part"


def test_after_a_long_stop_old_keys_are_neither_published_nor_kept(keys: FileOpeningKeys, tmp_path: Path) -> None:
    old = {key.id for key in listed(keys, NOW).keys}
    keys.close()
    again = open_keys(tmp_path)
    with pytest.raises(Unavailable):
        again.published(END)
    assert set(again.rotate(END)) == old
    assert len(listed(again, END).keys) == len(SUITES)


def test_a_second_process_reads_the_list_and_opens_while_the_platform_writes(
    keys: FileOpeningKeys, tmp_path: Path
) -> None:
    reader = open_keys(tmp_path, write=False)
    assert listed(reader, NOW) == listed(keys, NOW)


def test_processes_that_share_a_directory_publish_the_same_keys_and_open_each_others(
    keys: FileOpeningKeys, tmp_path: Path
) -> None:
    other = open_keys(tmp_path)
    assert listed(keys, NOW) == listed(other, NOW)
    later = Millis(NOW + limits.OPENING_KEY_LIFE_MS)
    keys.rotate(later)
    (newest, *_) = listed(keys, later).keys
    assert b"part" == other.opener(newest.id, later).open(sealed_for(newest), b"info")
    other.rotate(later)
    assert listed(keys, later).keys == listed(other, later).keys
    assert 2 * len(SUITES) == len(list((tmp_path / "opening").iterdir()))


def test_of_processes_that_make_a_successor_at_once_all_take_the_first_ones(tmp_path: Path) -> None:
    several = [open_keys(tmp_path) for _ in range(3)]
    for keys in several:
        keys._look = lambda: None  # type: ignore[method-assign]  # none sees the others' in time
    for keys in several:
        keys.rotate(NOW)
    assert len(SUITES) == len(list((tmp_path / "opening").iterdir()))
    first = several[0].published(NOW)
    assert [first] * 3 == [keys.published(NOW) for keys in several]


def test_a_key_that_one_process_destroyed_no_other_one_opens_with(keys: FileOpeningKeys, tmp_path: Path) -> None:
    other, (key, *_) = open_keys(tmp_path), listed(keys, NOW).keys
    keys.rotate(END)
    other.rotate(END)
    with pytest.raises(KeyUnknown):
        other.opener(key.id, NOW)


@pytest.mark.parametrize("key_id", ["../keys/identity-1.key", "pk_", "pk_x", "", "pk_" + "A" * 32])
def test_what_names_no_key_is_no_file_name(keys: FileOpeningKeys, key_id: str) -> None:
    with pytest.raises(KeyUnknown):
        keys.opener(key_id, NOW)


def test_without_keys_nothing_is_published(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_keys(tmp_path).published(NOW)


@pytest.mark.parametrize("content", [b"damaged", b'{"suite":"none","private":"","made_at":1}'])
def test_a_damaged_key_file_stops_the_process(tmp_path: Path, content: bytes) -> None:
    open_keys(tmp_path).close()
    stray = tmp_path / "opening" / "pk_x"
    stray.touch(mode=0o600)
    stray.write_bytes(content)
    with pytest.raises(Misconfigured):
        open_keys(tmp_path)


def test_the_list_is_signed_by_the_identity_key_of_the_moment(tmp_path: Path) -> None:
    signing = [IDENTITY]
    keys = FileOpeningKeys(tmp_path / "opening", lambda: signing[0])
    keys.rotate(NOW)
    before = keys.published(NOW)
    signing[0] = Ed25519Private()
    verify_jws(signing[0].public(), keys.published(NOW), IDENTITY_KID, LIST_TYPE)
    assert before != keys.published(NOW)


def test_new_keys_are_published_when_asked_and_the_earlier_ones_still_open(tmp_path: Path) -> None:
    asked = [Millis(0)]
    keys = FileOpeningKeys(tmp_path / "opening", lambda: IDENTITY, asked_at=lambda: asked[0])
    keys.rotate(NOW)
    before = keys.published(NOW)
    asked[0] = Millis(NOW + 5)
    assert [] == keys.rotate(Millis(NOW + 10))
    payload = verify_jws(IDENTITY.public(), keys.published(NOW), IDENTITY_KID, LIST_TYPE)
    old = verify_jws(IDENTITY.public(), before, IDENTITY_KID, LIST_TYPE)
    first, second = (msgspec.json.decode(each, type=KeyList).keys for each in (old, payload))
    assert {key.id for key in first}.isdisjoint(key.id for key in second)
    assert all(keys.opener(key.id, Millis(NOW + 20)) for key in first)
    keys.rotate(Millis(NOW + 30))
    assert payload == verify_jws(IDENTITY.public(), keys.published(NOW), IDENTITY_KID, LIST_TYPE)
