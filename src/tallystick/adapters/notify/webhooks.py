"""Post webhooks to addresses that channels name: each is looked at before anything connects to it."""

import asyncio
import email.utils
import functools
import ipaddress
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx2

from tallystick.adapters.notify.transport import machine_trust
from tallystick.errors import Misconfigured, Unavailable
from tallystick.outcomes.ports import Posted
from tallystick.runtime import Clock

TIMEOUT_S: Final = 15.0  # s for everything: resolving, connecting, sending and the head of the answer
HTTPS_PORT: Final = 443
ADDRESSES_MAX: Final = 4  # addresses of one host that are tried
CONNECTIONS_MAX: Final = 64  # connections at the same time
RESOLVERS_MAX: Final = 8  # names resolved at the same time
ASKED_DIGITS_MAX: Final = 6  # of Retry-After in seconds; a longer one is ignored
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in disguise
RELAYS_6TO4: Final = ipaddress.IPv4Network("192.88.99.0/24")  # RFC 7526: given up; leads into 6to4
DOCUMENTATION: Final = ipaddress.IPv6Network("3fff::/20")  # RFC 9637: newer than the tables of Python

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebhookPoster:
    """Post to receivers (`outcomes.ports.Poster`).

    The receiver must present a certificate that the machine's authorities, or those in the file `ca`, issued for its
    host. `allow_private` lets webhooks go to this machine and its own network: for a demo and for tests.
    """

    def __init__(self, clock: Clock, *, allow_private: bool = False, ca: Path | None = None) -> None:
        self._clock = clock
        self._allow_private = allow_private
        # Threads of its own: a slow name server of one receiver holds them for long, and every connector needs threads
        # of the event loop to resolve its back end's name.
        self._resolvers = ThreadPoolExecutor(RESOLVERS_MAX, thread_name_prefix="webhook-names")
        self._client = httpx2.AsyncClient(
            verify=_trust(ca),
            timeout=TIMEOUT_S,
            # No connection is used twice: it was checked for one host, and another host may have the same address.
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=0),
            follow_redirects=False,  # a redirect would lead past the checks
            trust_env=False,  # as above: no proxy from the environment
        )

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Posted:
        """Send one message and return the answer's status; its body is not read. Raises Unavailable.

        1. The address is https.
        2. Every address of the host is a public one.
        3. The connection goes to an address that was checked, never to the name again: who answers for the name could
           change their mind in between (DNS rebinding). The certificate is that of the name.
        4. All of it ends after `TIMEOUT_S`, however slowly the receiver speaks.
        """
        # 1.
        target = _target(url)
        # 4.
        try:
            async with asyncio.timeout(TIMEOUT_S):
                # 2.
                addresses = await self._resolve(target)
                # 3.
                return await self._post_to_any(target, addresses, headers, body)
        except TimeoutError:
            raise Unavailable("the receiver did not answer in time") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _resolve(self, target: httpx2.URL) -> list[Address]:
        """Return the host's addresses; raises Unavailable when it has none, or one that is not public."""
        host, port = target.raw_host.decode(), target.port or HTTPS_PORT
        ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._resolvers, ask)
            addresses = [ipaddress.ip_address(sockaddr[0]) for *_, sockaddr in found]
        except (OSError, UnicodeError, ValueError):
            raise Unavailable("the receiver's host has no address") from None
        if not addresses:
            raise Unavailable("the receiver's host has no address")
        if not self._allow_private and not all(map(is_public, addresses)):
            raise Unavailable("the receiver's host has an address that is not public")
        return addresses[:ADDRESSES_MAX]

    async def _post_to_any(
        self, target: httpx2.URL, addresses: list[Address], headers: dict[str, str], body: bytes
    ) -> Posted:
        """Take the first address that a connection can be made to; after that, nothing is sent twice."""
        failed = ""
        for address in addresses:
            try:
                return await self._post_to(target, address, headers, body)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failed = type(error).__name__
            except Exception as error:  # noqa: BLE001 - some TLS errors come as they are: a failed try is a failed try
                raise Unavailable(f"the receiver did not take the webhook ({type(error).__name__})") from None
        raise Unavailable(f"the receiver could not be reached ({failed})")

    async def _post_to(self, target: httpx2.URL, address: Address, headers: dict[str, str], body: bytes) -> Posted:
        async with self._client.stream(
            "POST",
            target.copy_with(host=str(address)),
            content=body,
            headers={
                "host": target.netloc.decode(),
                "content-type": "application/json",
                "user-agent": "tallystick-webhooks",
                **headers,
            },
            extensions={"sni_hostname": target.raw_host.decode()},
        ) as answer:
            return Posted(answer.status_code, self._asked_s(answer.headers.get("retry-after", "")))

    def _asked_s(self, retry_after: str) -> int | None:
        """Read Retry-After, seconds or a date (RFC 9110 section 10.2.3); None for anything else."""
        if retry_after.isascii() and retry_after.isdigit() and len(retry_after) <= ASKED_DIGITS_MAX:
            return int(retry_after)
        try:
            date = email.utils.parsedate_to_datetime(retry_after)
            return max(0, round(date.timestamp() - self._clock.now() / 1000))
        except (ValueError, TypeError, OverflowError):
            return None


def _target(url: str) -> httpx2.URL:
    """Read an address once more, by the reader that connects; raises Unavailable."""
    try:
        target = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        raise Unavailable("the receiver's address is none") from None
    if target.scheme != "https":
        raise Unavailable("the receiver's address is not https")
    return target


def is_public(address: Address) -> bool:
    """Tell whether an address is one that anybody on the Internet may be sent to.

    Not: this machine, private, link-local (cloud metadata), shared, multicast, reserved and documentation addresses
    (IANA special-purpose registries), and IPv6 addresses that carry an IPv4 address past this very question.
    """
    if isinstance(address, ipaddress.IPv6Address):
        carries_another = address.ipv4_mapped or address.sixtofour or address.teredo or address in NAT64
        if carries_another or address.is_site_local or address in DOCUMENTATION:
            return False
    elif address in RELAYS_6TO4:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _trust(ca: Path | None) -> ssl.SSLContext:
    context = machine_trust()
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except OSError as broken:  # ssl.SSLError is one
            raise Misconfigured(f"the file of trusted authorities cannot be used: {ca.name}") from broken
    return context
