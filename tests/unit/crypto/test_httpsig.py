"""HTTP message signatures: what is signed, what is checked, what is refused."""

import base64
from typing import Any

import pytest

from tallystick import errors, limits
from tallystick.crypto import httpsig, signing

KEY = signing.HmacKey(bytes(range(32)))
BODY = b'{"part":1}'
NONCE = "n" * 22
CREATED = 1_700_000_000
COVERED = ("@method", "@path", "@query", "@authority", "content-type", "content-digest")
HEADERS = {"host": "Gateway.Example:443", "content-type": "application/json"}


def signed(**changes: Any) -> dict[str, str]:
    request: dict[str, Any] = {
        "keyid": "ch_pc",
        "method": "POST",
        "target": "/v1/parts?x=1",
        "body": BODY,
        "headers": HEADERS,
        "covered": COVERED,
        "created": CREATED,
        "nonce": NONCE,
        **changes,
    }
    key = request.pop("key", KEY)
    return {**request["headers"], **httpsig.sign_request(key, **request)}


def verify(headers: dict[str, str], **changes: Any) -> httpsig.SignatureParams:
    request: dict[str, Any] = {
        "method": "POST",
        "target": "/v1/parts?x=1",
        "body": BODY,
        "headers": headers,
        "required": COVERED,
        **changes,
    }
    key = request.pop("key", KEY)
    params = httpsig.parse_signature(headers)
    httpsig.verify_request(params, key, **request)
    return params


class TestSignedRequest:
    def test_a_signed_request_verifies_and_says_who_when_and_which(self) -> None:
        params = verify(signed())
        assert ("sig1", COVERED, CREATED, NONCE, "ch_pc", "hmac-sha256") == (
            params.label,
            params.components,
            params.created,
            params.nonce,
            params.keyid,
            params.alg,
        )

    def test_the_headers_have_the_form_of_the_rfc(self) -> None:
        added = httpsig.sign_request(
            KEY,
            keyid="ch_pc",
            method="POST",
            target="/",
            body=b"",
            headers={},
            covered=("@method", "content-digest"),
            created=CREATED,
            nonce=NONCE,
        )
        expected = (
            f'sig1=("@method" "content-digest");created={CREATED};keyid="ch_pc";alg="hmac-sha256";nonce="{NONCE}"'
        )
        assert expected == added["signature-input"]
        assert "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:" == added["content-digest"]

    @pytest.mark.parametrize("private", [signing.Ed25519Private(), signing.EcdsaPrivate()])
    def test_a_channel_with_its_own_key_pair_verifies(
        self, private: signing.Ed25519Private | signing.EcdsaPrivate
    ) -> None:
        assert private.algorithm == verify(signed(key=private), key=private.public()).alg

    @pytest.mark.parametrize(
        "changes",
        [{"method": "PUT"}, {"target": "/v1/part?x=1"}, {"target": "/v1/parts?x=2"}, {"target": "/v1/parts"}],
        ids=str,
    )
    def test_another_method_or_target_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(errors.SignatureInvalid):
            verify(signed(), **changes)

    @pytest.mark.parametrize("name", ["host", "content-type"])
    def test_another_covered_header_is_refused(self, name: str) -> None:
        headers = signed()
        with pytest.raises(errors.SignatureInvalid):
            verify({**headers, name: "other.example"})

    @pytest.mark.parametrize("name", ["host", "content-type"])
    def test_a_covered_header_that_is_gone_is_refused(self, name: str) -> None:
        headers = signed()
        del headers[name]
        with pytest.raises(errors.SignatureMissing):
            verify(headers)

    def test_host_in_other_letters_or_with_the_default_port_is_the_same(self) -> None:
        verify({**signed(), "host": "gateway.example"})

    def test_another_port_is_another_authority(self) -> None:
        with pytest.raises(errors.SignatureInvalid):
            verify({**signed(), "host": "gateway.example:8443"})

    def test_another_key_is_refused(self) -> None:
        with pytest.raises(errors.SignatureInvalid):
            verify(signed(), key=signing.HmacKey(bytes(32)))

    @pytest.mark.parametrize(("old", "new"), [(str(CREATED), "1700000001"), (NONCE, "m" * 22), ("ch_pc", "ch_xx")])
    def test_parameters_are_signed_too(self, old: str, new: str) -> None:
        headers = signed()
        with pytest.raises(errors.SignatureInvalid):
            verify({**headers, "signature-input": headers["signature-input"].replace(old, new)})

    def test_nothing_can_be_uncovered_afterwards(self) -> None:
        headers = signed()
        fewer = headers["signature-input"].replace(' "content-type"', "")
        with pytest.raises(errors.SignatureInvalid):
            verify({**headers, "signature-input": fewer}, required=("@method", "content-digest"))

    @pytest.mark.parametrize("value", ['a"b', "a\\b", "ä", "", "a\nb"])
    @pytest.mark.parametrize("name", ["keyid", "nonce"])
    def test_a_signer_refuses_a_keyid_or_nonce_that_could_break_out(self, name: str, value: str) -> None:
        with pytest.raises(errors.FieldInvalid):
            signed(**{name: value})

    @pytest.mark.parametrize(
        "value", ['application/json\n"@method": GET', "a\rb", "ä"], ids=["line feed", "return", "letter"]
    )
    def test_a_header_value_cannot_forge_another_line(self, value: str) -> None:
        with pytest.raises(errors.SignatureInvalid):
            signed(headers={**HEADERS, "content-type": value})

    def test_an_unknown_derived_component_is_refused(self) -> None:
        with pytest.raises(errors.SignatureMissing):
            signed(covered=("@method", "@scheme"))


