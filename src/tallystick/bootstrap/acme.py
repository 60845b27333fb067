"""The ACME server that gives listeners their certificate, where the settings name one."""

from tallystick.bootstrap.office import Office
from tallystick.channels.ports import Certifier
from tallystick.errors import Misconfigured
from tallystick.service.challenges import ChallengeDesk
from tallystick.service.doors import Doors


async def acme(doors: Doors, desk: Office) -> Certifier | None:
    """Open the listener for its challenges and return the certifier, or None; raises Misconfigured."""
    section, layout = desk.settings.acme, desk.layout
    if section is None:
        return None
    if not section.directory.startswith("https://"):
        raise Misconfigured("the directory of the ACME server is an https address")
    try:
        from tallystick.adapters.acme import AcmeCertifier  # noqa: PLC0415  # an optional dependency
    except ImportError as missing:
        raise Misconfigured("ACME needs the extra: pip install tallystick[acme]") from missing
    answers = ChallengeDesk()
    certifier = AcmeCertifier(
        section.directory,
        answers,
        layout.acme,
        contact=section.contact,
        ca=layout.root / section.ca if section.ca is not None else None,
    )
    await doors.open("acme", answers.app(), host=section.host, port=section.port, context=None)
    return certifier
