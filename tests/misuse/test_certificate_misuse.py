"""Certificates of outside authorities: what each may vouch for, and everything that is refused."""

import asyncio
import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from certificate_world import CLIENT, DAY, NOW, OTHER, SERVER, SHOP, Outside, new_key, peer_of
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tallystick.adapters import outside_lists
from tallystick.adapters.ca_files import FileCa, RevocationList
from tallystick.adapters.outside_lists import FILE_EVERY_MS, OutsideLists
from tallystick.channels.model import Anchor
from tallystick.channels.trust import STALE_MS, TrustBook
from tallystick.crypto.anchors import AUTHORITIES_MAX, Authorities, check_fingerprint, check_subject
from tallystick.crypto.ca import CHANNEL
from tallystick.crypto.x509 import PeerCertificate, make_csr, new_private_key, read_certificate
from tallystick.errors import CertificateRevoked, CertificateWrongPurpose, FieldInvalid, Malformed
from tallystick.runtime import Millis
from tallystick.testing.clock import VirtualClock


class World:
    """A trust book over real lists, on a clock in the hand."""

    def __init__(self, place: Path) -> None:
        self.place, self.clock = place, VirtualClock(NOW)
        self.ca = FileCa.create(place / "ca", name="own", now=NOW)
        self.lists = OutsideLists(place / "anchors", self.clock)
        self.book = self.new_book()
        self.anchors: list[Anchor] = []
        self.denied: dict[str, Millis] = {}
        self.take()

    def new_book(self) -> TrustBook:
        return TrustBook(self.ca.issuer.read_bytes(), RevocationList(self.ca.crl, self.ca.issuer), self.lists)

    def take(self) -> None:
        self.book.take(self.anchors, self.denied, self.clock.now())
        self.lists.take(self.book.outside)

    def pin(self, uri: str, authority: Outside, *lists: str, **how: Any) -> Anchor:
        made = Anchor(
            id=f"anc_{len(self.anchors)}", uri=uri, bundle=authority.bundle, lists=lists, created_at=NOW, **how
        )
        self.anchors.append(made)
        self.take()
        return made

    def own(self, uri: str = SHOP) -> PeerCertificate:
        csr = make_csr(new_private_key(), common_name="x")
        return read_certificate(self.ca.issue(csr, CHANNEL, uri=uri, now=NOW))

    def proves(self, peer: PeerCertificate) -> str | None:
        return self.book.check(peer, self.clock.now()).uri

    def refuses(
        self, peer: PeerCertificate, why: type[Exception] = CertificateWrongPurpose, match: str | None = None
    ) -> None:
        with pytest.raises(why, match=match):
            self.book.check(peer, self.clock.now())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def bank() -> Outside:
    return Outside.root().below()


def test_without_anchors_the_platforms_own_authority_vouches_and_no_other(world: World, bank: Outside) -> None:
    assert SHOP == world.proves(world.own())
    world.refuses(bank.peer(SHOP))


def test_an_identity_with_an_anchor_is_proven_by_that_one_only(world: World, bank: Outside) -> None:
    world.pin(SHOP, bank)
    assert SHOP == world.proves(bank.peer(SHOP))
    world.refuses(world.own())
    world.refuses(Outside.root().below().peer(SHOP))


def test_an_outside_authority_can_never_vouch_for_an_identity_that_is_not_its_own(world: World, bank: Outside) -> None:
    world.pin(SHOP, bank)
    world.refuses(bank.peer(OTHER))
    world.pin(OTHER, Outside.root().below())
    world.refuses(bank.peer(OTHER))
    assert OTHER != world.proves(bank.peer(SHOP))


def test_two_anchors_of_an_identity_both_count_as_while_an_authority_is_replaced(world: World, bank: Outside) -> None:
    old, new = bank, Outside.root("Bank root 2").below()
    world.pin(SHOP, old)
    world.pin(SHOP, new)
    assert SHOP == world.proves(old.peer(SHOP)) == world.proves(new.peer(SHOP))
    del world.anchors[0]
    world.take()
    world.refuses(old.peer(SHOP))
    assert SHOP == world.proves(new.peer(SHOP))


def test_an_anchor_taken_away_counts_no_more_for_a_certificate_that_was_proven_before(
    world: World, bank: Outside
) -> None:
    world.pin(SHOP, bank)
    peer = bank.peer(SHOP)
    assert SHOP == world.proves(peer)
    world.anchors.clear()
    world.take()
    world.refuses(peer)


