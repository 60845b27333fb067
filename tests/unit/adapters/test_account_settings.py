"""The settings of account systems: what is wrong with them is said at once, and never quoted."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tallystick import limits
from tallystick.adapters.connectors.account_settings import VERIFY_KEYS_MAX, decode_settings
from tallystick.adapters.connectors.http_settings import SETTINGS_MAX
from tallystick.crypto.jose import JweKey
from tallystick.crypto.rsa_sign import RsaPrivate
from tallystick.crypto.signing import Ed25519Private
from tallystick.errors import Misconfigured

OURS, THEIRS = RsaPrivate(), RsaPrivate().public().pem().decode()
WEAK_BITS = 1024
WEAK = rsa.generate_private_key(65_537, WEAK_BITS).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
GOOD = {
    "base_url": "https://pay.example:8443/psp",
    "client_id": "CLIENT_1",
    "key_version": 1,
    "private_key": OURS.pem().decode(),
    "verify_keys": {"1": THEIRS, "2": THEIRS},
    "encryption_jwk": JweKey.generate("enc-1").public_jwk(),
    "currencies": ["CNY"],
}


def decode(**changes: Any) -> Any:
    told = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return decode_settings(json.dumps(told).encode())


def test_good_settings_decode_with_the_usual_timeout() -> None:
    settings = decode()
    assert (limits.DELIVERY_TIMEOUT_S, None) == (settings.timeout_s, settings.server_name)
    assert {1: THEIRS, 2: THEIRS} == settings.verify_keys
    assert "PRIVATE" not in repr(settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "http://pay.example"},
        {"base_url": "https://pay.example/"},
        {"server_name": "*.example"},
        {"client_id": ""},
        {"client_id": "with.dot"},
        {"client_id": "with\nline"},
        {"key_version": 0},
        {"key_version": 1_000_000},
        {"private_key": ...},
        {"private_key": "secret-looking"},
        {"private_key": "secret-looking \ud800"},
        {"private_key": 5},
        {"private_key": WEAK.decode()},
        {"private_key": Ed25519Private().pem().decode()},
        {"private_key": THEIRS},
        {"verify_keys": {}},
        {"verify_keys": {"0": THEIRS}},
        {"verify_keys": {"one": THEIRS}},
        {"verify_keys": {"1": "secret-looking"}},
        {"verify_keys": {"1": "secret-looking \ud800"}},
        {"verify_keys": {"1": OURS.pem().decode()}},
        {"verify_keys": {str(version): THEIRS for version in range(1, VERIFY_KEYS_MAX + 2)}},
        {"encryption_jwk": {"kty": "RSA"}},
        {"currencies": []},
        {"currencies": ["secret-looking"]},
        {"timeout_s": 0},
        {"timeout_s": 61},
        {"unknown": 1},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_settings_that_cannot_be_used_are_refused_without_quoting_them(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as refusal:
        decode(**changes)
    assert "secret-looking" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b" " * (SETTINGS_MAX + 1)])
def test_what_is_no_json_object_of_bounded_size_is_refused(data: bytes) -> None:
    with pytest.raises(Misconfigured):
        decode_settings(data)
