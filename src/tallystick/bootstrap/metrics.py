"""The metrics listener, where the settings name one."""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tallystick.adapters.metrics import PlatformMetrics, Trust, Watched
from tallystick.adapters.platform_certificate import CertificateFiles
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.presenting import Presenting
from tallystick.errors import Misconfigured
from tallystick.service.metrics import MetricsDesk
from tallystick.service.server import Listener


@asynccontextmanager
async def metrics(desk: Office, presenting: Presenting, watched: Watched) -> AsyncIterator[None]:
    """Tell metrics while the context lasts, on a loopback address; raises Misconfigured for another one."""
    place = desk.settings.metrics
    if place is None:
        yield
        return
    if not _is_loopback(place.host):
        raise Misconfigured("metrics have no login: metrics.host is a loopback address, 127.0.0.1 or ::1")
    gatherer = PlatformMetrics(
        store=desk.store,
        clock=desk.clock,
        keyring=desk.keyring,
        trust=_trust(desk, presenting),
        watched=watched,
    )
    await gatherer.begin()
    app = MetricsDesk(gatherer, desk.randomness).app()
    async with Listener(app, host=place.host, port=place.port, context=None):
        yield


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
