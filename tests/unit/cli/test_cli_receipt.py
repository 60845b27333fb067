"""`tallystick receipt verify`: offline, with the identity key alone."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import Result

from tallystick.crypto.jose import sign_jws
from tallystick.crypto.signing import Ed25519Private
from tallystick.wire.keys import IDENTITY_KID
from tallystick.wire.part import WireOrder
from tallystick.wire.receipt import RECEIPT_TYPE, PartProof

PROOF = PartProof(
    part="part_1",
    payment="pay_1",
    channel="ch_phone",
    order=WireOrder(payee="Tea House", amount=1250, currency="CNY"),
    fields=("secret",),
    accepted_at=1_800_000_000_000,
)


@pytest.fixture
def identity(tmp_path: Path) -> Ed25519Private:
    key = Ed25519Private()
    (tmp_path / "identity.pem").write_bytes(key.public().pem())
    token = sign_jws(key, msgspec.json.encode(PROOF), IDENTITY_KID, RECEIPT_TYPE)
    (tmp_path / "receipt.jws").write_text(token + "\n")
    return key


def test_a_third_party_verifies_a_receipt_without_any_platform(
    run: Callable[..., Result], identity: Ed25519Private
) -> None:
    result = run("receipt", "verify", "receipt.jws", "--identity", "identity.pem", "--json")
    assert 0 == result.exit_code
    assert msgspec.to_builtins(PROOF, str_keys=True) == {**json.loads(result.stdout), "fields": ("secret",)}


def test_a_receipt_of_another_platform_proves_nothing(
    run: Callable[..., Result], identity: Ed25519Private, tmp_path: Path
) -> None:
    (tmp_path / "identity.pem").write_bytes(Ed25519Private().public().pem())
    result = run("receipt", "verify", "receipt.jws", "--identity", "identity.pem", "--json")
    assert 1 == result.exit_code
    assert "signature_invalid" == json.loads(result.stderr)["error"]["code"]
