"""The demo's three sandbox back ends: registered, certified, configured and started."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tallystick.bootstrap import PLATFORM_URI, Office
from tallystick.channels.admit import INSTITUTION_URI
from tallystick.cli import administer, profiles
from tallystick.cli.demo.processes import Child
from tallystick.crypto import x509
from tallystick.crypto.jose import JweKey
from tallystick.routing.model import BackEnd, NumberPolicy
from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.record import Entry

ANSWER_TIMEOUT_S: Final = 2.0  # s the demo's platform waits for a back end's answer
HOST: Final = "127.0.0.1"
NAME: Final = "localhost"

UNIONPAY_CARD: Final = "6250947000000014"
UNIONPAY_LONG_CARD: Final = "6205500000000000004"
UNIONPAY_NO_LUHN_CARD: Final = "6221558812340000"
VISA_CARD: Final = "4242424242424242"
EXPIRY: Final = "3012"
PIN: Final = "135790"
ACCOUNT: Final = "qianbao:lihua"
ACCOUNT_SECRET: Final = "river-stone-lantern"  # noqa: S105 - a sandbox account


@dataclass(slots=True)
class SandboxBackEnd:
    """One back end of the demo; `back_end.id` is its institution id."""

    back_end: BackEnd
    child: Child
    record_path: Path
    signing_key: bytes
    config_path: Path

    def entries(self, amount: int) -> list[Entry]:
        """Return what the back end itself recorded about payments of this amount."""
        if not self.record_path.exists():
            return []
        return [entry for entry in record.read(self.record_path) if entry.get("amount") == amount]

    async def restart(self) -> None:
        """Start it again on the port it had."""
        config = msgspec.json.decode(self.config_path.read_bytes())
        profiles.write_private(self.config_path, msgspec.json.encode({**config, "port": self.child.port}))
        await self.child.start()


async def start_unionpay(desk: Office, home: Path, name: str, priority: int) -> SandboxBackEnd:
    """Start a UnionPay-style back end: ISO 8583 over TLS, PIN block format 0, CMAC."""
    back_end = await administer.add_institution(
        desk, name=name, connector="iso8583", schemes=frozenset({"unionpay"}), priority=priority, issuer=True
    )
    keys = {"mac_key": desk.randomness.token(16).hex(), "pin_key": desk.randomness.token(16).hex()}
    cards = {pan: {"pin": PIN, "expiry": EXPIRY} for pan in (UNIONPAY_CARD, UNIONPAY_LONG_CARD, UNIONPAY_NO_LUHN_CARD)}
    files = _certify(desk, home, back_end)
    config = {"cert": files["chain"], "key": files["key"], "ca": str(desk.ca.trust), **keys, "cards": cards}
    sandbox = await _start(home, back_end, "tallystick.testing.sandbox.unionpay", config, b"")
    settings = {
        "host": HOST,
        "port": sandbox.child.port,
        "server_name": NAME,
        "acquirer": "48020000",
        "forwarder": "48020000",
        "terminal": "TALLY001",
        "merchant": "TALLYSTICK00001",
        "timeout_s": ANSWER_TIMEOUT_S,
        **keys,
    }
    sandbox.back_end = await administer.set_connector(desk, back_end.id, settings)
    return sandbox


async def start_rest(
    desk: Office, home: Path, name: str, style: str, schemes: frozenset[str], numbers: NumberPolicy
) -> SandboxBackEnd:
    """Start a signed REST back end: a VISA-style wallet (`wallet`) or a third-party account system (`account`)."""
    back_end = await administer.add_institution(desk, name=name, connector="rest", schemes=schemes, numbers=numbers)
    files = _certify(desk, home, back_end)
    signing_private, signing_public = profiles.new_signing_key()
    opening = JweKey.generate(f"{back_end.id}-1")
    directory = home / back_end.id
    profiles.write_private(directory / "signing.key", signing_private)
    profiles.write_private(directory / "opening.key", opening.private_bytes())
    (directory / "platform.pem").write_bytes(desk.keyring.identity.public().pem())
    config = {
        "institution": back_end.id,
        "chain": files["chain"],
        "key": files["key"],
        "client_ca": str(desk.ca.trust),
        "platform_uri": PLATFORM_URI,
        "platform_key": str(directory / "platform.pem"),
        "platform_keyid": PLATFORM_URI,
        "signing_key": str(directory / "signing.key"),
        "signing_keyid": back_end.id,
        "encryption_key": str(directory / "opening.key"),
        "encryption_kid": f"{back_end.id}-1",
        "style": style,
        "accounts": {ACCOUNT: ACCOUNT_SECRET} if style == "account" else {},
        "cards": {VISA_CARD: {"expiry": EXPIRY, "pin": PIN}} if style == "wallet" else {},
    }
    sandbox = await _start(home, back_end, "tallystick.testing.sandbox.rest", config, signing_private)
    settings = {
        "base_url": f"https://{NAME}:{sandbox.child.port}",
        "institution": back_end.id,
        "encryption_jwk": opening.public_jwk(),
        "verify_key": signing_public.decode(),
        "accepts": ["account"] if style == "account" else ["card"],
        "timeout_s": ANSWER_TIMEOUT_S,
    }
    sandbox.back_end = await administer.set_connector(desk, back_end.id, settings, signing_public.decode())
    return sandbox


def _certify(desk: Office, home: Path, back_end: BackEnd) -> dict[str, str]:
    directory = home / back_end.id
    directory.mkdir(0o700)
    key = x509.new_private_key()
    csr = x509.make_csr(key, uri=f"{INSTITUTION_URI}{back_end.id}", dns=(NAME,), common_name=back_end.name)
    chain = administer.issue_back_end_certificate(desk, back_end.id, csr, (NAME,))
    profiles.write_private(directory / "tls.key", key)
    (directory / "tls.pem").write_bytes(chain)
    return {"chain": str(directory / "tls.pem"), "key": str(directory / "tls.key")}


async def _start(
    home: Path, back_end: BackEnd, module: str, config: dict[str, Any], signing_key: bytes
) -> SandboxBackEnd:
    directory = home / back_end.id
    record_path, config_path = directory / "record.jsonl", directory / "config.json"
    profiles.write_private(config_path, msgspec.json.encode({**config, "record": str(record_path)}))
    child = Child(back_end.name, [module, "--config", str(config_path)], directory / "log.txt")
    await child.start()
    return SandboxBackEnd(back_end, child, record_path, signing_key, config_path)
