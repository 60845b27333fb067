"""What OpenSSL's own tools say about our MACs, signatures, certificates and handshakes."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from certified import PLATFORM_URI, Certified

from tallystick.crypto import mac, pay_token
from tallystick.crypto.ca import CHANNEL, PLATFORM
from tallystick.crypto.mac import MacAlgorithm
from tallystick.crypto.mle import MleKey
from tallystick.crypto.pay_token import ResourcePath
from tallystick.crypto.rsa_sign import RsaPrivate
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.testing.sandbox.visa import VisaSandbox, VisaSandboxConfig

pytestmark = pytest.mark.e2e

OPENSSL_TIMEOUT_S = 30
MESSAGE = b"0200 and whatever else a message says \x00\xff"
CMAC_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
SECRET = "a shared secret of forty characters long"


@pytest.fixture(scope="module")
def openssl() -> str:
    found = shutil.which("openssl")
    if found is None:
        pytest.skip("the openssl command is not installed")
    return found


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified.create(tmp_path_factory.mktemp("openssl"), "wallet")


def ran(openssl: str, *arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [openssl, *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, timeout=OPENSSL_TIMEOUT_S, check=False)  # noqa: S603


def told(openssl: str, *arguments: str | Path, given: bytes = b"") -> str:
    done = ran(openssl, *arguments, given=given)
    assert 0 == done.returncode, done.stderr.decode()
    return done.stdout.decode().strip()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# MACs


def test_dgst_makes_our_request_token(openssl: str) -> None:
    at, body = Millis(1_767_225_600_000), b'{"encData":"a.b.c.d.e"}'
    resource = ResourcePath.SHORT.of("/wallet/v1/authorizations?apikey=K")
    token = pay_token.make(Secret(SECRET), at, pay_token.request_text(resource, body))
    covered = b"1767225600v1/authorizationsapikey=K" + body
    tag = told(openssl, "dgst", "-sha256", "-hmac", SECRET, "-r", given=covered).split()[0]
    assert f"xv2:1767225600:{tag}" == token


def test_mac_makes_our_request_token(openssl: str) -> None:
    token = pay_token.make(Secret(SECRET), Millis(1_767_225_600_000), MESSAGE)
    tag = told(openssl, "mac", "-digest", "SHA256", "-macopt", f"key:{SECRET}", "HMAC", given=b"1767225600" + MESSAGE)
    assert f"xv2:1767225600:{tag.lower()}" == token


@pytest.mark.parametrize("length", [0, 1, 16, 40, 41])
def test_mac_makes_our_aes_cmac(openssl: str, length: int) -> None:
    message = (MESSAGE * 2)[:length]
    options = ("-cipher", "AES-128-CBC", "-macopt", f"hexkey:{CMAC_KEY.hex()}")
    assert mac.cmac(CMAC_KEY, message).hex() == told(openssl, "mac", *options, "CMAC", given=message).lower()


def test_mac_makes_the_tag_of_our_messages(openssl: str) -> None:
    options = ("-cipher", "AES-128-CBC", "-macopt", f"hexkey:{CMAC_KEY.hex()}")
    whole = bytes.fromhex(told(openssl, "mac", *options, "CMAC", given=MESSAGE))
    mac.verify(MacAlgorithm.CMAC, CMAC_KEY, MESSAGE, whole[: len(mac.tag(MacAlgorithm.CMAC, CMAC_KEY, MESSAGE))])


# Signatures and keys


def test_dgst_verifies_our_rsa_signature_and_no_other(openssl: str, tmp_path: Path) -> None:
    key = RsaPrivate()
    public = written(tmp_path / "public.pem", key.public().pem())
    signature = written(tmp_path / "signature", key.sign(MESSAGE))
    verifying = ("dgst", "-sha256", "-verify", public, "-signature", signature)
    assert "Verified OK" == told(openssl, *verifying, given=MESSAGE)
    assert 0 != ran(openssl, *verifying, given=MESSAGE + b".").returncode


def test_we_verify_the_rsa_signature_of_dgst(openssl: str, tmp_path: Path) -> None:
    key = RsaPrivate()
    private, signature = written(tmp_path / "private.pem", key.pem()), tmp_path / "signature"
    told(openssl, "dgst", "-sha256", "-sign", private, "-out", signature, given=MESSAGE)
    key.public().verify(MESSAGE, signature.read_bytes())


def test_we_open_what_is_sealed_under_keys_of_genpkey(openssl: str, tmp_path: Path) -> None:
    private = tmp_path / "private.pem"
    told(openssl, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out", private)
    public = told(openssl, "pkey", "-in", private, "-pubout")
    key = MleKey.from_pem("own-1", private.read_bytes())
    assert public == key.public().pem().decode().strip()
    assert MESSAGE == key.open(key.public().seal(MESSAGE, Millis(0)), Millis(0))


# Certificates


@pytest.mark.parametrize(("name", "purpose"), [("platform", "sslclient"), ("wallet", "sslserver")])
def test_verify_takes_our_certificates_for_their_purpose(
    openssl: str, certified: Certified, name: str, purpose: str
) -> None:
    chain, _ = certified.made[name]
    verifying = ("verify", "-x509_strict", "-CAfile", certified.ca.trust, "-untrusted", chain)
    assert told(openssl, *verifying, "-purpose", purpose, chain).endswith(": OK")


def test_verify_refuses_a_channels_certificate_as_a_servers(openssl: str, certified: Certified) -> None:
    certified.certify("channel", CHANNEL, "tallystick:channel:shop")
    chain, _ = certified.made["channel"]
    verifying = ("verify", "-CAfile", certified.ca.trust, "-untrusted", chain, "-purpose")
    assert told(openssl, *verifying, "sslclient", chain).endswith(": OK")
    assert b"purpose" in ran(openssl, *verifying, "sslserver", chain).stderr


def test_verify_refuses_a_certificate_of_another_authority(
    openssl: str, certified: Certified, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Certified.create(tmp_path_factory.mktemp("other"))
    chain, _ = other.made["platform"]
    assert 0 != ran(openssl, "verify", "-CAfile", certified.ca.trust, "-untrusted", chain, chain).returncode


# The handshake


@pytest.fixture
async def sandbox(certified: Certified, tmp_path: Path) -> AsyncIterator[VisaSandbox]:
    chain, key = certified.made["wallet"]
    mle = MleKey.generate("wallet-1")
    config = VisaSandboxConfig(
        chain=str(chain),
        key=str(key),
        client_ca=str(certified.ca.trust),
        platform_uri=PLATFORM_URI,
        api_key="K",
        shared_secret=SECRET,
        mle_kid="wallet-1",
        mle_key=str(written(tmp_path / "mle.key", mle.pem())),
        platform_mle_kid="own-1",
        platform_mle_key=str(written(tmp_path / "mle.pub", mle.public().pem())),
    )
    async with VisaSandbox(config) as running:
        yield running


async def s_client(openssl: str, certified: Certified, port: int, *options: str | Path) -> str:
    """Shake hands, ask for nothing in particular, and return all that was said and answered."""
    arguments = ("s_client", "-connect", f"localhost:{port}", "-CAfile", certified.ca.trust, "-verify_return_error")
    process = await asyncio.create_subprocess_exec(
        openssl,
        *map(str, (*arguments, "-verify_hostname", "localhost", "-servername", "localhost", "-ign_eof", *options)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        said, _ = await asyncio.wait_for(process.communicate(request), OPENSSL_TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode("latin-1")


@pytest.mark.parametrize(
    ("option", "version", "suites"),
    [
        ("-tls1_3", "TLSv1.3", ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256")),
        ("-tls1_2", "TLSv1.2", ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256")),
    ],
)
async def test_s_client_is_let_in_with_the_platforms_certificate(
    openssl: str, certified: Certified, sandbox: VisaSandbox, option: str, version: str, suites: tuple[str, ...]
) -> None:
    chain, key = certified.made["platform"]
    said = await s_client(openssl, certified, sandbox.port, option, "-cert", chain, "-key", key, "-cert_chain", chain)
    assert "Verify return code: 0 (ok)" in said
    assert "HTTP/1.1 404" in said
    assert [suite for suite in suites if f"New, {version}, Cipher is {suite}" in said]


async def test_s_client_is_not_let_in_without_it(openssl: str, certified: Certified, sandbox: VisaSandbox) -> None:
    certified.certify("double", PLATFORM, "tallystick:platform:other")
    chain, key = certified.made["double"]
    for options in ((), ("-cert", chain, "-key", key), ("-tls1_1",)):
        assert "HTTP/1.1" not in await s_client(openssl, certified, sandbox.port, *options)
    assert [] == sandbox.record.entries
