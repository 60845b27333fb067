"""JWE envelopes and the signed key list."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from joserfc.jwk import ECKey

from tallystick import errors
from tallystick.crypto import jose, signing
from tallystick.crypto.binding import bind

INFO = bind("v1", "k1", "ch_bank", "1700000000", "nonce")
KEY = jose.JweKey.generate("k1")
SIGNER = signing.Ed25519Private()
LIST = "tallystick-keys+jws"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def header_of(token: str) -> dict[str, Any]:
    first = token.partition(".")[0]
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return header


def length_first(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def sealed_by_hand(jwk: dict[str, str], plaintext: bytes, info: bytes, *, spaced: bool = False, **changes: Any) -> str:
    """Write a token from RFC 7516 and RFC 7518, 4.6 without any JOSE library; a change of None drops the member."""
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    numbers = ephemeral.public_key().public_numbers()
    epk = {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}
    apv = hashlib.sha256(info).digest()
    header: dict[str, Any] = {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "kid": jwk["kid"],
        "typ": jose.PART_TYP,
        "epk": epk,
        "apv": b64(apv),
    }
    header = {name: value for name, value in {**header, **changes}.items() if value is not None}
    public = ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")}).public_key
    apu = base64.urlsafe_b64decode(header.get("apu", "") + "==")
    other = length_first(b"A256GCM") + length_first(apu) + length_first(apv) + (256).to_bytes(4)
    cek = ConcatKDFHash(hashes.SHA256(), 32, other).derive(ephemeral.exchange(ec.ECDH(), public))
    protected = b64(json.dumps(header, separators=(", ", " : ") if spaced else (",", ":")).encode())
    nonce = bytes(12)
    sealed = AESGCM(cek).encrypt(nonce, plaintext, protected.encode())
    return ".".join([protected, "", b64(nonce), b64(sealed[:-16]), b64(sealed[-16:])])


class TestJwe:
    def test_what_was_sealed_opens_with_the_same_info(self) -> None:
        assert b"part" == KEY.open(jose.seal_jwe(KEY.public_jwk(), b"part", INFO), INFO)

    def test_an_empty_plaintext_opens(self) -> None:
        assert b"" == KEY.open(jose.seal_jwe(KEY.public_jwk(), b"", INFO), INFO)

    def test_the_header_has_exactly_the_stated_members(self) -> None:
        header = header_of(jose.seal_jwe(KEY.public_jwk(), b"part", INFO))
        assert {"alg", "enc", "kid", "typ", "epk", "apv"} == set(header)
        assert b64(hashlib.sha256(INFO).digest()) == header["apv"]
        assert ("ECDH-ES", "A256GCM", "k1", "tallystick-part+jwe") == tuple(
            header[name] for name in ("alg", "enc", "kid", "typ")
        )

    @pytest.mark.parametrize("changes", [{}, {"spaced": True}, {"apu": b64(b"ch_bank")}], ids=str)
    def test_a_token_written_by_hand_from_the_rfcs_opens(self, changes: dict[str, Any]) -> None:
        assert b"part" == KEY.open(sealed_by_hand(KEY.public_jwk(), b"part", INFO, **changes), INFO)

    def test_a_stored_key_opens_what_was_sealed_before(self) -> None:
        token = jose.seal_jwe(KEY.public_jwk(), b"part", INFO)
        restored = jose.JweKey.from_private("k1", KEY.private_bytes())
        assert KEY.public_jwk() == restored.public_jwk()
        assert b"part" == restored.open(token, INFO)

    def test_the_public_jwk_holds_no_private_member(self) -> None:
        assert {"kty", "crv", "x", "y", "kid", "use", "alg"} == set(KEY.public_jwk())

    def test_another_info_does_not_open(self) -> None:
        with pytest.raises(errors.EnvelopeUnopenable):
            KEY.open(jose.seal_jwe(KEY.public_jwk(), b"part", INFO), INFO + b"x")

    def test_an_apv_that_was_exchanged_does_not_open(self) -> None:
        other = b64(hashlib.sha256(b"other").digest())
        token = sealed_by_hand(KEY.public_jwk(), b"part", INFO, apv=other)
        with pytest.raises(errors.EnvelopeUnopenable):
            KEY.open(token, b"other")

    def test_a_token_of_another_typ_does_not_open(self) -> None:
        token = jose.seal_jwe(KEY.public_jwk(), b"credential", INFO, "tallystick-credential+jwe")
        with pytest.raises(errors.EnvelopeUnopenable):
            KEY.open(token, INFO)
        assert b"credential" == KEY.open(token, INFO, "tallystick-credential+jwe")

    def test_a_token_for_another_kid_names_an_unknown_key(self) -> None:
        with pytest.raises(errors.KeyUnknown):
            KEY.open(jose.seal_jwe({**KEY.public_jwk(), "kid": "k2"}, b"part", INFO), INFO)

    def test_another_key_under_the_same_kid_does_not_open(self) -> None:
        with pytest.raises(errors.EnvelopeUnopenable):
            jose.JweKey.generate("k1").open(jose.seal_jwe(KEY.public_jwk(), b"part", INFO), INFO)

    @pytest.mark.parametrize(
        "changes",
        [
            {"alg": "none"},
            {"alg": "dir"},
            {"alg": "RSA1_5"},
            {"alg": "RSA-OAEP-256"},
            {"alg": "ECDH-ES+A256KW"},
            {"alg": "PBES2-HS256+A128KW"},
            {"alg": "ecdh-es"},
            {"enc": "A128GCM"},
            {"enc": "A256CBC-HS512"},
            {"enc": None},
            {"zip": "DEF"},
        ],
        ids=str,
    )
    def test_every_other_algorithm_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(errors.AlgorithmRefused):
            KEY.open(sealed_by_hand(KEY.public_jwk(), b"part", INFO, **changes), INFO)

    @pytest.mark.parametrize(
        "changes",
        [
            {"alg": None},
            {"alg": 5},
            {"crit": ["exp"]},
            {"crit": []},
            {"jku": "https://example.com/keys"},
            {"cty": "JWT"},
            {"iat": 1},
            {"typ": None},
            {"kid": None},
            {"apv": None},
            {"epk": None},
            {"epk": {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}},
            {"epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
            {"epk": {"kty": "EC", "crv": "P-256", "x": "", "y": ""}},
            {"epk": {"kty": "OKP", "crv": "X25519", "x": b64(bytes(32))}},
            {"apu": "!"},
            {"kid": "k" * 2000},
        ],
        ids=lambda changes: str(changes)[:40],
    )
    def test_every_other_header_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(errors.EnvelopeUnopenable):
            KEY.open(sealed_by_hand(KEY.public_jwk(), b"part", INFO, **{"apu": None, **changes}), INFO)

    def test_a_private_member_in_epk_is_refused(self) -> None:
        epk = header_of(jose.seal_jwe(KEY.public_jwk(), b"part", INFO))["epk"]
        with pytest.raises(errors.EnvelopeUnopenable):
            KEY.open(sealed_by_hand(KEY.public_jwk(), b"part", INFO, epk={**epk, "d": epk["x"]}), INFO)

    @pytest.mark.parametrize("segment", range(5))
    def test_no_altered_segment_opens(self, segment: int) -> None:
        parts = jose.seal_jwe(KEY.public_jwk(), b"part", INFO).split(".")
        for bad in ("", parts[segment][:-2], parts[segment] + "AAAA", "!" + parts[segment], "AAAA" + parts[segment]):
            token = ".".join([*parts[:segment], bad, *parts[segment + 1 :]])
            if bad != parts[segment]:
                with pytest.raises(errors.EnvelopeUnopenable):
                    KEY.open(token, INFO)

    @pytest.mark.parametrize(
        "token", ["", ".", "....", "a.b.c", "a.b.c.d.e", "e30.b.c.d.e", "W10.b.c.d.e", "ä.b.c.d.e"]
    )
    def test_what_is_no_jwe_is_refused(self, token: str) -> None:
        with pytest.raises(errors.EnvelopeUnopenable):
            KEY.open(token, INFO)

    @pytest.mark.parametrize("raw", [b"\xff", b'{"alg":"ECDH-ES","enc":"A256GCM","kid":"\xd3"}', b"[" * 700, b"5"])
    def test_a_header_that_is_no_json_object_in_utf_8_is_refused(self, raw: bytes) -> None:
        with pytest.raises(errors.EnvelopeUnopenable):
            KEY.open(f"{b64(raw)}....", INFO)

    def test_a_header_nested_beyond_the_stack_is_refused(self) -> None:
        nested = b64(b'{"alg":"ECDH-ES","x":' + b"[" * 700)

        def open_at(depth: int) -> bytes:
            return open_at(depth - 1) if depth else KEY.open(f"{nested}....", INFO)

        with pytest.raises(errors.EnvelopeUnopenable):
            open_at(500)

    @pytest.mark.parametrize(
        "changes",
        [
            {"crv": "P-384"},
            {"kty": "RSA"},
            {"kid": None},
            {"x": None},
            {"x": ""},
            {"y": "AA"},
            {"x": "!!"},
        ],
        ids=str,
    )
    def test_a_jwk_that_is_no_p256_key_with_a_kid_is_refused(self, changes: dict[str, str | None]) -> None:
        jwk = {name: value for name, value in {**KEY.public_jwk(), **changes}.items() if value is not None}
        with pytest.raises(errors.FieldInvalid):
            jose.seal_jwe(jwk, b"part", INFO)

    @pytest.mark.parametrize(
        "private",
        [b"", b"x", KEY.private_bytes()[:-1], ECKey.generate_key("P-384").as_der(private=True)],
        ids=["empty", "no key", "shortened", "another curve"],
    )
    def test_stored_bytes_that_are_no_p256_key_are_refused(self, private: bytes) -> None:
        with pytest.raises(errors.Misconfigured):
            jose.JweKey.from_private("k1", private)

    def test_a_stored_public_key_is_refused(self) -> None:
        with pytest.raises(errors.Misconfigured):
            jose.JweKey.from_private("k1", ECKey.generate_key("P-256").as_der(private=False))


class TestJws:
    def test_what_was_signed_verifies(self) -> None:
        token = jose.sign_jws(SIGNER, b'{"keys":[]}', "id-1", LIST)
        assert b'{"keys":[]}' == jose.verify_jws(SIGNER.public(), token, "id-1", LIST)

    def test_the_token_is_the_signature_over_header_and_payload(self) -> None:
        first, second, third = jose.sign_jws(SIGNER, b"{}", "id-1", LIST).split(".")
        assert b64(SIGNER.sign(f"{first}.{second}".encode())) == third
        assert {"alg": "Ed25519", "kid": "id-1", "typ": LIST} == header_of(first)

    @pytest.mark.parametrize("alg", ["none", "HS256", "EdDSA", "ES256", "ed25519"])
    def test_every_other_algorithm_is_refused(self, alg: str) -> None:
        _, payload, signature = jose.sign_jws(SIGNER, b"{}", "id-1", LIST).split(".")
        header = b64(json.dumps({"alg": alg, "kid": "id-1", "typ": LIST}).encode())
        with pytest.raises(errors.AlgorithmRefused):
            jose.verify_jws(SIGNER.public(), f"{header}.{payload}.{signature}", "id-1", LIST)

    @pytest.mark.parametrize(
        "changes",
        [{"kid": "id-2"}, {"typ": "JWT"}, {"typ": None}, {"crit": ["b64"]}, {"b64": False}, {"jwk": {}}],
        ids=str,
    )
    def test_every_other_header_is_refused_though_signed(self, changes: dict[str, Any]) -> None:
        header = {"alg": "Ed25519", "kid": "id-1", "typ": LIST, **changes}
        header = {name: value for name, value in header.items() if value is not None}
        body = f"{b64(json.dumps(header).encode())}.{b64(b'{}')}"
        with pytest.raises(errors.SignatureInvalid):
            jose.verify_jws(SIGNER.public(), f"{body}.{b64(SIGNER.sign(body.encode()))}", "id-1", LIST)

    def test_an_altered_payload_or_signature_is_refused(self) -> None:
        header, payload, signature = jose.sign_jws(SIGNER, b"{}", "id-1", LIST).split(".")
        for bad in (f"{header}.{b64(b'[]')}.{signature}", f"{header}.{payload}.", f"{header}.{payload}.{'A' * 86}"):
            with pytest.raises(errors.SignatureInvalid):
                jose.verify_jws(SIGNER.public(), bad, "id-1", LIST)

    def test_another_key_is_refused(self) -> None:
        with pytest.raises(errors.SignatureInvalid):
            jose.verify_jws(signing.Ed25519Private().public(), jose.sign_jws(SIGNER, b"{}", "id-1", LIST), "id-1", LIST)
