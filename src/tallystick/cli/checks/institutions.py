"""Institutions that get payments now: their settings, keys, addresses, and the way to them."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings, Keys, decode_settings
from tallystick.adapters.connectors.kinds import load_kinds
from tallystick.adapters.connectors.registry import open_record
from tallystick.adapters.pins.process import PinProcess
from tallystick.bootstrap.office import Office
from tallystick.bootstrap.parts import connector_registry, pull_queue
from tallystick.bootstrap.presenting import Presenting
from tallystick.cli import administer
from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.cli.checks.published import is_default, is_published
from tallystick.crypto.mac import MacAlgorithm
from tallystick.delivery.nodes import NoNode
from tallystick.errors import Misconfigured, NotSent, TallystickError
from tallystick.routing.model import BackEnd, NumberPolicy, RoutingTable, Status

ISO8583: Final = "iso8583"  # the kind of connector that takes cards only, by links of its own
HEX_KEY: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){16,64}")
SECRET_NAMES: Final = ("key", "password", "secret", "token")
TRIAL_NAMES: Final = frozenset({"example", "invalid", "localhost", "sandbox", "test"})
"""Labels of host names that are no production system's (RFC 2606, RFC 6761, and what providers call theirs)."""


class Active(Struct, frozen=True):
    """An ACTIVE institution and its connector's settings, in JSON: they hold keys."""

    back_end: BackEnd
    settings: bytes

    @property
    def iso8583(self) -> Iso8583Settings | None:
        """Return the settings of an ISO 8583 link; None for another kind."""
        return decode_settings(self.settings) if self.back_end.connector == ISO8583 else None


async def connectors(scene: Scene) -> str:
    """The connector settings of every institution open and decode."""
    async with scene.desk() as desk:
        table = await desk.store.read(lambda books: books.routing_table())
        connected = 0
        for back_end in table.back_ends:
            try:
                connected += await administer.check_connector(desk, back_end)
            except TallystickError as error:
                raise Misconfigured(f"{back_end.name} ({back_end.id}): {error.detail}") from error
    return f"{connected} of {len(table.back_ends)} institutions are connected; {len(table.issuer_rules)} issuer rules"


async def keys(scene: Scene) -> str:
    """No key of a connector stands in a standard, and no password is a default (PCI DSS 6.5.5, PCI PIN 19)."""
    found = await _active(scene)
    faults = [
        f"{each.back_end.name}: {place} is published or a default"
        for each in found
        for place in _known_secrets(msgspec.json.decode(each.settings), "")
    ]
    refuse(faults)
    return f"no published key at {len(found)} active institutions"


async def addresses(scene: Scene) -> str:
    """No active institution is a sandbox or this machine."""
    found, kinds = await _active(scene), load_kinds()
    hosts = {
        each.back_end.name: kind.address(each.settings).host
        for each in found
        if (kind := kinds.get(each.back_end.connector)) is not None and kind.address is not None
    }
    refuse([f"{name} is at {host}, which is no production system" for name, host in hosts.items() if _for_trial(host)])
    return f"{len(hosts)} institutions at addresses of their own"


async def trial_marks(scene: Scene) -> str:
    """No link marks its messages as tests."""
    links = await _links(scene)
    refuse([f"{name}: network.test is on" for name, link in links if link.network.test])
    return f"{len(links)} ISO 8583 links send live messages"


async def macs(scene: Scene) -> str:
    """Messages are authenticated by AES-CMAC: the DES algorithms have keys of 112 bits at best (NIST SP 800-131A)."""
    links = await _links(scene)
    refuse([f"{name} uses {link.mac}" for name, link in links if link.mac is not MacAlgorithm.CMAC])
    return f"{len(links)} ISO 8583 links use AES-CMAC"


async def static_keys(scene: Scene) -> str:
    """Session keys are exchanged daily; how old static ones are, nobody can tell (PCI DSS 3.7.4)."""
    links = await _links(scene)
    refuse([f"{name} has static keys, of unknown age" for name, link in links if link.keys is Keys.STATIC])
    return f"{len(links)} ISO 8583 links exchange their keys"


