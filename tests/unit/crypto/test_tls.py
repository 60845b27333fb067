"""TLS contexts, shaken hands in memory: what each side refuses."""

import ssl
import time
from pathlib import Path

import pytest

from tallystick.crypto.ca import CHANNEL, DAY_MS, PLATFORM, Authority, new_root
from tallystick.crypto.tls import CLEANSE_PLAINTEXT, check_private, client_context, server_context
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.errors import Misconfigured
from tallystick.runtime import Millis

NOW = Millis(time.time_ns() // 1_000_000)  # OpenSSL looks at the machine's clock
SHOP = "tallystick:channel:ch_shop"
HOME = "tallystick:platform:home"


class Place:
    """A directory with an authority, the certificate of a platform and that of a channel."""

    def __init__(self, directory: Path) -> None:
        key = new_private_key()
        root = Authority(*new_root("root", NOW))
        issuing = Authority(root.issue_authority("issuing", key, NOW), key)
        self.directory = directory
        self.trust = self.save("trust.pem", root.certificate_pem)
        self.server = self.save("server.key", new_private_key())
        self.client = self.save("client.key", new_private_key())
        csr = make_csr(self.server.read_bytes(), uri=HOME, common_name="x")
        leaf = issuing.issue(csr, PLATFORM, uri=HOME, dns=["gw.example"], now=NOW, life=DAY_MS)
        self.server_chain = self.save("server.pem", leaf + issuing.certificate_pem)
        csr = make_csr(self.client.read_bytes(), uri=SHOP, common_name="x")
        leaf = issuing.issue(csr, CHANNEL, uri=SHOP, now=NOW, life=DAY_MS)
        self.client_chain = self.save("client.pem", leaf + issuing.certificate_pem)

    def save(self, name: str, data: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path

    def listener(self) -> ssl.SSLContext:
        return server_context(self.server_chain, self.server, self.trust)

    def connector(self) -> ssl.SSLContext:
        return client_context(self.trust, self.client_chain, self.client)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str = "gw.example"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory; return both sides, or raise what the first side to refuse raised."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[1], sides[0]


def test_both_sides_agree_on_tls_1_3_and_the_server_has_the_clients_certificate(place: Place) -> None:
    server, client = shake(place.listener(), place.connector())
    expected = ssl.PEM_cert_to_DER_cert(place.client_chain.read_text().partition("-----END CERTIFICATE-----")[0] + END)
    assert client.version() == "TLSv1.3"
    assert expected == server.getpeercert(binary_form=True)


END = "-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_tls_1_2_is_accepted_with_an_aead_suite(place: Place, suite: str) -> None:
    connector = place.connector()
    connector.maximum_version = ssl.TLSVersion.TLSv1_2
    connector.set_ciphers(suite)
    server, _ = shake(place.listener(), connector)
    assert (suite, "TLSv1.2") == (server.cipher() or ("",))[:2]


def test_every_suite_on_offer_is_aead(place: Place) -> None:
    for context in (place.listener(), place.connector()):
        assert all(suite["aead"] for suite in context.get_ciphers())
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_tls_1_2_without_an_aead_suite_is_refused(place: Place) -> None:
    connector = place.connector()
    connector.maximum_version = ssl.TLSVersion.TLSv1_2
    connector.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        shake(place.listener(), connector)


def test_a_client_without_certificate_is_refused_where_one_is_required(place: Place) -> None:
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake(place.listener(), client_context(place.trust))


def test_a_browser_listener_asks_for_no_certificate(place: Place) -> None:
    server, _ = shake(server_context(place.server_chain, place.server, None), client_context(place.trust))
    assert server.getpeercert(binary_form=True) is None


def test_the_connector_refuses_another_hosts_certificate(place: Place) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(place.listener(), place.connector(), host="other.example")


def test_the_connector_refuses_a_server_of_another_authority(place: Place, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(other.listener(), place.connector())


def test_the_connector_refuses_a_certificate_that_is_for_clients_only(place: Place) -> None:
    impostor = server_context(place.client_chain, place.client, None)
    with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
        shake(impostor, client_context(place.trust))


def test_both_sides_have_what_they_received_overwritten_once_it_was_read(place: Place) -> None:
    """Seen in a real process by tests/e2e/test_memory.py."""
    assert place.listener().options & CLEANSE_PLAINTEXT
    assert place.connector().options & CLEANSE_PLAINTEXT


def test_the_reason_of_a_refused_handshake_is_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tallystick.tls")
    with pytest.raises(ssl.SSLError):
        shake(place.listener(), client_context(place.trust))
    assert caplog.messages == ["handshake refused: PEER_DID_NOT_RETURN_A_CERTIFICATE"]


def test_session_keys_are_not_written_for_whoever_sets_the_environment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(place.directory / "keys.log"))
    shake(place.listener(), place.connector())
    assert not (place.directory / "keys.log").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_private_key_that_others_may_touch_is_refused(place: Place, mode: int) -> None:
    place.server.chmod(mode)
    with pytest.raises(Misconfigured, match="chmod 600"):
        place.listener()


def test_a_missing_key_certificate_or_authority_is_a_misconfiguration(place: Place) -> None:
    absent = place.directory / "absent"
    with pytest.raises(Misconfigured):
        check_private(absent)
    with pytest.raises(Misconfigured):
        server_context(absent, place.server, place.trust)
    with pytest.raises(Misconfigured):
        server_context(place.server_chain, place.server, absent)
    with pytest.raises(Misconfigured):
        client_context(place.server)


def test_a_key_of_another_certificate_is_a_misconfiguration(place: Place) -> None:
    with pytest.raises(Misconfigured):
        server_context(place.server_chain, place.client, place.trust)


def test_a_client_certificate_comes_with_its_key(place: Place) -> None:
    with pytest.raises(Misconfigured):
        client_context(place.trust, place.client_chain)
