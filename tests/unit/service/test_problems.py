"""Problem documents: each error its status, code and remedy; what is not a refusal says nothing."""

import inspect

import msgspec
import pytest

from tallystick import errors
from tallystick.errors import CredentialRefused, Refused, StoreFailed, TallystickError
from tallystick.runtime import SystemRandomness
from tallystick.service.problems import encode, failure, problem

STATUS = {
    "Refused": 400,
    "Malformed": 400,
    "FieldInvalid": 400,
    "EnvelopeUnopenable": 400,
    "KeyUnknown": 400,
    "MethodRefused": 405,
    "TooLarge": 413,
    "WrongMediaType": 415,
    "NotAuthentic": 401,
    "CertificateMissing": 401,
    "SignatureMissing": 401,
    "SignatureInvalid": 401,
    "AlgorithmRefused": 401,
    "DigestMismatch": 401,
    "Stale": 401,
    "TokenRefused": 401,
    "LinkRefused": 401,
    "ApiKeyRefused": 401,
    "Forbidden": 403,
    "CertificateRevoked": 403,
    "CertificateWrongPurpose": 403,
    "ChannelUnknown": 403,
    "ChannelSuspended": 403,
    "FieldNotAllowed": 403,
    "NotFound": 404,
    "Conflict": 409,
    "Replayed": 409,
    "SameChannel": 409,
    "NotIndependent": 409,
    "InFlight": 409,
    "AlreadyFinal": 409,
    "AlreadyExists": 409,
    "Unprocessable": 422,
    "IdempotencyMismatch": 422,
    "PolicyUnknown": 422,
    "TooMany": 429,
    "Unavailable": 503,
    "StoreFailed": 503,
}


def told() -> list[type[TallystickError]]:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    return [kind for kind in kinds if issubclass(kind, Refused | StoreFailed)]


def test_the_table_of_this_test_names_every_error_that_is_told() -> None:
    assert set(STATUS) == {kind.__name__ for kind in told()}


@pytest.mark.parametrize("kind", told(), ids=lambda kind: kind.__name__)
def test_each_refusal_has_its_status_code_and_remedy(kind: type[TallystickError]) -> None:
    document = problem(kind("what is wrong", field="fields.pan"), "req_1")
    assert (STATUS[kind.__name__], kind.code, kind.remedy) == (document.status, document.code, document.remedy)
    assert "req_1" == document.request_id
    if kind is not StoreFailed:
        assert ("what is wrong", "fields.pan") == (document.detail, document.field)
    assert f"urn:tallystick:problem:{kind.code}" == document.type


def test_what_failed_in_the_store_stays_with_who_runs_it(caplog: pytest.LogCaptureFixture) -> None:
    document = failure(StoreFailed("its server refuses the role or the password"), SystemRandomness())
    assert "password" not in encode(document).decode()
    assert "store_failed" == document.code
    assert f"request {document.request_id} failed: store_failed: its server refuses the role" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CANARY"),
        KeyError("CANARY"),
        errors.Misconfigured("CANARY"),
        errors.NoRoute("CANARY"),
        errors.NotSent("CANARY"),
        errors.OutcomeUnknown("CANARY"),
        CredentialRefused("CANARY"),
        TallystickError("CANARY"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_no_refusal_says_nothing_about_its_cause(error: Exception) -> None:
    document = problem(error, "req_1")
    assert (500, "internal") == (document.status, document.code)
    assert b"CANARY" not in encode(document)
    assert type(error).__name__.encode() not in encode(document)


def test_a_document_without_field_does_not_name_one() -> None:
    shown = msgspec.json.decode(encode(problem(errors.NotFound("nothing is here"), "req_1")))
    assert {"type", "title", "status", "code", "detail", "remedy", "request_id"} == set(shown)
    assert "not found" == shown["title"]
