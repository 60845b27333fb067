"""The demo's sandbox back ends: registered, certified, configured and started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tallystick.bootstrap.layout import PLATFORM_URI
from tallystick.bootstrap.office import Office
from tallystick.channels.admit import INSTITUTION_URI
from tallystick.cli import administer, profiles
from tallystick.cli.demo.processes import Child
from tallystick.crypto import x509
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import load_private
from tallystick.routing.model import BackEnd, NumberPolicy
from tallystick.testing.sandbox import pairs, record
from tallystick.testing.sandbox.pairs import Pair, Place
from tallystick.testing.sandbox.record import Entry

ANSWER_TIMEOUT_S: Final = 2.0  # s the demo's platform waits for a back end's answer
PATIENCE: Final = 1_000  # failures in a row before a circuit opens: many of the demo's stories are failures
LATE_S: Final = 2.5  # s after which a late answer comes: later than the platform waits

UNIONPAY_CARD: Final = "6250947000000014"
UNIONPAY_LONG_CARD: Final = "6205500000000000004"
UNIONPAY_NO_LUHN_CARD: Final = "6221558812340000"
VISA_CARD: Final = "4242424242424242"
EXPIRY: Final = "3012"
PIN: Final = "135790"
ACCOUNT: Final = "qianbao:lihua"
REST_ACCOUNT: Final = "bamboo:lihua"
PULL_ACCOUNT: Final = "lotus:lihua"
ACCOUNT_SECRET: Final = "river-stone-lantern"  # noqa: S105 - a sandbox account


@dataclass(slots=True)
class SandboxBackEnd:
    """One back end of the demo; `back_end.id` is its institution id."""

    back_end: BackEnd
    child: Child
    record_path: Path
    signing_key: bytes | None
    config_path: Path

    def entries(self, amount: int) -> list[Entry]:
        """Return what the back end itself recorded about payments of this amount."""
        if not self.record_path.exists():
            return []
        return [entry for entry in record.read(self.record_path) if entry.get("amount") == amount]

    async def restart(self) -> None:
        """Start it again, on the port it had if it listens."""
        if self.child.port:
            config = msgspec.json.decode(self.config_path.read_bytes())
            profiles.write_private(self.config_path, msgspec.json.encode({**config, "port": self.child.port}))
        await self.child.start()


async def start_unionpay(desk: Office, home: Path, name: str, priority: int) -> SandboxBackEnd:
    """Start a UnionPay-style back end: ISO 8583 over TLS, PIN block format 0, CMAC."""
    back_end = await administer.add_institution(
        desk,
        name=name,
        connector="iso8583",
        schemes=frozenset({"unionpay"}),
        priority=priority,
        issuer=True,
        failures_max=PATIENCE,
    )
    cards = {pan: {"pin": PIN, "expiry": EXPIRY} for pan in (UNIONPAY_CARD, UNIONPAY_LONG_CARD, UNIONPAY_NO_LUHN_CARD)}
    place = await _certify(desk, home, back_end)
    pair = pairs.unionpay(place, desk.randomness, cards, timeout_s=ANSWER_TIMEOUT_S, delay_s=LATE_S)
    return await _start(desk, back_end, place, pair)


async def start_visa(desk: Office, home: Path) -> SandboxBackEnd:
    """Start a wallet in VISA's style: REST over mutual TLS, every message encrypted, tokens."""
    back_end = await administer.add_institution(
        desk, name="VISA wallet", connector="visa", schemes=frozenset({"visa"}), failures_max=PATIENCE
    )
    place = await _certify(desk, home, back_end)
    cards = {VISA_CARD: {"expiry": EXPIRY, "pin": PIN}}
    return await _start(
        desk, back_end, place, pairs.visa(place, desk.randomness, cards, timeout_s=ANSWER_TIMEOUT_S, late_s=LATE_S)
    )


async def start_account(desk: Office, home: Path, platform_url: str) -> SandboxBackEnd:
    """Start a third party's account system: RSA signatures, outcomes by callback; its numbers are the platform's."""
    back_end = await administer.add_institution(
        desk,
        name="Qianbao accounts",
        connector="account",
        schemes=frozenset({"qianbao"}),
        numbers=NumberPolicy.PLATFORM,
        failures_max=PATIENCE,
    )
    place = await _certify(desk, home, back_end)
    accounts, timeout_s = {ACCOUNT: ACCOUNT_SECRET}, ANSWER_TIMEOUT_S
    pair = pairs.account(place, accounts, timeout_s=timeout_s, slow_s=LATE_S, platform_url=platform_url)
    return await _start(desk, back_end, place, pair)


