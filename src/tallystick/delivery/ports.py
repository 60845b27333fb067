"""What this stage needs of a store and of a back end."""

from typing import Protocol

from tallystick.delivery.model import Answer, Instruction, Intent, IntentState
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis


class IntentBook(Protocol):
    """Intents: written before a send, settled after it."""

    async def next_stan(self, back_end: str, day: str) -> int:
        """Return the next trace number of a back end and hour (YYYYMMDDHH): 1 to 999999, never twice; then TooMany."""
        ...

    async def add_intent(self, intent: Intent) -> None:
        """Record an intent; raises AlreadyExists when the payment has one with this `n`."""
        ...

    async def settle_intent(self, payment_id: str, n: int, *, state: IntentState, code: str | None, at: Millis) -> bool:
        """Settle an intent that is SENDING; False when it was settled already."""
        ...

    async def intents(self, payment_id: str) -> list[Intent]:
        """List the intents of a payment by `n`."""
        ...

    async def sending_intents(self, limit: int) -> list[Intent]:
        """List unsettled intents: after a crash their outcome is unknown."""
        ...


class ConnectorBook(Protocol):
    """The sealed settings of each back end's connector."""

    async def connector_settings(self, institution: str) -> bytes | None:
        """Return the sealed settings."""
        ...

    async def put_connector_settings(self, institution: str, sealed: bytes) -> None:
        """Store or replace the sealed settings."""
        ...


class Connectors(Protocol):
    """The connectors by back end."""

    async def connector(self, back_end: BackEnd) -> "Connector":
        """Return the back end's connector; raises NotSent when it has none that can be used."""
        ...


class Connector(Protocol):
    """A back end as delivery sees it. It never resends by itself."""

    async def deliver(self, instruction: Instruction) -> Answer:
        """Send one request and wait for its definite answer.

        Raises NotSent when no byte of the request left: the caller may try another candidate. Raises OutcomeUnknown for
        everything after the first byte that is not a verified answer: the caller records UNKNOWN and never resends.
        """
        ...

    async def echo(self) -> None:
        """Prove that the back end answers (0800 echo, health call); raises DeliveryError when it does not."""
        ...

    async def aclose(self) -> None:
        """Close connections; requests in flight end as OutcomeUnknown."""
        ...
