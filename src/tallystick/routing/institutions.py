"""Give institutions their ids: fixed-length random numbers (patent claim 3)."""

from typing import Final

from tallystick import limits
from tallystick.errors import Unavailable
from tallystick.routing.model import IssuerRule, RoutingTable
from tallystick.runtime import Randomness, random_digits

_TRIES: Final = 100  # draws before giving up; with 10**8 ids one is nearly always enough

STARTING_RULES: Final = tuple(
    IssuerRule(prefix=prefix, schemes=schemes)
    for prefix, schemes in (
        ("62", ("unionpay",)),
        *((f"81{digit}", ("unionpay",)) for digit in range(8)),
        ("4", ("visa",)),
        ("439225", ("unionpay", "visa")),
        ("486497", ("unionpay", "visa")),
    )
)
"""Issuer rules a new platform begins with: UnionPay 62 and 810 to 817, VISA 4, and two co-badged Chinese ranges."""


def new_institution_id(table: RoutingTable, randomness: Randomness) -> str:
    """Draw an unused institution id of `limits.INSTITUTION_ID_LENGTH` digits."""
    taken = {back_end.id for back_end in table.back_ends}
    for _ in range(_TRIES):
        drawn = random_digits(limits.INSTITUTION_ID_LENGTH, randomness)
        if drawn not in taken:
            return drawn
    raise Unavailable("no unused institution id was found")
