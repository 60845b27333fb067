"""Certificates, and real handshakes with listeners that are as they should be and as they should not."""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.adapters.ca_files import FileCa
from tallystick.cli.checks import certificates
from tallystick.cli.checks.model import Scene
from tallystick.crypto import ca, tls
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.errors import Misconfigured
from tallystick.runtime import Millis, SystemClock
from tallystick.testing.clock import VirtualClock

Fault = Callable[..., str | None]
CHECKS = ["certificates", "certificates ahead", "certificate names", "TLS versions and suites", "client certificates"]


def listener(scene: Scene) -> ssl.SSLContext:
    layout = scene.layout
    return tls.server_context(layout.certificate, layout.private_key, FileCa(layout.ca).trust)


def certify(scene: Scene, profile: ca.Profile, uri: str, dns: tuple[str, ...] = ()) -> None:
    """Put another certificate in the place of the platform's."""
    key, layout = new_private_key(), scene.layout
    csr = make_csr(key, uri=uri, dns=dns, common_name="other")
    life = 20 * ca.DAY_MS
    chain = FileCa(layout.ca).issue(csr, profile, uri=uri, dns=dns, now=SystemClock().now(), life=life)
    layout.private_key.write_bytes(key)
    layout.certificate.write_bytes(chain)


@pytest.mark.parametrize("check", [*CHECKS, "revocation list", "listener"])
def test_a_new_platform_has_certificates_and_listeners_as_they_should_be(fault: Fault, check: str) -> None:
    assert fault(check) is None


@pytest.mark.parametrize(
    ("days", "said"),
    [(21, "platform.pem ends in 8 days"), (1700, "issuing.pem ends in 124 days")],
)
def test_a_certificate_is_missed_before_it_ends(fault: Fault, scene: Scene, days: int, said: str) -> None:
    later = VirtualClock(Millis(SystemClock().now() + days * ca.DAY_MS))
    assert said in str(fault("certificates ahead", at=replace(scene, clock=later)))


def test_a_name_of_the_settings_that_is_not_in_the_certificate_is_found(fault: Fault, scene: Scene) -> None:
    certify(scene, ca.PLATFORM, "tallystick:platform:main", ("other.example",))
    assert "localhost is not a name in the platform's certificate, or its issuer is not trusted" == fault(
        "certificate names"
    )


def test_the_certificate_of_somebody_else_is_found(fault: Fault, scene: Scene) -> None:
    certify(scene, ca.BACK_END, "tallystick:institution:1", ("localhost",))
    assert str(fault("certificate names")).endswith("its identity is another one")


def test_names_of_this_machine_only_are_told(fault: Fault, platform: Path) -> None:
    assert "the certificate names this machine only" == fault("public names")
    settings = platform / "tallystick.toml"
    settings.write_text(settings.read_text().replace('names = ["localhost"]', 'names = ["localhost", "pay.example"]'))
    assert fault("public names") is None


@pytest.mark.skipif(not ssl.HAS_TLSv1_1, reason="this OpenSSL was built without TLS 1.1")
def test_a_listener_that_takes_tls_1_1_is_found(scene: Scene) -> None:
    weak = listener(scene)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        weak.minimum_version = ssl.TLSVersion.TLSv1
    weak.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(Misconfigured, match=r"takes TLS 1\.1: TLSv1\.1"):
        asyncio.run(certificates.speaks(weak, scene))


def test_a_listener_that_takes_cbc_suites_is_found(scene: Scene) -> None:
    weak = listener(scene)
    weak.set_ciphers("ECDHE+AES")
    with pytest.raises(Misconfigured, match=r"takes TLS 1\.2 without AEAD: TLSv1\.2 ECDHE-ECDSA-AES"):
        asyncio.run(certificates.speaks(weak, scene))


def test_a_listener_without_tls_1_3_is_found(scene: Scene) -> None:
    old = listener(scene)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(Misconfigured, match=r"does not speak TLS 1\.3"):
        asyncio.run(certificates.speaks(old, scene))


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL])
def test_a_listener_that_lets_in_peers_without_certificate_is_found(scene: Scene, mode: ssl.VerifyMode) -> None:
    careless = listener(scene)
    careless.verify_mode = mode
    with pytest.raises(Misconfigured, match="lets in a peer without a certificate"):
        asyncio.run(certificates.asks_for_certificates(careless, scene))
