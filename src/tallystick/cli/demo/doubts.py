"""Every kind of back end under every answer it can give: what becomes of the payment, and what the back end did.

The sandboxes are told by the last digits of the amount what to do (docs/reference/sandboxes.md). All of a wave
are played at the same time. The second wave cuts connections: a cut puts every request on its connection in doubt, also
one that the back end has not read, so only stories that end reversed share a connection with it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from tallystick.cli.demo import back_ends
from tallystick.cli.demo.back_ends import SandboxBackEnd
from tallystick.cli.demo.model import Scenario, Stage
from tallystick.cli.demo.payments import a_phone, card_part, pin_part
from tallystick.cli.demo.world import World
from tallystick.secret import Secret
from tallystick.testing.sandbox.record import effective
from tallystick.wire.part import PartContent

STEP: Final = 10_000  # minor units between two amounts: the last four digits tell the sandbox what to do
FIRST: Final = 100 * STEP
APPROVED: Final = "approved x1"
DECLINED: Final = "declined x0"
REVERSED: Final = "reversed x0"
MANUAL: Final = "manual x1"
"""The payment's state, and how often it is effective at the back end."""


@dataclass(frozen=True, slots=True)
class Target:
    """A back end as these stories see it: its column in the table, and how a payment for it is sent."""

    name: str
    of: Callable[[World], SandboxBackEnd]
    send: Callable[[Stage], Awaitable[str]]


async def _card(pan: str, stage: Stage) -> str:
    element = a_phone()
    await stage.world.client("pc").send_part(card_part(element, pan, stage.order))
    return (await stage.world.client("phone").send_part(pin_part(element))).part


async def _account(account: str, stage: Stage) -> str:
    element, secret = a_phone(), Secret(back_ends.ACCOUNT_SECRET)
    first = PartContent(policy="account", element=element, fields={"account": Secret(account)}, order=stage.order)
    await stage.world.client("pc").send_part(first)
    second = PartContent(policy="account", element=element, fields={"secret": secret})
    return (await stage.world.client("phone").send_part(second)).part


UNIONPAY: Final = Target("ISO 8583", lambda world: world.unionpay, partial(_card, back_ends.UNIONPAY_CARD))
VISA: Final = Target("VISA wallet", lambda world: world.visa, partial(_card, back_ends.VISA_CARD))
QIANBAO: Final = Target("account system", lambda world: world.account, partial(_account, back_ends.ACCOUNT))
BAMBOO: Final = Target("REST", lambda world: world.rest, partial(_account, back_ends.REST_ACCOUNT))
LOTUS: Final = Target("pull", lambda world: world.pull, partial(_account, back_ends.PULL_ACCOUNT))
TARGETS: Final = (UNIONPAY, VISA, QIANBAO, BAMBOO, LOTUS)

NAMES: Final = tuple(target.name for target in TARGETS)
PUSHED: Final = NAMES[:-1]
ASKED: Final = PUSHED[1:]


@dataclass(frozen=True, slots=True)
class Mode:
    """What a back end does, the last digits of the amount that make it do so, and the end by kind of back end."""

    name: str
    digits: int
    ends: Mapping[str, str]


def _asked(end: str = APPROVED) -> dict[str, str]:
    """ISO 8583 reverses what is in doubt; the others are asked, and know."""
    return {UNIONPAY.name: REVERSED, **dict.fromkeys(ASKED, end)}


FIRST_WAVE: Final = (
    Mode("approves", 1_000, dict.fromkeys(NAMES, APPROVED)),
    Mode("declines", 1_051, dict.fromkeys(NAMES, DECLINED)),
    Mode("answers twice", 9_907, dict.fromkeys(NAMES, APPROVED)),
    Mode("never answers", 9_901, _asked()),
    Mode("answers too late", 9_902, {**_asked(), LOTUS.name: APPROVED}),
    Mode("answers with a wrong MAC", 9_903, _asked()),
    Mode("refuses the reversal", 9_912, {UNIONPAY.name: MANUAL}),
    Mode("tells an approval later", 9_920, {QIANBAO.name: APPROVED, BAMBOO.name: APPROVED}),
    Mode("tells a decline later", 9_921, {QIANBAO.name: DECLINED, BAMBOO.name: DECLINED}),
)
SECOND_WAVE: Final = (
    Mode("never gets the request", 9_914, {name: REVERSED for name in PUSHED if name != VISA.name}),
    Mode("acknowledges the reversal late", 9_911, {UNIONPAY.name: REVERSED, VISA.name: REVERSED}),
    Mode("is cut off before acting", 9_909, dict.fromkeys(PUSHED, REVERSED)),
    Mode("is cut off after acting", 9_904, _asked()),
    Mode("is cut off amid its answer", 9_908, _asked()),
    Mode("answers garbage", 9_905, _asked()),
)
MODES: Final = (*FIRST_WAVE, *SECOND_WAVE)


async def _play(target: Target, stage: Stage) -> str:
    state = await stage.final("phone", await target.send(stage))
    sandbox = target.of(stage.world)
    stage.back_end = sandbox.back_end.name
    return f"{state} x{effective(sandbox.entries(stage.order.amount))}"


def _stories(wave: Sequence[Mode]) -> tuple[Scenario, ...]:
    return tuple(
        Scenario(
            f"{target.name} {mode.name}",
            (1, 15),
            mode.ends[target.name],
            partial(_play, target),
            amount=FIRST + STEP * (len(TARGETS) * MODES.index(mode) + TARGETS.index(target)) + mode.digits,
        )
        for mode in wave
        for target in TARGETS
        if target.name in mode.ends
    )


WAVES: Final = (_stories(FIRST_WAVE), _stories(SECOND_WAVE))
SCENARIOS: Final = tuple(story for wave in WAVES for story in wave)
