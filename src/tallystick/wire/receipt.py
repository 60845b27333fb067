"""The payload of a part's receipt: a compact JWS by the platform's identity key, for any third party to verify."""

from typing import Final, Literal

from msgspec import Struct

from tallystick.wire.part import WireOrder

RECEIPT_TYPE: Final = "tallystick-receipt+jws"


class PartProof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the platform accepted a part: who sent it, for what payment text it was sealed, and when.

    `channel` is the proven sender. `order` is what the part was bound to, to the letter: with another text it would not
    have opened. `fields` are the names of what it held, never a value. `accepted_at` is in ms since 1970.
    """

    v: Literal[1] = 1
    part: str
    payment: str
    channel: str
    order: WireOrder
    fields: tuple[str, ...]
    accepted_at: int
