"""Holders of API keys as owners of payments: one name for each holder and mode, whatever key they call with."""

from typing import Final

from tallystick.channels.model import Principal

LIVE: Final = "merchant:live:"
TEST: Final = "merchant:test:"


def owner_of(principal: Principal) -> str:
    """Return the name under which a holder's payments stand; test and live ones never meet."""
    return (LIVE if principal.live else TEST) + principal.holder


def is_test(owner: str | None) -> bool:
    """Tell whether what belongs to this owner is of test mode: it goes to sandbox back ends, and to nothing else."""
    return owner is not None and owner.startswith(TEST)


def name_of(owner: str) -> str:
    """Return the holder's name as payers are shown it; other owners as they are."""
    return owner.removeprefix(LIVE).removeprefix(TEST)
