"""Our tokens opened by npm's jose on Node, and its tokens opened by us: code nobody here wrote."""

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from node_packages import npm_install

from tallystick.crypto.jose import PART_TYP, JweKey, seal_jwe
from tallystick.crypto.mle import ContentEncryption, MleKey
from tallystick.errors import EnvelopeUnopenable
from tallystick.runtime import Millis

pytestmark = pytest.mark.e2e

PEER = Path(__file__).parent / "foreign" / "jose_peer.mjs"
PACKAGE = "jose@6.2.18"
NODE_TIMEOUT_S = 60
NOW = Millis(1_767_225_600_000)
TEXT = '{"type":"authorization","merchantName":"Caf\u00e9 \u4e2d\u56fd"}'
INFO = b"what the message is bound to"
ENCRYPTIONS: list[ContentEncryption] = ["A128GCM", "A256GCM"]


class Peer:
    """The foreign library, one process for each list of jobs."""

    def __init__(self, script: Path) -> None:
        self._script = script

    def run(self, **job: Any) -> dict[str, Any]:
        done = subprocess.run(  # noqa: S603  # fixed words
            [str(shutil.which("node")), str(self._script)],
            input=json.dumps([job]),
            capture_output=True,
            text=True,
            timeout=NODE_TIMEOUT_S,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        [result] = json.loads(done.stdout)
        return dict(result)


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Peer:
    modules = npm_install(tmp_path_factory.mktemp("jose"), PACKAGE)
    return Peer(Path(shutil.copy(PEER, modules.parent)))  # beside node_modules, where Node looks for the package


@pytest.fixture(scope="module")
def key() -> MleKey:
    return MleKey.generate("own-1")


def header(enc: ContentEncryption, **changes: Any) -> dict[str, Any]:
    return {"alg": "RSA-OAEP-256", "enc": enc, "kid": "own-1", "typ": "JWE", "iat": NOW, **changes}


@pytest.mark.parametrize("enc", ENCRYPTIONS)
def test_it_opens_our_message_level_encryption(peer: Peer, key: MleKey, enc: ContentEncryption) -> None:
    token = key.public().seal(TEXT.encode(), NOW, enc)
    opened = peer.run(token=token, pkcs8=key.pem().decode(), alg="RSA-OAEP-256")
    assert {"text": TEXT, "header": header(enc)} == opened


@pytest.mark.parametrize("enc", ENCRYPTIONS)
def test_we_open_its_message_level_encryption(peer: Peer, key: MleKey, enc: ContentEncryption) -> None:
    sealed = peer.run(text=TEXT, spki=key.public().pem().decode(), alg="RSA-OAEP-256", header=header(enc))
    assert TEXT.encode() == key.open(sealed["token"], NOW)


def test_we_refuse_its_tokens_of_another_algorithm(peer: Peer, key: MleKey) -> None:
    told = header("A128GCM", alg="RSA-OAEP-512")
    sealed = peer.run(text=TEXT, spki=key.public().pem().decode(), alg="RSA-OAEP-512", header=told)
    with pytest.raises(EnvelopeUnopenable):
        key.open(sealed["token"], NOW)


def apv() -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(INFO).digest()).decode().rstrip("=")


def private_jwk(key: JweKey) -> dict[str, Any]:
    return dict(key._key.as_dict(private=True))


def test_it_opens_our_envelope_of_a_part(peer: Peer) -> None:
    key = JweKey.generate("part-1")
    token = seal_jwe(key.public_jwk(), TEXT.encode(), INFO)
    opened = peer.run(token=token, jwk=private_jwk(key), alg="ECDH-ES")
    assert TEXT == opened["text"]
    assert ("part-1", PART_TYP, apv()) == tuple(opened["header"][name] for name in ("kid", "typ", "apv"))


def test_we_open_its_envelope_of_a_part(peer: Peer) -> None:
    key = JweKey.generate("part-1")
    told = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": "part-1", "typ": PART_TYP}
    sealed = peer.run(text=TEXT, jwk=key.public_jwk(), alg="ECDH-ES", header=told, apv=apv())
    assert TEXT.encode() == key.open(sealed["token"], INFO)
    with pytest.raises(EnvelopeUnopenable):
        key.open(sealed["token"], b"another binding")
