"""What the benchmark needs around the server: a data directory, two channels, and a back end that answers at once."""

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.results import FOLDER
from tallystick import config
from tallystick.bootstrap.layout import create
from tallystick.bootstrap.office import Office, office
from tallystick.bootstrap.presenting import Presenting
from tallystick.channels import limiting
from tallystick.channels.limiting import COUNT_MAX, DEFAULTS
from tallystick.channels.model import ChannelKind, LimitKind, RateLimit
from tallystick.cli import administer, profiles
from tallystick.crypto import mac, tls, x509
from tallystick.crypto.mac import MacAlgorithm
from tallystick.iso8583.framing import Deframer, LengthHeader, frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import specification
from tallystick.routing.model import NumberPolicy
from tallystick.sdk.settings import Profile, load_profile
from tallystick.security.access_keys import KeyringAccess
from tallystick.testing.postgres_server import PostgresServer, postgres_server

SETTINGS = '[gateway]\nhost = "127.0.0.1"\nport = 0\n'
NAME = "localhost"
DSN = "TALLYSTICK_STORE__DSN"


@dataclass
class InstantBackEnd:
    """A UnionPay-style back end of 0 ms: it decodes each request, answers with a right MAC, and notes the time."""

    mac_key: bytes
    context: ssl.SSLContext
    acknowledged: dict[int, int] = field(default_factory=dict)
    port: int = 0

    async def start(self) -> asyncio.Server:
        """Listen on a free port."""
        key = self.mac_key
        self._codec = Codec(
            specification(8), partial(mac.tag, MacAlgorithm.CMAC, key), partial(mac.verify, MacAlgorithm.CMAC, key)
        )
        server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", 0, ssl=self.context
        )
        self.port = server.sockets[0].getsockname()[1]
        return server

    def answer(self, message: bytes) -> bytes:
        """Approve a purchase; echo a network message."""
        request = self._codec.decode(message)
        if request["t"] == "0800":
            return self._codec.sign(
                {**{name: request[name] for name in ("7", "11", "33", "70")}, "t": "0810", "39": "00"}
            )
        copied = {name: request[name] for name in ("3", "4", "7", "11", "12", "13", "32", "37", "41", "42", "49")}
        self.acknowledged[int(request["4"])] = time.monotonic_ns()
        return self._codec.sign({"t": "0210", **copied, "39": "00"})


class _Connection(asyncio.Protocol):
    def __init__(self, back_end: InstantBackEnd) -> None:
        self._back_end = back_end
        self._deframer = Deframer(LengthHeader.ASCII_4)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for message in self._deframer.feed(data):
            if message:
                self._transport.write(frame(self._back_end.answer(message), LengthHeader.ASCII_4))  # type: ignore[attr-defined]


@dataclass
class World:
    """A platform's data directory with two channels, and the back end it delivers to."""

    data: Path
    desk: Office
    back_end: InstantBackEnd
    home: Path
    institution: str
    database: PostgresServer | None = None
    _channels: dict[str, administer.NewChannel] = field(default_factory=dict)

    def profile(self, name: str, port: int) -> Profile:
        """Write and load the profile of a channel for a listener's port."""
        directory = self.home / f"{name}-{port}"
        if not directory.exists():
            profiles.write_channel(self.desk, self._channels[name], directory, f"https://{NAME}:{port}")
        return load_profile(directory / profiles.FILE_NAME)


async def _lift_limits(desk: Office) -> None:
    """All payments of a run are of one card, and a payer of embodiment 2 pays again and again; windows stay as long."""
    keys, at = KeyringAccess(desk.keyring), desk.clock.now()
    for kind in (LimitKind.CREDENTIAL, LimitKind.ELEMENT, LimitKind.CHANNEL, LimitKind.NETWORK):
        often = RateLimit(count=COUNT_MAX, window=DEFAULTS[kind].window)
        await desk.store.transact(
            lambda books, kind=kind, often=often: limiting.change(books, keys, kind, often, author="bench", at=at)  # type: ignore[misc]
        )


@contextlib.asynccontextmanager
async def world(home: Path, store: str = "sqlite") -> AsyncIterator[World]:
    """Build it all in `home`; with the store "postgres" there is a server of its own, on the core of the load."""
    data, settings = home / "platform", SETTINGS
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgres_server(below=FOLDER.parent)) if store == "postgres" else None
        if database is not None:
            settings += '\n[store]\nkind = "postgres"\n'
            os.environ[DSN] = database.dsn
            stack.callback(os.environ.pop, DSN)
        layout = create(data, settings)
        if database is not None:
            from tallystick.bootstrap.storing import migrate  # noqa: PLC0415 - its library is an extra

            migrate(layout, config.load(data, os.environ).store, ("pre", "post"))
        async with _inhabited(home, data, database) as made:
            yield made


@contextlib.asynccontextmanager
async def _inhabited(home: Path, data: Path, database: PostgresServer | None) -> AsyncIterator[World]:
    async with office(data, config.load(data, os.environ)) as desk:
        await Presenting(desk).ensure()
        await _lift_limits(desk)
        institution = await administer.add_institution(
            desk,
            name="UnionPay",
            connector="iso8583",
            schemes=frozenset({"unionpay"}),
            issuer=True,
            numbers=NumberPolicy.BACK_END,
        )
        key = x509.new_private_key()
        csr = x509.make_csr(key, uri=f"tallystick:institution:{institution.id}", dns=(NAME,), common_name="bench")
        chain = administer.issue_back_end_certificate(desk, institution.id, csr, (NAME,))
        profiles.write_private(home / "back-end.key", key)
        (home / "back-end.pem").write_bytes(chain)
        mac_key, pin_key = desk.randomness.token(16), desk.randomness.token(16)
        context = tls.server_context(home / "back-end.pem", home / "back-end.key", desk.ca.trust)
        back_end = InstantBackEnd(mac_key, context)
        server = await back_end.start()
        settings = {
            "host": "127.0.0.1",
            "port": back_end.port,
            "server_name": NAME,
            "acquirer": "48020000",
            "forwarder": "48020000",
            "terminal": "TALLY001",
            "merchant": "TALLYSTICK00001",
            "mac_key": mac_key.hex(),
            "pin_key": pin_key.hex(),
        }
        await administer.set_connector(desk, institution.id, settings)
        made = World(data, desk, back_end, home, institution.id, database)
        for name, fields in (("pc", "pan expiry username order"), ("phone", "pin_block password")):
            made._channels[name] = await administer.add_channel(  # noqa: SLF001 - the builder of this very class
                desk, name=name, kind=ChannelKind.PC_BROWSER, fields=frozenset(fields.split())
            )
        try:
            yield made
        finally:
            server.close()
