"""A client's profile: one JSON file, written by `tallystick channel add`, that names everything a client needs.

Paths in it are relative to the file. It holds no secret itself; the key files it names must be closed to others.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.crypto.hpke import Suite
from tallystick.crypto.signing import Ed25519Pins, Ed25519Public, HmacKey, Signer, load_private, load_public
from tallystick.crypto.tls import check_private
from tallystick.errors import FieldInvalid, Misconfigured
from tallystick.sdk.requests import Credentials
from tallystick.wire.keys import JWE_SUITE

DEFAULT_SUITE: Final = Suite.MLKEM768_X25519.value
_ORIGIN: Final = re.compile(r"https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?")
SUITES: Final = frozenset({*(suite.value for suite in Suite), JWE_SUITE})


PEM_END: Final = b"-----END PUBLIC KEY-----\n"
PINS_MAX: Final = 4  # identity keys one profile pins; two are enough for a rotation


class ProfileFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as written.

    `base_url` is the gateway listener's origin, without a path. `ca`, `certificate` and `private_key` are PEM files for
    mutual TLS. `sender` is the channel's or institution's id. `algorithm` names the registered signature algorithm:
    for `hmac-sha256` the file `mac_key` holds the key in hex, for the others `signing_key` is a PKCS#8 PEM.
    `identity` is the PEM of the platform's public identity key; in a rotation the next one stands behind it. `suite`
    names the keys to seal for.
    """

    base_url: str
    sender: str
    algorithm: str
    ca: str
    certificate: str
    private_key: str
    identity: str
    mac_key: str | None = None
    signing_key: str | None = None
    suite: str = DEFAULT_SUITE


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile with its keys loaded; the files of mutual TLS stay paths, which the TLS library reads."""

    base_url: str
    ca: Path
    certificate: Path
    private_key: Path
    credentials: Credentials
    identity: Ed25519Pins
    suite: str


def load_profile(path: Path) -> Profile:
    """Read a profile and the keys it names.

    1. The file has exactly the documented members.
    2. The address is an https origin without a path: what is signed is the path as the platform sees it.
    3. The suite is one this client knows.
    4. No private key or MAC key file is open to its group or to others.
    5. The signing key is of the algorithm named, the identity key is Ed25519.

    Raises Misconfigured, which names the file or member and no key: correct the profile.
    """
    # 1.
    try:
        written = msgspec.json.decode(_read(path), type=ProfileFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the profile is not of the documented form: {path.name}: {error}") from None
    # 2.
    if not _ORIGIN.fullmatch(written.base_url):
        raise Misconfigured("base_url is an https origin without a path, such as https://pay.example:8443")
    # 3.
    if written.suite not in SUITES:
        raise Misconfigured(f"the profile names a suite this client does not know: {path.name}")
    home = path.parent
    # 4.
    check_private(home / written.private_key)
    # 5.
    key = _signer(home, written)
    if key.algorithm != written.algorithm:
        raise Misconfigured(f"the profile's signing key is not of its algorithm: {path.name}")
    return Profile(
        base_url=written.base_url,
        ca=home / written.ca,
        certificate=home / written.certificate,
        private_key=home / written.private_key,
        credentials=Credentials(sender=written.sender, key=key),
        identity=_identity(home / written.identity),
        suite=written.suite,
    )


def _signer(home: Path, written: ProfileFile) -> Signer:
    if (written.mac_key is None) == (written.signing_key is None):
        raise Misconfigured("a profile names either a mac_key or a signing_key file")
    if written.mac_key is not None:
        return _mac_key(home / written.mac_key)
    return load_private(_read_private(home / (written.signing_key or "")))


def _mac_key(path: Path) -> HmacKey:
    try:
        return HmacKey(bytes.fromhex(_read_private(path).decode("ascii")))
    except ValueError:
        raise Misconfigured(f"the MAC key is not in hex: {path.name}") from None


def _identity(path: Path) -> Ed25519Pins:
    """Read the platform's public keys: one, or during a rotation two, one behind the other."""
    found = _read(path)
    blocks = [block + PEM_END for block in found.split(PEM_END)[:-1]] or [found]
    try:
        keys = [load_public(block) for block in blocks[:PINS_MAX]]
    except FieldInvalid as error:
        raise Misconfigured(f"the platform's identity key cannot be used: {path.name}: {error.detail}") from None
    pins = [key for key in keys if isinstance(key, Ed25519Public)]
    if len(pins) < len(blocks):
        raise Misconfigured(f"the platform's identity key is not an Ed25519 key: {path.name}")
    return Ed25519Pins(*pins)


def _read_private(path: Path) -> bytes:
    # 4.
    check_private(path)
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"the file cannot be read: {path.name}") from error
