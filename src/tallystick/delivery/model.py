"""Intents, instructions and answers (design: delivery)."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from tallystick.assembly.facts import Order
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.vault.model import Credential

STAN_MAX: Final = 999_999  # six digits, ISO 8583 DE11


class MessageIds(Struct, frozen=True, kw_only=True):
    """What identifies one request at a back end, fixed before it is sent.

    `stan`: six digits (DE11), unique per back end and UTC hour. `rrn`: twelve digits (DE37): year digit, day of the
    year, hour and STAN. `key`: idempotency key of REST back ends. `at`: transmission time, of all date fields.
    """

    stan: str
    rrn: str
    key: str
    at: Millis


class ZoneKey(Struct, frozen=True, kw_only=True):
    """The PIN key of one back end and the format it wants (0, 3 or 4).

    `block` is a key block under `key`, or under the PIN process's own master key when there is no `key`. Without
    `block`, `key` is the PIN key itself. Both are hexadecimal text as `crypto.tr31` has it.
    """

    form: int
    key: str | None = None
    block: str | None = None

    def __repr__(self) -> str:
        return f"ZoneKey(form={self.form})"


class Instruction(Struct, frozen=True, kw_only=True):
    """One request to deliver a credential for an order; nothing of it leaves from `expires_at` on."""

    payment_id: str
    order: Order
    ids: MessageIds
    credential: Credential
    expires_at: Millis | None = None


class Recovery(StrEnum):
    """What a connector can do about a request whose outcome is unknown; none of these means that a person decides."""

    RETRY = "idempotent_retry"
    INQUIRY = "inquiry"
    REVERSAL = "reversal"


class Verdict(StrEnum):
    """A back end's definite answer."""

    APPROVED = "approved"
    DECLINED = "declined"


class Answer(Struct, frozen=True, kw_only=True):
    """A definite answer with the back end's response code (ISO 8583 DE39 or the REST equivalent).

    `elsewhere` marks a decline that tells of no effect and no fault of the payer (issuer or switch away): another
    candidate may be tried.
    """

    verdict: Verdict
    code: str
    approval: str | None = None
    elsewhere: bool = False


class Original(Struct, frozen=True, kw_only=True):
    """What is kept of a request in doubt, for inquiry and reversal: never a PIN block, a secret or a password.

    `account` is the card number, only for connectors that name it again (`Connector.keeps_account`).
    """

    payment_id: str
    order: Order
    ids: MessageIds
    account: Secret | None = None


class Known(StrEnum):
    """What a back end knows of a request it is asked about; PENDING and NOT_FOUND settle nothing."""

    APPROVED = "approved"
    DECLINED = "declined"
    REVERSED = "reversed"
    PENDING = "pending"
    NOT_FOUND = "not_found"


class Finding(Struct, frozen=True, kw_only=True):
    """A back end's authenticated answer to an inquiry, or its own notification of an outcome."""

    known: Known
    code: str | None = None


class IntentKind(StrEnum):
    """An AUTHORISATION may move money, once; the others only find out about one, or undo it, and may be repeated."""

    AUTHORISATION = "authorisation"
    INQUIRY = "inquiry"
    REVERSAL = "reversal"


class IntentState(StrEnum):
    """How an intent stands.

    An authorisation: SENDING until the outcome is durable; NOT_SENT allows another candidate, UNKNOWN never does and
    ends APPROVED, DECLINED, REVERSED or MANUAL. An inquiry or reversal: SENDING until DONE or MANUAL.
    """

    SENDING = "sending"
    APPROVED = "approved"
    DECLINED = "declined"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    REVERSED = "reversed"
    MANUAL = "manual"
    DONE = "done"


class NodeKind(StrEnum):
    """What a node is there for: one that SERVEs listens, a WORKER has timers and deliveries only."""

    SERVE = "serve"
    WORKER = "worker"


class Node(Struct, frozen=True, kw_only=True):
    """One process that runs the platform, alive for the others until its lease is over (and some time on).

    `name` is for people (host and process number), `place` is where its proof of life is found, "" for nowhere,
    `release` the version that it runs.
    """

    id: str
    kind: NodeKind
    name: str
    place: str
    release: str
    started_at: Millis
    lease_until: Millis


class Intent(Struct, frozen=True, kw_only=True):
    """The durable record that request `n` of a payment may now leave; `digest` is the keyed digest of the request.

    An inquiry or reversal is about authorisation `of`; `tries` counts its sends, each recorded before it happens, and
    `due_at` is when the next one may start. `account` is the card number sealed under recovery epoch `epoch`, kept only
    while the outcome is open. `node` is the one that sends an authorisation; None in rows of an earlier release.
    """

    payment_id: str
    n: int
    back_end: str
    ids: MessageIds
    table_version: int
    digest: bytes
    kind: IntentKind = IntentKind.AUTHORISATION
    of: int | None = None
    state: IntentState = IntentState.SENDING
    code: str | None = None
    settled_at: Millis | None = None
    tries: int = 0
    due_at: Millis | None = None
    epoch: str | None = None
    account: bytes | None = None
    node: str | None = None


class PullState(StrEnum):
    """Where a delivery stands that its back end fetches by itself.

    WAITING → TAKEN → DONE, or WAITING → WITHDRAWN: it was never handed out and never will be. A reversal turns TAKEN or
    DONE into CANCEL_ASKED until the back end says CANCELLED or CANCEL_REFUSED.
    """

    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"
    WITHDRAWN = "withdrawn"
    CANCEL_ASKED = "cancel_asked"
    CANCELLED = "cancelled"
    CANCEL_REFUSED = "cancel_refused"


class PullDelivery(Struct, frozen=True, kw_only=True):
    """One delivery that a back end fetches, by the idempotency key of its request.

    `body` is the message, sealed twice (to the back end, then at rest), and there only while it is WAITING: nothing is
    handed out at or after `visible_until`. `due_at` is when a reversal that was asked for is told (again). `code` is
    that of the outcome, later that of the acknowledged reversal.
    """

    key: str
    back_end: str
    visible_until: Millis
    state: PullState = PullState.WAITING
    body: bytes | None = None
    verdict: Verdict | None = None
    code: str | None = None
    approval: str | None = None
    due_at: Millis | None = None
