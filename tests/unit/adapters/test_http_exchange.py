"""Many requests at once to a back end that is slow to connect: a few try, the others are provably not sent."""

import asyncio
import ssl

from tallystick.adapters.connectors.http_exchange import CONNECTING_MAX, HttpExchange
from tallystick.errors import NotSent

TIMEOUT_S = 0.8
REQUESTS = 5 * CONNECTING_MAX


async def test_a_few_requests_connect_at_a_time_and_each_gives_its_turn_back() -> None:
    """All handshakes of a backlog at once would end none of them in time, again and again."""
    connections = 0

    async def never_shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_shake_hands, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    exchange = HttpExchange(f"https://127.0.0.1:{port}", ssl.create_default_context(), TIMEOUT_S, None)
    try:
        sends = (exchange.send("GET", "/", {}, b"") for _ in range(REQUESTS))
        endings = await asyncio.gather(*sends, return_exceptions=True)
        assert {NotSent} == {type(ending) for ending in endings}
        assert CONNECTING_MAX <= connections <= 2 * CONNECTING_MAX
        assert CONNECTING_MAX == exchange._connecting._value
    finally:
        await exchange.aclose()
        server.close()
        await server.wait_closed()
