"""Outside authorities at a real platform: each for one identity, followed at once, on open connections too."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from live_platform import SETTINGS, Live, a_payment, live_platform
from test_enrolment import saved, tally

from tallystick import config
from tallystick.adapters.ca_files import FileCa
from tallystick.bootstrap.layout import create
from tallystick.bootstrap.office import Office, office
from tallystick.bootstrap.presenting import Presenting
from tallystick.channels.admit import CHANNEL_URI
from tallystick.channels.model import Anchor
from tallystick.crypto import ca
from tallystick.crypto.ca import Authority
from tallystick.crypto.tls import server_context
from tallystick.crypto.x509 import make_csr, new_private_key, read_certificate
from tallystick.runtime import Millis
from tallystick.sdk.errors import PlatformProblem

pytestmark = pytest.mark.e2e

FOLLOWS_S = 10.0  # s; anchors are read once a second, senders are known for a second, and the machine may be busy
BANK = "tallystick:institution:40718253"


def now() -> Millis:
    return Millis(time.time_ns() // 1_000_000)


@dataclass
class OutsideCa:
    """A bank's own authority, with lists of its root and of its issuing authority."""

    ca: FileCa
    place: Path

    @classmethod
    def make(cls, place: Path, name: str = "bank") -> "OutsideCa":
        made = cls(FileCa.create(place, name=name, now=now()), place)
        root = Authority((place / "root.pem").read_bytes(), (place / "root.key").read_bytes())
        (place / "root.crl").write_bytes(root.revocation_list({}, number=1, now=now()))
        return made

    @property
    def lists(self) -> tuple[str, str]:
        return str(self.place / "root.crl"), str(self.ca.crl)

    def issue(
        self, name: str, uri: str, profile: ca.Profile = ca.CHANNEL, dns: tuple[str, ...] = ()
    ) -> dict[str, Path]:
        key = new_private_key()
        chain = self.ca.issue(make_csr(key, common_name=name), profile, uri=uri, dns=dns, now=now())
        return saved(self.place / name, chain, key)


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with live_platform(tmp_path) as made:
        yield made


async def refused(live: Live, **files: Path) -> str:
    """Ask over the connection that is open until it is refused; returns the code."""
    async with asyncio.timeout(FOLLOWS_S):
        while True:
            try:
                await live.client("pc", **files).send_part(a_payment(1_250)[0])
            except PlatformProblem as problem:
                return problem.code
            await asyncio.sleep(0.1)


async def believed(live: Live, **files: Path) -> None:
    async with asyncio.timeout(FOLLOWS_S):
        while True:
            try:
                await live.client("pc", **files).send_part(a_payment(1_250)[0])
            except Exception:  # noqa: BLE001 - the handshake or the request is refused until the platform has followed
                await live.disconnect()
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_channel_moves_to_its_banks_authority_and_back_without_a_restart(live: Live, tmp_path: Path) -> None:
    bank, channel = OutsideCa.make(tmp_path / "bank"), live.profiles["pc"].credentials.sender
    uri = f"{CHANNEL_URI}{channel}"
    outside = bank.issue("shop", uri)
    await live.client("pc").send_part(a_payment(1_250)[0])
    lists = [word for place in bank.lists for word in ("--crl", place)]
    made = await tally(live, "ca", "anchor", "add", "channel", channel, bank.ca.trust, *lists)
    assert uri == made["uri"]
    assert "certificate_wrong_purpose" == await refused(live)  # on the connection that was open
    await believed(live, **outside)
    first, second = a_payment(1_250)
    await live.client("pc", **outside).send_part(first)
    assert "approved" == await live.outcome((await live.client("phone").send_part(second)).part)

    bank.ca.revoke(read_certificate(outside["certificate"].read_bytes()).serial, now())
    assert "certificate_revoked" == await refused(live, **outside)
    another = bank.issue("shop2", uri)
    await believed(live, **another)
    await tally(live, "ca", "deny", another["certificate"])
    assert "certificate_revoked" == await refused(live, **another)

    assert [made["id"]] == [each["id"] for each in await tally(live, "ca", "anchor", "list")]
    await tally(live, "ca", "anchor", "remove", made["id"])
    await live.disconnect()
    await believed(live)


