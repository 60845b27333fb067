"""One-time capabilities: how a browser page, which has no certificate, becomes a channel of one payment.

The secret reaches the page in the fragment of its URL, or is typed; it never reaches the platform. Both sides derive
from it (HKDF, RFC 5869) a name and a MAC key. The page starts its session with a nonce of its own under that key; name
and key of the session are derived again, with the nonce. So a link that somebody photographed is worth nothing once the
page was opened, while the page itself may start again after a reload or a lost answer.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from tallystick import limits
from tallystick.channels.model import Capability, CapabilityState, PageKind
from tallystick.channels.ports import CapabilityBook, Sealer
from tallystick.crypto import kdf
from tallystick.crypto.binding import bind
from tallystick.errors import FieldInvalid, LinkRefused, TooMany
from tallystick.runtime import Millis, Randomness
from tallystick.secret import Secret

CHANNELS: Final = {PageKind.PC: "ch_page_pc", PageKind.PHONE: "ch_page_phone"}
"""The channel that each page is."""

SECRET_BYTES: Final = 16  # random bytes of a link: 128 bits
NAME_BYTES: Final = 16  # bytes of a derived name
CONTEXT: Final = "tallystick-page-v1"
NAME: Final = "tallystick page name"
KEY: Final = "tallystick page key"
SESSION: Final = "tallystick page session "
_NONCE: Final = re.compile(r"[0-9a-f]{32}")
_ALIVE: Final = frozenset({CapabilityState.STARTED, CapabilityState.WATCHING})


class Named(NamedTuple):
    """What is derived from a secret: a public name and a MAC key."""

    name: str
    key: bytes


class Started(NamedTuple):
    """A page's session as its start found it."""

    capability: Capability
    fresh: bool


def named_by_secret(secret: Secret) -> Named:
    """Derive the name and MAC key of a link's secret, or of a typed code in its normal form."""
    root = bind(CONTEXT, secret.reveal())
    return Named(f"cap_{kdf.derive(root, NAME, NAME_BYTES).hex()}", kdf.derive(root, KEY))


def session_of(key: bytes, nonce: str) -> Named:
    """Derive the name and MAC key of the session that is started with `nonce` under a capability's key."""
    root = kdf.derive(key, SESSION + nonce)
    return Named(f"ses_{kdf.derive(root, NAME, NAME_BYTES).hex()}", kdf.derive(root, KEY))


def new_secret(randomness: Randomness) -> Secret:
    """Make the secret of a link: 22 characters of base64url."""
    return Secret(urlsafe_b64encode(randomness.token(SECRET_BYTES)).decode().rstrip("="))


async def issue(
    book: CapabilityBook,
    at_rest: Sealer,
    secrets: Iterable[Secret],
    *,
    payment_id: str,
    kind: PageKind,
    now: Millis,
    until: Millis,
) -> None:
    """Issue links to one page of a payment: one secret for a URL's fragment, perhaps another one to be typed.

    Links to this page that were issued before are void from now on, and a session started with one ends.
    Raises TooMany when the payment had `limits.CAPABILITIES_MAX` links.
    """
    await _end(book, payment_id, kind)
    earlier = await book.capabilities_of(payment_id)
    new = [named_by_secret(secret) for secret in secrets]
    if len(earlier) + len(new) > limits.CAPABILITIES_MAX:
        raise TooMany("this payment had too many links: create a new payment")
    for name, key in new:
        await book.add_capability(
            Capability(
                id=name,
                payment_id=payment_id,
                kind=kind,
                sealed_key=at_rest.seal(key, _place(name)),
                issued_at=now,
                expires_at=until,
            )
        )


def capability_key(at_rest: Sealer, capability: Capability) -> bytes:
    """Open the MAC key that a session start is signed with."""
    return at_rest.unseal(capability.sealed_key, _place(capability.id))


def session_key(at_rest: Sealer, capability: Capability) -> bytes:
    """Open the MAC key of a session; raises LinkRefused when none was started."""
    if capability.session is None or capability.session_key is None:
        raise LinkRefused("no session was started with this link")
    return at_rest.unseal(capability.session_key, _place(capability.session))


async def start(
    book: CapabilityBook,
    at_rest: Sealer,
    capability: Capability,
    nonce: str,
    *,
    device: bytes,
    network: bytes,
    now: Millis,
    until: Millis,
) -> Started:
    """Start the session of a link, or find it again; the caller has verified the start under the link's key.

    1. The nonce has the form of one: FieldInvalid.
    2. A link that was used opens its own session only: the same nonce, from the same device: LinkRefused.
    3. A link that waits is not over: LinkRefused.
    4. It is used up; every other link and session of the same page and payment ends.
    """
    # 1.
    if not _NONCE.fullmatch(nonce):
        raise FieldInvalid("a nonce has 32 hexadecimal digits", field="nonce")
    name, key = session_of(capability_key(at_rest, capability), nonce)
    # 2.
    if capability.state is not CapabilityState.ISSUED:
        if capability.session != name:
            raise LinkRefused("this link was used or replaced")
        return Started(check_session(capability, device, now), fresh=False)
    # 3.
    if now >= capability.expires_at:
        raise LinkRefused("this link is over")
    # 4.
    started = replace(
        capability,
        state=CapabilityState.STARTED,
        session=name,
        session_key=at_rest.seal(key, _place(name)),
        device=device,
        network=network,
        started_at=now,
        until=until,
    )
    await book.replace_capability(started, expected=CapabilityState.ISSUED)
    await _end(book, started.payment_id, started.kind, but=started.id)
    return Started(started, fresh=True)


def check_session(capability: Capability | None, device: bytes, now: Millis) -> Capability:
    """Return a session that is alive and of this device; raises LinkRefused, always the same.

    Left to the caller: that the message is signed with the session's key.
    """
    alive = capability is not None and capability.state in _ALIVE and now < (capability.until or 0)
    if capability is None or not alive or not hmac.compare_digest(capability.device or b"", device):
        raise LinkRefused("this page's session is over, replaced, or another browser's")
    return capability


async def require_started(book: CapabilityBook, session: str) -> None:
    """Refuse a page's session that is no longer the one that pays: inside the transaction that acts on its message.

    Raises LinkRefused when its link was replaced, or the payment handed over, since the message came in.
    """
    found = await book.page_session(session)
    if found is None or found.state is not CapabilityState.STARTED:
        raise LinkRefused("this page's session is over, replaced, or handed over")


async def _end(book: CapabilityBook, payment_id: str, kind: PageKind, *, but: str = "") -> None:
    for each in await book.capabilities_of(payment_id):
        waits = each.state in {CapabilityState.ISSUED, CapabilityState.STARTED}
        if each.id != but and each.kind is kind and waits:
            await book.replace_capability(replace(each, state=CapabilityState.ENDED), expected=each.state)


def _place(name: str) -> bytes:
    return bind("page key", name)
