"""The metrics listener, where the settings name one."""

import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tallystick.adapters.metrics import PlatformMetrics, Trust, Watched
from tallystick.adapters.platform_certificate import CertificateFiles
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.presenting import Presenting
from tallystick.config import ListenerSection
from tallystick.errors import Misconfigured
from tallystick.service import sockets
from tallystick.service.metrics import MetricsDesk
from tallystick.service.probes import probes
from tallystick.service.readiness import Readiness
from tallystick.service.server import Listener


@asynccontextmanager
async def metrics(
    desk: Office, presenting: Presenting, watched: Watched, readiness: Readiness, bound: socket.socket | None
) -> AsyncIterator[None]:
    """Tell metrics and answer probes while the context lasts, at the settings' place or on a socket handed over.

    Raises Misconfigured for a place that is not a loopback address.
    """
    place = desk.settings.metrics
    if bound is None:
        bound = bind(place)
    if bound is None:
        yield
        return
    gatherer = PlatformMetrics(
        store=desk.store,
        clock=desk.clock,
        keyring=desk.keyring,
        trust=_trust(desk, presenting),
        watched=watched,
    )
    await gatherer.begin()
    app = MetricsDesk(gatherer, desk.randomness, probes(readiness.faults, told=True)).app()
    async with Listener(app, bound=bound, context=None):
        yield


def bind(place: ListenerSection | None) -> socket.socket | None:
    """Bind the metrics listener, where the settings name one; raises Misconfigured for no loopback address."""
    if place is None:
        return None
    if not _is_loopback(place.host):
        raise Misconfigured("metrics have no login: metrics.host is a loopback address, 127.0.0.1 or ::1")
    return sockets.bind(place.host, place.port)


def _trust(desk: Office, presenting: Presenting) -> Trust:
    layout, anchoring = desk.layout, presenting.anchoring
    chains = {"platform": CertificateFiles(layout.certificate, layout.private_key)}
    if desk.settings.acme is not None:
        chains["listener"] = CertificateFiles(layout.shown_certificate, layout.shown_key)
    return Trust(ca=desk.ca, chains=chains, own_list=anchoring.own, outside_lists=anchoring.lists, book=anchoring.book)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
