"""The X-Pay-Token of Visa Developer: an HMAC-SHA256 over time, address and body of a message.

A request carries it as Visa describes it. An answer carries one too, by agreement with the back end: Visa's own answers
have none, and without it an answer would be authentic by its TLS connection alone.
"""

import hmac
import re
from enum import StrEnum
from typing import Final

from tallystick.errors import SignatureInvalid
from tallystick.runtime import Millis
from tallystick.secret import Secret

HEADER: Final = "x-pay-token"
FRESH_S: Final = 2 * 60  # s a token's time may differ from our clock, either way

_TOKEN: Final = re.compile(r"xv2:(?P<time>[0-9]{10}):(?P<mac>[0-9a-f]{64})")


class ResourcePath(StrEnum):
    """Which part of the path a product's tokens cover; most leave its first segment out."""

    SHORT = "without_first_segment"
    WHOLE = "whole"

    def of(self, target: str) -> str:
        """Return resource path and query string of a request target, joined as the token covers them.

        Neither part has the slash at its beginning, nor the question mark between them.
        """
        path, _, query = target.partition("?")
        path = path.removeprefix("/")
        if self is ResourcePath.SHORT:
            path = path.partition("/")[2]
        return path + query


def request_text(resource: str, body: bytes) -> bytes:
    """Return what the token of a request covers beside its time; `resource` is from `ResourcePath.of`."""
    return resource.encode() + body


def response_text(status: int, resource: str, body: bytes) -> bytes:
    """Return what the token of an answer covers beside its time: the status, then as the request with that address."""
    return str(status).encode() + resource.encode() + body


def make(secret: Secret, at: Millis, text: bytes) -> str:
    """Return the token: `xv2:`, the time in whole seconds, `:`, the MAC over time and text in hexadecimal."""
    time = str(at // 1000)
    return f"xv2:{time}:{_mac(secret, time, text)}"


def verify(secret: Secret, token: str, text: bytes, now: Millis) -> None:
    """Return only when `token` was made with this secret, for this text, just now; else raise SignatureInvalid.

    Checks, in this order:
      1. it has exactly the form of a token
      2. its MAC is over its time and this text, compared in constant time
      3. its time is within FRESH_S of `now`, either way

    Left to the caller: that taking the same message twice does no harm.
    """
    # 1.
    found = _TOKEN.fullmatch(token)
    # 2. and 3.
    if (
        found is None
        or not hmac.compare_digest(_mac(secret, found["time"], text), found["mac"])
        or abs(now // 1000 - int(found["time"])) > FRESH_S
    ):
        raise SignatureInvalid("the message has no token that was made for it just now")


def _mac(secret: Secret, time: str, text: bytes) -> str:
    return hmac.digest(secret.reveal().encode(), time.encode() + text, "sha256").hex()
