"""Settings of active institutions that no production system may have."""

from collections.abc import Callable

import msgspec
import pytest
from click.testing import Result

from tallystick.adapters.connectors.kinds import load_kinds
from tallystick.testing.connector import ScriptedConnector

Fault = Callable[..., str | None]
Connect = Callable[..., None]
STATIC = {"keys": "static", "zone_key": None, "pin_key": "9c0de4775ab2310f46e1d8b35f7ac21b"}
GOOD_MAC = "e1940ab26c7f38d5530b9e6284fc17da"
CHECKS = [
    "connectors",
    "connector keys",
    "connector addresses",
    "test marks",
    "message authentication",
    "static keys",
    "recovery",
    "reachable institutions",
]


@pytest.mark.parametrize("check", CHECKS)
def test_a_platform_without_institutions_is_well(fault: Fault, check: str) -> None:
    assert fault(check) is None


def test_an_institution_as_it_should_be_passes_every_check(fault: Fault, connect: Connect) -> None:
    connect()
    assert {} == {check: said for check in CHECKS if (said := fault(check)) is not None}


@pytest.mark.parametrize("key", ["2b7e151628aed2a6abf7158809cf4f3c", "0123456789ABCDEFFEDCBA9876543210"])
def test_a_published_zone_key_is_named_and_never_shown(fault: Fault, connect: Connect, key: str) -> None:
    connect(zone_key=key)
    assert "Bank: zone_key is published or a default" == fault("connector keys")


def test_published_static_keys_are_each_named(fault: Fault, connect: Connect) -> None:
    connect(**STATIC | {"mac_key": "000102030405060708090a0b0c0d0e0f", "pin_key": "0123456789ABCDEFFEDCBA9876543210"})
    said = "Bank: mac_key is published or a default; Bank: pin_key is published or a default"
    assert said == "; ".join(sorted(str(fault("connector keys")).split("; ")))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "api.sandbox.bank.com", "b.example"])  # noqa: S104
def test_an_institution_for_trials_is_named(fault: Fault, connect: Connect, host: str) -> None:
    connect(host=host)
    assert f"Bank is at {host}, which is no production system" == fault("connector addresses")


def test_messages_marked_as_tests_are_found(fault: Fault, connect: Connect) -> None:
    connect(network={"kind": "unionpay46", "destination": "1", "source": "2", "test": True})
    assert "Bank: network.test is on" == fault("test marks")


def test_a_mac_of_des_and_static_keys_are_told(fault: Fault, connect: Connect) -> None:
    connect(**STATIC | {"mac_key": GOOD_MAC, "mac": "x9.19"})
    assert "Bank uses x9.19" == fault("message authentication")
    assert "Bank has static keys, of unknown age" == fault("static keys")


def test_an_institution_that_can_neither_be_asked_nor_reversed_is_told(
    fault: Fault, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    kinds = load_kinds()
    bare = msgspec.structs.replace(kinds["iso8583"], build=lambda _settings, _tools: ScriptedConnector())
    monkeypatch.setattr("tallystick.bootstrap.parts.load_kinds", lambda: {**kinds, "iso8583": bare})
    assert "Bank can neither be asked nor reversed" == fault("recovery")


def test_an_institution_whose_scheme_no_rule_names_is_told(fault: Fault, connect: Connect) -> None:
    connect(schemes="nobodys-card")
    assert "Bank: no issuer rule names one of its schemes" == fault("reachable institutions")


def test_what_is_suspended_is_not_looked_at(fault: Fault, connect: Connect, run: Callable[..., Result]) -> None:
    connect(host="localhost")
    listed = msgspec.json.decode(run("institution", "list", "--json").stdout)
    run("institution", "status", listed[0]["id"], "suspended")
    assert fault("connector addresses") is None


def test_settings_that_do_not_open_are_found(
    fault: Fault, connect: Connect, put_key: Callable[[str, bytes], None]
) -> None:
    connect()
    put_key("at-rest", bytes(range(1, 33)))
    assert "do not open" in str(fault("connectors"))
    assert "do not open" in str(fault("connector keys"))
