"""Both sides' settings for a sandbox and the connector that reaches it, with keys made for the occasion.

For demos and tests: every key of both sides is made here, and the files of the back end's side are written.
"""

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick.crypto.jose import JweKey
from tallystick.crypto.mle import MleKey
from tallystick.crypto.rsa_sign import RsaPrivate
from tallystick.crypto.signing import Ed25519Private
from tallystick.runtime import Randomness

HOST: Final = "127.0.0.1"
NAME: Final = "localhost"
PRIVATE: Final = 0o600
KEY_BYTES: Final = 16
SECRET_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sandbox's files are, and who its peers are: the TLS files, the authority, the platform's URI."""

    directory: Path
    institution: str
    chain: Path
    key: Path
    ca: Path
    platform_uri: str


@dataclass(frozen=True, slots=True)
class Pair:
    """The sandbox's module and configuration, and the connector's kind and its settings once the port is known.

    `signing_key` is the institution's own key (Ed25519, PEM) for messages to the platform, where it has one.
    """

    module: str
    config: Mapping[str, Any]
    connector: str
    settings: Callable[[int], dict[str, Any]]
    signing_key: bytes | None = None


def unionpay(
    place: Place, randomness: Randomness, cards: Mapping[str, Mapping[str, str]], *, timeout_s: float, **more: Any
) -> Pair:
    """UnionPay style: ISO 8583 over TLS, CMAC, PIN block format 0; `more` goes into the sandbox's configuration."""
    keys = {name: randomness.token(KEY_BYTES).hex() for name in ("mac_key", "pin_key")}
    files = {"cert": str(place.chain), "key": str(place.key), "ca": str(place.ca)}

    def settings(port: int) -> dict[str, Any]:
        return {
            "host": HOST,
            "port": port,
            "server_name": NAME,
            "institution": place.institution,
            "acquirer": "48020000",
            "forwarder": "48020000",
            "terminal": "TALLY001",
            "merchant": "TALLYSTICK00001",
            "timeout_s": timeout_s,
            **keys,
        }

    return Pair("tallystick.testing.sandbox.unionpay", {**files, **keys, "cards": cards, **more}, "iso8583", settings)


def rest(place: Place, accounts: Mapping[str, str], platform_key: bytes, *, timeout_s: float, **more: Any) -> Pair:
    """Give a generic REST back end with accounts; `platform_key` is the platform's public identity key (PEM)."""
    signing, opening = Ed25519Private(), JweKey.generate(f"{place.institution}-1")
    config = {
        **_listening(place),
        "institution": place.institution,
        "platform_key": _file(place, "platform.pem", platform_key),
        "platform_keyid": place.platform_uri,
        "signing_key": _file(place, "signing.key", signing.pem()),
        "signing_keyid": place.institution,
        "encryption_key": _file(place, "opening.key", opening.private_bytes()),
        "encryption_kid": f"{place.institution}-1",
        "style": "account",
        "accounts": accounts,
        **more,
    }

    def settings(port: int) -> dict[str, Any]:
        return {
            "base_url": f"https://{NAME}:{port}",
            "institution": place.institution,
            "encryption_jwk": opening.public_jwk(),
            "verify_key": signing.public().pem().decode(),
            "accepts": ["account"],
            "timeout_s": timeout_s,
        }

    return Pair("tallystick.testing.sandbox.rest", config, "rest", settings, signing.pem())


def visa(
    place: Place, randomness: Randomness, cards: Mapping[str, Mapping[str, str]], *, timeout_s: float, **more: Any
) -> Pair:
    """Give a wallet in VISA's style: mutual TLS, message-level encryption both ways, tokens."""
    wallet, own = MleKey.generate("wallet-1"), MleKey.generate("platform-1")
    shared = base64.b64encode(randomness.token(SECRET_BYTES)).decode()
    login = {"user_id": "tallystick", "password": base64.b32encode(randomness.token(SECRET_BYTES)).decode().rstrip("=")}
    agreed = {"api_key": randomness.token(KEY_BYTES).hex(), "shared_secret": shared, "mle_kid": "wallet-1", **login}
    config = {
        **_listening(place),
        **agreed,
        "mle_key": _file(place, "mle.key", wallet.pem()),
        "platform_mle_kid": "platform-1",
        "platform_mle_key": _file(place, "platform-mle.pem", own.public().pem()),
        "cards": cards,
        **more,
    }

    def settings(port: int) -> dict[str, Any]:
        return {
            **agreed,
            "base_url": f"https://{NAME}:{port}",
            "mle_key": wallet.public().pem().decode(),
            "own_mle_kid": "platform-1",
            "own_mle_key": own.pem().decode(),
            "timeout_s": timeout_s,
        }

    return Pair("tallystick.testing.sandbox.visa", config, "visa", settings)


def account(place: Place, accounts: Mapping[str, str], *, timeout_s: float, **more: Any) -> Pair:
    """Give a third party's account system: RSA-SHA256 signatures, credentials in a JWE, outcomes by callback."""
    platform, theirs, signing = RsaPrivate(), RsaPrivate(), Ed25519Private()
    opening = JweKey.generate(f"{place.institution}-1")
    config = {
        **_listening(place),
        "institution": place.institution,
        "client_id": "tallystick",
        "platform_key": _file(place, "platform-rsa.pem", platform.public().pem()),
        "signing_key": _file(place, "rsa.key", theirs.pem()),
        "encryption_key": _file(place, "opening.key", opening.private_bytes()),
        "encryption_kid": f"{place.institution}-1",
        "accounts": accounts,
        **more,
    }

    def settings(port: int) -> dict[str, Any]:
        return {
            "base_url": f"https://{NAME}:{port}",
            "client_id": "tallystick",
            "key_version": 1,
            "private_key": platform.pem().decode(),
            "verify_keys": {"1": theirs.public().pem().decode()},
            "encryption_jwk": opening.public_jwk(),
            "currencies": ["CNY"],
            "timeout_s": timeout_s,
        }

    return Pair("tallystick.testing.sandbox.account", config, "account", settings, signing.pem())


def _listening(place: Place) -> dict[str, str]:
    return {
        "chain": str(place.chain),
        "key": str(place.key),
        "client_ca": str(place.ca),
        "platform_uri": place.platform_uri,
    }


def _file(place: Place, name: str, content: bytes) -> str:
    path = place.directory / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        file.write(content)
    return str(path)
