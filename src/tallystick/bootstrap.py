"""Wire a platform: the only module that knows both the stages and their adapters.

A data directory holds all: `tallystick.toml`, `store.db`, `keys/`, `epochs/`, `recovery/`, `opening/`, `ca/`, `tls/`.
"""

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from tallystick import limits
from tallystick.adapters.ca_files import FileCa, RevocationList
from tallystick.adapters.ca_status import CaStatus
from tallystick.adapters.connectors.kinds import ConnectorTools, load_kinds
from tallystick.adapters.connectors.registry import ConnectorRegistry
from tallystick.adapters.keys.epochs import FileEpochKeys
from tallystick.adapters.keys.files import FileKeyring
from tallystick.adapters.keys.opening import FileOpeningKeys
from tallystick.adapters.notify.sms import SmsCarrier, SmsSettings
from tallystick.adapters.notify.smtp import SmtpCarrier, SmtpSecurity, SmtpSettings
from tallystick.adapters.notify.webhooks import WebhookPoster
from tallystick.adapters.passwords import PooledStretcher
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.assembly import policy as policies
from tallystick.assembly.model import SplitPolicy
from tallystick.config import FILE_NAME, Settings
from tallystick.crypto import ca, tls, x509
from tallystick.delivery.ports import Connector
from tallystick.delivery.pull_queue import PullQueue
from tallystick.doubts import recover
from tallystick.errors import AlreadyExists, Misconfigured
from tallystick.outcomes.courier import Courier
from tallystick.outcomes.send import Sender
from tallystick.path import Platform
from tallystick.routing.changes import begin
from tallystick.routing.model import BackEnd
from tallystick.runtime import Clock, Millis, Randomness, SystemClock, SystemRandomness
from tallystick.security.ports import Purpose
from tallystick.service.background import Carriers
from tallystick.service.enrolment import EnrolmentDesk
from tallystick.service.events import Streams
from tallystick.service.gateway import Gateway
from tallystick.service.notifications import Notifications
from tallystick.service.outcomes import Outcomes
from tallystick.service.pull import PullDesk
from tallystick.service.renewal import Renewals
from tallystick.service.server import Listener
from tallystick.service.status import StatusDesk
from tallystick.sweep import Sweep
from tallystick.vault.model import Medium
from tallystick.vault.ports import Carrier

PLATFORM_URI: Final = "tallystick:platform:main"
PRIVATE_DIRECTORY: Final = 0o700
PRIVATE_FILE: Final = 0o600
CERTIFICATE_LIFE_MS: Final = 30 * ca.DAY_MS  # ms
RENEW_BEFORE_MS: Final = 10 * ca.DAY_MS  # ms before its end that the platform's certificate is renewed at a start
CHECKPOINT_EVERY_MS: Final = limits.EPOCH_MS  # ms until the store's log, with old images of erased parts, is emptied
COLLECT_EVERY: Final = 20_000  # container objects made between two looks of the cyclic collector
CRL_EVERY_MS: Final = ca.DAY_MS  # ms between revocation lists


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one platform is."""

    root: Path

    @property
    def store(self) -> Path:
        """The database."""
        return self.root / "store.db"

    @property
    def keys(self) -> Path:
        """Long-lived keys."""
        return self.root / "keys"

    @property
    def epochs(self) -> Path:
        """At-rest keys of parts."""
        return self.root / "epochs"

    @property
    def recovery(self) -> Path:
        """At-rest keys of card numbers that an unknown outcome needs again."""
        return self.root / "recovery"

    @property
    def opening(self) -> Path:
        """Part-opening keys."""
        return self.root / "opening"

    @property
    def ca(self) -> Path:
        """The embedded certification authority."""
        return self.root / "ca"

    @property
    def certificate(self) -> Path:
        """The platform's own certificate chain."""
        return self.root / "tls" / "platform.pem"

    @property
    def private_key(self) -> Path:
        """The private key of the platform's own certificate."""
        return self.root / "tls" / "platform.key"


@dataclass(frozen=True, slots=True)
class Office:
    """What the operator's commands work with: the books and keys, without a listener."""

    layout: Layout
    settings: Settings
    store: SqliteStore
    keyring: FileKeyring
    ca: FileCa
    stretcher: PooledStretcher
    clock: Clock
    randomness: Randomness


@dataclass(frozen=True, slots=True)
class Running:
    """A platform that serves."""

    platform: Platform
    port: int


