"""Payments, parts and claims in memory."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import asdict, replace

from tallystick.assembly.facts import ElementKind, Fate, Order, PaymentState
from tallystick.assembly.model import Claim, Element, Part, PartFacts, Payment
from tallystick.errors import AlreadyExists, AlreadyFinal, StoreFailed
from tallystick.runtime import Millis
from tallystick.testing.memory_events import MemoryEvents
from tallystick.testing.memory_table import Journal, MemoryBook, Table


class Issued(Struct, frozen=True, kw_only=True):
    """A claim with the time it is valid: from `valid_from` until just before `valid_until`."""

    element: Element
    claim: Claim
    valid_from: Millis
    valid_until: Millis


class MemoryPayments(MemoryEvents):
    """Implement `assembly.ports.PaymentBook`; a part whose content was erased is held as its facts."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._payments: Table[str, Payment] = Table(journal)
        self._waiting: Table[tuple[bytes, str], str] = Table(journal)
        self._parts: Table[str, PartFacts] = Table(journal)
        self._parts_of: Table[str, tuple[str, ...]] = Table(journal)

    async def payment(self, payment_id: str) -> Payment | None:
        """Find a payment by id."""
        return self._payments.get(payment_id)

    async def open_payment(self, element: Element, policy: str) -> Payment | None:
        """Find the payment without a fate that waits under one of this element's digests and this policy."""
        found = (self._waiting.get((digest, policy)) for digest in element.digests)
        payment_id = next(filter(None, found), None)
        return None if payment_id is None else self._payments.get(payment_id)

    async def add_payment(self, payment: Payment) -> None:
        """Add a payment; raises AlreadyExists when another without a fate has the same element digest and policy."""
        waits_under = (payment.element.digest, payment.policy)
        taken = payment.fate is None and self._waiting.get(waits_under) is not None
        if taken or self._payments.get(payment.id) is not None:
            raise AlreadyExists("a payment waits under this element, or has this id")
        self._payments.put(payment.id, replace(payment, element=replace(payment.element, others=())))
        if payment.fate is None:
            self._waiting.put(waits_under, payment.id)

    async def note_part(self, payment_id: str, *, order: Order | None, contested: bool, expires_at: Millis) -> None:
        """Record that a part was filed; raises AlreadyFinal when no payment without a fate has this id."""
        payment = self._payments.get(payment_id)
        if payment is None or payment.fate is not None:
            raise AlreadyFinal("no payment without a fate has this id")
        noted = replace(
            payment,
            state=PaymentState.HALF,
            order=order,
            contested=contested,
            expires_at=expires_at,
        )
        self._payments.put(payment_id, noted)

    async def decide_fate(self, payment_id: str, fate: Fate, at: Millis) -> bool:
        """Write the fate and its state (JOINED, CANCELLED, EXPIRED) if there is none yet; True for the one winner."""
        payment = self._payments.get(payment_id)
        if payment is None or payment.fate is not None:
            return False
        self._waiting.drop((payment.element.digest, payment.policy))
        state = PaymentState(fate.value)
        self._payments.put(payment_id, replace(payment, fate=fate, state=state, updated_at=at))
        self._note_event(payment_id, None, state, at)
        return True

    async def advance(
        self,
        payment_id: str,
        *,
        expected: PaymentState,
        state: PaymentState,
        at: Millis,
        back_end: str | None = None,
        response_code: str | None = None,
        reason: str | None = None,
    ) -> bool:
        """Move a joined payment from `expected` to `state` by compare-and-set, overwriting the texts; True if moved."""
        payment = self._payments.get(payment_id)
        if payment is None or payment.fate is not Fate.JOINED or payment.state is not expected:
            return False
        texts = {"back_end": back_end, "response_code": response_code, "reason": reason}
        self._payments.put(payment_id, replace(payment, state=state, updated_at=at, **texts))
        self._note_event(payment_id, expected, state, at)
        return True

    async def expired_payments(self, now: Millis, limit: int) -> list[str]:
        """List payments without a fate whose `expires_at` is not after `now`, longest expired first."""
        waiting = [self._payments.get(payment_id) for payment_id in self._waiting.rows()]
        expired = [payment for payment in waiting if payment is not None and payment.expires_at <= now]
        return [payment.id for payment in sorted(expired, key=lambda payment: payment.expires_at)][:limit]

    async def claim_joined(self, before: Millis, now: Millis, limit: int) -> list[Payment]:
        """Take the JOINED payments longest untouched, if nobody touched them since `before`; each is now touched."""
        waiting = await self.payments_in(PaymentState.JOINED, limit)
        claimed = [replace(payment, updated_at=now) for payment in waiting if payment.updated_at <= before]
        for payment in claimed:
            self._payments.put(payment.id, payment)
        return claimed

    async def payments_in(self, state: PaymentState, limit: int) -> list[Payment]:
        """List payments in one state, longest unchanged first."""
        found = [payment for payment in self._payments.rows() if payment.state is state]
        return sorted(found, key=lambda payment: payment.updated_at)[:limit]

    async def recent_payments(self, limit: int) -> list[Payment]:
        """List the newest payments, newest first."""
        return self._payments.rows()[::-1][:limit]

    async def add_part(self, part: Part) -> None:
        """File a part, without content as an erased one; raises StoreFailed on an unknown payment or a used id."""
        if self._payments.get(part.payment_id) is None or self._parts.get(part.id) is not None:
            raise StoreFailed("a part needs a payment and an id of its own")
        self._parts.put(part.id, part if part.sealed else facts_of(part))
        self._parts_of.put(part.payment_id, (*(self._parts_of.get(part.payment_id) or ()), part.id))

    async def part(self, part_id: str) -> PartFacts | None:
        """Find a part by id, without its content; also after its content was erased."""
        part = self._parts.get(part_id)
        return None if part is None else facts_of(part)

    async def part_facts(self, payment_id: str) -> list[PartFacts]:
        """List the parts of a payment without their content, in order of arrival."""
        return [facts_of(part) for part in self._parts_in(payment_id)]

    async def sealed_parts(self, payment_id: str) -> list[Part]:
        """List the parts of a payment whose content is still there, in order of arrival."""
        return [part for part in self._parts_in(payment_id) if isinstance(part, Part)]

    async def mark_rivals(self, payment_id: str, rivals: frozenset[str]) -> None:
        """Make exactly these part ids the rivals of their payment."""
        self._change_parts(payment_id, lambda part: replace(part, rival=part.id in rivals))

    async def drop_part(self, part_id: str) -> None:
        """Erase the content of a part that lost a quarantine and take its fields away; its facts stay."""
        part = self._parts.get(part_id)
        if part is not None:
            self._parts.put(part_id, replace(facts_of(part), fields=frozenset()))

    async def erase_parts(self, payment_id: str) -> None:
        """Erase the content of every part of a payment; their facts stay."""
        self._change_parts(payment_id, facts_of)

    def _parts_in(self, payment_id: str) -> list[PartFacts]:
        found = [self._parts.get(part_id) for part_id in self._parts_of.get(payment_id) or ()]
        return [part for part in found if part is not None]

    def _change_parts(self, payment_id: str, change: Callable[[PartFacts], PartFacts]) -> None:
        for part in self._parts_in(payment_id):
            self._parts.put(part.id, change(part))


