"""RFC 9421, B.2.5 and B.2.6, and requests exchanged with the library http-message-signatures."""

import base64
import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import http_message_signatures as other
import pytest

from tallystick import errors
from tallystick.crypto import httpsig, signing

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "http_signatures.json").read_text())
REQUEST = VECTORS["request"]
HEADERS = {"host": "example.com", **{name.lower(): value for name, value in REQUEST["headers"].items()}}
TARGET = REQUEST["url"].removeprefix("https://example.com")
KEYS: dict[str, signing.Verifier] = {
    "b25": signing.HmacKey(base64.b64decode(VECTORS["b25"]["secret_b64"])),
    "b26": signing.load_public(VECTORS["b26"]["public_key_pem"].encode()),
}


@pytest.mark.parametrize("name", ["b25", "b26"])
def test_base_and_signature_are_those_of_the_rfc(name: str) -> None:
    vector = VECTORS[name]
    raw = vector["signature_input"].removeprefix(f"sig-{name}=")
    components = tuple(raw[1 : raw.index(")")].replace('"', "").split(" "))
    derived = httpsig._request_components(REQUEST["method"], TARGET, HEADERS)
    base = httpsig.signature_base(components, raw, derived, HEADERS)
    assert vector["signature_base"].encode() == base
    signature = base64.b64decode(vector["signature"].split(":")[1])
    assert vector["alg"] == KEYS[name].algorithm
    KEYS[name].verify(base, signature)
    with pytest.raises(errors.SignatureInvalid):
        KEYS[name].verify(base + b"\n", signature)


def test_our_mac_is_that_of_b_2_5() -> None:
    key = KEYS["b25"]
    assert isinstance(key, signing.HmacKey)
    expected = VECTORS["b25"]["signature"].split(":")[1]
    assert expected == base64.b64encode(key.sign(VECTORS["b25"]["signature_base"].encode())).decode()


def test_derived_components_are_those_of_rfc_9421_section_2_2() -> None:
    derived = httpsig._request_components("POST", TARGET, HEADERS)
    assert {
        "@method": "POST",
        "@authority": "example.com",
        "@target-uri": "https://example.com/foo?param=Value&Pet=dog",
        "@path": "/foo",
        "@query": "?param=Value&Pet=dog",
    } == derived


def test_an_absent_query_is_a_question_mark_and_an_empty_path_a_slash() -> None:
    derived = httpsig._request_components("GET", "", HEADERS)
    assert ("?", "/") == (derived["@query"], derived["@path"])


def test_content_digest_is_that_of_rfc_9530() -> None:
    vector = VECTORS["content_digest"][0]
    assert f"sha-256=:{vector['sha-256']}:" == httpsig.content_digest(vector["body"].encode())


@dataclass
class Message:
    """A request in the shape the other library reads."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


MAC = signing.HmacKey(bytes(range(32)))
EDWARDS = signing.Ed25519Private()
ECDSA = signing.EcdsaPrivate()
PAIRS: list[tuple[signing.Signer, signing.Verifier, bytes, bytes, type[other.HTTPSignatureAlgorithm]]] = [
    (MAC, MAC, bytes(range(32)), bytes(range(32)), other.algorithms.HMAC_SHA256),
    (EDWARDS, EDWARDS.public(), EDWARDS.pem(), EDWARDS.public().pem(), other.algorithms.ED25519),
    (ECDSA, ECDSA.public(), ECDSA.pem(), ECDSA.public().pem(), other.algorithms.ECDSA_P256_SHA256),
]
BODY = b'{"hello": "world"}'
COVERED = ("@method", "@path", "@query", "@authority", "@target-uri", "content-type", "content-digest")
each_pair = pytest.mark.parametrize(
    ("signer", "verifier", "private", "public", "algorithm"), PAIRS, ids=lambda value: getattr(value, "algorithm", "")
)


def resolver(private: bytes, public: bytes) -> other.MappingKeyResolver:
    return other.MappingKeyResolver(public_keys={"ch_1": public}, private_keys={"ch_1": private})


@each_pair
def test_the_other_library_verifies_what_we_signed(
    signer: signing.Signer,
    verifier: signing.Verifier,
    private: bytes,
    public: bytes,
    algorithm: type[other.HTTPSignatureAlgorithm],
) -> None:
    headers = {"host": "example.com", "content-type": "application/json"}
    created = int(dt.datetime.now(dt.UTC).timestamp())
    added = httpsig.sign_request(
        signer,
        keyid="ch_1",
        method="POST",
        target=TARGET,
        body=BODY,
        headers=headers,
        covered=COVERED,
        created=created,
        nonce="n" * 22,
    )
    message = Message("POST", REQUEST["url"], {**headers, **added})
    checker = other.HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=resolver(private, public))
    (result,) = checker.verify(message, require_components=COVERED, body=BODY)
    assert "n" * 22 == result.parameters["nonce"]


@each_pair
def test_we_verify_what_the_other_library_signed(
    signer: signing.Signer,
    verifier: signing.Verifier,
    private: bytes,
    public: bytes,
    algorithm: type[other.HTTPSignatureAlgorithm],
) -> None:
    digest = httpsig.content_digest(BODY)
    message = Message("POST", REQUEST["url"], {"content-type": "application/json", "content-digest": digest})
    maker = other.HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=resolver(private, public))
    maker.sign(message, key_id="ch_1", nonce="n" * 22, covered_component_ids=COVERED, use_existing_digest=True)
    headers = {"host": "example.com", **{name.lower(): value for name, value in message.headers.items()}}
    params = httpsig.parse_signature(headers)
    assert "pyhms" == params.label
    request: dict[str, Any] = {"method": "POST", "body": BODY, "headers": headers, "required": COVERED}
    httpsig.verify_request(params, verifier, target=TARGET, **request)
    with pytest.raises(errors.SignatureInvalid):
        httpsig.verify_request(params, verifier, target=f"{TARGET}x", **request)
