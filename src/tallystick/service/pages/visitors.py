"""Who speaks to a page's listener: a session by its signature and its browser's cookie, never by a field."""

import re
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from starlette.requests import Request

from tallystick.channels import capability as links
from tallystick.channels.model import Capability, Channel, ChannelKind, ChannelState, PageKind
from tallystick.crypto import httpsig, kdf, versioned
from tallystick.crypto.signing import HmacKey
from tallystick.delivery.books import Books
from tallystick.errors import ChannelSuspended, ChannelUnknown, LinkRefused
from tallystick.path import Platform
from tallystick.payers import Visitor
from tallystick.runtime import Millis, Randomness
from tallystick.security.model import Arrival, Sender
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import Sealing
from tallystick.security.verify import seal_sender_key

COOKIE: Final = "__Host-tallystick-device"
COOKIE_LIFE_S: Final = 86_400  # s; as long as an order may wait
DEVICE_BYTES: Final = 16  # random bytes of the cookie
V4_PREFIX: Final = 24  # bits of an IPv4 address that count as one network
V6_PREFIX: Final = 48  # bits of an IPv6 address that count as one network
KINDS: Final = {PageKind.PC: ChannelKind.PC_BROWSER, PageKind.PHONE: ChannelKind.MOBILE}
FIELDS: Final = {
    PageKind.PC: frozenset({"pan", "expiry", "scheme", "account", "username", "institution", "number"}),
    PageKind.PHONE: frozenset({"secret", "password"}),
}
_VALUE: Final = re.compile(r"[0-9a-f]{32}")


async def register(books: Books, keyring: Keyring, randomness: Randomness, now: Millis) -> None:
    """Register the two pages as channels where they are not; nobody has the keys, so no message but a page's counts.

    An operator who suspended one, or took a field away, finds it so again.
    """
    for kind, channel_id in links.CHANNELS.items():
        if await books.channel(channel_id) is None:
            key = randomness.token(kdf.KEY_BYTES)
            channel = Channel(
                id=channel_id,
                name=f"{kind.value} page",
                kind=KINDS[kind],
                state=ChannelState.ACTIVE,
                fields=FIELDS[kind],
                proves_payer=False,
                algorithm=HmacKey.algorithm,
                sealed_key=seal_sender_key(keyring, channel_id, key),
                created_at=now,
            )
            await books.add_channel(channel)


async def page_channel(books: Books, kind: PageKind) -> Channel:
    """Return a page's channel; raises ChannelUnknown, ChannelSuspended."""
    channel = await books.channel(links.CHANNELS[kind])
    if channel is None:
        raise ChannelUnknown("the pages are not registered as channels")
    if channel.state is not ChannelState.ACTIVE:
        raise ChannelSuspended("this page is suspended")
    return channel


async def capability_named(books: Books, arrival: Arrival, kind: PageKind) -> Capability:
    """Find the link that a session's start names by its signature; raises LinkRefused, whatever is wrong with it."""
    found = await books.capability(httpsig.parse_signature(arrival.headers).keyid)
    if found is None or found.kind is not kind:
        raise LinkRefused("no link to this page has this name")
    return found


async def session_named(books: Books, arrival: Arrival, kind: PageKind, device: bytes) -> Capability:
    """Find the session that a signature names.

    1. It is one of this page, and alive: LinkRefused.
    2. The browser is the one that started it: LinkRefused.
    Left to the caller: verifying the signature.
    """
    found = await books.page_session(httpsig.parse_signature(arrival.headers).keyid)
    if found is not None and found.kind is not kind:
        found = None
    return links.check_session(found, device, arrival.at)


def visitor_of(platform: Platform, capability: Capability, channel: Channel) -> Visitor:
    """Return a session as the sender of messages, with its key."""
    key = links.session_key(Sealing(platform.keyring, Purpose.AT_REST), capability)
    sender = Sender(id=capability.session or "", algorithm=HmacKey.algorithm, sealed_key=b"")
    return Visitor(capability=capability, channel=channel, sender=sender, key=HmacKey(key))


def device_cookie(request: Request) -> str | None:
    """Return the browser's own random name, if it has one."""
    value = request.cookies.get(COOKIE, "")
    return value if _VALUE.fullmatch(value) else None


def set_cookie(value: str) -> str:
    """Return the header that gives a browser its name: no script reads it, no other site makes it sent."""
    return f"{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={COOKIE_LIFE_S}"


def device_digest(cookie: str) -> bytes:
    """Digest a browser's name for the store: 128 random bits, which nobody finds by trying."""
    return kdf.digest(cookie.rjust(kdf.KEY_MIN).encode(), "page device")


def network_digest(platform: Platform, request: Request) -> bytes:
    """Digest the network a request comes from: /24 of IPv4, /48 of IPv6; no header is believed about it."""
    host = request.client.host if request.client is not None else ""
    try:
        address = ip_address(host)
    except ValueError:
        return versioned.digest(platform.keyring.active(Purpose.BLIND_INDEX), "page network", host)
    bits = V6_PREFIX if isinstance(address, IPv6Address) else V4_PREFIX
    network = ip_network((address, bits), strict=False)
    return versioned.digest(platform.keyring.active(Purpose.BLIND_INDEX), "page network", str(network))
