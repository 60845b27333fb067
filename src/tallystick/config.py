"""Settings: flag > environment (TALLYSTICK_SECTION__KEY, _FILE for secrets) > tallystick.toml > default.

An unknown key is an error. Secrets come from files or the environment, never from the TOML.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tallystick import limits
from tallystick.errors import Misconfigured
from tallystick.secret import Secret

FILE_NAME: Final = "tallystick.toml"
PREFIX: Final = "TALLYSTICK_"
HOUR_MS: Final = 3_600_000  # ms
NOTICES_PER_SECOND: Final = 50  # notices of one medium a second: a million take five and a half hours

Pace = Annotated[int, Meta(ge=1, le=1_000)]


class GatewaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens; `names` are the host names in its certificate."""

    host: str = "127.0.0.1"
    port: int = 8443
    names: tuple[str, ...] = ("localhost",)


class SmtpSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mail server that takes notices; `security` is tls, starttls or none (none on this machine only).

    It gets `per_second` mails a second at most, of all processes together.
    """

    host: str
    port: int
    sender: str
    security: str = "starttls"
    per_second: Pace = NOTICES_PER_SECOND
    username: str | None = None
    password: Secret | None = None


class SmsSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The SMS provider: `url` takes the POST, `token` is its bearer token.

    It gets `per_second` messages a second at most, of all processes together.
    """

    url: str
    per_second: Pace = NOTICES_PER_SECOND
    token: Secret


class WebhookSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How webhooks are sent: `ca` is a file of more authorities whose receivers are believed, in PEM.

    `allow_private` lets them go to this machine and its own network, which channels could else make the platform probe.
    """

    allow_private: bool = False
    ca: str | None = None


class RoutingSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who changes the routing table: with `four_eyes`, a change counts when a second operator has approved it."""

    four_eyes: bool = False


class FourEyesSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one person only proposes: `keys`, `ca` (revocation, approval of requests), `limits`, `operators`.

    `approvals` is how many others approve, one at least. The routing table has its own setting.
    """

    keys: bool = False
    ca: bool = False
    limits: bool = False
    operators: bool = False
    approvals: Annotated[int, Meta(ge=1, le=5)] = 1


class CaSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How certificates are given out.

    `approval`: "operator" lets every request wait for `tallystick ca approve`; "token" takes a valid invitation as
    enough. `url` is where peers reach the `status` listener, `http://host:port`; certificates name it. The hours are
    the lives of certificates (`crypto.ca.PROFILES` has the bounds).
    """

    approval: Literal["operator", "token"] = "operator"
    url: str | None = None
    channel_hours: int = 30 * 24
    platform_hours: int = 30 * 24
    back_end_hours: int = 365 * 24

    def lives(self) -> dict[str, int]:
        """Return the lives by profile in ms."""
        hours = {"channel": self.channel_hours, "platform": self.platform_hours, "back_end": self.back_end_hours}
        return {profile: each * HOUR_MS for profile, each in hours.items()}


class KeysSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What protects key files: their mode (`file`), a passphrase (`sealed-file`), a token (`pkcs11`), or `shares`.

    `tallystick keys protect` goes from one to another. `module` is the path of the token's PKCS#11 library, `token` the
    token's label, `key` the label of the key in it that wraps the others, `pin` the PIN of the token's user; `shares`
    are those of enough custodians, a line each.
    """

    provider: Literal["file", "sealed-file", "pkcs11", "shares"] = "file"
    passphrase: Secret | None = None
    module: str | None = None
    token: str | None = None
    key: str = "tallystick-kek"
    pin: Secret | None = None
    shares: Secret | None = None


class AuditSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where signed checkpoints of the audit chain also go: `anchor` is a file that they are appended to."""

    anchor: str | None = None


class AcmeSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An outside authority for the certificate that listeners show, by ACME (RFC 8555); needs `tallystick[acme]`.

    `directory` is its server's directory address, https; `contact` a mail address it may write to; `ca` a PEM file in
    the data directory, of who certified that server, where it is no public authority. `host` and `port` are where
    this platform answers http-01: its names must lead there, at port 80.
    """

    directory: str
    contact: str | None = None
    ca: str | None = None
    host: str = "127.0.0.1"
    port: int = 80


class ListenerSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a further listener is.

    `enrolment` is for invited parties, `status` for OCSP and the revocation list, `merchant` for the merchants' API,
    `metrics` for the operator's Prometheus (a loopback address only).
    """

    host: str = "127.0.0.1"
    port: int


class IndependenceStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `amount` on (minor units, of `currency` where one is named), two parts need at least `score` points of 4."""

    score: int
    amount: int = 0
    currency: str | None = None


class PagesSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The payer's two pages, each an origin of its own.

    `pc_url` and `phone_url` are the origins as browsers see them; without them, the gateway's first name and the port.
    `certificate` and `private_key` are files that browsers believe (PEM, chain first); without them, the platform's
    own. `independence` says how different the ways of two parts must be. `allow_card_pin_on_page` cannot be turned on:
    ISO 9564 forbids card PINs in browsers.
    """

    host: str = "127.0.0.1"
    pc_port: int = 8446
    phone_port: int = 8447
    pc_url: str | None = None
    phone_url: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    independence: tuple[IndependenceStep, ...] = ()
    allow_card_pin_on_page: Literal[False] = False


class ServeSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How `tallystick serve` runs (docs/operations/processes.md).

    `workers` are the processes that share the listeners. `shed_delay_s` is how long a node that was told to end serves
    on while it says that it is not ready, so that balancers notice. The bounds are those of one process: parts being
    accepted and payments carried, connections and requests of each listener.
    """

    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    shed_delay_s: Annotated[float, Meta(ge=0, le=300)] = 0.0
    payments_max: Annotated[int, Meta(ge=1, le=limits.PATHS_IN_FLIGHT_MAX)] = limits.PATHS_IN_FLIGHT_MAX
    connections_max: Annotated[int, Meta(ge=1, le=limits.CONNECTIONS_MAX)] = limits.CONNECTIONS_MAX
    requests_max: Annotated[int, Meta(ge=1, le=limits.REQUESTS_MAX)] = limits.REQUESTS_MAX


class PasswordsSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where payers' passwords are checked: in so many processes beside each one that serves.

    Without a number: as many as this machine has cores beside the one that serves.
    """

    processes: Annotated[int, Meta(ge=1, le=64)] | None = None


class StoreSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where everything is kept: `sqlite` is store.db in the data directory, `postgres` the database of all nodes.

    `dsn` says where that is and who asks, as libpq's connection strings do; `ca` is the file, in the data directory, of
    who certified the database's server (PEM): needed unless it is on this machine. A node opens `connections`
    connections at most.
    """

    kind: Literal["sqlite", "postgres"] = "sqlite"
    dsn: Secret | None = None
    ca: str | None = None
    connections: Annotated[int, Meta(ge=2, le=64)] = 8


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one platform; `policies` adds split policies to those built in."""

    serve: ServeSection = ServeSection()
    store: StoreSection = StoreSection()
    gateway: GatewaySettings = GatewaySettings()
    smtp: SmtpSection | None = None
    sms: SmsSection | None = None
    webhooks: WebhookSection = WebhookSection()
    routing: RoutingSection = RoutingSection()
    four_eyes: FourEyesSection = FourEyesSection()
    ca: CaSection = CaSection()
    audit: AuditSection = AuditSection()
    keys: KeysSection = KeysSection()
    passwords: PasswordsSection = PasswordsSection()
    acme: AcmeSection | None = None
    enrolment: ListenerSection | None = None
    status: ListenerSection | None = None
    metrics: ListenerSection | None = None
    pages: PagesSection | None = None
    merchant: ListenerSection | None = None
    policies: tuple[dict[str, Any], ...] = ()


LISTENING: Final = frozenset({"serve", "gateway", "pages", "merchant", "enrolment", "status", "acme", "metrics"})


def listening(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what an environment says of listeners: all that a supervisor may know, for secrets are elsewhere in it."""
    sections = {name: name.removeprefix(PREFIX).lower().partition("__")[0] for name in environ}
    return {name: value for name, value in environ.items() if sections[name] in LISTENING}


def load(data_dir: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of a data directory; raises Misconfigured naming the key, never its value."""
    path = data_dir / FILE_NAME
    try:
        return parse(path.read_text(encoding="utf-8"), environ)
    except FileNotFoundError as error:
        raise Misconfigured(f"{path.name} is missing: run tallystick init") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path.name} cannot be read as TOML") from error


def parse(toml: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings that are about to be written; raises Misconfigured like `load`."""
    try:
        raw = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{FILE_NAME} cannot be read as TOML") from error
    _refuse_secrets(raw)
    _overlay(raw, environ)
    try:
        return msgspec.convert(raw, Settings, dec_hook=_secret, strict=False)
    except msgspec.ValidationError as error:
        place = str(error).rpartition(" - at ")[2]
        raise Misconfigured(f"a setting is unknown or of the wrong type: see {place}") from None


def _secret(kind: type, value: Any) -> Secret:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("a secret is given as text")


def _refuse_secrets(raw: Mapping[str, Any]) -> None:
    for section, key in (
        ("smtp", "password"),
        ("sms", "token"),
        ("keys", "passphrase"),
        ("keys", "pin"),
        ("keys", "shares"),
        ("store", "dsn"),
    ):
        if key in _table(raw, section):
            variable = f"{PREFIX}{section}__{key}_file".upper()
            raise Misconfigured(f"{section}.{key} is a secret: give it by {variable}, not in the TOML")


def _overlay(raw: dict[str, Any], environ: Mapping[str, str]) -> None:
    for name, value in sorted(environ.items()):
        section, found, key = name.removeprefix(PREFIX).lower().partition("__")
        if not name.startswith(PREFIX) or not found:
            continue
        raw.setdefault(section, {})
        table = _table(raw, section)
        if key.endswith("_file"):
            table[key.removesuffix("_file")] = _read(Path(value), name)
        else:
            table[key] = value


def _table(raw: Mapping[str, Any], section: str) -> dict[str, Any]:
    table = raw.get(section, {})
    if not isinstance(table, dict):
        raise Misconfigured(f"the setting {section} is a section, not a value")
    return table


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the file that {variable} names cannot be read as text") from error
