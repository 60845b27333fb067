"""The settings of a wallet in Visa's style: what is taken, and that a refusal names the setting and no value."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from visa_world import mle_key

from tallystick import limits
from tallystick.adapters.connectors.visa_settings import decode_settings, read_own_key, read_wallet_key
from tallystick.crypto.pay_token import ResourcePath
from tallystick.crypto.signing import Ed25519Private
from tallystick.errors import Misconfigured

SHORT_KEY = rsa.generate_private_key(65_537, 1024)  # noqa: S505 - that is what must be refused
SHORT_PRIVATE = SHORT_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SHORT_PUBLIC = SHORT_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
VALUE = "secret-looking-value-of-forty-characters"


def good() -> dict[str, Any]:
    return {
        "base_url": "https://wallet.example:8443/psp",
        "api_key": "KSKDFJOP934ALSFDJP34",
        "shared_secret": VALUE,
        "mle_kid": "wallet-1",
        "mle_key": mle_key("wallet-1").public().pem().decode(),
        "own_mle_kid": "own-1",
        "own_mle_key": mle_key("own-1").pem().decode(),
    }


def test_good_settings_decode_with_the_usual_choices() -> None:
    settings = decode_settings(json.dumps(good()).encode())
    assert (limits.DELIVERY_TIMEOUT_S, None, True) == (settings.timeout_s, settings.server_name, settings.reversal)
    assert ("A128GCM", ResourcePath.SHORT) == (settings.encryption, settings.token_path)
    assert (None, None) == (settings.user_id, settings.password)
    assert ("wallet-1", "own-1") == (read_wallet_key(settings).kid, read_own_key(settings).kid)


def test_all_choices_can_be_made() -> None:
    others = {
        "encryption": "A256GCM",
        "token_path": "whole",
        "user_id": "platform",
        "password": "p:w",
        "reversal": False,
        "server_name": "wallet.example",
        "timeout_s": 5,
    }
    settings = decode_settings(json.dumps({**good(), **others}).encode())
    assert ("A256GCM", ResourcePath.WHOLE, False) == (settings.encryption, settings.token_path, settings.reversal)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"base_url": "http://wallet.example"}, "base_url"),
        ({"base_url": "https://wallet.example/"}, "base_url"),
        ({"server_name": "*.example"}, "server_name"),
        ({"api_key": "a&b=c"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"shared_secret": VALUE[:31]}, "shared_secret"),
        ({"shared_secret": VALUE * 4}, "shared_secret"),
        ({"shared_secret": VALUE + "\u00e9"}, "shared_secret"),
        ({"shared_secret": 1}, "shared_secret"),
        ({"mle_kid": "a b"}, "mle_kid"),
        ({"mle_kid": "a\r\nb"}, "mle_kid"),
        ({"mle_key": VALUE}, "mle_key"),
        ({"mle_key": SHORT_PUBLIC}, "mle_key"),
        ({"mle_key": Ed25519Private().public().pem().decode()}, "mle_key"),
        ({"own_mle_kid": ""}, "own_mle_kid"),
        ({"own_mle_key": VALUE}, "own_mle_key"),
        ({"own_mle_key": SHORT_PRIVATE}, "own_mle_key"),
        ({"own_mle_key": mle_key("own-1").public().pem().decode()}, "own_mle_key"),
        ({"encryption": "A128CBC-HS256"}, "encryption"),
        ({"token_path": "none"}, "token_path"),
        ({"user_id": VALUE}, "password"),
        ({"password": VALUE}, "password"),
        ({"user_id": "a:b", "password": VALUE}, "user_id"),
        ({"user_id": "", "password": VALUE}, "user_id"),
        ({"user_id": "a", "password": VALUE + "\n"}, "password"),
        ({"reversal": "yes"}, "reversal"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 61}, "timeout_s"),
        ({"unknown": 1}, "unknown"),
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_settings_that_cannot_be_used_are_refused_by_name_without_quoting_them(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(Misconfigured) as refusal:
        decode_settings(json.dumps({**good(), **changes}).encode())
    assert named in (refusal.value.field, *str(refusal.value).replace("`", " ").replace("$.", " ").split())
    assert VALUE not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("name", good())
def test_a_setting_that_is_missing_is_named(name: str) -> None:
    told = {setting: value for setting, value in good().items() if setting != name}
    with pytest.raises(Misconfigured, match=name):
        decode_settings(json.dumps(told).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b" " * 99_000])
def test_what_is_no_json_object_of_bounded_size_is_refused(data: bytes) -> None:
    with pytest.raises(Misconfigured):
        decode_settings(data)
