"""What a key ceremony writes: a custodian's share, for that custodian alone, and the record, without key material."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from tallystick.crypto.key_shares import Ceremony, KeyShare
from tallystick.runtime import Millis

DUTIES: Final = """\
Each custodian, by signing:
- has seen the own share only, and keeps it where nobody else can read it, in a sealed envelope with a number;
- gives it only for a start or change of the platform that the two persons named above, or their successors, ask for;
- never keeps, carries or reads another custodian's share, not even as a deputy;
- tells at once when the envelope was opened, lost or copied: the key is then replaced by a new ceremony.
"""


class Handed(Struct, frozen=True, kw_only=True):
    """Which share a custodian got; `check` is the share's own check value."""

    custodian: str
    number: int
    check: str


class Held(Struct, frozen=True, kw_only=True):
    """A ceremony as it is told and recorded."""

    ceremony: str
    rehearsal: bool
    threshold: int
    check: str
    persons: tuple[str, ...]
    shares: tuple[Handed, ...]
    at: Millis


def share_paper(custodian: str, share: KeyShare) -> str:
    """Write one custodian's paper: the line that begins with tks1 is the share."""
    common = share.ceremony
    return f"""\
{_mark(common)}Share {share.number} of {common.total} of a Tallystick key, for {custodian} alone.
Any {common.threshold} shares give the key. Ceremony {common.id}. Check values: share {share.check}, key {common.check}.

{share.text().reveal()}

Let nobody read or copy this. Give it only when the platform asks for it.
"""


def record(common: Ceremony, held: Held) -> str:
    """Write the record to print and sign (PCI DSS 3.7.6, 3.7.8; PCI PIN 12)."""
    at = dt.datetime.fromtimestamp(held.at / 1000, dt.UTC)
    rows = "\n".join(
        f"  {each.number:>2}  {each.custodian:<32}  {each.check}   ______________________   __________________"
        for each in held.shares
    )
    return f"""\
{_mark(common)}RECORD OF A KEY CEREMONY

Ceremony              {held.ceremony}
Held at (UTC)         {at:%Y-%m-%d %H:%M}
Key                   AES-256, protects the key files of a Tallystick platform
Check value           {held.check} (first 5 bytes of AES-CMAC over a block of zeros)
Sharing               Shamir over GF(2^128), two halves; any {held.threshold} of {common.total} shares give the key
Conducted by          {_persons(held.persons)}

  No  Custodian                         Check value  Signature                Envelope and place
{rows}

{DUTIES}
Conducted by (signatures): ______________________   ______________________

No share and no key is on this paper.
"""


def _mark(common: Ceremony) -> str:
    return "REHEARSAL: these shares protect nothing.\n\n" if common.rehearsal else ""


def _persons(persons: Sequence[str]) -> str:
    return " and ".join(persons) or "nobody who logged in (a rehearsal)"
