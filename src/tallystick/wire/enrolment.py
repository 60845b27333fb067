"""The JSON of enrolment and of a certificate's renewal."""

from typing import Final

from msgspec import Struct

from tallystick.secret import Secret

ENROLMENTS: Final = "/v1/enrolments"
CERTIFICATES: Final = "/v1/certificates"


class NewEnrolment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/enrolments`; `csr` is a certificate request in PEM (PKCS #10, RFC 2986)."""

    token: Secret
    csr: str


class EnrolmentStatus(Struct, frozen=True, kw_only=True):
    """The answer: `state` is pending, issued or rejected; `chain` is there, leaf first, once it is issued."""

    request: str
    state: str
    uri: str
    chain: str | None = None


class Renewal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/certificates`: a request in PEM, best for a new key."""

    csr: str


class Renewed(Struct, frozen=True, kw_only=True):
    """The answer: the new chain, leaf first, and when it ends."""

    chain: str
    serial: str
    not_after: int
