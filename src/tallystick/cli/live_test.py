"""`tallystick institution test`: prove a back end's link step by step, up to the first step that fails."""

import asyncio
import datetime as dt
import ssl
import time
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct

from tallystick.adapters.connectors.kinds import Address, ConnectorKind, load_kinds
from tallystick.adapters.connectors.registry import ConnectorRegistry, open_record
from tallystick.adapters.pins.process import PinProcess
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.parts import connector_registry, pull_queue
from tallystick.bootstrap.presenting import Presenting
from tallystick.cli.administer import find_institution
from tallystick.cli.output import Failure
from tallystick.delivery.nodes import NoNode
from tallystick.delivery.ports import Connector
from tallystick.errors import Misconfigured, TallystickError
from tallystick.routing.model import BackEnd

CONNECT_TIMEOUT_S: Final = 10.0  # s for TCP and TLS together
MS: Final = 1_000  # ms in a second

REMEDIES: Final = {
    "settings": "Give the settings again: tallystick institution connect.",
    "connection": "Compare host, port, server_name and the back end's certificate with its settings, "
    "then set them by tallystick institution connect.",
    "sign-on": "The back end is there and does not let us in: compare keys, our certificate and our ids with it, "
    "then set them by tallystick institution connect.",
    "echo": "The back end let us in and does not answer an echo: ask its operator, then test again.",
}

T = TypeVar("T")


class Step(Struct, frozen=True, kw_only=True):
    """One step of a test; `ms` is how long it took."""

    step: str
    passed: bool
    ms: float
    detail: str


class LiveTest(Struct, frozen=True, kw_only=True):
    """How a test went; `answers` says that every step passed."""

    institution: str
    name: str
    answers: bool
    steps: tuple[Step, ...]


class _Broken(Exception):
    """A step failed; the text says why and holds no value of the settings."""


async def live_test(desk: Office, institution: str) -> tuple[LiveTest, Failure | None]:
    """Test an institution over its own connector; no payment is made. Raises NotFound for an unknown one.

    settings: they are there, open and can be used. connection: TCP and TLS, with the back end's certificate; not for a
    back end that connects to us. sign-on: the connector's first echo, with all that it opens for it. echo: the second
    one, over what is open then. recovery: what the connector can do about an unknown outcome.
    """
    back_end = await find_institution(desk, institution)
    steps: list[Step] = []
    try:
        settings, kind = await _passed(steps, "settings", _settings(desk, back_end))
        presenting = Presenting(desk)
        await presenting.anchoring.look()
        if kind.address is not None:
            await _passed(steps, "connection", _connection(presenting.connector(institution), kind.address(settings)))
        pins = PinProcess(desk.layout.pins, desk.clock)
        registry = connector_registry(desk, NoNode(), pull_queue(desk), presenting, pins)
        try:
            connector = await _passed(steps, "sign-on", _sign_on(registry, back_end))
            await _passed(steps, "echo", _echo(connector))
            await _passed(steps, "recovery", _recovery(connector))
        finally:
            await registry.aclose()
    except _Broken as broken:
        failed = steps[-1].step
        failure = Failure(f"{failed}: {broken}", REMEDIES[failed], code="test_failed", field=failed)
        return LiveTest(institution=back_end.id, name=back_end.name, answers=False, steps=tuple(steps)), failure
    return LiveTest(institution=back_end.id, name=back_end.name, answers=True, steps=tuple(steps)), None


async def _passed(steps: list[Step], name: str, work: Awaitable[tuple[str, T]]) -> T:
    """Do one step and note how it went; raises _Broken when it failed."""
    started = time.monotonic()
    value: T | None = None
    why: Exception | None = None
    try:
        detail, value = await work
    except TallystickError as error:
        detail, why = error.detail, error
    except OSError as error:  # ssl.SSLError and TimeoutError are OSErrors
        detail, why = _network_words(error), error
    took = round((time.monotonic() - started) * MS, 1)
    steps.append(Step(step=name, passed=why is None, ms=took, detail=detail))
    if why is not None or value is None:
        raise _Broken(detail) from why
    return value


async def _settings(desk: Office, back_end: BackEnd) -> tuple[str, tuple[bytes, ConnectorKind]]:
    sealed = await desk.store.read(lambda books: books.connector_settings(back_end.id))
    if sealed is None:
        raise Misconfigured("this back end has no connector settings")
    kind = load_kinds().get(back_end.connector)
    if kind is None:
        raise Misconfigured(f"no connector of the kind {back_end.connector} is installed")
    settings = bytes(open_record(desk.keyring, back_end.id, sealed).settings)
    kind.check(settings)
    return f"connector {kind.name}: opened and checked", (settings, kind)


async def _connection(context: ssl.SSLContext, address: Address) -> tuple[str, bool]:
    """Connect as the connector will, and say what the back end showed."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        _, writer = await asyncio.open_connection(
            address.host, address.port, ssl=context, server_hostname=address.server_name
        )
    session = writer.get_extra_info("ssl_object")
    shown = f"{address.host} port {address.port}, {session.version()}, {_certificate_words(session.getpeercert())}"
    writer.transport.abort()
    return shown, True


async def _sign_on(registry: ConnectorRegistry, back_end: BackEnd) -> tuple[str, Connector]:
    connector = await registry.connector(back_end)
    await connector.echo()
    return "the connector opened its link, and the back end answered", connector


async def _echo(connector: Connector) -> tuple[str, bool]:
    started = time.monotonic()
    await connector.echo()
    return f"answered in {(time.monotonic() - started) * MS:.1f} ms", True


async def _recovery(connector: Connector) -> tuple[str, bool]:
    can = ", ".join(sorted(connector.recovery)) or "nothing: a person settles what is unknown"
    return f"after an unknown outcome: {can}", True


def _certificate_words(certificate: Mapping[str, Any]) -> str:
    """Describe a certificate that TLS verified (`ssl.SSLSocket.getpeercert`)."""
    subject = ", ".join(f"{name}={value}" for entry in certificate["subject"] for name, value in entry)
    names = ", ".join(value for _, value in certificate.get("subjectAltName", ()))
    ends = dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), dt.UTC)
    days = (ends - dt.datetime.now(dt.UTC)).days
    return f"certificate {subject} for {names}, until {ends:%Y-%m-%d} ({days} days left)"


def _network_words(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"the back end's certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason}"
        case TimeoutError():
            return f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
        case _:
            return f"no connection: {error.strerror or type(error).__name__}"
