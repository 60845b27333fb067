"""Records that wait for a person, or were made under older rules."""

from typing import Final

from tallystick.assembly.facts import PaymentState
from tallystick.assembly.pins import PIN_FIELD
from tallystick.channels.model import ChannelState
from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.crypto.ca import DAY_MS
from tallystick.crypto.passwords import PARAMETERS
from tallystick.crypto.signing import Algorithm
from tallystick.errors import Misconfigured

MAC_KEY_DAYS_MAX: Final = 365  # days a channel's MAC key may serve
COUNTED_MAX: Final = 1_000  # rows counted


async def passwords(scene: Scene) -> str:
    """Every payer's password is stretched with the present parameters (Argon2id, RFC 9106)."""
    with scene.examining() as store:
        weak = store.passwords_not_under(PARAMETERS)
    if weak:
        raise Misconfigured(f"{weak} passwords are stretched with older parameters")
    return f"all under {PARAMETERS}"


async def channel_keys(scene: Scene) -> str:
    """MAC keys of channels are replaced once a year (PCI DSS 3.7.4)."""
    async with scene.desk() as desk:
        channels = await desk.store.read(lambda books: books.channels())
    by_mac = [channel for channel in channels if channel.algorithm == Algorithm.HMAC_SHA256]
    oldest = scene.now() - MAC_KEY_DAYS_MAX * DAY_MS
    refuse(
        [
            f"the MAC key of {channel.name} is older"
            for channel in by_mac
            if (channel.key_since or channel.created_at) < oldest
        ]
    )
    return f"{len(by_mac)} channels with MAC keys, none older than {MAC_KEY_DAYS_MAX} days"


async def clear_pins(scene: Scene) -> str:
    """Every channel that sends PINs has a key for them: none sends clear PIN blocks (PCI PIN 1, 3-3)."""
    async with scene.desk() as desk:
        channels = await desk.store.read(lambda books: books.channels())
        keyed = {key.channel_id for key in await desk.store.read(lambda books: books.pin_keys()) if not key.retired_at}
    senders = [each for each in channels if PIN_FIELD in each.fields and each.state is ChannelState.ACTIVE]
    refuse([f"the channel {each.name} sends PINs without a PIN key" for each in senders if each.id not in keyed])
    return f"{len(senders)} channels send PINs, each under a key"


async def manual_payments(scene: Scene) -> str:
    """No payment waits for a person."""
    async with scene.desk() as desk:
        found = await desk.store.read(lambda books: books.payments_in(PaymentState.MANUAL, COUNTED_MAX))
    if found:
        raise Misconfigured(f"{_counted(len(found))} payments wait for a person")
    return "none waits for a person"


async def dead_webhooks(scene: Scene) -> str:
    """No webhook was given up."""
    async with scene.desk() as desk:
        found = await desk.store.read(lambda books: books.dead_webhooks(COUNTED_MAX))
    if found:
        raise Misconfigured(f"{_counted(len(found))} webhooks were given up")
    return "none was given up"


CHECKS: Final = (
    Check(
        "password parameters",
        Weight.UNSAFE,
        "Have these payers register anew: tallystick user add.",
        passwords,
    ),
    Check(
        "channel MAC keys",
        Weight.ADVICE,
        "Give it a new key: tallystick keys rotate-channel; better a public key.",
        channel_keys,
    ),
    Check(
        "PIN keys",
        Weight.UNSAFE,
        "Give it a key, tallystick pin make-key or import-key, or take the field pin_block from it.",
        clear_pins,
    ),
    Check(
        "manual payments",
        Weight.ADVICE,
        "Settle them with the institution: tallystick delivery doubts, then resolve.",
        manual_payments,
    ),
    Check(
        "dead webhooks",
        Weight.ADVICE,
        "Have the receiver repaired and send them again: tallystick webhook redeliver.",
        dead_webhooks,
    ),
)


def _counted(found: int) -> str:
    return f"{found} or more" if found == COUNTED_MAX else str(found)
