"""Rows that decide who may do what carry a MAC: whoever edits the database, without the key, makes them useless."""

import hmac
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tallystick.channels.ports import AccessKeys
from tallystick.crypto import versioned
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import EnvelopeUnopenable, KeyUnknown, Misconfigured

R = TypeVar("R", bound=Struct)


def protect(keys: AccessKeys, row: R) -> R:
    """Return the row with its `mac` set: it binds the kind of row and every other member under the active key."""
    return replace(row, mac=_mac(keys.active(), row))


def check(keys: AccessKeys, row: Struct) -> None:
    """Refuse a row whose members are not those it was protected with; Misconfigured.

    What it does not find is an earlier row of the same id put back whole: that takes the audit chain.
    """
    given = getattr(row, "mac", b"")
    if not hmac.compare_digest(_mac(key_of(keys, given), row), given):
        raise Misconfigured(f"a row was changed in the database, not by the platform: {type(row).__name__}")


def key_of(keys: AccessKeys, made: bytes) -> VersionedKey:
    """Return the key a digest names, the active one when it names none: the digest will differ, after the same work."""
    try:
        return keys.version(versioned.version_of(made))
    except (EnvelopeUnopenable, KeyUnknown):
        return keys.active()


def is_outlived(keys: AccessKeys, made: bytes) -> bool:
    """Tell whether the key that a digest names is destroyed: what it protected cannot be checked, and opens nothing."""
    try:
        keys.version(versioned.version_of(made))
    except KeyUnknown:
        return True
    except EnvelopeUnopenable:
        return False
    return False


def _mac(key: VersionedKey, row: Struct) -> bytes:
    members = {name: value for name, value in msgspec.to_builtins(row, order="deterministic").items() if name != "mac"}
    return versioned.digest(
        key, "row", type(row).__name__, msgspec.json.encode(members, order="deterministic").decode()
    )
