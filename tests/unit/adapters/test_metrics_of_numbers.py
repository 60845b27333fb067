"""What the metrics tell of a renewal of numbers."""

from typing import Any

from msgspec.structs import replace

from tallystick.adapters import metrics as adapter
from tallystick.adapters.metrics import NUMBERS_EVERY_MS, PlatformMetrics
from tallystick.routing.model import NumberPolicy, RoutingTable
from tallystick.runtime import Millis
from tallystick.testing.desk import BANK, VaultDesk
from tallystick.wire.metrics import Sample

OWN = replace(BANK, id="87654321", numbers=NumberPolicy.BACK_END)
TABLE = RoutingTable(version=1, back_ends=(BANK, OWN), issuer_rules=())


def gatherer(desk: VaultDesk) -> PlatformMetrics:
    """Return a gatherer of which only the store is asked."""
    elsewhere: Any = None
    store: Any = desk.store
    return PlatformMetrics(store=store, clock=desk.clock, keyring=elsewhere, trust=elsewhere, watched=elsewhere)


async def test_numbers_are_told_for_institutions_the_platform_numbers_and_counted_once_a_minute() -> None:
    desk = VaultDesk()
    await desk.enrol("one")
    await desk.renew()
    await desk.enrol("two")
    made, left = (Sample(adapter.metrics.NUMBERS, 1, (BANK.id, state)) for state in ("made", "left"))
    told = gatherer(desk)
    assert [made, left] == await told._numbers(TABLE, desk.clock.now())

    await desk.renew()
    desk.clock.pass_by(NUMBERS_EVERY_MS - 1)
    assert [made, left] == await told._numbers(TABLE, desk.clock.now())
    desk.clock.pass_by(1)
    assert [2, 0] == [sample.value for sample in await told._numbers(TABLE, Millis(desk.clock.now()))]
