"""Parts in SQLite: facts stay, content goes; with `secure_delete` an erased content is overwritten with zeros."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.parts import facts_from_row, part_from_row
from tallystick.adapters.store.rows.texts import to_json
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.assembly.model import Part, PartFacts

FACTS = "id, payment_id, channel_id, certificate, fields, received_at, rival"
ADD = f"INSERT INTO part ({FACTS}, epoch, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
FIND = f"SELECT {FACTS} FROM part WHERE id = ?"
LIST = f"SELECT {FACTS} FROM part WHERE payment_id = ? ORDER BY seq"
SEALED = f"""
    SELECT {FACTS}, epoch, sealed FROM part WHERE payment_id = ? AND sealed IS NOT NULL ORDER BY seq
"""
MARK_RIVALS = "UPDATE part SET rival = id IN (SELECT value FROM json_each(?)) WHERE payment_id = ?"
DROP = "UPDATE part SET sealed = NULL, fields = '[]' WHERE id = ?"
ERASE = "UPDATE part SET sealed = NULL WHERE payment_id = ? AND sealed IS NOT NULL"


class SqliteParts(SqliteBook):
    """Implement the half of `assembly.ports.PaymentBook` that is about parts."""

    async def add_part(self, part: Part) -> None:
        """File a part, without content as an erased one; an unknown payment or a used id fails the transaction."""
        facts = (part.id, part.payment_id, part.channel_id, part.certificate, to_json(part.fields), part.received_at)
        self._db.execute(ADD, (*facts, part.rival, part.epoch, part.sealed or None))

    async def part(self, part_id: str) -> PartFacts | None:
        """Find a part by id, without its content; also after its content was erased."""
        row = self._db.execute(FIND, (part_id,)).fetchone()
        return None if row is None else facts_from_row(row)

    async def part_facts(self, payment_id: str) -> list[PartFacts]:
        """List the parts of a payment without their content, in order of arrival."""
        return [facts_from_row(row) for row in self._db.execute(LIST, (payment_id,))]

    async def sealed_parts(self, payment_id: str) -> list[Part]:
        """List the parts of a payment whose content is still there, in order of arrival."""
        return [part_from_row(row) for row in self._db.execute(SEALED, (payment_id,))]

    async def mark_rivals(self, payment_id: str, rivals: frozenset[str]) -> None:
        """Make exactly these part ids the rivals of their payment."""
        self._db.execute(MARK_RIVALS, (to_json(rivals), payment_id))

    async def drop_part(self, part_id: str) -> None:
        """Erase the content of a part that lost a quarantine and take its fields away; its facts stay."""
        self._db.execute(DROP, (part_id,))

    async def erase_parts(self, payment_id: str) -> None:
        """Erase the content of every part of a payment; their facts stay."""
        self._db.execute(ERASE, (payment_id,))
