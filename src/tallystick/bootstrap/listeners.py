"""The listeners beside the gateway."""

from collections.abc import Iterator

from tallystick.adapters.ca_status import CaStatus
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.presenting import Presenting
from tallystick.channels.ports import Counter
from tallystick.service.enrolment import EnrolmentDesk
from tallystick.service.server import Listener
from tallystick.service.status import StatusDesk


def further_listeners(desk: Office, presenting: Presenting, counter: Counter) -> Iterator[Listener]:
    """Make the listeners that need no client certificate, where the settings name them."""
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
        yield Listener(desk_for_parties.app(), host=place.host, port=place.port, context=context)
    if (place := desk.settings.status) is not None:
        status = StatusDesk(CaStatus(desk.ca), counter, desk.clock, desk.randomness)
        yield Listener(status.app(), host=place.host, port=place.port, context=None)