async def test_a_banks_authority_cannot_speak_for_another_channel(live: Live, tmp_path: Path) -> None:
    bank = OutsideCa.make(tmp_path / "bank")
    pc, phone = (live.profiles[name].credentials.sender for name in ("pc", "phone"))
    await tally(live, "ca", "anchor", "add", "channel", phone, bank.ca.trust, "--no-crl")
    mine = bank.issue("phone", f"{CHANNEL_URI}{phone}")
    forged = bank.issue("pc", f"{CHANNEL_URI}{pc}")
    async with asyncio.timeout(FOLLOWS_S):
        while True:  # until the listener lets this authority's certificates through the handshake
            try:
                await live.client("phone", **mine).policies()
            except Exception:  # noqa: BLE001 - as in `believed`
                await live.disconnect()
                await asyncio.sleep(0.1)
            else:
                break
    with pytest.raises(PlatformProblem) as problem:
        await live.client("pc", **forged).policies()
    assert "certificate_wrong_purpose" == problem.value.code


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    create(tmp_path / "data", SETTINGS)
    async with office(tmp_path / "data", config.load(tmp_path / "data", {})) as made:
        yield made


async def test_a_connector_believes_a_back_end_by_its_institutions_authority_only(desk: Office, tmp_path: Path) -> None:
    presenting, bank = Presenting(desk), OutsideCa.make(tmp_path / "bank")
    await presenting.ensure()
    by_own = OutsideCa(desk.ca, tmp_path).issue("own", BANK, ca.BACK_END, ("localhost",))
    by_bank = bank.issue("bank", BANK, ca.BACK_END, ("localhost",))
    revoked = bank.issue("revoked", BANK, ca.BACK_END, ("localhost",))
    bank.ca.revoke(read_certificate(revoked["certificate"].read_bytes()).serial, now())
    context = presenting.connector("40718253")

    async def met(files: dict[str, Path]) -> str:
        content = server_context(files["certificate"], files["private_key"], None)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=content)
        port = server.sockets[0].getsockname()[1]
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        except ssl.SSLCertVerificationError as refusal:
            return refusal.verify_message if hasattr(refusal, "verify_message") else str(refusal)
        else:
            writer.transport.abort()
            return "met"
        finally:
            server.close()

    async def follow(change: Callable[[], Awaitable[object]]) -> None:
        await change()
        await presenting.anchoring.look()
        await presenting.anchoring.fetch()
        presenting.refresh()

    anchor = Anchor(id="anc_1", uri=BANK, bundle=bank.ca.trust.read_bytes(), lists=bank.lists, created_at=now())
    assert ["met", "unable to get local issuer certificate"] == [await met(by_own), await met(by_bank)]
    await follow(lambda: desk.store.transact(lambda books: books.add_anchor(anchor)))
    assert "met" == await met(by_bank)
    assert "met" != await met(by_own)
    assert "certificate revoked" == await met(revoked)
    fingerprint = read_certificate(by_bank["certificate"].read_bytes()).fingerprint
    await follow(lambda: desk.store.transact(lambda books: books.deny(fingerprint, now())))
    assert "denied" in await met(by_bank)
    await follow(lambda: desk.store.transact(lambda books: books.remove_anchor("anc_1")))
    assert "met" == await met(by_own)


async def test_a_connector_refuses_a_back_end_whose_authoritys_lists_are_missing(desk: Office, tmp_path: Path) -> None:
    bank = OutsideCa.make(tmp_path / "bank")
    (bank.place / "root.crl").unlink()
    presenting = Presenting(desk)
    await presenting.ensure()
    anchor = Anchor(id="anc_1", uri=BANK, bundle=bank.ca.trust.read_bytes(), lists=bank.lists, created_at=now())
    await desk.store.transact(lambda books: books.add_anchor(anchor))
    await presenting.anchoring.look()
    await presenting.anchoring.fetch()
    files = bank.issue("bank", BANK, ca.BACK_END, ("localhost",))
    content = server_context(files["certificate"], files["private_key"], None)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=content)
    port, context = server.sockets[0].getsockname()[1], presenting.connector("40718253")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get certificate CRL"):
        await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    server.close()
