"""Kinds of connectors by name: the built-in ones, and those of plug-ins (docs/howto/connect-a-back-end.md).

A plug-in is an installed package with an entry point in the group `tallystick.connectors`, named as its kind:

    [project.entry-points."tallystick.connectors"]
    jsonl = "my_package.connector:KIND"
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from tallystick.adapters.connectors import (
    account_settings,
    iso8583_settings,
    magic,
    pull_settings,
    rest_settings,
    visa_settings,
)
from tallystick.adapters.connectors.account import AccountConnector
from tallystick.adapters.connectors.account_settings import AccountSettings
from tallystick.adapters.connectors.iso8583 import Iso8583Connector
from tallystick.adapters.connectors.pull import PullConnector
from tallystick.adapters.connectors.rest import RestConnector
from tallystick.adapters.connectors.rest_settings import RestSettings
from tallystick.adapters.connectors.visa import VisaConnector
from tallystick.adapters.connectors.visa_settings import VisaSettings
from tallystick.crypto.signing import Signer
from tallystick.delivery.ports import Connector, PinTranslator
from tallystick.delivery.pull_queue import PullQueue
from tallystick.errors import Misconfigured
from tallystick.runtime import Clock, Randomness

GROUP: Final = "tallystick.connectors"
HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class ConnectorTools:
    """What the platform lends a connector.

    `institution` is the id of the back end it is for. `ssl_context` trusts the platform's authority and presents the
    platform's certificate. `signer` is the platform's identity key, which back ends know as `keyid`. `queue` holds the
    deliveries that back ends fetch. `pins` translates PIN blocks: a connector never sees a PIN.
    """

    institution: str
    ssl_context: ssl.SSLContext
    signer: Signer
    keyid: str
    clock: Clock
    randomness: Randomness
    queue: PullQueue
    pins: PinTranslator


class Address(Struct, frozen=True):
    """Where a back end listens, and the host name in its certificate."""

    host: str
    port: int
    server_name: str


class ConnectorKind(Struct, frozen=True, kw_only=True):
    """One kind of connector.

    `check` raises Misconfigured for settings (JSON, as the operator gave them) that cannot be used, naming the setting
    and never its value. `build` makes a connector of settings that passed the check; it opens no connection. `address`
    says where the connector would connect to by TLS, for `institution test`; None when the back end connects to us.
    """

    name: str
    check: Callable[[bytes], object]
    build: Callable[[bytes, ConnectorTools], Connector]
    address: Callable[[bytes], Address] | None = None


def load_kinds() -> Mapping[str, ConnectorKind]:
    """Return all kinds by name: the built-in ones and those of installed plug-ins; raises Misconfigured.

    Call it where a platform is wired, not while modules are imported: it runs the plug-ins' modules.
    """
    return with_plug_ins(entry_points(group=GROUP))


def with_plug_ins(points: Iterable[EntryPoint]) -> Mapping[str, ConnectorKind]:
    """Return the built-in kinds and those of `points`; raises Misconfigured naming the plug-in that is broken."""
    known = {kind.name: kind for kind in BUILT_IN}
    for point in points:
        kind = _loaded(point)
        if kind.name in known:
            raise Misconfigured(f"two connector kinds have the name {point.name!r}: uninstall {point.value}")
        known[kind.name] = kind
    return known


def _loaded(point: EntryPoint) -> ConnectorKind:
    try:
        kind = point.load()
    except Exception as broken:  # whatever a foreign module raises at its import
        raise Misconfigured(
            f"the connector plug-in {point.name!r} ({point.value}) cannot be loaded: {type(broken).__name__}"
        ) from broken
    if not isinstance(kind, ConnectorKind) or kind.name != point.name:
        raise Misconfigured(f"the connector plug-in {point.name!r} ({point.value}) is no ConnectorKind of this name")
    return kind


def _iso8583(settings: bytes, tools: ConnectorTools) -> Connector:
    return Iso8583Connector(iso8583_settings.decode_settings(settings), tools.ssl_context, tools.clock, tools.pins)


def _rest(settings: bytes, tools: ConnectorTools) -> Connector:
    return RestConnector(
        rest_settings.decode_settings(settings),
        tools.ssl_context,
        signer=tools.signer,
        keyid=tools.keyid,
        clock=tools.clock,
        randomness=tools.randomness,
    )


def _visa(settings: bytes, tools: ConnectorTools) -> Connector:
    decoded = visa_settings.decode_settings(settings)
    return VisaConnector(decoded, tools.ssl_context, clock=tools.clock, randomness=tools.randomness)


def _account(settings: bytes, tools: ConnectorTools) -> Connector:
    return AccountConnector(account_settings.decode_settings(settings), tools.ssl_context, tools.clock)


def _pull(settings: bytes, tools: ConnectorTools) -> Connector:
    return PullConnector(pull_settings.decode_settings(settings), tools.institution, tools.queue, tools.clock)


def _magic(settings: bytes, _: ConnectorTools) -> Connector:
    magic.decode_settings(settings)
    return magic.MagicConnector()


def _iso8583_address(settings: bytes) -> Address:
    decoded = iso8583_settings.decode_settings(settings)
    return Address(decoded.host, decoded.port, decoded.server_name)


def _rest_address(settings: bytes) -> Address:
    return _https(rest_settings.decode_settings(settings))


def _visa_address(settings: bytes) -> Address:
    return _https(visa_settings.decode_settings(settings))


def _account_address(settings: bytes) -> Address:
    return _https(account_settings.decode_settings(settings))


def _https(settings: RestSettings | VisaSettings | AccountSettings) -> Address:
    url = urlsplit(settings.base_url)
    host = url.hostname or ""
    return Address(host, url.port or HTTPS_PORT, settings.server_name or host)


BUILT_IN: Final = (
    ConnectorKind(name="iso8583", check=iso8583_settings.decode_settings, build=_iso8583, address=_iso8583_address),
    ConnectorKind(name="rest", check=rest_settings.decode_settings, build=_rest, address=_rest_address),
    ConnectorKind(name="visa", check=visa_settings.decode_settings, build=_visa, address=_visa_address),
    ConnectorKind(name="account", check=account_settings.decode_settings, build=_account, address=_account_address),
    ConnectorKind(name="pull", check=pull_settings.decode_settings, build=_pull),
    ConnectorKind(name=magic.KIND, check=magic.decode_settings, build=_magic),
)
