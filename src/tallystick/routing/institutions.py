"""Give institutions their ids: fixed-length random numbers (patent claim 3)."""

from typing import Final

from tallystick import limits
from tallystick.errors import Unavailable
from tallystick.routing.model import RoutingTable
from tallystick.runtime import Randomness, random_digits

_TRIES: Final = 100  # draws before giving up; with 10**8 ids one is nearly always enough


def new_institution_id(table: RoutingTable, randomness: Randomness) -> str:
    """Draw an unused institution id of `limits.INSTITUTION_ID_LENGTH` digits."""
    taken = {back_end.id for back_end in table.back_ends}
    for _ in range(_TRIES):
        drawn = random_digits(limits.INSTITUTION_ID_LENGTH, randomness)
        if drawn not in taken:
            return drawn
    raise Unavailable("no unused institution id was found")
