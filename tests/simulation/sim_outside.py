"""Providers of messages to people, and receivers of webhooks: they fail, and they take what they say they did not."""

from typing import Final

import msgspec

from tallystick.errors import Unavailable
from tallystick.outcomes.ports import Posted
from tallystick.testing.simulation.faults import Faults
from tallystick.testing.simulation.node import Node
from tallystick.vault.model import Medium
from tallystick.wire.outcome import OutcomeMessage

DIES_TELLING: Final = "node dies while it tells somebody"
CARRIER_FAILS: Final = "provider takes no message"
CARRIER_FORGETS: Final = "provider takes a message and does not say so"
RECEIVER_FAILS: Final = "receiver of webhooks is away"
RECEIVER_FORGETS: Final = "receiver takes a webhook and answers with an error"
RECEIVER_BUSY: Final = "receiver of webhooks is busy"
OUTSIDE_FAULTS: Final = {
    DIES_TELLING: 0.01,
    CARRIER_FAILS: 0.05,
    CARRIER_FORGETS: 0.05,
    RECEIVER_FAILS: 0.05,
    RECEIVER_FORGETS: 0.05,
    RECEIVER_BUSY: 0.05,
}
"""The usual rate of each fault of this module, by its name."""


class Carriage:
    """The providers; `inboxes` holds the texts that each address got, under their references."""

    def __init__(self, faults: Faults) -> None:
        self.inboxes: dict[str, list[tuple[str, str]]] = {}
        self._faults = faults

    def of(self, node: Node) -> dict[Medium, "_Carrier"]:
        """Return the way of one node to the providers."""
        carrier = _Carrier(self, node, self._faults)
        return {Medium.SMS: carrier, Medium.EMAIL: carrier}


class _Carrier:
    def __init__(self, carriage: Carriage, node: Node, faults: Faults) -> None:
        self._carriage = carriage
        self._node = node
        self._faults = faults

    async def send(self, reference: str, address: str, subject: str, text: str) -> None:
        self._node.maybe_die(DIES_TELLING)
        if self._faults.strikes(CARRIER_FAILS):
            raise Unavailable("the provider is away")
        self._faults.note("payer was sent a message", reference)
        self._carriage.inboxes.setdefault(address, []).append((reference, text))
        self._node.maybe_die(DIES_TELLING)
        if self._faults.strikes(CARRIER_FORGETS):
            raise Unavailable("no answer of the provider")


class Receiver:
    """The receivers of webhooks; `taken` holds each body by webhook id, `told` what it said, in order."""

    def __init__(self, faults: Faults) -> None:
        self.taken: dict[str, bytes] = {}
        self.told: list[tuple[str, str, OutcomeMessage]] = []
        self.changed: list[str] = []
        self._faults = faults

    def of(self, node: Node) -> "_Poster":
        """Return the way of one node to the receivers."""
        return _Poster(self, node, self._faults)

    def take(self, url: str, headers: dict[str, str], body: bytes) -> None:
        """Keep a webhook; note one that comes again with another content."""
        webhook_id = headers["webhook-id"]
        if self.taken.setdefault(webhook_id, body) != body:
            self.changed.append(webhook_id)
        self.told.append((url, webhook_id, msgspec.json.decode(body, type=OutcomeMessage)))
        self._faults.note("receiver took a webhook", webhook_id)


class _Poster:
    def __init__(self, receiver: Receiver, node: Node, faults: Faults) -> None:
        self._receiver = receiver
        self._node = node
        self._faults = faults

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Posted:
        self._node.maybe_die(DIES_TELLING)
        if self._faults.strikes(RECEIVER_FAILS):
            raise Unavailable("no connection")
        if self._faults.strikes(RECEIVER_BUSY):
            return Posted(503, retry_after=60)
        self._receiver.take(url, headers, body)
        self._node.maybe_die(DIES_TELLING)
        return Posted(500 if self._faults.strikes(RECEIVER_FORGETS) else 204)