class TestCheck1Coverage:
    def test_a_required_component_that_is_not_covered_is_refused(self) -> None:
        for left_out in COVERED:
            covered = tuple(name for name in COVERED if name != left_out)
            with pytest.raises(errors.SignatureMissing):
                verify(signed(covered=covered))

    def test_to_require_nothing_is_refused(self) -> None:
        with pytest.raises(errors.SignatureMissing):
            verify(signed(), required=())

    def test_a_body_is_always_covered_even_when_nobody_requires_it(self) -> None:
        headers = signed(covered=("@method",))
        with pytest.raises(errors.SignatureMissing):
            verify(headers, required=("@method",))
        verify(headers, required=("@method",), body=b"")

    def test_more_may_be_covered_than_is_required(self) -> None:
        verify(signed(), required=("@path",))


class TestCheck2Algorithm:
    def test_an_algorithm_other_than_that_of_the_key_is_refused(self) -> None:
        with pytest.raises(errors.AlgorithmRefused):
            verify(signed(), key=signing.Ed25519Private().public())

    def test_no_public_key_serves_as_a_mac_key(self) -> None:
        public = signing.Ed25519Private().public()
        forged = signed(key=signing.HmacKey(public.pem()))
        with pytest.raises(errors.AlgorithmRefused):
            verify(forged, key=public)

    def test_without_a_named_algorithm_that_of_the_key_counts(self) -> None:
        raw = f'("@method");created={CREATED};keyid="ch_pc";nonce="{NONCE}"'
        mac = KEY.sign(f'"@method": GET\n"@signature-params": {raw}'.encode())
        headers = {"signature-input": f"sig1={raw}", "signature": f"sig1=:{base64.b64encode(mac).decode()}:"}
        assert verify(headers, method="GET", body=b"", required=("@method",)).alg is None


class TestCheck3Digest:
    def test_another_body_is_refused(self) -> None:
        with pytest.raises(errors.DigestMismatch):
            verify(signed(), body=BODY + b" ")

    @pytest.mark.parametrize("body", [BODY, b""])
    def test_a_covered_digest_is_required_in_sha_256(self, body: bytes) -> None:
        for field in (None, "", "sha-512=:AAAA:", "sha-256=:AAAA:", "sha-256"):
            headers = {name: value for name, value in signed(body=body).items() if name != "content-digest"}
            with pytest.raises(errors.DigestMismatch):
                verify(headers if field is None else {**headers, "content-digest": field}, body=body)

    def test_two_sha_256_digests_are_refused(self) -> None:
        headers = signed()
        with pytest.raises(errors.DigestMismatch):
            verify({**headers, "content-digest": f"{headers['content-digest']}, sha-256=:AAAA:"})

    def test_a_second_digest_of_another_algorithm_may_stand_beside(self) -> None:
        field = f"sha-512=:AAAA:, {httpsig.content_digest(BODY)}"
        headers = {**HEADERS, "content-digest": field}
        raw = f'("content-digest");created={CREATED};keyid="ch_pc";nonce="{NONCE}"'
        mac = KEY.sign(httpsig.signature_base(("content-digest",), raw, {}, headers))
        headers["signature-input"] = f"sig1={raw}"
        headers["signature"] = f"sig1=:{base64.b64encode(mac).decode()}:"
        verify(headers, required=("content-digest",))


GOOD = f'sig1=("@method");created={CREATED};keyid="ch_pc";nonce="{NONCE}"'


