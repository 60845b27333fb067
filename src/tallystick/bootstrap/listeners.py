"""The listeners beside the gateway."""

from tallystick.adapters.ca_status import CaStatus
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.presenting import Presenting
from tallystick.channels.ports import Counter
from tallystick.config import Settings
from tallystick.service.doors import Doors
from tallystick.service.enrolment import EnrolmentDesk
from tallystick.service.probes import probes
from tallystick.service.readiness import Readiness
from tallystick.service.status import StatusDesk


def places(settings: Settings) -> dict[str, tuple[str, int]]:
    """Return host and port of every listener that the settings name, but the operator's own for metrics."""
    found = {"gateway": (settings.gateway.host, settings.gateway.port)}
    sections = {
        "merchant": settings.merchant,
        "enrolment": settings.enrolment,
        "status": settings.status,
        "acme": settings.acme,
    }
    found |= {name: (place.host, place.port) for name, place in sections.items() if place is not None}
    if (pages := settings.pages) is not None:
        found |= {"pc": (pages.host, pages.pc_port), "phone": (pages.host, pages.phone_port)}
    return found


async def further_listeners(
    doors: Doors, desk: Office, presenting: Presenting, counter: Counter, readiness: Readiness
) -> None:
    """Open the listeners that need no client certificate, where the settings name them."""
    if (place := desk.settings.enrolment) is not None:
        desk_for_parties = EnrolmentDesk(
            store=desk.store,
            keyring=desk.keyring,
            counter=counter,
            clock=desk.clock,
            randomness=desk.randomness,
            issuer=desk.ca if desk.settings.ca.approval == "token" else None,
        )
        context = presenting.listener("enrolment", clients=False)
        await doors.open("enrolment", desk_for_parties.app(), host=place.host, port=place.port, context=context)
    if (place := desk.settings.status) is not None:
        beside = probes(readiness.faults, told=False)
        status = StatusDesk(CaStatus(desk.ca), counter, desk.clock, desk.randomness, beside)
        await doors.open("status", status.app(), host=place.host, port=place.port, context=None)
