"""Intents, instructions and answers (design: delivery)."""

from enum import StrEnum

from msgspec import Struct

from tallystick.assembly.facts import Order
from tallystick.runtime import Millis
from tallystick.vault.model import Credential


class MessageIds(Struct, frozen=True, kw_only=True):
    """What identifies one request at a back end, fixed before it is sent.

    `stan`: six digits (DE11), unique per back end and UTC hour. `rrn`: twelve digits (DE37): year digit, day of the
    year, hour and STAN. `key`: idempotency key of REST back ends. `at`: transmission time, of all date fields.
    """

    stan: str
    rrn: str
    key: str
    at: Millis


class Instruction(Struct, frozen=True, kw_only=True):
    """One request to deliver a credential for an order."""

    payment_id: str
    order: Order
    ids: MessageIds
    credential: Credential


class Verdict(StrEnum):
    """A back end's definite answer."""

    APPROVED = "approved"
    DECLINED = "declined"


class Answer(Struct, frozen=True, kw_only=True):
    """A definite answer with the back end's response code (ISO 8583 DE39 or the REST equivalent)."""

    verdict: Verdict
    code: str
    approval: str | None = None


class IntentState(StrEnum):
    """SENDING until the outcome is durable; NOT_SENT allows another candidate, UNKNOWN never does."""

    SENDING = "sending"
    APPROVED = "approved"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


class Intent(Struct, frozen=True, kw_only=True):
    """The durable record that request `n` of a payment may now leave; `digest` is the keyed digest of the request."""

    payment_id: str
    n: int
    back_end: str
    ids: MessageIds
    table_version: int
    digest: bytes
    state: IntentState = IntentState.SENDING
    code: str | None = None
    settled_at: Millis | None = None
