"""The connectors of a running platform, built from sealed settings and kept open."""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from tallystick.crypto.signing import load_public
from tallystick.delivery.books import Books, Store
from tallystick.delivery.guard import GuardedConnector
from tallystick.delivery.notification import Notifier
from tallystick.delivery.ports import Connector, OwnNode
from tallystick.errors import ChannelUnknown, EnvelopeUnopenable, Misconfigured, NotFound, NotSent
from tallystick.routing.model import BackEnd
from tallystick.runtime import Clock, Millis
from tallystick.security.kept import Kept, place
from tallystick.security.model import Sender
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.sealing import seal, unseal
from tallystick.security.verify import seal_sender_key

RELOAD_MS: Final = 1_000  # ms a connector is used before its settings are read again


class ConnectorRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sealed for one back end: its connector's settings, and the key it signs messages to us with."""

    settings: msgspec.Raw
    sender_key: str | None = None


class _Open(Struct, kw_only=True):
    sealed: bytes
    record: bytes  # its digest: a value that was only sealed anew leaves the connector and its connections alone
    connector: GuardedConnector
    notifier: Notifier | None
    checked_at: Millis


Builder = Callable[[BackEnd, bytes], Connector]
"""Make a back end's connector from its settings; raises Misconfigured when its kind is unknown or they are wrong."""


class ConnectorRegistry:
    """Build connectors on demand (`delivery.ports.Connectors`) and know institutions as senders."""

    def __init__(self, store: Store[Books], keyring: Keyring, clock: Clock, node: OwnNode, build: Builder) -> None:
        self._node = node
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._build = build
        self._open: dict[str, _Open] = {}

    async def connector(self, back_end: BackEnd) -> GuardedConnector:
        """Return the back end's connector within its bounds, rebuilt when its settings changed.

        Raises NotSent when it has none that can be used.
        """
        held, now = self._open.get(back_end.id), self._clock.now()
        if held is not None:
            held.connector.bound_by(back_end)
        if held is not None and 0 <= now - held.checked_at < RELOAD_MS:
            return held.connector
        sealed = await self._store.read(lambda books: books.connector_settings(back_end.id))
        held = self._open.get(back_end.id)  # another caller may have built it meanwhile
        if sealed is None:
            raise NotSent("this back end has no connector settings")
        if held is not None and held.sealed == sealed:
            held.checked_at = now
            return held.connector
        try:
            record = open_record(self._keyring, back_end.id, sealed)
            if held is not None and held.record == _digest(record):
                held.sealed, held.checked_at = sealed, now
                return held.connector
            inner = self._build(back_end, bytes(record.settings))
        except Misconfigured as error:
            raise NotSent("this back end's connector settings cannot be used") from error
        connector = GuardedConnector(inner, back_end, self._clock, self._node)
        notifier = inner if isinstance(inner, Notifier) else None
        self._open[back_end.id] = _Open(
            sealed=sealed, record=_digest(record), connector=connector, notifier=notifier, checked_at=now
        )
        if held is not None:
            await held.connector.aclose()
        return connector

    async def sender(self, institution: str) -> tuple[BackEnd, Sender]:
        """Return an institution and its signature key; raises ChannelUnknown when it may not send."""

        async def read(books: Books) -> tuple[BackEnd | None, bytes | None]:
            table = await books.routing_table()
            back_end = next((b for b in table.back_ends if b.id == institution), None)
            return back_end, await books.connector_settings(institution)

        back_end, sealed = await self._store.read(read)
        key = open_record(self._keyring, institution, sealed).sender_key if sealed is not None else None
        if back_end is None or key is None:
            raise ChannelUnknown("no institution is registered as a sender under this certificate")
        pem = key.encode()
        algorithm = load_public(pem).algorithm
        return back_end, Sender(
            id=institution, algorithm=algorithm, sealed_key=seal_sender_key(self._keyring, institution, pem)
        )

    async def notified_by(self, institution: str) -> tuple[BackEnd, Notifier]:
        """Return a back end that tells outcomes by itself (`delivery.notification.Notifiers`); raises NotFound."""
        table = await self._store.read(lambda books: books.routing_table())
        back_end = next((b for b in table.back_ends if b.id == institution), None)
        try:
            if back_end is not None:
                await self.connector(back_end)
        except NotSent:
            back_end = None
        held = self._open.get(institution)
        if back_end is None or held is None or held.notifier is None:
            raise NotFound("no institution that tells outcomes by notifications has this id")
        return back_end, held.notifier

    def opened(self) -> dict[str, GuardedConnector]:
        """Return the connectors that are open now, by back end."""
        return {institution: held.connector for institution, held in self._open.items()}

    async def aclose(self) -> None:
        """Close every connector."""
        for held in self._open.values():
            await held.connector.aclose()
        self._open.clear()


def _digest(record: ConnectorRecord) -> bytes:
    return hashlib.sha256(msgspec.json.encode(record)).digest()


def seal_record(keyring: Keyring, institution: str, record: ConnectorRecord) -> bytes:
    """Seal a back end's connector record for its row."""
    return seal(keyring, Purpose.AT_REST, msgspec.json.encode(record), place(Kept.CONNECTOR, institution))


def open_record(keyring: Keyring, institution: str, sealed: bytes) -> ConnectorRecord:
    """Open a back end's connector record; raises Misconfigured when the row was tampered with."""
    try:
        clear = unseal(keyring, Purpose.AT_REST, sealed, place(Kept.CONNECTOR, institution))
    except EnvelopeUnopenable as error:
        raise Misconfigured("a connector's settings do not open: the row or the key file is damaged") from error
    return msgspec.json.decode(clear, type=ConnectorRecord)
