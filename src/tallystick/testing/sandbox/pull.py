"""A sandbox back end that fetches its deliveries: it listens nowhere, and asks the platform for work.

    python -m tallystick.testing.sandbox.pull --config FILE.json

It prints `READY 0` when the platform answered its first poll, and ends at SIGTERM. `pull_back_end` says what it does.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Final, Self

import msgspec
from msgspec import Struct, field

from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Ed25519Private
from tallystick.runtime import SystemClock
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.deliveries import Deliveries
from tallystick.sdk.requests import Credentials
from tallystick.sdk.settings import load_profile
from tallystick.testing.sandbox.http_server import serve
from tallystick.testing.sandbox.pull_back_end import PullBackEnd
from tallystick.testing.sandbox.record import Record
from tallystick.testing.sandbox.rest_rules import SandboxCard, rule

START_S: Final = 30.0  # s until the platform has answered a first poll


class PullSandboxConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration file.

    `profile` is the institution's profile (`sdk.settings.ProfileFile`), `encryption_key` the file of its private P-256
    key (PKCS#8 in DER), known to the platform as `encryption_kid`. `accounts` maps an account to its secret, `cards` a
    number to its card. A late outcome is told after `late_s`.
    """

    profile: str
    encryption_key: str
    encryption_kid: str
    accounts: dict[str, str] = field(default_factory=dict)
    cards: dict[str, SandboxCard] = field(default_factory=dict)
    record: str | None = None
    late_s: float = 30.0


class PullSandbox:
    """The back end of a configuration; `record` has every job. `port` is 0: it listens nowhere."""

    port = 0

    def __init__(self, config: PullSandboxConfig) -> None:
        self.record = Record(None if config.record is None else Path(config.record))
        profile = load_profile(Path(config.profile))
        key = JweKey.from_private(config.encryption_kid, Path(config.encryption_key).read_bytes())
        unknown = Credentials(sender=profile.credentials.sender, key=Ed25519Private())
        self._clients = [
            TallystickClient.connect(profile),
            TallystickClient.connect(dataclasses.replace(profile, credentials=unknown)),
        ]
        known, stranger = (Deliveries(client, unknown.sender, key) for client in self._clients)
        self._back_end = PullBackEnd(
            known,
            stranger,
            self._clients[0],
            rules=functools.partial(rule, config.accounts, config.cards),
            record=self.record,
            clock=SystemClock(),
            late_s=config.late_s,
        )
        self._polling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(START_S):
            await self._back_end.poll(0)
        self._polling = asyncio.create_task(self._back_end.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
        await self._back_end.aclose()
        for client in self._clients:
            await client.close()
        self.record.close()


def main() -> None:
    """Read the configuration file and work."""
    parser = argparse.ArgumentParser(prog="tallystick.testing.sandbox.pull")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see PullSandboxConfig")
    config = msgspec.json.decode(parser.parse_args().config.read_bytes(), type=PullSandboxConfig)
    asyncio.run(run(config))


async def run(config: PullSandboxConfig) -> None:
    """Work until SIGTERM or SIGINT."""
    await serve(PullSandbox(config))


if __name__ == "__main__":
    main()
