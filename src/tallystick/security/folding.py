"""Fold what people type: full-width digits, spaces, hyphens."""

import unicodedata
from typing import Final

_SEPARATORS: Final = str.maketrans("", "", " -\u00a0\u2009\u3000")


def fold(value: str) -> str:
    """Fold compatibility forms (full-width digits and letters) and trim; separators stay."""
    return unicodedata.normalize("NFKC", value).strip()


def fold_digits(value: str) -> str:
    """Fold and drop the separators people put between groups of digits."""
    return fold(value).translate(_SEPARATORS)
