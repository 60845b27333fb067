"""Open every listener of a process that serves, and close them in an order in which nothing accepted is lost."""

import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from tallystick.adapters.metrics import Watched
from tallystick.bootstrap.acme import acme
from tallystick.bootstrap.engine import Engine
from tallystick.bootstrap.listeners import further_listeners
from tallystick.bootstrap.merchants import merchant_listener
from tallystick.bootstrap.metrics import metrics
from tallystick.bootstrap.pages import pages
from tallystick.bootstrap.presenting import keeping
from tallystick.channels.model import PageKind
from tallystick.path import Platform
from tallystick.service.background import Carriers
from tallystick.service.doors import Doors
from tallystick.service.events import Streams
from tallystick.service.gateway import Gateway
from tallystick.service.notifications import Notifications
from tallystick.service.outcomes import Outcomes
from tallystick.service.pull import PullDesk
from tallystick.service.readiness import Readiness
from tallystick.service.renewal import Renewals


@dataclass(frozen=True, slots=True)
class Seat:
    """This process among those that share listeners: its number, from 1, and the sockets that were handed to it."""

    number: int = 1
    sockets: Mapping[str, socket.socket] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """A platform that serves."""

    platform: Platform
    readiness: Readiness
    doors: Doors
    port: int
    page_ports: Mapping[PageKind, int] = field(default_factory=dict)
    merchant_port: int | None = None


@contextlib.asynccontextmanager
async def listening(behind: Engine, seat: Seat) -> AsyncIterator[Running]:
    """Accept requests while the context lasts.

    At the end, in this order: no new connection is accepted, requests in flight finish, payments under way come to
    rest, and only then the operator's listener closes, which told all the while that the process is not ready.
    """
    desk, presenting, platform = behind.desk, behind.presenting, behind.platform
    bounds = desk.settings.serve
    streams = Streams(desk.store, desk.clock)
    carriers = Carriers(platform, streams.wake, payments_max=bounds.payments_max)
    gateway = _gateway(behind, carriers, streams)
    doors = Doors(seat.sockets, connections_max=bounds.connections_max, requests_max=bounds.requests_max)
    readiness = _readiness(behind, carriers, doors)
    watched = Watched(behind.opening, behind.registry, behind.limiter, behind.webhooks, gateway.answers)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(metrics(desk, presenting, watched, readiness, seat.sockets.get("metrics")))
        stack.push_async_callback(carriers.drain)
        await stack.enter_async_context(doors)
        doors.at_shut(streams.close)
        doors.at_shut(behind.queue.close)
        certifier = await acme(doors, desk) if seat.number == 1 else None
        await stack.enter_async_context(keeping(presenting, certifier))
        await further_listeners(doors, desk, presenting, platform.counter, readiness)
        page_ports = await pages(doors, platform, desk, presenting, carriers, streams)
        merchant_port = await merchant_listener(doors, platform, desk, presenting, carriers)
        place, context = desk.settings.gateway, presenting.listener("gateway", clients=True)
        listener = await doors.open("gateway", gateway.app(), host=place.host, port=place.port, context=context)
        readiness.begin()
        yield Running(platform, readiness, doors, listener.port, page_ports, merchant_port)


def _gateway(behind: Engine, carriers: Carriers, streams: Streams) -> Gateway:
    platform = behind.platform
    return Gateway(
        platform,
        standing=behind.presenting.anchoring.book,
        institutions=behind.registry,
        identity=behind.desk.keyring.signer(),
        carriers=carriers,
        more={
            **streams.handlers(),
            **PullDesk(platform, behind.queue).handlers(),
            **Outcomes(platform, streams.wake).handlers(),
            **Renewals(platform, behind.desk.ca).handlers(),
        },
        guests=Notifications(platform, behind.registry, streams.wake).handlers(),
    )


def _readiness(behind: Engine, carriers: Carriers, doors: Doors) -> Readiness:
    """Return what tells whether this process can take a part and carry it.

    Store and clock answer, the keys of now are there, and the others take this node for alive.
    """
    desk = behind.desk

    async def clock() -> object:
        return desk.clock.now()

    async def keys() -> object:
        now = desk.clock.now()
        return behind.opening.published(now), behind.epochs.current(now)

    async def store() -> object:
        return await desk.store.read(lambda books: books.routing_table())

    async def lease() -> None:
        behind.node.require_lease()

    checks = {"clock": clock, "keys": keys, "store": store, "lease": lease}
    return Readiness(checks, (carriers.load, desk.store.load, doors.load))
