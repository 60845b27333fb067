"""Scenarios of enciphered PIN blocks: our own app, and a terminal that is somebody else's."""

from typing import Final

from tallystick.cli.demo import back_ends
from tallystick.cli.demo.model import Scenario, Stage
from tallystick.cli.demo.payments import a_phone, card_part
from tallystick.cli.demo.pin_keys import till_block
from tallystick.sdk.errors import PlatformProblem
from tallystick.sdk.pins import DevicePinKey
from tallystick.secret import Secret
from tallystick.wire.part import PartContent, WireElement


async def by_app(stage: Stage) -> str:
    """Our own app builds a format 4 block over a token, under a key for this one transaction."""
    world, element = stage.world, a_phone()
    await world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, stage.order))
    token = await world.client("app").pin_token()
    key = DevicePinKey(world.home / "channels" / "app")
    await world.client("app").send_part(_part(element, key.block(Secret(back_ends.PIN), token.token)))
    return await stage.approved()


async def by_terminal(stage: Stage) -> str:
    """Somebody else's terminal sends format 1 under TDES DUKPT, its serial number beside it."""
    element = a_phone()
    await stage.world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, stage.order))
    await stage.world.client("till").send_part(_part(element, till_block(1)))
    return await stage.approved()


async def serial_number_again(stage: Stage) -> str:
    """A recorded PIN block comes again in a new message: its serial number was used."""
    element = a_phone()
    await stage.world.client("till").send_part(_part(a_phone(), till_block(2)))
    await stage.world.client("pc").send_part(card_part(element, back_ends.UNIONPAY_CARD, stage.order))
    try:
        await stage.world.client("till").send_part(_part(element, till_block(2)))
    except PlatformProblem as problem:
        return await stage.untouched(problem.code)
    return await stage.untouched("accepted")


def _part(element: WireElement, block: Secret) -> PartContent:
    return PartContent(policy="card", element=element, fields={"pin_block": block})


SCENARIOS: Final = (
    Scenario("PIN over a token, own app", (8, 13, 14), "approved by UnionPay", by_app),
    Scenario("PIN of a foreign terminal, DUKPT", (8, 13, 14), "approved by UnionPay", by_terminal),
    Scenario("PIN block again", (13,), "replayed, nothing delivered", serial_number_again),
)
