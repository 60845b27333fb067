"""Rows of parts."""

from tallystick.adapters.store.rows.texts import FIELDS, Row
from tallystick.assembly.model import Part, PartFacts


def facts_from_row(row: Row) -> PartFacts:
    """Read a part back without its content."""
    id_, payment_id, channel_id, certificate, fields, received_at, rival = row
    return PartFacts(
        id=id_,
        payment_id=payment_id,
        channel_id=channel_id,
        certificate=certificate,
        fields=FIELDS.decode(fields),
        received_at=received_at,
        rival=bool(rival),
    )


def part_from_row(row: Row) -> Part:
    """Read a part back with its sealed content."""
    id_, payment_id, channel_id, certificate, fields, received_at, rival, epoch, sealed = row
    return Part(
        id=id_,
        payment_id=payment_id,
        channel_id=channel_id,
        certificate=certificate,
        fields=FIELDS.decode(fields),
        received_at=received_at,
        rival=bool(rival),
        epoch=epoch,
        sealed=sealed,
    )
