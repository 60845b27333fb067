"""`Secret`: a value that masks itself wherever it is printed, compared or pickled."""

import hmac
from typing import Final, NoReturn, Self

MASK: Final = "••••"


class Secret:
    """Hold a text that must never be shown: PAN, PIN block, password, CVC.

    `repr`, `str` and `format` give a fixed mask; pickling and copying to JSON fail; equality takes constant time and
    hashing is refused, so that a secret never becomes a dictionary key. `reveal` is the one way out: call it where the
    value is used, never to keep it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value for immediate use."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a secret is never a key

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


class Pan(Secret):
    """A primary account number; its masked form shows six leading and four last digits at most (PCI DSS 3.4.1)."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Show at most 6 + 4 digits; anything that does not look like a PAN is masked whole (fail closed)."""
        value = self._value
        if not (value.isascii() and value.isdigit()) or not MASKABLE_PAN_MIN <= len(value) <= MASKABLE_PAN_MAX:
            return MASK
        return f"{value[:6]}{'•' * (len(value) - 10)}{value[-4:]}"


MASKABLE_PAN_MIN: Final = 13  # digits; a shorter number would show most of itself
MASKABLE_PAN_MAX: Final = 19  # digits, ISO/IEC 7812-1
