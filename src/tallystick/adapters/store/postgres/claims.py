"""Issued elements in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.assembly.facts import ElementKind
from tallystick.assembly.model import Claim, Element
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis


class PostgresClaims(PostgresBook):
    """Implement `assembly.ports.ClaimBook`; a claim is valid from `valid_from` until just before `valid_until`."""

    async def claim(self, element: Element, now: Millis) -> Claim | None:
        """Find what an issued element stands for while it is valid, by any of its digests; none is a phone number."""
        rows = await self._rows("claim", [*element.digests], element.kind.value, element.institution, now)
        found = {digest: named for digest, *named in reversed(rows)}
        named = next((found[digest] for digest in element.digests if digest in found), None)
        return None if named is None else Claim(institution=named[0], payment_id=named[1], user_id=named[2])

    async def issue_claim(self, element: Element, claim: Claim, *, valid_from: Millis, valid_until: Millis) -> None:
        """Record an issued element; raises AlreadyExists while the same element is valid for something else.

        Who issues one holds the slots of its digests: of two at a time the second looks when the first is durable.
        """
        for digest in sorted(element.digests):
            self._note("hold_slot", digest, valid_until)
        place = (element.kind.value, element.institution)
        told = (claim.institution, claim.payment_id, claim.user_id, valid_from, valid_until)
        if await self._rows("claim_taken", [*element.digests], *place, *told):
            raise AlreadyExists("this element is issued for something else at that time")
        self._put("issue_claim", element.digest, *place, *told)

    async def shorten_claims(self, user_id: str, institution: str, until: Millis) -> None:
        """End the validity of a user's earlier dynamic numbers at `until`, where they would be valid longer."""
        self._put("shorten_claims", user_id, institution, until, ElementKind.INSTITUTION.value)

    async def purge_claims(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` claims that ended before `now`; returns how many."""
        self._note("purge_slots", now, limit)
        return await self._change("purge_claims", now, limit)
