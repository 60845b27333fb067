"""Open a verified message's envelope and read its content (design: messages; RFC 9180, RFC 7516)."""

import binascii
from base64 import b64decode
from typing import Any, Final, TypeVar

import msgspec

from tallystick import limits
from tallystick.crypto.binding import bind
from tallystick.errors import FieldInvalid, Malformed, TooLarge, WrongMediaType
from tallystick.secret import Secret
from tallystick.security.model import Arrival
from tallystick.security.ports import OpeningKeys
from tallystick.security.verify import Verified
from tallystick.wire.part import MESSAGE_CONTEXT, SealedMessage

MEDIA_TYPE: Final = "application/json"
_QUOTING: Final = ("Invalid enum value", "Invalid value", "unknown field")  # msgspec's texts that quote the input
_T = TypeVar("_T")


def _secret_hook(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("a text is expected")


_outer: Final = msgspec.json.Decoder(SealedMessage)


def read_envelope(arrival: Arrival) -> SealedMessage:
    """Read the outer JSON of a verified message; raises WrongMediaType, Malformed."""
    if arrival.headers.get("content-type") != MEDIA_TYPE:
        raise WrongMediaType(f"this address takes {MEDIA_TYPE}")
    try:
        return _outer.decode(arrival.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(_safe(error)) from None


def info_of(target: str, key_id: str, verified: Verified, bound: tuple[str, ...]) -> bytes:
    """Return the byte string that binds an envelope to its address, key, sender, time, nonce and created payment."""
    return bind(MESSAGE_CONTEXT, target, key_id, verified.sender, str(verified.created), verified.nonce, *bound)


def open_envelope(
    envelope: SealedMessage, arrival: Arrival, verified: Verified, keys: OpeningKeys, bound: tuple[str, ...] = ()
) -> bytes:
    """Open a verified envelope; returns the content's JSON bytes.

    1. The key is one the platform holds now: KeyUnknown.
    2. The envelope opens under exactly this key, sender, time, nonce and payment: EnvelopeUnopenable.
    3. The content is within its bound: TooLarge.
    `bound` is what the platform itself knows of the payment (`payment_binding`), never copied from the message.
    """
    # 1.
    key = keys.opener(envelope.key_id, arrival.at)
    # 2.
    sealed = _base64(envelope.sealed) if envelope.format == "hpke" else envelope.sealed.encode()
    content = key.open(sealed, info_of(arrival.target, envelope.key_id, verified, bound))
    # 3.
    if len(content) > limits.CONTENT_MAX:
        raise TooLarge(f"a part's content has at most {limits.CONTENT_MAX} bytes")
    return content


def read_content(content: bytes, decoder: "msgspec.json.Decoder[_T]") -> _T:
    """Read opened JSON; raises Malformed naming the place, never the value."""
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, RecursionError) as error:
        raise Malformed(_safe(error)) from None


def content_decoder(kind: type[_T]) -> "msgspec.json.Decoder[_T]":
    """Make a decoder whose secret fields come out as `Secret`."""
    return msgspec.json.Decoder(kind, dec_hook=_secret_hook)


def _base64(text: str) -> bytes:
    try:
        return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise FieldInvalid("sealed is not base64url", field="sealed") from None


def _safe(error: Exception) -> str:
    """Keep what msgspec says about place and type; drop messages that could quote the input."""
    text = str(error)
    if isinstance(error, msgspec.ValidationError) and not any(quoting in text for quoting in _QUOTING):
        return text
    return "the message is not the JSON this address takes"
