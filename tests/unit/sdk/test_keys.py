"""The published list is believed only under the pinned identity key, and its keys only while they are valid."""

import msgspec
import pytest

from tallystick import limits
from tallystick.adapters.keys.opening import SUITES
from tallystick.crypto.jose import sign_jws
from tallystick.crypto.signing import Ed25519Private
from tallystick.runtime import Millis
from tallystick.sdk.errors import AnswerNotProven, AnswerUnreadable, NoUsableKey
from tallystick.sdk.keys import REFRESH_MS, HeldKeys, read_key_list
from tallystick.wire.keys import IDENTITY_KID, LIST_TYPE, KeyList, PublishedKey

IDENTITY = Ed25519Private()
SUITE = SUITES[0]
NOW = Millis(10_000)


def published(name: str, suite: str = SUITE, *, not_before: int = 0, not_after: int = 20_000) -> PublishedKey:
    return PublishedKey(id=name, format="hpke", suite=suite, public="", not_before=not_before, not_after=not_after)


def token(
    *keys: PublishedKey, identity: Ed25519Private = IDENTITY, kid: str = IDENTITY_KID, typ: str = LIST_TYPE
) -> bytes:
    payload = msgspec.json.encode(KeyList(issued=1, keys=keys, policies=("card",)))
    return sign_jws(identity, payload, kid, typ).encode()


def holding(*keys: PublishedKey) -> HeldKeys:
    held = HeldKeys(IDENTITY.public(), SUITE)
    held.take(token(*keys), NOW)
    return held


def test_a_list_by_the_identity_key_is_read() -> None:
    key = published("pk_a")
    assert KeyList(issued=1, keys=(key,), policies=("card",)) == read_key_list(token(key), IDENTITY.public())


def test_a_list_by_another_identity_key_is_refused() -> None:
    with pytest.raises(AnswerNotProven):
        read_key_list(token(published("pk_a"), identity=Ed25519Private()), IDENTITY.public())


@pytest.mark.parametrize(
    "forged",
    [
        token(typ="other+jws"),
        token(kid="other"),
        token()[:-8] + b"AAAAAAAA",
        b"",
        b"<html>",
        b"a.b.c",
        "é.b.c".encode(),
    ],
)
def test_what_is_not_exactly_a_signed_key_list_is_refused(forged: bytes) -> None:
    with pytest.raises(AnswerNotProven):
        read_key_list(forged, IDENTITY.public())


def test_a_proven_list_of_another_shape_is_called_unreadable() -> None:
    strange = sign_jws(IDENTITY, b'{"keys": 1}', IDENTITY_KID, LIST_TYPE).encode()
    with pytest.raises(AnswerUnreadable):
        read_key_list(strange, IDENTITY.public())


def test_the_newest_valid_key_of_the_suite_is_taken() -> None:
    held = holding(
        published("pk_old", not_before=1),
        published("pk_new", not_before=2),
        published("pk_future", not_before=NOW + 1),
        published("pk_other", SUITES[1], not_before=3),
    )
    assert held.newest(NOW).id == "pk_new"
    assert held.policies() == ("card",)


@pytest.mark.parametrize(
    "key",
    [published("pk_a", not_after=NOW), published("pk_a", not_before=NOW + 1), published("pk_a", SUITES[1])],
)
def test_no_key_is_taken_out_of_its_time_or_suite(key: PublishedKey) -> None:
    with pytest.raises(NoUsableKey):
        holding(key).newest(NOW)


def test_a_key_is_usable_up_to_its_last_millisecond() -> None:
    key = published("pk_a", not_before=NOW, not_after=NOW + 1)
    assert holding(key).newest(NOW) == key


def test_the_list_is_due_at_first_after_half_the_overlap_and_when_forgotten() -> None:
    held = HeldKeys(IDENTITY.public(), SUITE)
    assert held.due(NOW)
    held.take(token(published("pk_a")), NOW)
    assert not held.due(Millis(NOW + REFRESH_MS - 1))
    assert held.due(Millis(NOW + REFRESH_MS))
    held.forget()
    assert held.due(NOW)


def test_a_refused_list_leaves_the_last_one_in_place() -> None:
    held = holding(published("pk_a"))
    with pytest.raises(AnswerNotProven):
        held.take(token(published("pk_evil"), identity=Ed25519Private()), NOW)
    assert held.newest(NOW).id == "pk_a"


def test_a_list_is_refreshed_well_before_its_keys_stop_opening() -> None:
    assert limits.OPENING_KEY_OVERLAP_MS > REFRESH_MS + limits.FRESHNESS_MS