def create(root: Path, settings_toml: str) -> Layout:
    """Make a data directory: settings, keys, authority, the platform's certificate, and an empty store.

    Raises AlreadyExists when the directory holds a platform: nothing is ever overwritten.
    """
    layout, clock, randomness = Layout(root), SystemClock(), SystemRandomness()
    if (root / FILE_NAME).exists():
        raise AlreadyExists("this directory holds a platform already")
    root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    for path in (layout.keys, layout.epochs, layout.recovery, layout.opening, layout.certificate.parent):
        path.mkdir(mode=PRIVATE_DIRECTORY)
    FileKeyring.create(layout.keys, randomness)
    FileCa.create(layout.ca, name="Tallystick", now=clock.now())
    (root / FILE_NAME).write_text(settings_toml, encoding="utf-8")
    return layout


@contextlib.asynccontextmanager
async def office(root: Path, settings: Settings) -> AsyncIterator[Office]:
    """Open a platform's books and keys for an operator's command; a serving process may run at the same time."""
    layout = Layout(root)
    store, stretcher = SqliteStore(layout.store), PooledStretcher()
    try:
        yield Office(
            layout=layout,
            settings=settings,
            store=store,
            keyring=FileKeyring.load(layout.keys),
            ca=FileCa(layout.ca, status_url=settings.ca.url),
            stretcher=stretcher,
            clock=SystemClock(),
            randomness=SystemRandomness(),
        )
    finally:
        stretcher.close()
        await store.aclose()


def split_policies(settings: Settings) -> Mapping[str, SplitPolicy]:
    """Return the built-in policies and the operator's own; raises Misconfigured for an unsafe or unreadable one."""
    try:
        own = msgspec.convert(settings.policies, tuple[SplitPolicy, ...], strict=False)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"a split policy in the settings is wrong: {error}") from None
    return policies.load((*policies.BUILT_IN, *own))


@contextlib.asynccontextmanager
async def serving(root: Path, settings: Settings) -> AsyncIterator[Running]:
    """Serve until the context ends: first recover, then listen; at the end drain, then close."""
    async with office(root, settings) as desk, contextlib.AsyncExitStack() as stack:
        await _first_rules(desk)
        renew_certificate(desk)
        table = split_policies(settings)
        names = tuple(sorted(table))
        opening = FileOpeningKeys(desk.layout.opening, desk.keyring.identity, desk.randomness, policies=names)
        stack.callback(opening.close)
        opening.rotate(desk.clock.now())
        epochs = FileEpochKeys(desk.layout.epochs, desk.randomness)
        stack.callback(epochs.close)
        recovery_keys = FileEpochKeys(desk.layout.recovery, desk.randomness)
        stack.callback(recovery_keys.close)
        queue = pull_queue(desk)
        registry = connector_registry(desk, queue)
        stack.push_async_callback(registry.aclose)
        platform = Platform(
            store=desk.store,
            keyring=desk.keyring,
            opening_keys=opening,
            epochs=epochs,
            recovery_keys=recovery_keys,
            connectors=registry,
            stretcher=desk.stretcher,
            policies=table,
            clock=desk.clock,
            randomness=desk.randomness,
        )
        await recover(platform)
        await stack.enter_async_context(_sweeping(platform, desk))
        await stack.enter_async_context(_telling(desk))
        streams = Streams(desk.store, desk.clock)
        carriers = Carriers(platform, streams.wake)
        stack.push_async_callback(carriers.drain)
        gateway = Gateway(
            platform,
            revocations=RevocationList(desk.ca.crl, desk.ca.issuer),
            institutions=registry,
            identity=desk.keyring.identity,
            carriers=carriers,
            more={
                **streams.handlers(),
                **PullDesk(platform, queue).handlers(),
                **Outcomes(platform, streams.wake).handlers(),
                **Renewals(platform, desk.ca).handlers(),
            },
            guests=Notifications(platform, registry, streams.wake).handlers(),
        )
        context = tls.server_context(desk.layout.certificate, desk.layout.private_key, desk.ca.trust)
        address = settings.gateway
        listener = Listener(gateway.app(), host=address.host, port=address.port, context=context)
        await stack.enter_async_context(listener)
        for further in _further_listeners(desk):
            await stack.enter_async_context(further)
        stack.callback(streams.close)
        stack.callback(queue.close)
        _settle_memory()
        yield Running(platform=platform, port=listener.port)


