"""Rows of invitations and certificate requests."""

from typing import Final

import msgspec

from tallystick.adapters.store.rows.texts import Row
from tallystick.channels.model import Enrolment, EnrolmentState

HOSTS: Final = msgspec.json.Decoder(tuple[str, ...])


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
