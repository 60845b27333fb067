"""The adapters that a platform is built of, as its settings name them."""

import contextlib
from collections.abc import AsyncIterator

from tallystick.adapters.connectors import magic
from tallystick.adapters.connectors.kinds import ConnectorTools, load_kinds
from tallystick.adapters.connectors.registry import ConnectorRegistry
from tallystick.adapters.notify.sms import SmsCarrier, SmsSettings
from tallystick.adapters.notify.smtp import SmtpCarrier, SmtpSecurity, SmtpSettings
from tallystick.adapters.pins.process import PinProcess
from tallystick.bootstrap.layout import PLATFORM_URI, PRIVATE_DIRECTORY
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.presenting import Presenting
from tallystick.config import Settings
from tallystick.delivery.ports import Connector, OwnNode, PinTranslator
from tallystick.delivery.pull_queue import PullQueue
from tallystick.errors import Misconfigured
from tallystick.routing.model import BackEnd
from tallystick.runtime import Clock
from tallystick.vault.model import Medium
from tallystick.vault.ports import Carrier


def mail_and_sms(settings: Settings, clock: Clock) -> dict[Medium, Carrier]:
    """Build the carriers that the settings name."""
    carriers: dict[Medium, Carrier] = {}
    if (smtp := settings.smtp) is not None:
        carriers[Medium.EMAIL] = SmtpCarrier(
            SmtpSettings(
                host=smtp.host,
                port=smtp.port,
                sender=smtp.sender,
                security=SmtpSecurity(smtp.security),
                username=smtp.username,
                password=smtp.password,
            ),
            clock,
        )
    if (sms := settings.sms) is not None:
        carriers[Medium.SMS] = SmsCarrier(SmsSettings(url=sms.url, token=sms.token))
    return carriers


def notices_per_second(settings: Settings) -> dict[Medium, int]:
    """Return how many notices a second the provider of each medium may get, as far as the settings name one."""
    named = ((Medium.EMAIL, settings.smtp), (Medium.SMS, settings.sms))
    return {medium: section.per_second for medium, section in named if section is not None}


@contextlib.asynccontextmanager
async def pin_process(desk: Office) -> AsyncIterator[PinProcess]:
    """Run the process that holds PIN keys; raises Misconfigured when it does not come up.

    1. Its keys are made once, before any PIN key is stored: with PIN keys in the store a missing one stops the start.
    """
    desk.layout.pins.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    # 1.
    stored = await desk.store.read(lambda books: books.pin_keys())
    pins = PinProcess(desk.layout.pins, desk.clock, kept=bool(stored))
    try:
        await pins.start()
        yield pins
    finally:
        await pins.aclose()


def pull_queue(desk: Office) -> PullQueue:
    """Return the deliveries that back ends fetch; one for a process, since it wakes who waits in it."""
    return PullQueue(desk.store, desk.keyring, desk.clock)


def connector_registry(
    desk: Office, node: OwnNode, queue: PullQueue, presenting: Presenting, pins: PinTranslator
) -> ConnectorRegistry:
    """Return the connectors of every kind, with the platform's certificate and signing key; raises Misconfigured."""
    kinds = load_kinds()

    def build(back_end: BackEnd, settings: bytes) -> Connector:
        if back_end.connector not in kinds:
            raise Misconfigured(f"no connector of the kind {back_end.connector} is installed")
        if back_end.connector == magic.KIND and not back_end.sandbox:
            raise Misconfigured("the connector of test mode is for sandboxes: institution add --sandbox")
        tools = ConnectorTools(
            institution=back_end.id,
            ssl_context=presenting.connector(back_end.id),
            signer=desk.keyring.signer(),
            keyid=PLATFORM_URI,
            clock=desk.clock,
            randomness=desk.randomness,
            queue=queue,
            pins=pins,
        )
        return kinds[back_end.connector].build(settings, tools)

    return ConnectorRegistry(desk.store, desk.keyring, desk.clock, node, build)
