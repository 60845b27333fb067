"""Set up a routing table for a test in one call, whatever it was before."""

from typing import Final

from msgspec.structs import replace

from tallystick.routing.changes import commit
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import BackEnd, RoutingTable
from tallystick.routing.ports import RouteBook
from tallystick.routing.table import digest, with_back_end
from tallystick.runtime import Millis

AUTHOR: Final = "test"


async def put_back_end(book: RouteBook, back_end: BackEnd) -> int:
    """Add or replace a back end with its status; returns the table's version, a new one only when it is needed."""
    version = await _put(book, with_back_end(await book.routing_table(), back_end))
    await book.put_status(back_end.id, back_end.status)
    return version


async def put_issuer_rules(book: RouteBook, rules: tuple[IssuerRule, ...]) -> int:
    """Replace all issuer rules; returns the table's version."""
    return await _put(book, replace(await book.routing_table(), issuer_rules=rules))


async def _put(book: RouteBook, table: RoutingTable) -> int:
    if digest(table) == digest(await book.routing_table()):
        return table.version
    return (await commit(book, table, author=AUTHOR, note="a test", at=Millis(0))).version
