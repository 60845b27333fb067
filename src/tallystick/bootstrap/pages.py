"""The listeners of the payer's two pages, where the settings name them."""

import ssl
from typing import Final

from tallystick.bootstrap.office import Office
from tallystick.bootstrap.presenting import Presenting
from tallystick.channels.model import PageKind
from tallystick.config import PagesSection, Settings
from tallystick.crypto import tls
from tallystick.errors import Misconfigured
from tallystick.path import Platform
from tallystick.service.background import Carriers
from tallystick.service.doors import Doors
from tallystick.service.events import Streams
from tallystick.service.pages import visitors
from tallystick.service.pages.desk import PageDesk
from tallystick.service.pages.origins import Origins

PORTS: Final = {PageKind.PC: "pc_port", PageKind.PHONE: "phone_port"}


def page_origins(settings: Settings) -> Origins | None:
    """Return where browsers find the pages; None without pages. Raises Misconfigured for one origin for both."""
    place = settings.pages
    if place is None:
        return None
    name = settings.gateway.names[0]
    pc = place.pc_url or f"https://{name}:{place.pc_port}"
    phone = place.phone_url or f"https://{name}:{place.phone_port}"
    if pc.rstrip("/") == phone.rstrip("/"):
        raise Misconfigured("the two pages are two origins: [pages] gives them the same address")
    return Origins(pc=pc.rstrip("/"), phone=phone.rstrip("/"))


async def pages(
    doors: Doors, platform: Platform, desk: Office, presenting: Presenting, carriers: Carriers, streams: Streams
) -> dict[PageKind, int]:
    """Open the pages; returns their ports, none without `[pages]`."""
    place, origins = desk.settings.pages, page_origins(desk.settings)
    if place is None or origins is None:
        return {}
    await desk.store.transact(lambda books: visitors.register(books, desk.keyring, desk.randomness, desk.clock.now()))
    ports: dict[PageKind, int] = {}
    for kind in PageKind:
        page = PageDesk(platform, kind, origins=origins, carriers=carriers, streams=streams)
        context, port = _context(desk, presenting, place, PORTS[kind]), getattr(place, PORTS[kind])
        listener = await doors.open(kind.value, page.app(), host=place.host, port=port, context=context)
        ports[kind] = listener.port
    return ports


def _context(desk: Office, presenting: Presenting, place: PagesSection, port: str) -> ssl.SSLContext:
    root, own = desk.layout.root, (place.certificate, place.private_key)
    if (own[0] is None) is not (own[1] is None):
        raise Misconfigured("[pages] names a certificate and its private key together, or neither")
    if own[0] is not None and own[1] is not None:
        return tls.server_context(root / own[0], root / own[1], None)
    return presenting.listener(port, clients=False)
