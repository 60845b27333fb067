"""A TLS server that sends back what it gets: the far end of the bare delivery exchange."""

import asyncio
import os
import sys
from pathlib import Path

import uvloop

from tallystick.crypto import tls

CORE = 0


class Mirror(asyncio.Protocol):
    """Send every byte back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self._transport.write(data)  # type: ignore[attr-defined]


async def main(chain: Path, key: Path, ca: Path) -> None:
    """Serve until killed."""
    context = tls.server_context(chain, key, ca)
    server = await asyncio.get_running_loop().create_server(Mirror, "127.0.0.1", 0, ssl=context)
    print("READY", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    uvloop.run(main(*(Path(argument) for argument in sys.argv[1:])))
