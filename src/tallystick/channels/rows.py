"""Rows that decide who may do what carry a MAC: whoever edits the database, without the key, makes them useless."""

import hmac
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tallystick.crypto import kdf
from tallystick.errors import Misconfigured

R = TypeVar("R", bound=Struct)


def protect(key: bytes, row: R) -> R:
    """Return the row with its `mac` set: it binds the kind of row and every other member under `key`."""
    return replace(row, mac=_mac(key, row))


def check(key: bytes, row: Struct) -> None:
    """Refuse a row whose members are not those it was protected with; Misconfigured.

    What it does not find is an earlier row of the same id put back whole: that takes the audit chain.
    """
    given = getattr(row, "mac", b"")
    if not hmac.compare_digest(_mac(key, row), given):
        raise Misconfigured(f"a row was changed in the database, not by the platform: {type(row).__name__}")


def _mac(key: bytes, row: Struct) -> bytes:
    members = {name: value for name, value in msgspec.to_builtins(row, order="deterministic").items() if name != "mac"}
    return kdf.digest(key, "row", type(row).__name__, msgspec.json.encode(members, order="deterministic").decode())
