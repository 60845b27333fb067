"""A row, and the JSON of the small values in it."""

from typing import Any, Final

import msgspec

ENCODER: Final = msgspec.json.Encoder(order="deterministic")
FIELDS: Final = msgspec.json.Decoder(frozenset[str])

Row = tuple[Any, ...]
"""One row, typed by its table."""


def to_json(value: object) -> str:
    """Encode a small value as JSON; sets come out sorted, so that equal values are equal texts."""
    return ENCODER.encode(value).decode()