class TestParse:
    def test_blanks_around_a_field_do_not_count(self) -> None:
        assert NONCE == httpsig.parse_signature({"signature-input": f" {GOOD}\t", "signature": " sig1=:AAAA: "}).nonce

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "sig1",
            "sig1=()",
            f'sig1=();created={CREATED};keyid="ch_pc";nonce="{NONCE}"',
            GOOD.replace("sig1", "sig2"),
            GOOD.replace("sig1", "Sig1"),
            f"{GOOD}, {GOOD.replace('sig1', 'sig2')}",
            f"{GOOD}, {GOOD}",
            GOOD.replace('("@method")', '("@method" "@method")'),
            GOOD.replace('("@method")', '("@method"  "@path")'),
            GOOD.replace('("@method")', '( "@method" )'),
            GOOD.replace('("@method")', '("@METHOD")'),
            GOOD.replace('("@method")', '("@method";req)'),
            GOOD.replace('("@method")', '("@query-param";name="a")'),
            GOOD.replace('("@method")', "(@method)"),
            GOOD.replace('("@method")', '("")'),
            GOOD.replace(";created", "; created"),
            GOOD.replace(f"created={CREATED};", ""),
            GOOD.replace(str(CREATED), f'"{CREATED}"'),
            GOOD.replace(str(CREATED), f"-{CREATED}"),
            GOOD.replace(str(CREATED), f"0{CREATED}"),
            GOOD.replace(str(CREATED), f"{CREATED}.0"),
            GOOD.replace(str(CREATED), "1" * 13),
            GOOD.replace(str(CREATED), "१७००००००००"),
            GOOD.replace('keyid="ch_pc";', ""),
            GOOD.replace('"ch_pc"', '""'),
            GOOD.replace('"ch_pc"', "ch_pc"),
            GOOD.replace('"ch_pc"', r'"ch\"pc"'),
            GOOD.replace(f';nonce="{NONCE}"', ""),
            GOOD.replace(NONCE, "n" * (limits.NONCE_MIN - 1)),
            GOOD.replace(NONCE, "n" * (limits.NONCE_MAX + 1)),
            GOOD.replace(f'"{NONCE}"', "12345678901234567890"),
            f'{GOOD};nonce="{NONCE}"',
            f"{GOOD};expires={CREATED}",
            f'{GOOD};tag="x"',
            f'{GOOD};alg="{"x" * limits.HEADER_MAX}"',
            f"{GOOD}\n",
        ],
        ids=lambda given: given[:60],
    )
    def test_every_other_signature_input_is_refused(self, given: str) -> None:
        httpsig.parse_signature({"signature-input": GOOD, "signature": "sig1=:AAAA:"})
        with pytest.raises(errors.SignatureMissing):
            httpsig.parse_signature({"signature-input": given, "signature": "sig1=:AAAA:"})

    @pytest.mark.parametrize(
        "given",
        ["", "sig1=::", "sig1=:A:", "sig1=:AAA:", "sig1=AAAA", "sig2=:AAAA:", "sig1=:AAAA:, sig2=:AAAA:", "sig1=:AA-_:",
         "sig1=:AAAA:;x=1", "sig1=:" + "A" * limits.HEADER_MAX + ":"],
        ids=lambda given: given[:30],
    )  # fmt: skip
    def test_every_other_signature_is_refused(self, given: str) -> None:
        with pytest.raises(errors.SignatureMissing):
            httpsig.parse_signature({"signature-input": GOOD, "signature": given})

    @pytest.mark.parametrize("headers", [{}, {"signature-input": GOOD}, {"signature": "sig1=:AAAA:"}], ids=str)
    def test_a_message_without_a_signature_is_refused(self, headers: dict[str, str]) -> None:
        with pytest.raises(errors.SignatureMissing):
            httpsig.parse_signature(headers)


class TestResponse:
    def answer(self, **changes: Any) -> dict[str, str]:
        answer = {"keyid": "inst_1", "status": 200, "body": BODY, "created": CREATED, "nonce": NONCE, **changes}
        return httpsig.sign_response(KEY, **answer)

    def test_a_signed_answer_verifies(self) -> None:
        params = httpsig.verify_response(KEY, status=200, body=BODY, headers=self.answer(), nonce=NONCE)
        assert ("inst_1", CREATED) == (params.keyid, params.created)

    def test_an_answer_to_another_request_is_refused(self) -> None:
        with pytest.raises(errors.SignatureInvalid):
            httpsig.verify_response(KEY, status=200, body=BODY, headers=self.answer(nonce="m" * 22), nonce=NONCE)

    def test_another_status_is_refused(self) -> None:
        with pytest.raises(errors.SignatureInvalid):
            httpsig.verify_response(KEY, status=402, body=BODY, headers=self.answer(), nonce=NONCE)

    def test_another_body_is_refused(self) -> None:
        with pytest.raises(errors.DigestMismatch):
            httpsig.verify_response(KEY, status=200, body=b"{}", headers=self.answer(), nonce=NONCE)

    def test_the_request_sent_back_is_no_answer(self) -> None:
        with pytest.raises(errors.SignatureMissing):
            httpsig.verify_response(KEY, status=200, body=BODY, headers=signed(), nonce=NONCE)
