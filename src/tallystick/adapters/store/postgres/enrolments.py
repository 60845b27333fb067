"""Invitations and certificate requests in PostgreSQL."""

from typing import Final

import msgspec

from tallystick.adapters.store.postgres.book import PostgresBook, Row, to_json
from tallystick.channels.model import Enrolment, EnrolmentState
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis

HOSTS: Final = msgspec.json.Decoder(tuple[str, ...])


class PostgresEnrolments(PostgresBook):
    """Implement `channels.ports.EnrolmentBook`."""

    async def add_enrolment(self, enrolment: Enrolment) -> None:
        """Add an invitation; raises AlreadyExists when the id is taken."""
        fixed = (enrolment.id, enrolment.uri, to_json(enrolment.hosts), enrolment.digest, enrolment.created_at)
        if not await self._change("add_enrolment", *fixed, *changing(enrolment)):
            raise AlreadyExists("an invitation has this id")

    async def enrolment(self, enrolment_id: str) -> Enrolment | None:
        """Find one."""
        row = await self._row("enrolment", enrolment_id)
        return None if row is None else from_row(row)

    async def enrolments(self) -> list[Enrolment]:
        """List all, oldest first."""
        return [from_row(row) for row in await self._rows("enrolments")]

    async def replace_enrolment(self, enrolment: Enrolment, *, expected: EnrolmentState) -> bool:
        """Store a changed one by compare-and-set on its state; True if it was `expected`."""
        return await self._change("replace_enrolment", *changing(enrolment), enrolment.id, expected.value) == 1

    async def purge_enrolments(self, now: Millis) -> int:
        """Delete those whose time is over; returns how many went."""
        return await self._change("purge_enrolments", now)


def changing(enrolment: Enrolment) -> Row:
    """Order the values that may change, as the table's columns do."""
    return (
        enrolment.state.value,
        enrolment.wrong,
        enrolment.expires_at,
        enrolment.csr,
        enrolment.key,
        enrolment.chain,
    )


def from_row(row: Row) -> Enrolment:
    """Read an invitation back."""
    id_, uri, hosts, digest, created_at, state, wrong, expires_at, csr, key, chain = row
    return Enrolment(
        id=id_,
        uri=uri,
        hosts=HOSTS.decode(hosts),
        digest=digest,
        created_at=created_at,
        state=EnrolmentState(state),
        wrong=wrong,
        expires_at=expires_at,
        csr=csr,
        key=key,
        chain=chain,
    )
