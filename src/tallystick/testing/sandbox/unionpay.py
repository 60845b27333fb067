"""A back end in UnionPay's style: it checks what a real one would, keeps a record, and fails on request.

    python -m tallystick.testing.sandbox.unionpay --config FILE.json

prints `READY <port>` when it listens and ends on SIGTERM or SIGINT. The file holds a `SandboxConfig`;
docs/reference/sandboxes.md says what it does for which amount.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from tallystick.crypto.tls import server_context
from tallystick.errors import Misconfigured
from tallystick.runtime import Clock, SystemClock, SystemRandomness
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.unionpay_config import SandboxConfig
from tallystick.testing.sandbox.unionpay_connection import Connection
from tallystick.testing.sandbox.unionpay_issuer import Issuer
from tallystick.testing.sandbox.unionpay_keys import SandboxKeys

if sys.platform == "win32":
    from asyncio import run
else:
    from uvloop import run  # a benchmark measures the platform, not its back end

CLOSE_TIMEOUT_S: Final = 1.0  # s for a peer to confirm the end of TLS


class UnionPaySandbox:
    """The back end; `record` tells what it was asked, `keys` its session keys, `port` where it listens."""

    def __init__(self, config: SandboxConfig, clock: Clock | None = None) -> None:
        self.record = Record(None if config.record is None else Path(config.record))
        self.port = 0
        self.connections: set[Connection] = set()
        self._config = config
        clock = clock or SystemClock()
        self.keys = SandboxKeys(config, clock, SystemRandomness())
        self._issuer = Issuer(config, self.keys, self.record, clock)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raises Misconfigured for unusable certificates, OSError for an address in use."""
        config = self._config
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(config, self.keys, self._issuer, self.connections),
            config.host,
            config.port,
            ssl=server_context(Path(config.cert), Path(config.key), Path(config.ca)),
            ssl_shutdown_timeout=CLOSE_TIMEOUT_S,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, cut every connection, close the record's file."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
        self.record.close()

    def cut(self) -> None:
        """Cut every connection, as a network failure would."""
        for connection in tuple(self.connections):
            connection.abort()


async def serve(config: SandboxConfig) -> None:
    """Run until SIGTERM or SIGINT."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    sandbox = UnionPaySandbox(config)
    await sandbox.start()
    sys.stdout.write(f"READY {sandbox.port}\n")
    sys.stdout.flush()
    await done.wait()
    await sandbox.stop()


def main() -> None:
    """Run the sandbox as a process of its own."""
    parser = argparse.ArgumentParser(description="A UnionPay-style sandbox back end.")
    parser.add_argument("--config", type=Path, required=True)
    path: Path = parser.parse_args().config
    try:
        config = msgspec.json.decode(path.read_bytes(), type=SandboxConfig)
    except (OSError, msgspec.DecodeError) as broken:
        raise Misconfigured(f"the sandbox's configuration cannot be used: {broken}") from broken
    run(serve(config))


if __name__ == "__main__":
    main()
