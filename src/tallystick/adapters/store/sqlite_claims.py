"""Issued elements in SQLite."""

from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.assembly.facts import ElementKind
from tallystick.assembly.model import Claim, Element
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

# `IS` and not `=`: the institution of an element and every part of a claim may be absent.
FIND = """
    SELECT institution, payment_id, user_id FROM claim
    WHERE digest = ? AND kind = ? AND element_institution IS ? AND valid_from <= ?4 AND ?4 < valid_until
    LIMIT 1
"""
TAKEN = """
    SELECT 1 FROM claim
    WHERE digest = ?1 AND kind = ?2 AND element_institution IS ?3 AND valid_from < ?8 AND ?7 < valid_until
      AND NOT (institution IS ?4 AND payment_id IS ?5 AND user_id IS ?6)
"""
ISSUE = f"""
    INSERT INTO claim (digest, kind, element_institution, institution, payment_id, user_id, valid_from, valid_until)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
    WHERE NOT EXISTS ({TAKEN})
"""
SHORTEN = """
    UPDATE claim SET valid_until = ?3
    WHERE user_id = ?1 AND institution = ?2 AND kind = ?4 AND valid_until > ?3
"""
PURGE = "DELETE FROM claim WHERE seq IN (SELECT seq FROM claim WHERE valid_until < ? ORDER BY valid_until LIMIT ?)"


class SqliteClaims(SqliteBook):
    """Implement `assembly.ports.ClaimBook`; a claim is valid from `valid_from` until just before `valid_until`."""

    async def claim(self, element: Element, now: Millis) -> Claim | None:
        """Find what an issued element stands for while it is valid, by any of its digests; none is a phone number."""
        place = (element.kind.value, element.institution, now)
        rows = (self._db.execute(FIND, (digest, *place)).fetchone() for digest in element.digests)
        row = next(filter(None, rows), None)
        return None if row is None else Claim(institution=row[0], payment_id=row[1], user_id=row[2])

    async def issue_claim(self, element: Element, claim: Claim, *, valid_from: Millis, valid_until: Millis) -> None:
        """Record an issued element; raises AlreadyExists while the same element is valid for something else."""
        told = (claim.institution, claim.payment_id, claim.user_id, valid_from, valid_until)
        for digest in element.others:
            if self._db.execute(TAKEN, (digest, element.kind.value, element.institution, *told)).fetchone():
                raise AlreadyExists("this element is issued for something else at that time")
        row = (element.digest, element.kind.value, element.institution, *told)
        if not self._db.execute(ISSUE, row).rowcount:
            raise AlreadyExists("this element is issued for something else at that time")

    async def shorten_claims(self, user_id: str, institution: str, until: Millis) -> None:
        """End the validity of a user's earlier dynamic numbers at `until`, where they would be valid longer."""
        self._db.execute(SHORTEN, (user_id, institution, until, ElementKind.INSTITUTION.value))

    async def purge_claims(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` claims that ended before `now`; returns how many."""
        return self._db.execute(PURGE, (now, limit)).rowcount
