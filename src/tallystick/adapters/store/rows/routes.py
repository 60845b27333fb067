"""Rows of routing versions and changes."""

from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from tallystick.adapters.store.rows.texts import Row
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import (
    USUAL_PREFERENCES,
    BackEnd,
    Preference,
    RouteChange,
    RouteVersion,
    RoutingTable,
)

T = TypeVar("T", RouteVersion, RouteChange)


class Body(Struct, frozen=True, kw_only=True):
    """What a version keeps beside its issuer rules."""

    back_ends: tuple[BackEnd, ...]
    preferences: tuple[Preference, ...] = USUAL_PREFERENCES


BODY: Final = msgspec.json.Decoder(Body)
EMPTY: Final = RoutingTable(version=0, back_ends=(), issuer_rules=())
ISSUER_RULES: Final = msgspec.json.Decoder(tuple[IssuerRule, ...])


def read_row(row: Row, kind: type[T]) -> T:
    """Read a row whose columns stand in the order of the members."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind)
