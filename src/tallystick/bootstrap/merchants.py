"""The merchants' listener, where the settings name one: an origin of its own, without client certificates."""

import functools

from tallystick.bootstrap.office import Office
from tallystick.bootstrap.pages import page_origins
from tallystick.bootstrap.presenting import Presenting
from tallystick.channels.model import PageKind
from tallystick.path import Platform
from tallystick.service.background import Carriers
from tallystick.service.bearer import Bearers
from tallystick.service.doors import Doors
from tallystick.service.merchants.desk import MerchantDesk
from tallystick.service.merchants.edge import MerchantEdge
from tallystick.service.merchants.feed import Feed
from tallystick.service.merchants.test_mode import TestDesk


async def merchant_listener(
    doors: Doors, platform: Platform, desk: Office, presenting: Presenting, carriers: Carriers
) -> int | None:
    """Open the merchants' API; returns its port, None without `[merchant]`."""
    place, origins = desk.settings.merchant, page_origins(desk.settings)
    if place is None:
        return None
    bearers = Bearers(desk.store, desk.keyring, desk.clock)
    feed = Feed(desk.store, bearers, desk.clock)
    page_url = functools.partial(origins.link, PageKind.PC) if origins is not None else None
    merchants = MerchantDesk(platform, carriers, page_url)
    handlers = {**merchants.handlers(), **TestDesk(platform, merchants, carriers).handlers(), **feed.handlers()}
    edge = MerchantEdge(platform, bearers, handlers)
    context = presenting.listener("merchant", clients=False)
    doors.at_shut(feed.close)
    listener = await doors.open("merchant", edge.app(), host=place.host, port=place.port, context=context)
    return listener.port