class MemoryClaims(MemoryBook):
    """Implement `assembly.ports.ClaimBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._issued: Table[bytes, tuple[Issued, ...]] = Table(journal)

    async def claim(self, element: Element, now: Millis) -> Claim | None:
        """Find what an issued element stands for while it is valid, by any of its digests; none is a phone number."""
        for issued in self._under(element):
            if issued.valid_from <= now < issued.valid_until:
                return issued.claim
        return None

    async def issue_claim(self, element: Element, claim: Claim, *, valid_from: Millis, valid_until: Millis) -> None:
        """Record an issued element; raises AlreadyExists while the same element is valid for something else."""
        for issued in self._under(element):
            overlaps = issued.valid_from < valid_until and valid_from < issued.valid_until
            if issued.claim != claim and overlaps:
                raise AlreadyExists("this element is issued for something else at that time")
        earlier = self._issued.get(element.digest) or ()
        row = Issued(element=replace(element, others=()), claim=claim, valid_from=valid_from, valid_until=valid_until)
        self._issued.put(element.digest, (*earlier, row))

    async def shorten_claims(self, user_id: str, institution: str, until: Millis) -> None:
        """End the validity of a user's earlier dynamic numbers at `until`, where they would be valid longer."""
        for issued in self._all():
            mine = issued.claim.user_id == user_id and issued.claim.institution == institution
            is_number = issued.element.kind is ElementKind.INSTITUTION
            if mine and is_number and issued.valid_until > until:
                self._exchange(issued, replace(issued, valid_until=until))

    async def purge_claims(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` claims that ended before `now`; returns how many."""
        ended = [issued for issued in self._all() if issued.valid_until < now]
        gone = sorted(ended, key=lambda issued: issued.valid_until)[:limit]
        for issued in gone:
            self._exchange(issued)
        return len(gone)

    def _under(self, element: Element) -> list[Issued]:
        place = (element.kind, element.institution)
        found = [issued for digest in element.digests for issued in self._issued.get(digest) or ()]
        return [issued for issued in found if (issued.element.kind, issued.element.institution) == place]

    def _all(self) -> list[Issued]:
        return [issued for group in self._issued.rows() for issued in group]

    def _exchange(self, old: Issued, *new: Issued) -> None:
        digest = old.element.digest
        left = (*(issued for issued in self._issued.get(digest) or () if issued is not old), *new)
        if left:
            self._issued.put(digest, left)
        else:
            self._issued.drop(digest)


def facts_of(part: PartFacts) -> PartFacts:
    """Leave the content of a part behind."""
    if not isinstance(part, Part):
        return part
    facts = asdict(part)
    return PartFacts(**{name: facts[name] for name in PartFacts.__struct_fields__})
