"""Connector kinds: the built-in ones and plug-ins, of which a broken one is named and stops the wiring."""

import json
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from tallystick.adapters.connectors import kinds
from tallystick.adapters.connectors.kinds import BUILT_IN, GROUP, Address, ConnectorKind, load_kinds, with_plug_ins
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Ed25519Private
from tallystick.errors import Misconfigured

PLUG_IN = ConnectorKind(name="jsonl", check=lambda _settings: None, build=lambda _settings, _tools: None)


def point(name: str = "jsonl", value: str = "tallystick.adapters.connectors.kinds:planted") -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


def plant(monkeypatch: pytest.MonkeyPatch, planted: Any) -> None:
    monkeypatch.setattr(kinds, "planted", planted, raising=False)


def test_the_built_in_kinds_are_there_without_any_plug_in() -> None:
    assert {"iso8583", "rest", "visa", "account", "pull", "test"} == set(with_plug_ins([]))
    assert {kind.name for kind in BUILT_IN} <= set(load_kinds())


def test_a_plug_in_is_a_kind_like_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, PLUG_IN)
    assert PLUG_IN is with_plug_ins([point()])["jsonl"]


@pytest.mark.parametrize("value", ["nowhere.to_be_found:KIND", "tallystick.adapters.connectors.kinds:missing"])
def test_a_plug_in_that_cannot_be_loaded_is_named(value: str) -> None:
    with pytest.raises(Misconfigured, match=f"'jsonl' \\({value}\\) cannot be loaded"):
        with_plug_ins([point(value=value)])


@pytest.mark.parametrize("planted", [object(), ConnectorKind, ConnectorKind(name="other", check=len, build=max)])
def test_a_plug_in_that_is_no_kind_of_its_name_is_named(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, planted)
    with pytest.raises(Misconfigured, match="'jsonl'"):
        with_plug_ins([point()])


@pytest.mark.parametrize("name", ["iso8583", "jsonl"])
def test_a_plug_in_never_takes_the_place_of_another_kind(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ConnectorKind(name=name, check=PLUG_IN.check, build=PLUG_IN.build))
    with pytest.raises(Misconfigured, match="two connector kinds"):
        with_plug_ins([point(name), point(name)])


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.name)
@pytest.mark.parametrize("wrong", [b"", b"{}", b"[]", b'{"host": {"c0ffee": 1}}', b"\xff", b"x" * 20_000])
def test_every_built_in_kind_refuses_settings_that_are_none(kind: ConnectorKind, wrong: bytes) -> None:
    with pytest.raises(Misconfigured) as refusal:
        kind.check(wrong)
    assert "c0ffee" not in str(refusal.value)


def test_the_address_of_an_https_back_end_is_that_of_its_base_url() -> None:
    rest = with_plug_ins([])["rest"]
    settings = {
        "base_url": "https://bank.example/pay",
        "institution": "40010001",
        "encryption_jwk": JweKey.generate("one").public_jwk(),
        "verify_key": Ed25519Private().public().pem().decode(),
        "accepts": ["card"],
    }
    assert rest.address is not None
    assert Address("bank.example", 443, "bank.example") == rest.address(json.dumps(settings).encode())
    settings |= {"base_url": "https://localhost:9443", "server_name": "bank.example"}
    assert Address("localhost", 9443, "bank.example") == rest.address(json.dumps(settings).encode())


def test_a_back_end_that_connects_to_us_has_no_address() -> None:
    assert with_plug_ins([])["pull"].address is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"visible_s": 30.0},
        {"visible_s": 0},
        {"patience_s": 61},
        {"accepts": []},
        {"accepts": ["login"]},
        {"encryption_jwk": {"kty": "EC"}},
        {"more": 1},
    ],
)
def test_pull_settings_that_contradict_themselves_are_refused(wrong: dict[str, Any]) -> None:
    settings = {"encryption_jwk": JweKey.generate("one").public_jwk(), "accepts": ["card", "account"]}
    kind = with_plug_ins([])["pull"]
    kind.check(json.dumps(settings).encode())
    with pytest.raises(Misconfigured):
        kind.check(json.dumps({**settings, **wrong}).encode())
