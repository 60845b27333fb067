"""What the wallet in Visa's style remembers of each authorization, and what it records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tallystick.errors import Conflict
from tallystick.runtime import Clock
from tallystick.testing.sandbox.http_failures import NEVER_ACTED, PENDING, UNDECIDED, Failure
from tallystick.testing.sandbox.record import Entry, Record
from tallystick.testing.sandbox.rest_rules import APPROVED, SandboxCard, rule_card
from tallystick.testing.sandbox.visa_rules import decline_of, failing, silent_reversals
from tallystick.wire import visa as wire
from tallystick.wire.rest import WireCard

NO_ORIGINAL: Final = "25"  # DE39, as the others
IN_PROGRESS: Final = "09"
REFUSED: Final = "12"
NOT_HONOURED: Final = "05"
REVERSED: Final = "reversed"
APPROVAL_DIGITS: Final = 6

Status = Literal["approved", "declined", "reversed", "pending"]


@dataclass(slots=True)
class _Known:
    """One authorization; when nothing was seen of it but its reversal, it has no content."""

    content: bytes | None
    amount: int
    status: Status
    code: str
    approval: str | None = None
    queries: int = 0
    reversals: int = 0


class Ledger:
    """Decide each key once for ever; `record` has every request.

    A pending authorization is decided at the inquiry after `pending_queries` others. `silences` reversals of an amount
    that asks for it get no answer.
    """

    def __init__(
        self,
        cards: Mapping[str, SandboxCard],
        record: Record,
        clock: Clock,
        *,
        pending_queries: int,
        silences: int,
    ) -> None:
        self._cards = cards
        self._record = record
        self._clock = clock
        self._pending_queries = pending_queries
        self._silences = silences
        self._known: dict[str, _Known] = {}

    def authorize(self, message: wire.Authorization, content: bytes) -> wire.AuthorizationAnswer | None:
        """Decide an authorization, or repeat its decision; None when it is one of those that are never acted on.

        One that was reversed is declined, also when it comes only after its reversal. Raises Conflict when the key
        stands for another content.
        """
        key, failure = message.idempotency_key, failing(message.amount)
        known = self._known.get(key)
        if known is not None and known.content not in (None, content):
            raise Conflict("the key stands for another authorization")
        if known is None and failure in NEVER_ACTED:
            self._note_authorization(message, outcome=failure)
            return None
        if known is None:
            known, pin = self._decide(message, content)
            self._known[key] = known
            approved = known.status == "approved"
            self._note_authorization(message, outcome=failure or known.status, known=known, pin=pin, effective=approved)
        else:
            self._note_authorization(message, outcome="duplicate", known=known)
        if known.status == "reversed":
            return wire.AuthorizationAnswer(idempotency_key=key, status="declined", code=REVERSED)
        return wire.AuthorizationAnswer(
            idempotency_key=key, status=known.status, code=known.code, approval_code=known.approval
        )

    def query(self, message: wire.Query) -> wire.QueryAnswer:
        """Tell what is known of an authorization; it takes its time over one that is pending."""
        known = self._known.get(message.original_key)
        moved = known is not None and self._decide_pending(known)
        status: Status | Literal["not_found"] = "not_found"
        code = NO_ORIGINAL
        if known is not None and failing(known.amount) is not Failure.UNLISTED:
            status, code = known.status, known.code
        amount = known.amount if known is not None else None
        self.note("query", key=message.original_key, amount=amount, outcome=status, code=code, effective=moved)
        return wire.QueryAnswer(
            idempotency_key=message.idempotency_key, original_key=message.original_key, status=status, code=code
        )

    def reverse(self, message: wire.Reversal) -> wire.ReversalAnswer | None:
        """Undo an authorization, whether or not it is known; None for no answer."""
        key = message.original_key
        known = self._known.setdefault(key, _Known(None, 0, "reversed", NO_ORIGINAL))
        known.reversals += 1
        refused = failing(known.amount) is Failure.IRREVERSIBLE
        silent = silent_reversals(known.amount) and known.reversals <= self._silences
        undone = known.status == "approved" and not refused
        if not refused:
            known.status = "reversed"
        code = REFUSED if refused else NO_ORIGINAL if known.content is None else APPROVED
        outcome = "silent" if silent else "refused" if refused else "reversed"
        self.note("reversal", key=key, amount=known.amount or None, outcome=outcome, code=code, undone=undone)
        if silent:
            return None
        return wire.ReversalAnswer(
            idempotency_key=message.idempotency_key,
            original_key=key,
            status="refused" if refused else "reversed",
            code=code,
        )

    def note(
        self, kind: str, *, effective: bool = False, undone: bool = False, **facts: str | int | bool | None
    ) -> None:
        """Record a request; the caller has masked it."""
        entry: Entry = {"at": self._clock.now(), "kind": kind, **facts, "effective": effective, "undone": undone}
        self._record.append(entry)

    def _note_authorization(
        self,
        message: wire.Authorization,
        *,
        outcome: str,
        known: _Known | None = None,
        pin: str | None = None,
        effective: bool = False,
    ) -> None:
        self.note(
            "authorization",
            key=message.idempotency_key,
            amount=message.amount,
            currency=message.currency,
            payee=message.merchant_name,
            card=message.card.primary_account_number.masked,
            pin=pin,
            outcome=outcome,
            code=None if known is None else known.code,
            effective=effective,
        )

    def _decide(self, message: wire.Authorization, content: bytes) -> tuple[_Known, str | None]:
        """Decide an authorization; gives also what became of its PIN."""
        card = message.card
        ruling = rule_card(
            self._cards, WireCard(pan=card.primary_account_number, expiry=card.expiration, pin_block=card.pin_block)
        )
        code = ruling.code
        if code == APPROVED:
            code = decline_of(message.amount) or APPROVED
        if code != APPROVED:
            return _Known(content, message.amount, "declined", code), ruling.secret
        if failing(message.amount) in PENDING:
            return _Known(content, message.amount, "pending", IN_PROGRESS), ruling.secret
        return _Known(content, message.amount, "approved", APPROVED, self._approval()), ruling.secret

    def _decide_pending(self, known: _Known) -> bool:
        """Decide what is pending, after some inquiries; True when that moved the money."""
        failure = failing(known.amount)
        if known.status != "pending" or failure in UNDECIDED:
            return False
        known.queries += 1
        if known.queries <= self._pending_queries:
            return False
        if failure is Failure.TOLD_DECLINED:
            known.status, known.code = "declined", NOT_HONOURED
            return False
        known.status, known.code, known.approval = "approved", APPROVED, self._approval()
        return True

    def _approval(self) -> str:
        return f"{len(self._known) + 1:0{APPROVAL_DIGITS}d}"