WRONG: dict[str, dict[str, Any]] = {
    "expired": {"start": -2 * DAY, "end": -dt.timedelta(seconds=1)},
    "not yet valid": {"start": dt.timedelta(seconds=2), "end": DAY},
    "for servers only": {"uses": SERVER},
    "for no stated purpose": {"uses": None},
    "RSA-1024": {"key": rsa.generate_private_key(65537, 1024)},  # noqa: S505 - that is the point
    "a weak curve": {"key": ec.generate_private_key(ec.SECP192R1())},
}


@pytest.mark.parametrize("how", WRONG.values(), ids=WRONG.keys())
def test_a_certificate_is_refused_that_is(world: World, bank: Outside, how: dict[str, Any]) -> None:
    world.pin(SHOP, bank)
    assert SHOP == world.proves(bank.peer(SHOP))
    world.refuses(bank.peer(SHOP, **how))


def test_a_certificate_with_two_identities_or_a_malformed_one_is_refused(bank: Outside) -> None:
    for uris in ((SHOP, OTHER), (f"{SHOP}/",), ("TALLYSTICK:channel:ch_shop",)):
        with pytest.raises(CertificateWrongPurpose):
            bank.peer(*uris)


def test_a_self_signed_certificate_with_the_right_identity_is_refused(world: World, bank: Outside) -> None:
    world.pin(SHOP, bank)
    lone = Outside.root("shop")
    world.refuses(replace(peer_of(lone.certificate), uri=SHOP))
    world.refuses(lone.peer(SHOP))


def test_an_authority_that_the_operator_did_not_give_is_believed_by_nobody(world: World) -> None:
    root = Outside.root()
    world.pin(SHOP, root)
    world.refuses(root.below().peer(SHOP))  # whatever intermediates the peer sends
    assert SHOP == world.proves(root.peer(SHOP))


def test_a_leaf_that_signs_a_leaf_is_refused(world: World, bank: Outside) -> None:
    world.pin(SHOP, bank)
    key = new_key()
    fake = Outside(bank.leaf(SHOP, key=key), key)
    world.refuses(fake.peer(SHOP))


def test_name_constraints_are_kept_and_those_that_cannot_be_checked_refuse(world: World) -> None:
    root = Outside.root()
    dns = root.below("dns", constraints=x509.NameConstraints([x509.DNSName("bank.example")], None))
    uri = root.below("uri", constraints=x509.NameConstraints([x509.UniformResourceIdentifier("bank.example")], None))
    world.pin(SHOP, dns)
    world.pin(SHOP, uri)
    assert SHOP == world.proves(dns.peer(SHOP, dns="app.bank.example"))
    world.refuses(dns.peer(SHOP, dns="app.other.example"))
    world.refuses(uri.peer(SHOP))


def test_a_certificate_without_our_uri_counts_for_the_identity_that_its_fingerprint_is_mapped_to(
    world: World, bank: Outside
) -> None:
    peer, twin = bank.peer(), bank.peer()
    world.pin(SHOP, bank, fingerprint=peer.fingerprint)
    assert SHOP == world.proves(peer)
    world.refuses(twin)


def test_a_certificate_without_our_uri_counts_by_its_subject_from_this_authority_only(
    world: World, bank: Outside
) -> None:
    world.pin(SHOP, bank, subject=check_subject("CN=app,O=Bank"))
    assert SHOP == world.proves(bank.peer(text="app"))
    world.refuses(bank.peer(text="app2"))
    world.refuses(Outside.root().below().peer(text="app"))
    world.refuses(bank.peer(OTHER, text="app"))


def test_a_certificate_mapped_to_two_identities_is_neither(world: World, bank: Outside) -> None:
    world.pin(SHOP, bank, subject="CN=app,O=Bank")
    world.pin(OTHER, bank, fingerprint=(peer := bank.peer(text="app")).fingerprint)
    world.refuses(peer, match="one identity")


def test_a_denied_certificate_counts_no_more_whoever_issued_it(world: World, bank: Outside) -> None:
    world.pin(OTHER, bank)
    for peer in (world.own(), bank.peer(OTHER)):
        world.proves(peer)
        world.denied = {peer.fingerprint: NOW}
        world.take()
        world.refuses(peer, CertificateRevoked, "denied")


def test_denying_an_authority_denies_what_it_issued(world: World, bank: Outside) -> None:
    world.pin(SHOP, bank)
    world.denied = {peer_of(bank.certificate).fingerprint: NOW}
    world.take()
    world.refuses(bank.peer(SHOP), CertificateRevoked, "denied")


