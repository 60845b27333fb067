"""A profile is read whole or refused whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.crypto.hpke import Suite
from tallystick.crypto.signing import Algorithm, EcdsaPrivate, Ed25519Private, HmacKey
from tallystick.errors import Misconfigured, SignatureInvalid
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.settings import load_profile

IDENTITY = Ed25519Private()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    files = {
        "channel.key": b"tls key",
        "mac.hex": b"6b" * 32 + b"\n",
        "ed25519.pem": Ed25519Private().pem(),
        "ecdsa.pem": EcdsaPrivate().pem(),
        "identity.pem": IDENTITY.public().pem(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def write(home: Path, **changes: Any) -> Path:
    profile = {
        "base_url": "https://pay.example:8443",
        "sender": "ch_shop",
        "algorithm": "hmac-sha256",
        "ca": "ca.pem",
        "certificate": "channel.pem",
        "private_key": "channel.key",
        "identity": "identity.pem",
        "mac_key": "mac.hex",
    } | changes
    path = home / "profile.json"
    path.write_text(json.dumps(profile))
    return path


def test_a_profile_is_read_with_its_keys(home: Path) -> None:
    profile = load_profile(write(home))
    assert ("https://pay.example:8443", "ch_shop") == (profile.base_url, profile.credentials.sender)
    assert HmacKey(b"k" * 32).sign(b"data") == profile.credentials.key.sign(b"data")
    assert [IDENTITY.public().raw()] == [key.raw() for key in profile.identity.keys]
    assert (home / "ca.pem", home / "channel.pem", home / "channel.key") == (
        profile.ca,
        profile.certificate,
        profile.private_key,
    )
    assert Suite.MLKEM768_X25519 == profile.suite


@pytest.mark.parametrize(
    ("algorithm", "file"), [(Algorithm.ED25519, "ed25519.pem"), (Algorithm.ECDSA_P256, "ecdsa.pem")]
)
def test_a_sender_may_have_a_signing_key_instead_of_a_mac_key(home: Path, algorithm: str, file: str) -> None:
    profile = load_profile(write(home, algorithm=algorithm, mac_key=None, signing_key=file))
    assert algorithm == profile.credentials.key.algorithm


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "http://pay.example"},
        {"base_url": "https://pay.example/api"},
        {"base_url": "https:///"},
        {"base_url": "https://pay.example?x=1"},
        {"base_url": "https://pay.example:x"},
        {"base_url": "https://user:word@pay.example"},
        {"suite": "RSA"},
        {"algorithm": "ed25519"},
        {"signing_key": "ed25519.pem"},
        {"mac_key": None},
        {"mac_key": "missing"},
        {"mac_key": "ed25519.pem"},
        {"mac_key": None, "signing_key": "mac.hex", "algorithm": "ed25519"},
        {"identity": "ecdsa.pem"},
        {"identity": "mac.hex"},
        {"identity": "missing"},
        {"private_key": "missing"},
        {"verify": False},
        {"sender": None},
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused(home: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        load_profile(write(home, **changes))


def test_an_identity_key_that_is_not_ed25519_is_refused(home: Path) -> None:
    (home / "p256.pem").write_bytes(EcdsaPrivate().public().pem())
    with pytest.raises(Misconfigured, match="Ed25519"):
        load_profile(write(home, identity="p256.pem"))


@pytest.mark.parametrize("file", ["channel.key", "mac.hex", "ed25519.pem"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_file_open_to_others_is_refused(home: Path, file: str, mode: int) -> None:
    (home / file).chmod(mode)
    used = {"signing_key": file, "mac_key": None, "algorithm": "ed25519"} if file == "ed25519.pem" else {}
    with pytest.raises(Misconfigured, match="chmod 600"):
        load_profile(write(home, **used))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]"])
def test_a_file_that_is_no_profile_is_refused(home: Path, content: bytes) -> None:
    path = home / "profile.json"
    path.write_bytes(content)
    with pytest.raises(Misconfigured):
        load_profile(path)


def test_a_refusal_does_not_hold_the_key(home: Path) -> None:
    (home / "mac.hex").write_text("zz secret material")
    with pytest.raises(Misconfigured) as caught:
        load_profile(write(home))
    assert "material" not in str(caught.value)


def test_a_client_is_not_made_with_tls_files_that_cannot_be_used(home: Path) -> None:
    with pytest.raises(Misconfigured):
        TallystickClient.connect(load_profile(write(home)))


def test_during_a_rotation_a_profile_pins_the_next_identity_key_beside_the_present_one(home: Path) -> None:
    following = Ed25519Private()
    (home / "identity.pem").write_bytes(IDENTITY.public().pem() + following.public().pem())
    pinned = load_profile(write(home)).identity
    for key in (IDENTITY, following):
        pinned.verify(b"data", key.sign(b"data"))
    with pytest.raises(SignatureInvalid):
        pinned.verify(b"data", Ed25519Private().sign(b"data"))


def test_a_key_of_another_kind_beside_the_identity_key_is_refused(home: Path) -> None:
    (home / "identity.pem").write_bytes(IDENTITY.public().pem() + EcdsaPrivate().public().pem())
    with pytest.raises(Misconfigured, match="not an Ed25519"):
        load_profile(write(home))
