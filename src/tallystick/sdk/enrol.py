"""The side of an invited party: make a key and a request, send it with the token, come back for the certificate."""

from typing import Final, NamedTuple

import httpx2
import msgspec

from tallystick.crypto.ca import check_request
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.sdk.answers import FAILURE_MIN, Answer, problem_of
from tallystick.sdk.client import ANSWER_MAX, NO_ANSWER
from tallystick.sdk.errors import AnswerUnreadable, PlatformUnreachable
from tallystick.secret import Secret
from tallystick.wire.enrolment import ENROLMENTS, EnrolmentStatus

COMMON_NAME: Final = "enrolment"


class CertificateRequest(NamedTuple):
    """A new private key and the request for it, both PEM; `fingerprint` is what the operator compares."""

    private_key: bytes
    csr: bytes
    fingerprint: str


def new_request() -> CertificateRequest:
    """Make a private key and a request that names nobody: the identity is the invitation's."""
    private_key = new_private_key()
    csr = make_csr(private_key, common_name=COMMON_NAME)
    return CertificateRequest(private_key, csr, check_request(csr))


async def enrol(http: httpx2.AsyncClient, token: Secret, csr: bytes) -> EnrolmentStatus:
    """Send a request, or ask again what became of it: the same call, as often as needed, every few seconds at most.

    Raises PlatformUnreachable (call again), PlatformProblem (`token_refused`: ask for a new invitation; `too_many`:
    wait) and AnswerUnreadable.
    """
    body = msgspec.json.encode({"token": token.reveal(), "csr": csr.decode()})
    try:
        response = await http.post(ENROLMENTS, content=body, headers={"content-type": "application/json"})
    except NO_ANSWER as error:
        raise PlatformUnreachable("no answer came from the platform") from error
    if len(response.content) > ANSWER_MAX:
        raise AnswerUnreadable(f"an answer has at most {ANSWER_MAX} bytes")
    if response.status_code >= FAILURE_MIN:
        headers = {name.lower(): value for name, value in response.headers.items()}
        raise problem_of(Answer(response.status_code, headers, response.content), proven=False)
    try:
        return msgspec.json.decode(response.content, type=EnrolmentStatus)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AnswerUnreadable("the answer has not the documented shape") from error