async def recovery(scene: Scene) -> str:
    """An unknown outcome can be asked for or reversed."""
    found = await _active(scene)
    async with scene.desk() as desk:
        presenting = Presenting(desk)
        await presenting.anchoring.look()
        pins = PinProcess(desk.layout.pins, desk.clock)  # never started: nothing is translated here
        registry = connector_registry(desk, NoNode(), pull_queue(desk), presenting, pins)
        try:
            ways = {each.back_end.name: (await registry.connector(each.back_end)).recovery for each in found}
        except NotSent as unusable:
            raise Misconfigured(unusable.detail) from unusable
        finally:
            await registry.aclose()
    refuse([f"{name} can neither be asked nor reversed" for name, way in ways.items() if not way])
    return f"{len(found)} institutions can be asked, or take reversals"


async def reachable(scene: Scene) -> str:
    """Every active institution is reached: by an issuer rule, by an account scheme or by its dynamic numbers."""
    async with scene.desk() as desk:
        table = await desk.store.read(lambda books: books.routing_table())
    lost = [back_end.name for back_end in _active_ones(table) if not _reached(back_end, table)]
    refuse([f"{name}: no issuer rule names one of its schemes" for name in lost])
    return f"{len(_active_ones(table))} active institutions, each reached"


CHECKS: Final = (
    Check(
        "connectors", Weight.STOPS, "Set the institution's settings anew: tallystick institution connect.", connectors
    ),
    Check(
        "connector keys",
        Weight.UNSAFE,
        "Agree on new random keys with the institution, then tallystick institution connect.",
        keys,
    ),
    Check(
        "connector addresses",
        Weight.UNSAFE,
        "Connect the institution's production system, or take it away: tallystick institution status.",
        addresses,
    ),
    Check("test marks", Weight.UNSAFE, "Set network.test to false: tallystick institution connect.", trial_marks),
    Check("message authentication", Weight.ADVICE, "Agree with the institution on mac = cmac.", macs),
    Check("static keys", Weight.ADVICE, 'Agree with the institution on "keys": "exchange".', static_keys),
    Check(
        "recovery",
        Weight.ADVICE,
        "Agree with the institution on inquiries or reversals; until then a person settles each unknown outcome.",
        recovery,
    ),
    Check(
        "reachable institutions", Weight.ADVICE, "Give its schemes issuer rules: tallystick routes import.", reachable
    ),
)


async def _active(scene: Scene) -> list[Active]:
    async with scene.desk() as desk:
        table = await desk.store.read(lambda books: books.routing_table())
        opened = [(back_end, await _settings(desk, back_end)) for back_end in _active_ones(table)]
    return [Active(back_end, settings) for back_end, settings in opened if settings is not None]


async def _settings(desk: Office, back_end: BackEnd) -> bytes | None:
    sealed = await desk.store.read(lambda books: books.connector_settings(back_end.id))
    if sealed is None:
        return None
    return bytes(open_record(desk.keyring, back_end.id, sealed).settings)


async def _links(scene: Scene) -> list[tuple[str, Iso8583Settings]]:
    return [(each.back_end.name, link) for each in await _active(scene) if (link := each.iso8583) is not None]


def _active_ones(table: RoutingTable) -> list[BackEnd]:
    return [back_end for back_end in table.back_ends if back_end.status is Status.ACTIVE]


def _reached(back_end: BackEnd, table: RoutingTable) -> bool:
    named = back_end.connector != ISO8583 or back_end.numbers is not NumberPolicy.NONE
    return named or any(back_end.schemes & set(rule.schemes) for rule in table.issuer_rules)


def _known_secrets(value: Any, place: str) -> Iterator[str]:
    """Yield where in settings a published key or a default word stands."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from _known_secrets(inner, f"{place}.{name}".lstrip("."))
        case str() if HEX_KEY.fullmatch(value) and is_published(bytes.fromhex(value)):
            yield place
        case str() if place.endswith(SECRET_NAMES) and is_default(value):
            yield place


def _for_trial(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return not TRIAL_NAMES.isdisjoint(host.lower().rstrip(".").split("."))
    return address.is_loopback or address.is_unspecified
