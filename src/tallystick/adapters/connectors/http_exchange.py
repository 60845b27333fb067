"""One HTTP exchange with a back end: what was provably not sent, and what may have been acted on.

Shared by the REST, wallet and account connectors. It signs nothing and reads no meaning: it sends exactly the bytes it
is given, once, and says how that ended in the words of `delivery.ports.Connector`.
"""

import asyncio
import ssl
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx2

from tallystick import limits
from tallystick.errors import DeliveryError, NotSent, OutcomeUnknown

CONNECTIONS_MAX: Final = 100  # connections to one back end; a request that gets none in time is not sent
CONNECTING_MAX: Final = 8  # requests that wait for a connection at a time: of more handshakes at once none ends in time
KEEP_ALIVE_S: Final = 30.0  # s an idle connection is kept: less than servers commonly do, so that we close first
SENDING: Final = "http11.send_request_headers.started"  # what httpcore2 traces once a request has its connection
RESPONSE_MAX: Final = limits.BODY_MAX  # bytes of an answer

NOTHING_LEFT: Final = (httpx2.PoolTimeout, httpx2.ConnectTimeout, httpx2.ConnectError)
"""What httpx2 raises only before the first byte of a request: no free connection, TCP or TLS not established.

They come from the pool's queue, `connect_tcp` and `start_tls` of `httpcore2` alone. `WriteError` is not among them: a
part of the request may have left. Nor is a server's refusal of our certificate: in TLS 1.3 that comes after our part of
the handshake and shows as an error of reading, which is why `echo` proves a link before the first payment.
"""


class HttpExchange:
    """A pool of HTTP/1.1 connections to one back end, without retries, redirects, cookies or environment proxies.

    `ssl_context` trusts the back end's authority and presents the platform's certificate (`crypto.tls.client_context`).
    `server_name` is the host name in its certificate, where it is another one than in `base_url`.
    """

    def __init__(self, base_url: str, ssl_context: ssl.SSLContext, timeout_s: float, server_name: str | None) -> None:
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._extensions: dict[str, Any] = {} if server_name is None else {"sni_hostname": server_name}
        self._client = _client(ssl_context, timeout_s)
        self._connecting = asyncio.Semaphore(CONNECTING_MAX)

    def target(self, path: str) -> str:
        """Return the request target as it goes over the wire: what a signature or token of the request covers."""
        return self._url(path).raw_path.decode()

    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx2.Response, bytes]:
        """Send once, with these headers and no other of the client's, and read the whole answer within the time-out.

        Raises NotSent for what `NOTHING_LEFT` lists, for a closed exchange and without a turn; everything else is
        OutcomeUnknown. The limits in `_client` end every phase before the first byte earlier than the whole, so that a
        timeout of the whole never hides a request that was not sent.

        Both are raised outside of the handler: the library's error holds the request, with login and body.
        """
        turn = await self._turn()
        if self._client.is_closed:
            turn.give_up()
            raise NotSent("the connector is closed")
        extensions = {**self._extensions, "trace": turn.watch}
        request = httpx2.Request(method, self._url(path), headers=dict(headers), content=body, extensions=extensions)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.send(request, stream=True)
                try:
                    return response, await _read(response)
                finally:
                    await response.aclose()
        except DeliveryError:
            raise
        except Exception as failure:  # noqa: BLE001 - anyio lets some TLS errors through as they are: none proves anything
            failed: DeliveryError = _ended(failure)
        finally:
            turn.give_up()
        raise failed

    async def _turn(self) -> "_Turn":
        """Wait to be one of those that get a connection now; raises NotSent when that takes too long."""
        try:
            async with asyncio.timeout(self._timeout_s / 4):
                await self._connecting.acquire()
        except TimeoutError:
            pass
        else:
            return _Turn(self._connecting)
        raise NotSent("too many requests wait for a connection to the back end")

    @staticmethod
    async def distrust(response: httpx2.Response) -> None:
        """Close the connection of an answer that proves nothing: what else comes over it answers no later request.

        HTTP/1.1 takes whatever arrives for the answer to the next request: one answer too many would shift them all.
        """
        await response.extensions["network_stream"].aclose()

    async def aclose(self) -> None:
        """Close all connections; requests in flight end as OutcomeUnknown, later ones as NotSent."""
        await self._client.aclose()

    def _url(self, path: str) -> httpx2.URL:
        return httpx2.URL(self._base_url + path)


class _Turn:
    """The turn of one request to get a connection: over when it has one, or has failed."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns: asyncio.Semaphore | None = turns

    async def watch(self, event: str, _info: Mapping[str, Any]) -> None:
        """Take what httpcore2 traces."""
        if event == SENDING:
            self.give_up()

    def give_up(self) -> None:
        """Let the next one try; doing so twice is harmless."""
        if self._turns is not None:
            self._turns.release()
            self._turns = None


def _ended(failure: Exception) -> DeliveryError:
    name = type(failure).__name__
    if isinstance(failure, NOTHING_LEFT):
        return NotSent(f"no connection to the back end: {name}")
    return OutcomeUnknown(f"no answer of the back end: {name}")


async def _read(response: httpx2.Response) -> bytes:
    """Read a bounded body as it was sent: digests and MACs are over the coded content, and nothing inflates."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > RESPONSE_MAX:
            raise OutcomeUnknown(f"the answer of the back end has more than {RESPONSE_MAX} bytes")
    return bytes(body)


def _client(ssl_context: ssl.SSLContext, timeout_s: float) -> httpx2.AsyncClient:
    """Make a client without retries, redirects, cookies, proxies or anything else of the environment."""
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(
            verify=ssl_context,
            trust_env=False,
            retries=0,
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
        ),
        # a quarter each for the pool, TCP and TLS: see `HttpExchange.send`
        timeout=httpx2.Timeout(timeout_s, pool=timeout_s / 4, connect=timeout_s / 4),
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        trust_env=False,
    )
