"""The settings of an ISO 8583 back end: what is refused, and that no value shows."""

from typing import Any

import pytest
from iso8583_world import AES_KEY, MAC_KEY, TDES_KEY, ZONE_KEY, settings

from tallystick.adapters.connectors.iso8583_settings import decode_settings
from tallystick.errors import Misconfigured

EXCHANGE: dict[str, Any] = {"keys": "exchange", "zone_key": ZONE_KEY, "mac_key": None, "pin_key": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 0),
        ("port", "secret-value"),
        ("host", "bad host secret-value"),
        ("mac", "secret-value"),
        ("mac_text", "secret-value"),
        ("format", "secret-value"),
        ("header", "secret-value"),
        ("network", {"kind": "secret-value"}),
        ("network", {"kind": "unionpay46", "destination": "secret value", "source": "1"}),
        ("terminal", "1"),
        ("merchant", "1"),
        ("acquirer", ""),
        ("institution", "secret value"),
        ("connections", 0),
        ("connections", 17),
        ("keys", "secret-value"),
        ("mac_key", "secret-value"),
        ("mac_key", 5),
        ("mac_key", "00"),
        ("mac_key", None),
        ("pin_key", "0123456789ABCDEF" * 2),
        ("pin_key", MAC_KEY),
        ("pin_key", None),
        ("zone_key", ZONE_KEY),
        ("pin_format", 1),
        ("security_control", "secret-value"),
        ("message", "secret-value"),
        ("reversal", "0421"),
        ("inquiry", "secret-value"),
        ("zone", "secret-value"),
        ("zone", "../../secret-value"),
        ("zone", "Asia"),
        ("zone", ""),
        ("timeout_s", 0),
        ("timeout_s", 1e9),
        ("surprise", "secret-value"),
    ],
)
def test_wrong_settings_are_refused_without_showing_their_value(name: str, value: Any) -> None:
    with pytest.raises(Misconfigured) as refused:
        settings(**{name: value})

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"zone_key": None},
        {"zone_key": "secret-value"},
        {"zone_key": "00" * 8},
        {"mac_key": MAC_KEY},
        {"pin_key": TDES_KEY},
    ],
)
def test_exchanged_keys_come_with_a_zone_key_and_nothing_else(changes: dict[str, Any]) -> None:
    assert settings(**EXCHANGE).zone_key is not None
    with pytest.raises(Misconfigured) as refused:
        settings(**EXCHANGE | changes)

    assert "secret" not in str(refused.value)


def test_an_error_names_the_setting() -> None:
    with pytest.raises(Misconfigured, match="connections"):
        settings(connections=99)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b" " * 10_000])
def test_what_is_no_settings_object_is_refused(data: bytes) -> None:
    with pytest.raises(Misconfigured):
        decode_settings(data)


def test_settings_print_no_key() -> None:
    printed = repr(settings()) + repr(settings(**EXCHANGE))
    assert not [key for key in (MAC_KEY, TDES_KEY, AES_KEY, ZONE_KEY) if key in printed]