async def start_rest(desk: Office, home: Path, numbers: NumberPolicy = NumberPolicy.NONE) -> SandboxBackEnd:
    """Start a generic REST back end with accounts: RFC 9421 signatures, credentials in a JWE."""
    back_end = await administer.add_institution(
        desk,
        name="Bamboo REST",
        connector="rest",
        schemes=frozenset({"bamboo"}),
        numbers=numbers,
        failures_max=PATIENCE,
    )
    place = await _certify(desk, home, back_end)
    accounts, platform_key = {REST_ACCOUNT: ACCOUNT_SECRET}, desk.keyring.identity.public().pem()
    return await _start(
        desk, back_end, place, pairs.rest(place, accounts, platform_key, timeout_s=ANSWER_TIMEOUT_S, slow_s=LATE_S)
    )


async def start_pull(desk: Office, home: Path, platform_url: str) -> SandboxBackEnd:
    """Start a back end with accounts that fetches its deliveries from the platform, which serves already."""
    back_end = await administer.add_institution(
        desk, name="Lotus pull", connector="pull", schemes=frozenset({"lotus"}), failures_max=PATIENCE
    )
    directory = home / back_end.id
    directory.mkdir(0o700)
    signing, public = profiles.new_signing_key()
    opening, kid = JweKey.generate(f"{back_end.id}-1"), f"{back_end.id}-1"
    profiles.write_private(directory / "opening.key", opening.private_bytes())
    await administer.note_issue(desk, f"{INSTITUTION_URI}{back_end.id}")
    profile = profiles.write_institution(desk, back_end.id, directory / "profile", platform_url, signing)
    settings = {"encryption_jwk": opening.public_jwk(), "accepts": ["account"], "visible_s": ANSWER_TIMEOUT_S}
    active = await administer.set_connector(
        desk, back_end.id, {**settings, "patience_s": ANSWER_TIMEOUT_S}, public.decode()
    )
    config = {
        "profile": str(profile),
        "encryption_key": str(directory / "opening.key"),
        "encryption_kid": kid,
        "accounts": {PULL_ACCOUNT: ACCOUNT_SECRET},
        "late_s": LATE_S,
    }
    child, record_path, config_path = _child(directory, back_end.name, "tallystick.testing.sandbox.pull", config)
    await child.start()
    return SandboxBackEnd(active, child, record_path, signing, config_path)


async def _certify(desk: Office, home: Path, back_end: BackEnd) -> Place:
    directory = home / back_end.id
    directory.mkdir(0o700)
    key = x509.new_private_key()
    csr = x509.make_csr(key, uri=f"{INSTITUTION_URI}{back_end.id}", dns=(pairs.NAME,), common_name=back_end.name)
    await administer.note_issue(desk, f"{INSTITUTION_URI}{back_end.id}")
    chain = administer.issue_back_end_certificate(desk, back_end.id, csr, (pairs.NAME,))
    profiles.write_private(directory / "tls.key", key)
    (directory / "tls.pem").write_bytes(chain)
    return Place(directory, back_end.id, directory / "tls.pem", directory / "tls.key", desk.ca.trust, PLATFORM_URI)


async def _start(desk: Office, back_end: BackEnd, place: Place, pair: Pair) -> SandboxBackEnd:
    """Start the sandbox, then tell the platform, which may be running, how to reach it."""
    child, record_path, config_path = _child(place.directory, back_end.name, pair.module, pair.config)
    port = await child.start()
    sender = load_private(pair.signing_key).public().pem().decode() if pair.signing_key else None
    active = await administer.set_connector(desk, back_end.id, pair.settings(port), sender)
    return SandboxBackEnd(active, child, record_path, pair.signing_key, config_path)


def _child(directory: Path, name: str, module: str, config: Mapping[str, Any]) -> tuple[Child, Path, Path]:
    """Return the process to start, the file of its record and that of its configuration."""
    record_path, config_path = directory / "record.jsonl", directory / "config.json"
    profiles.write_private(config_path, msgspec.json.encode({**config, "record": str(record_path)}))
    return Child(name, [module, "--config", str(config_path)], directory / "log.txt"), record_path, config_path
