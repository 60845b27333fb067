"""RFC 7520 cookbook: our opener refuses all that is outside its allow-list; the library below opens what it should."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tallystick import errors
from tallystick.crypto import jose, signing

COOKBOOK: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "jose.json").read_text())["cookbook"]
JWE = [case for case in COOKBOOK if "enc" in case["input"]]
JWS = [case for case in COOKBOOK if "enc" not in case["input"]]


def named(case: dict[str, Any]) -> str:
    return f"{case['input']['alg']}-{case['input'].get('enc', '')}"


def with_header_of(case: dict[str, Any], segments: int) -> str:
    """Give the case's compact form; the few that have none (JWE with aad) get one from their parts."""
    compact: str = case.get("compact") or ".".join([case["json_flat"]["protected"], *[""] * (segments - 1)])
    return compact


@pytest.mark.parametrize("case", JWE, ids=named)
def test_no_jwe_of_the_cookbook_is_within_our_allow_list(case: dict[str, Any]) -> None:
    with pytest.raises(errors.AlgorithmRefused):
        jose.JweKey.generate("k1").open(with_header_of(case, 5), b"")


@pytest.mark.parametrize("case", JWS, ids=named)
def test_no_jws_of_the_cookbook_is_within_our_allow_list(case: dict[str, Any]) -> None:
    with pytest.raises(errors.AlgorithmRefused):
        jose.verify_jws(signing.Ed25519Private().public(), with_header_of(case, 3), "k", "t")


def case_named(name: str) -> dict[str, Any]:
    return next(case for case in COOKBOOK if named(case) == name)


def test_the_library_agrees_on_ecdh_es_over_p256() -> None:
    case = case_named("ECDH-ES-A128CBC-HS256")
    key = ECKey.import_key(case["input"]["key"])
    opened = jwe.decrypt_compact(case["compact"], key, algorithms=["ECDH-ES", "A128CBC-HS256"])
    assert case["input"]["plaintext"].encode() == opened.plaintext


def test_the_library_agrees_on_a256gcm() -> None:
    case = case_named("RSA-OAEP-A256GCM")
    key = RSAKey.import_key(case["input"]["key"])
    opened = jwe.decrypt_compact(case["compact"], key, algorithms=["RSA-OAEP", "A256GCM"])
    assert case["input"]["plaintext"].encode() == opened.plaintext


def test_our_ed25519_signs_as_rfc_8037_appendix_a_4() -> None:
    jwk: dict[str, str | list[str]] = {
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwaaPJHURo",
    }
    key = signing.load_private(OKPKey.import_key(jwk).as_pem(private=True))
    body = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    expected = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    assert expected == base64.urlsafe_b64encode(key.sign(body.encode())).decode().rstrip("=")