async def test_what_is_known_of_anchors_counts_for_a_minute_then_everybody_is_refused(world: World) -> None:
    peer = world.own()
    await world.clock.advance(STALE_MS)
    world.proves(peer)
    await world.clock.advance(1)
    world.refuses(peer, CertificateRevoked, "cannot be told")
    world.take()
    world.proves(peer)


def test_before_anything_is_known_everybody_is_refused(world: World) -> None:
    world.book = world.new_book()
    world.refuses(world.own(), CertificateRevoked, "cannot be told")


async def test_a_certificate_or_authority_that_ends_during_a_connection_is_refused(world: World, bank: Outside) -> None:
    world.pin(SHOP, bank)
    peer = bank.peer(SHOP, end=dt.timedelta(seconds=5))
    world.proves(peer)
    await world.clock.advance(5_000)
    world.refuses(peer, CertificateRevoked, "ended")


class Listed(World):
    """An identity whose anchor has lists of both authorities, in files."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.root = Outside.root()
        self.issuing = self.root.below()
        self.files = {each: place / f"{index}.crl" for index, each in enumerate("ri")}
        self.publish()
        self.anchor = self.pin(SHOP, self.issuing, *map(str, self.files.values()))

    def publish(self) -> None:
        now = self.clock.now()
        for which, authority in (("r", self.root), ("i", self.issuing)):
            self.files[which].write_bytes(authority.crl(now))

    async def look(self) -> None:
        await self.lists.look()

    async def later(self, ms: int = FILE_EVERY_MS) -> None:
        await self.clock.advance(ms)
        self.take()
        await self.look()


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    return Listed(tmp_path)


async def test_with_lists_nobody_is_let_in_before_all_are_there(listed: Listed) -> None:
    peer = listed.issuing.peer(SHOP)
    listed.refuses(peer, CertificateRevoked, "cannot be checked")
    await listed.look()
    assert SHOP == listed.proves(peer)


async def test_a_list_that_is_missing_for_one_authority_of_the_path_refuses(listed: Listed) -> None:
    listed.files["r"].unlink()
    await listed.look()
    listed.refuses(listed.issuing.peer(SHOP), CertificateRevoked, "cannot be checked")


async def test_a_revoked_certificate_is_refused_within_a_second(listed: Listed) -> None:
    leaf = listed.issuing.leaf(SHOP)
    await listed.look()
    listed.proves(peer_of(leaf))
    listed.issuing.revoke(leaf)
    listed.publish()
    await listed.later()
    listed.refuses(peer_of(leaf), CertificateRevoked, "was revoked")
    assert SHOP == listed.proves(listed.issuing.peer(SHOP))


async def test_a_revoked_authority_takes_what_it_issued_with_it(listed: Listed) -> None:
    await listed.look()
    listed.root.revoke(listed.issuing.certificate)
    listed.publish()
    await listed.later()
    listed.refuses(listed.issuing.peer(SHOP), CertificateRevoked, "was revoked")


async def test_a_list_counts_until_its_next_update_and_not_a_moment_longer(listed: Listed) -> None:
    await listed.look()
    peer = listed.issuing.peer(SHOP, end=2 * DAY)
    await listed.clock.advance(24 * 3_600_000 - 1)
    listed.take()
    listed.proves(peer)
    await listed.clock.advance(1)
    listed.refuses(peer, CertificateRevoked, "missing or ended")
    listed.publish()
    await listed.later()
    listed.proves(peer)


async def test_an_older_list_put_back_does_not_undo_a_revocation(listed: Listed) -> None:
    leaf, old = listed.issuing.leaf(SHOP), listed.files["i"].read_bytes()
    listed.issuing.revoke(leaf)
    listed.publish()
    await listed.look()
    listed.files["i"].write_bytes(old)
    await listed.later()
    listed.refuses(peer_of(leaf), CertificateRevoked, "was revoked")


BAD_LISTS = {
    "junk": lambda _: b"junk",
    "of another authority of the same name": lambda _: Outside.root().below().crl(),
    "ended": lambda world: world.issuing.crl(Millis(NOW - 3 * 86_400_000)),
    "not begun": lambda world: world.issuing.crl(Millis(NOW + 86_400_000)),
    "too long": lambda _: bytes(outside_lists.LIST_MAX + 1),
}


@pytest.mark.parametrize("make", BAD_LISTS.values(), ids=BAD_LISTS.keys())
async def test_a_list_opens_no_door_that_is(listed: Listed, make: Any) -> None:
    listed.files["i"].write_bytes(make(listed))
    await listed.look()
    listed.refuses(listed.issuing.peer(SHOP), CertificateRevoked, "cannot be checked")


async def test_lists_survive_a_restart_while_the_authoritys_server_is_away(listed: Listed) -> None:
    leaf = listed.issuing.leaf(SHOP)
    listed.issuing.revoke(leaf)
    listed.publish()
    await listed.look()
    for file in listed.files.values():
        file.unlink()
    listed.lists = OutsideLists(listed.place / "anchors", listed.clock)
    listed.book = listed.new_book()
    listed.take()
    assert SHOP == listed.proves(listed.issuing.peer(SHOP))
    listed.refuses(peer_of(leaf), CertificateRevoked, "was revoked")


async def test_the_operator_is_told_when_the_list_of_each_authority_ends(listed: Listed) -> None:
    assert {listed.anchor.id: (None, None)} == listed.lists.ends()
    listed.files["i"].unlink()
    await listed.look()
    (root, issuing) = listed.lists.ends()[listed.anchor.id]
    assert {None, True} == {each if each is None else each > listed.clock.now() for each in (root, issuing)}


async def test_a_kept_list_that_was_altered_on_disk_is_not_believed(listed: Listed) -> None:
    await listed.look()
    kept = listed.lists.file(listed.anchor.id)
    kept.write_bytes(Outside.root().crl())
    listed.lists = OutsideLists(listed.place / "anchors", listed.clock)
    listed.book = listed.new_book()
    listed.take()
    listed.refuses(listed.issuing.peer(SHOP), CertificateRevoked, "cannot be checked")


async def test_lists_are_fetched_over_http_within_bounds(world: World, bank: Outside) -> None:
    root = bank.above
    assert root is not None
    served = {"/root": root.crl(), "/issuing": bank.crl(), "/moved": b""}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        status = b"200 OK" if served[path] else b"302 Found\r\nlocation: /root"
        writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(served[path]), served[path]))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    world.pin(OTHER, bank, f"{base}/moved", f"{base}/issuing")
    world.pin(SHOP, bank, f"{base}/root", f"{base}/issuing")
    await world.lists.look()
    assert SHOP == world.proves(bank.peer(SHOP))
    world.refuses(bank.peer(OTHER), CertificateRevoked, "cannot be checked")
    served["/root"] = bytes(outside_lists.LIST_MAX + 1)
    await world.clock.advance(outside_lists.URL_EVERY_MS)
    world.take()
    await world.lists.look()
    assert SHOP == world.proves(bank.peer(SHOP))  # the list before counts until it ends
    server.close()


def test_a_bundle_is_refused_that_is_no_chain_of_authorities(bank: Outside) -> None:
    assert bank.above is not None
    leaf = Outside(bank.leaf(SHOP), new_key())
    for wrong in (bank.pem, bank.bundle + leaf.pem, bank.bundle + Outside.root().below().pem):
        with pytest.raises(FieldInvalid):
            Authorities(wrong)
    for unreadable in (b"", b"junk", bank.above.pem * (AUTHORITIES_MAX + 1), bytes(70_000)):
        with pytest.raises(Malformed):
            Authorities(unreadable)


@pytest.mark.parametrize("wrong", ["", "ab", "g" * 64, "ab" * 33])
def test_a_fingerprint_is_sha_256(wrong: str) -> None:
    assert "ab" * 32 == check_fingerprint(":".join(["AB"] * 32))
    with pytest.raises(FieldInvalid):
        check_fingerprint(wrong)


@pytest.mark.parametrize("wrong", ["", "app", "CN", "CN=" + "x" * 600])
def test_a_subject_is_a_name(wrong: str) -> None:
    with pytest.raises(FieldInvalid):
        check_subject(wrong)


def test_a_library_that_lets_any_purpose_pass_would_be_noticed(bank: Outside) -> None:
    """The path alone does not ask for client authentication where no usage is stated: `TrustBook` does."""
    path = Authorities(bank.bundle).path
    assert 2 == len(path(bank.peer(SHOP, uses=None).encoded, NOW))
    assert 2 == len(path(bank.peer(SHOP, uses=CLIENT).encoded, NOW))
    with pytest.raises(CertificateWrongPurpose):
        path(bank.peer(SHOP, uses=SERVER).encoded, NOW)