def _further_listeners(desk: Office) -> Iterator[Listener]:
    """Make the listeners that need no client certificate, where the settings name them."""
    if (place := desk.settings.enrolment) is not None:
        desk_for_parties = EnrolmentDesk(
            store=desk.store,
            keyring=desk.keyring,
            clock=desk.clock,
            randomness=desk.randomness,
            issuer=desk.ca if desk.settings.ca.approval == "token" else None,
        )
        context = tls.server_context(desk.layout.certificate, desk.layout.private_key, None)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        yield Listener(desk_for_parties.app(), host=place.host, port=place.port, context=context)
    if (place := desk.settings.status) is not None:
        status = StatusDesk(CaStatus(desk.ca), desk.clock, desk.randomness)
        yield Listener(status.app(), host=place.host, port=place.port, context=None)


def renew_certificate(desk: Office) -> None:
    """Give the platform a fresh certificate when it has none, or the one it has ends soon."""
    path, now = desk.layout.certificate, desk.clock.now()
    if path.exists() and x509.read_certificate(path.read_bytes()).not_after - now > RENEW_BEFORE_MS:
        return
    key = x509.new_private_key()
    names = desk.settings.gateway.names
    csr = x509.make_csr(key, uri=PLATFORM_URI, dns=names, common_name="Tallystick platform")
    chain = desk.ca.issue(csr, ca.PLATFORM, uri=PLATFORM_URI, dns=names, now=now, life=CERTIFICATE_LIFE_MS)
    desk.layout.private_key.touch(PRIVATE_FILE)
    desk.layout.private_key.write_bytes(key)
    path.write_bytes(chain)


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


async def _first_rules(desk: Office) -> None:
    """Give an empty routing table the issuer rules every platform begins with."""
    await desk.store.transact(lambda books: begin(books, desk.clock.now()))


def pull_queue(desk: Office) -> PullQueue:
    """Return the deliveries that back ends fetch; one for a process, since it wakes who waits in it."""
    return PullQueue(desk.store, desk.keyring.key(Purpose.AT_REST), desk.clock)


def connector_registry(desk: Office, queue: PullQueue) -> ConnectorRegistry:
    """Return the connectors of every kind, with the platform's certificate and signing key; raises Misconfigured."""
    kinds = load_kinds()
    context = tls.client_context(desk.ca.trust, desk.layout.certificate, desk.layout.private_key)

    def build(back_end: BackEnd, settings: bytes) -> Connector:
        if back_end.connector not in kinds:
            raise Misconfigured(f"no connector of the kind {back_end.connector} is installed")
        tools = ConnectorTools(
            institution=back_end.id,
            ssl_context=context,
            signer=desk.keyring.identity,
            keyid=PLATFORM_URI,
            clock=desk.clock,
            randomness=desk.randomness,
            queue=queue,
        )
        return kinds[back_end.connector].build(settings, tools)

    return ConnectorRegistry(desk.store, desk.keyring, desk.clock, build)


@contextlib.asynccontextmanager
async def _telling(desk: Office) -> AsyncIterator[None]:
    """Send webhooks while the context lasts."""
    told = desk.settings.webhooks
    ca_file = desk.layout.root / told.ca if told.ca is not None else None
    poster = WebhookPoster(desk.clock, allow_private=told.allow_private, ca=ca_file)
    sender = Sender(
        desk.store,
        poster,
        desk.keyring,
        identity=desk.keyring.identity,
        clock=desk.clock,
        randomness=desk.randomness,
    )
    courier = Courier(desk.store, sender, desk.clock, desk.randomness)
    task = asyncio.create_task(courier.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await courier.drain()
        await poster.aclose()


def _settle_memory() -> None:
    """Take what start-up made out of the cyclic collector's sight, and let it look less often.

    The path makes no reference cycles, so looking often only costs (bench/results/latest.json).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


@contextlib.asynccontextmanager
async def _sweeping(platform: Platform, desk: Office) -> AsyncIterator[None]:
    carriers = mail_and_sms(desk.settings, desk.clock)
    last_list, last_checkpoint = Millis(0), desk.clock.now()

    async def keep_revocation_list() -> None:
        nonlocal last_list
        now = desk.clock.now()
        if now - last_list >= CRL_EVERY_MS:
            desk.ca.renew_crl(now)
            last_list = now

    async def empty_log() -> None:
        nonlocal last_checkpoint
        now = desk.clock.now()
        if now - last_checkpoint >= CHECKPOINT_EVERY_MS:
            await desk.store.checkpoint()
            last_checkpoint = now

    async def purge_enrolments() -> None:
        await desk.store.transact(lambda books: books.purge_enrolments(desk.clock.now()))

    task = asyncio.create_task(
        Sweep(platform, carriers, more=(keep_revocation_list, empty_log, purge_enrolments)).run()
    )
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
