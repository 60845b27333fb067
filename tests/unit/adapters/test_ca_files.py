"""The authority in a directory, and the revocation list that every request passes."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.adapters.ca_files import CRL_LOOK_MS, LIFE_MIN_MS, FileCa, RevocationList
from tallystick.crypto.ca import CHANNEL, CRL_LIFE_MS, DAY_MS, read_revocation_list
from tallystick.crypto.x509 import PeerCertificate, make_csr, new_private_key, read_certificate
from tallystick.errors import AlreadyExists, CertificateRevoked, FieldInvalid, Misconfigured, NotFound
from tallystick.runtime import Millis

NOW = Millis(1_780_000_000_000)
SHOP = "tallystick:channel:ch_shop"


@pytest.fixture
def ca(tmp_path: Path) -> FileCa:
    return FileCa.create(tmp_path / "ca", name="test", now=NOW)


def enrol(ca: FileCa, now: Millis = NOW, life: int = 30 * DAY_MS) -> PeerCertificate:
    csr = make_csr(new_private_key(), uri=SHOP, common_name="x")
    return read_certificate(ca.issue(csr, CHANNEL, uri=SHOP, now=now, life=life))


def after(millis: int) -> Millis:
    return Millis(NOW + millis)


def test_private_files_are_for_the_owner_only_and_no_temporary_file_stays(ca: FileCa) -> None:
    directory = ca.trust.parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {name: mode for name, mode in modes.items() if mode != 0o644} == {
        "root.key": 0o600,
        "issuing.key": 0o600,
        "index.json": 0o600,
        "lock": 0o600,
    }
    assert {"root.pem", "issuing.pem", "trust.pem", "crl.pem"} == {n for n, mode in modes.items() if mode == 0o644}


def test_an_authority_is_never_made_over_another(ca: FileCa) -> None:
    before = ca.issuer.read_bytes()
    with pytest.raises(AlreadyExists):
        FileCa.create(ca.trust.parent, name="test", now=NOW)
    assert before == ca.issuer.read_bytes()


@pytest.mark.parametrize("name", ["issuing.key", "root.key"])
def test_a_private_key_open_to_others_is_refused(ca: FileCa, name: str) -> None:
    (ca.trust.parent / name).chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        FileCa(ca.trust.parent)


def test_the_root_key_may_be_taken_offline(ca: FileCa) -> None:
    (ca.trust.parent / "root.key").unlink()
    again = FileCa(ca.trust.parent)
    enrol(again)
    again.renew_crl(NOW)


@pytest.mark.parametrize("name", ["issuing.key", "issuing.pem"])
def test_a_missing_file_is_a_misconfiguration(ca: FileCa, name: str) -> None:
    (ca.trust.parent / name).unlink()
    with pytest.raises(Misconfigured):
        FileCa(ca.trust.parent)


@pytest.mark.parametrize("name", ["issuing.pem", "index.json"])
def test_a_damaged_file_is_a_misconfiguration(ca: FileCa, name: str) -> None:
    (ca.trust.parent / name).write_bytes(b"junk")
    with pytest.raises(Misconfigured):
        FileCa(ca.trust.parent).issued()


def test_every_certificate_issued_is_listed_by_any_later_process(ca: FileCa) -> None:
    peers = [enrol(ca), enrol(ca)]
    listed = FileCa(ca.trust.parent).issued()
    assert [(p.serial, p.fingerprint, SHOP, "channel", p.not_after, None) for p in peers] == [
        (e.serial, e.fingerprint, e.uri, e.profile, e.not_after, e.revoked) for e in listed
    ]


def test_two_processes_lose_no_entry_of_each_other(ca: FileCa) -> None:
    other = FileCa(ca.trust.parent)
    expected = {enrol(ca).serial, enrol(other).serial, enrol(ca).serial}
    assert expected == {entry.serial for entry in ca.issued()}


def test_of_processes_that_keep_the_list_one_makes_the_days(ca: FileCa) -> None:
    def number() -> int:
        return read_revocation_list(ca.crl.read_bytes(), ca.issuer.read_bytes(), after(2 * DAY_MS)).number

    first, processes = number(), [ca, FileCa(ca.trust.parent), FileCa(ca.trust.parent)]
    for now, expected in ((after(DAY_MS - 1), first), (after(DAY_MS), first + 1), (after(2 * DAY_MS - 1), first + 1)):
        for each in processes:
            each.keep_crl(now, DAY_MS)
        assert expected == number()
    ca.crl.unlink()
    ca.keep_crl(after(DAY_MS), DAY_MS)
    assert first + 2 == number()


def test_the_chain_handed_out_is_leaf_then_issuing_authority(ca: FileCa) -> None:
    csr = make_csr(new_private_key(), uri=SHOP, common_name="x")
    chain = ca.issue(csr, CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)
    assert read_certificate(chain).uri == SHOP
    assert chain.endswith(ca.issuer.read_bytes())
    assert chain.count(b"BEGIN CERTIFICATE") == 2


def test_a_refused_request_is_not_listed(ca: FileCa) -> None:
    with pytest.raises(FieldInvalid):
        enrol(ca, life=CHANNEL.life_max + 1)
    assert ca.issued() == ()


def test_a_serial_that_was_never_issued_cannot_be_revoked(ca: FileCa) -> None:
    with pytest.raises(NotFound):
        ca.revoke("abc", NOW)


def test_revoking_twice_keeps_the_first_time(ca: FileCa) -> None:
    peer = enrol(ca)
    ca.revoke(peer.serial, NOW)
    ca.revoke(peer.serial, after(DAY_MS))
    assert [entry.revoked for entry in ca.issued()] == [NOW]


def test_a_good_peer_passes_and_a_revoked_one_does_not(ca: FileCa) -> None:
    good, bad = enrol(ca), enrol(ca)
    ca.revoke(bad.serial, NOW)
    revocation = RevocationList(ca.crl, ca.issuer)
    revocation.check(good, NOW)
    with pytest.raises(CertificateRevoked, match="was revoked"):
        revocation.check(bad, NOW)


def test_a_revocation_counts_within_the_bound_and_not_by_a_look_at_each_request(ca: FileCa) -> None:
    peer = enrol(ca)
    revocation = RevocationList(ca.crl, ca.issuer)
    revocation.check(peer, NOW)
    ca.revoke(peer.serial, NOW)
    revocation.check(peer, after(CRL_LOOK_MS - 1))
    with pytest.raises(CertificateRevoked):
        revocation.check(peer, after(CRL_LOOK_MS))


def test_an_unchanged_file_is_not_read_again(ca: FileCa) -> None:
    peer = enrol(ca)
    revocation = RevocationList(ca.crl, ca.issuer)
    revocation.check(peer, NOW)
    state = ca.crl.stat()
    ca.crl.write_bytes(b"x" * state.st_size)
    os.utime(ca.crl, ns=(state.st_atime_ns, state.st_mtime_ns))
    revocation.check(peer, after(CRL_LOOK_MS))


def test_a_clock_that_goes_back_makes_it_look_again(ca: FileCa) -> None:
    peer = enrol(ca)
    revocation = RevocationList(ca.crl, ca.issuer)
    revocation.check(peer, after(DAY_MS))
    ca.revoke(peer.serial, NOW)
    with pytest.raises(CertificateRevoked):
        revocation.check(peer, NOW)


def test_without_a_list_everybody_is_refused_until_there_is_one(ca: FileCa) -> None:
    peer = enrol(ca)
    kept = ca.crl.read_bytes()
    ca.crl.unlink()
    revocation = RevocationList(ca.crl, ca.issuer)
    with pytest.raises(CertificateRevoked, match="cannot be checked"):
        revocation.check(peer, NOW)
    ca.crl.write_bytes(kept)
    revocation.check(peer, after(CRL_LOOK_MS))


def test_a_list_that_vanishes_or_is_spoilt_refuses_everybody(ca: FileCa) -> None:
    peer = enrol(ca)
    for spoil in (lambda: ca.crl.write_bytes(b"junk"), ca.crl.unlink):
        ca.renew_crl(NOW)
        revocation = RevocationList(ca.crl, ca.issuer)
        revocation.check(peer, NOW)
        spoil()
        with pytest.raises(CertificateRevoked):
            revocation.check(peer, after(CRL_LOOK_MS))


def test_a_list_that_ends_refuses_everybody_and_its_renewal_lets_them_pass_again(ca: FileCa) -> None:
    peer = enrol(ca)
    revocation = RevocationList(ca.crl, ca.issuer)
    revocation.check(peer, after(CRL_LIFE_MS - 1))
    with pytest.raises(CertificateRevoked):
        revocation.check(peer, after(CRL_LIFE_MS))
    ca.renew_crl(after(CRL_LIFE_MS))
    revocation.check(peer, after(CRL_LIFE_MS + CRL_LOOK_MS))


def test_an_older_list_put_back_refuses_everybody(ca: FileCa) -> None:
    good, bad = enrol(ca), enrol(ca)
    old = ca.crl.read_bytes()
    ca.revoke(bad.serial, NOW)
    revocation = RevocationList(ca.crl, ca.issuer)
    revocation.check(good, NOW)
    ca.crl.write_bytes(old)
    for peer in (good, bad):
        with pytest.raises(CertificateRevoked, match="cannot be checked"):
            revocation.check(peer, after(CRL_LOOK_MS))


def test_a_certificate_that_ends_during_a_connection_is_refused(ca: FileCa) -> None:
    peer = replace(enrol(ca), not_after=after(500))
    revocation = RevocationList(ca.crl, ca.issuer)
    revocation.check(peer, after(499))
    with pytest.raises(CertificateRevoked, match="ended"):
        revocation.check(peer, after(500))


def test_an_entry_leaves_the_list_only_after_its_certificate_has_long_ended(ca: FileCa) -> None:
    peer = enrol(ca, life=DAY_MS)
    ca.revoke(peer.serial, NOW)
    sizes = []
    for moment in (after(DAY_MS + CRL_LIFE_MS - 1), after(DAY_MS + CRL_LIFE_MS)):
        ca.renew_crl(moment)
        sizes.append(len(ca.crl.read_bytes()))
    assert sizes[0] > sizes[1]


def test_the_life_of_certificates_is_the_operators_within_the_bounds_of_the_profile(ca: FileCa) -> None:
    short = FileCa(ca.trust.parent, lives={"channel": 24 * 3_600_000})
    csr = make_csr(new_private_key(), common_name="x")
    assert after(DAY_MS) == read_certificate(short.issue(csr, CHANNEL, uri=SHOP, now=NOW)).not_after
    for life in (LIFE_MIN_MS - 1, CHANNEL.life_max + 1):
        with pytest.raises(Misconfigured, match="the profile channel lives 1 to 2160 hours"):
            FileCa(ca.trust.parent, lives={"channel": life})


def test_the_end_of_the_list_at_hand_is_told_and_nothing_without_one(ca: FileCa) -> None:
    revocation = RevocationList(ca.crl, ca.issuer)
    assert after(CRL_LIFE_MS) == revocation.ends_at(NOW)
    ca.crl.unlink()
    assert after(CRL_LIFE_MS) == revocation.ends_at(after(CRL_LOOK_MS - 1))
    assert revocation.ends_at(after(CRL_LOOK_MS)) is None
