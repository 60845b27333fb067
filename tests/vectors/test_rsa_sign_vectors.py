"""RSA-SHA256 signatures in the manner of Antom, with the key of RFC 7520; sources in data/rest_signing.json."""

import json
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tallystick.crypto.rsa_sign import RsaPrivate, sign_message, verify_message
from tallystick.errors import SignatureInvalid
from tallystick.runtime import Millis

VECTORS = json.loads((Path(__file__).parent / "data" / "rest_signing.json").read_text())
ANTOM = VECTORS["antom"]
FIRST, _, REST = ANTOM["content"].partition("\n")
METHOD, PATH = FIRST.split(" ")
CLIENT_ID, TIME, BODY = REST.split(".", 2)


def key() -> RsaPrivate:
    jwk = {
        name: int.from_bytes(urlsafe_b64decode(n + "==")) for name, n in VECTORS["rsa_key_jwk"].items() if name != "kty"
    }
    public = rsa.RSAPublicNumbers(jwk["e"], jwk["n"])
    numbers = rsa.RSAPrivateNumbers(jwk["p"], jwk["q"], jwk["d"], jwk["dp"], jwk["dq"], jwk["qi"], public)
    return RsaPrivate(numbers.private_key())


def test_the_signed_headers_are_those_of_the_vector() -> None:
    headers = sign_message(
        key(),
        1,
        method=METHOD,
        path=PATH,
        client_id=CLIENT_ID,
        time_header="request-time",
        at=Millis(int(TIME)),
        body=BODY.encode(),
    )
    signature = ANTOM["header"].replace("<signature_urlencoded>", ANTOM["signature_urlencoded"])
    assert {"client-id": CLIENT_ID, "request-time": TIME, "signature": signature} == headers


@pytest.mark.parametrize("comma", [",", ", "], ids=["as signed", "with spaces"])
def test_the_vector_verifies(comma: str) -> None:
    verify(ANTOM["signature_urlencoded"], comma, BODY)


def test_the_vector_with_another_body_does_not_verify() -> None:
    with pytest.raises(SignatureInvalid):
        verify(ANTOM["signature_urlencoded"], ",", BODY.replace('"100"', '"101"'))


def verify(signature: str, comma: str, body: str) -> None:
    verify_message(
        {1: key().public()},
        method=METHOD,
        path=PATH,
        client_id=CLIENT_ID,
        time_header="request-time",
        headers={
            "client-id": CLIENT_ID,
            "request-time": TIME,
            "signature": f"algorithm=RSA256{comma}keyVersion=1{comma}signature={signature}",
        },
        body=body.encode(),
        now=Millis(int(TIME) + 1000),
    )
