"""The kinds of back end of the delivery table: how each sandbox is started, and how its connector is made."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from certified import PLATFORM_URI, Certified
from doubt_world import INSTITUTION, ShiftedClock

from tallystick.adapters.connectors.kinds import ConnectorTools, load_kinds
from tallystick.crypto import tls
from tallystick.crypto.signing import Ed25519Private
from tallystick.delivery.ports import Connector
from tallystick.delivery.pull_queue import PullQueue
from tallystick.runtime import SystemRandomness
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.pins import MemoryPins
from tallystick.testing.sandbox import pairs
from tallystick.testing.sandbox.pairs import Pair, Place

TIMEOUT_S = 1.0  # s the connectors wait for an answer
LATE_S = 1.6  # s after which a sandbox gives its late answer
EXPIRY, PIN = "3012", "135790"
PIN_PART = {"pin_block": "16135790A1B2C3D4"}
UNIONPAY_CARD, VISA_CARD = "6250947000000014", "4242424242424242"
ACCOUNT, SECRET = "qianbao:lihua", "river-stone-lantern"
AMOUNTS = {
    "decline": 1_051,
    "timeout": 9_901,
    "late": 9_902,
    "duplicate": 9_907,
    "wrong MAC": 9_903,
    "cut before send": 9_909,
    "cut after send": 9_904,
    "crash before recovery": 9_901,
    "crash in recovery": 9_901,
    "crash before recovered": 9_901,
}
"""What a sandbox is told by the last four digits of the amount; for every other condition it approves."""

IDENTITY = Ed25519Private()


@dataclass(frozen=True)
class Kind:
    """One kind of back end; `shiftable`: the platform's clock may be far from the sandbox's."""

    name: str
    policy: str
    fields: tuple[dict[str, str], dict[str, str]]
    pair: Callable[[Place], Pair]
    shiftable: bool = False
    wrap: Callable[[Connector], Any] = lambda connector: connector


def unionpay(place: Place) -> Pair:
    cards = {UNIONPAY_CARD: {"pin": PIN, "expiry": EXPIRY}}
    return pairs.unionpay(place, SystemRandomness(), cards, timeout_s=TIMEOUT_S, delay_s=LATE_S)


def visa(place: Place) -> Pair:
    cards = {VISA_CARD: {"pin": PIN, "expiry": EXPIRY}}
    return pairs.visa(place, SystemRandomness(), cards, timeout_s=TIMEOUT_S, late_s=LATE_S)


def account(place: Place) -> Pair:
    return pairs.account(place, {ACCOUNT: SECRET}, timeout_s=TIMEOUT_S, slow_s=LATE_S)


def rest(place: Place) -> Pair:
    return pairs.rest(place, {ACCOUNT: SECRET}, IDENTITY.public().pem(), timeout_s=TIMEOUT_S, slow_s=LATE_S)


def place_of(certified: Certified, directory: Path) -> Place:
    chain, key = certified.made[INSTITUTION]
    return Place(directory, INSTITUTION, chain, key, certified.ca.trust, PLATFORM_URI)


def connector(pair: Pair, port: int, certified: Certified, clock: ShiftedClock) -> Connector:
    store: Any = MemoryStore()
    tools = ConnectorTools(
        institution=INSTITUTION,
        ssl_context=tls.client_context(certified.ca.trust, *certified.made["platform"]),
        signer=IDENTITY,
        keyid=PLATFORM_URI,
        clock=clock,
        randomness=SystemRandomness(),
        queue=PullQueue(store, MemoryKeyring(), clock),
        pins=MemoryPins(),
    )
    return load_kinds()[pair.connector].build(msgspec.json.encode(pair.settings(port)), tools)


CARD_PARTS = ({"pan": UNIONPAY_CARD, "expiry": EXPIRY}, PIN_PART)
VISA_PARTS = ({"pan": VISA_CARD, "expiry": EXPIRY}, PIN_PART)
ACCOUNT_PARTS = ({"account": ACCOUNT}, {"secret": SECRET})

KINDS = (
    Kind("iso8583", "card", CARD_PARTS, unionpay, shiftable=True),
    Kind("visa", "card", VISA_PARTS, visa),
    Kind("account", "account", ACCOUNT_PARTS, account),
    Kind("rest", "account", ACCOUNT_PARTS, rest),
)
