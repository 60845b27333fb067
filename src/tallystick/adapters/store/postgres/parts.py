"""Parts in PostgreSQL: facts stay, content goes.

An erased content is in dead row versions until VACUUM, and in the log until it is recycled; what makes it unreadable is
the end of its epoch's key (docs/guarantees.md).
"""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.parts import facts_from_row, part_from_row
from tallystick.adapters.store.rows.texts import to_json
from tallystick.assembly.model import Part, PartFacts


class PostgresParts(PostgresBook):
    """Implement the half of `assembly.ports.PaymentBook` that is about parts."""

    async def add_part(self, part: Part) -> None:
        """File a part, without content as an erased one; an unknown payment or a used id fails the transaction."""
        facts = (part.id, part.payment_id, part.channel_id, part.certificate, to_json(part.fields), part.received_at)
        self.ahead.pop(part.payment_id, None)
        self._put("add_part", *facts, part.rival, part.epoch, part.sealed or None)

    async def part(self, part_id: str) -> PartFacts | None:
        """Find a part by id, without its content; also after its content was erased."""
        row = await self._row("part", part_id)
        return None if row is None else facts_from_row(row)

    async def part_facts(self, payment_id: str) -> list[PartFacts]:
        """List the parts of a payment without their content, in order of arrival."""
        return [facts_from_row(row) for row in await self._rows("part_facts", payment_id)]

    async def sealed_parts(self, payment_id: str) -> list[Part]:
        """List the parts of a payment whose content is still there, in order of arrival."""
        rows = self.ahead.pop(payment_id, None)
        if rows is None:
            rows = await self._rows("sealed_parts", payment_id)
        return [part_from_row(row) for row in rows]

    async def mark_rivals(self, payment_id: str, rivals: frozenset[str]) -> None:
        """Make exactly these part ids the rivals of their payment."""
        self.ahead.pop(payment_id, None)
        self._put("mark_rivals", payment_id, sorted(rivals))

    async def drop_part(self, part_id: str) -> None:
        """Erase the content of a part that lost a quarantine and take its fields away; its facts stay."""
        self.ahead.clear()
        self._put("drop_part", part_id)

    async def erase_parts(self, payment_id: str) -> None:
        """Erase the content of every part of a payment; their facts stay."""
        self.ahead.pop(payment_id, None)
        await self._change("erase_parts", payment_id)
